"""How long cells may take, held against what recorded ones took."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdtui import durations, runs
from sdtui.durations import Duration
from sdtui.forecasts import IMPORT_S, Manner, forecast
from sdtui.model.cell import Cell
from sdtui.model.forecast import Forecast
from sdtui.model.precision import PrecisionRule
from sdtui.ordering import work_of
from sdtui.records import RunRecord

RESULTS = Path(__file__).parents[2] / "docs" / "results"
H100 = "NVIDIA H100 80GB HBM3"
TORCH = "2.11.0"
HERE = Manner(on_gpu=True, torch={"current": TORCH})
PAGE, COLD, TRACE, PROCESSES = (
    runs.read(RESULTS / name)
    for name in (
        "2026-11-24-h100-docs-batch-1",
        "2026-11-25-h100-cold",
        "2026-11-25-h100-trace",
        "2026-11-25-h100-processes",
    )
)
SD, SD_COMPILED, CONTROLNET, CONTROLNET_COMPILED, IF, IF_COMPILED = PAGE.cells


def spec(cell: str) -> Cell:
    return PAGE.cells[cell].spec


def took_s(record: RunRecord, cell: str) -> float:
    process = record.cells[cell]
    return process.finished_at - process.started  # type: ignore[operator]


def taken(*records: RunRecord) -> list[Duration]:
    return [duration for record in records for duration in durations.taken(record, H100)]


def without(known: list[Duration], cell: str) -> list[Duration]:
    return [each for each in known if each.cell != cell]


def ratio(found: Forecast, seconds: float) -> float:
    return max(found.seconds / seconds, seconds / found.seconds)


@pytest.mark.parametrize("cell", [SD, CONTROLNET, IF])
def test_a_cell_takes_what_it_took(cell: str) -> None:
    found = forecast(spec(cell), taken(PAGE), HERE)
    assert found.basis == "measured"
    assert ratio(found, took_s(PAGE, cell)) < 1.15, "imports are the newest cell's"


def test_the_next_processes_of_a_cell_take_what_those_before_took() -> None:
    """Eight fresh processes on a busy host: 27 to 41 s."""
    (cell,) = PROCESSES.cells.values()
    ends = [each.finished_at - each.started for each in cell.processes if each.finished.status == "ok"]  # type: ignore[union-attr, operator]
    known = taken(PROCESSES)
    for number in range(1, 8):
        assert ratio(forecast(cell.spec, known[:number], HERE), ends[number]) < 1.25


def test_cold_and_warm_compile_caches_are_kept_apart() -> None:
    cold, warm = replace(HERE, cold=True), HERE
    known = [replace(each, traced=False) for each in taken(TRACE, COLD)]
    assert forecast(spec(SD_COMPILED), known, cold).seconds == pytest.approx(took_s(COLD, SD_COMPILED), abs=1)
    assert forecast(spec(SD_COMPILED), known, warm).seconds == pytest.approx(took_s(TRACE, SD_COMPILED), abs=1)
    assert {forecast(spec(SD_COMPILED), known, how).basis for how in (cold, warm)} == {"measured"}


def test_what_a_cell_compiled_takes_a_fifth_the_next_time() -> None:
    found = forecast(spec(SD_COMPILED), taken(COLD), HERE)
    assert found.basis == "similar"
    assert ratio(found, took_s(TRACE, SD_COMPILED)) < 1.25
    assert found.seconds < 0.6 * took_s(COLD, SD_COMPILED)
    again = forecast(spec(SD_COMPILED), taken(COLD), replace(HERE, cold=True))
    assert ratio(again, took_s(COLD, SD_COMPILED)) < 1.05


def test_what_found_something_of_others_tells_little_of_a_cache_that_is_emptied() -> None:
    """It compiled for 20 s beside another's 90; a cell that was there before it knows better what is to come."""
    (cold,) = taken(COLD)
    partly = replace(
        cold, cell=CONTROLNET_COMPILED, pipeline="sd-controlnet", compiled=2, found_empty=False, start_s=20.0
    )
    known = [replace(each, traced=False) for each in (cold, partly)]
    emptied = forecast(spec(CONTROLNET_COMPILED), known, replace(HERE, cold=True))
    per_denoiser_s = cold.start_s - cold.call_s
    more_s = 2 * per_denoiser_s - (20.0 - partly.call_s)
    kept = forecast(spec(CONTROLNET_COMPILED), known, HERE)
    assert emptied.basis == "similar"
    assert emptied.seconds - kept.seconds == pytest.approx(more_s, abs=0.2)
    again = replace(partly, found_empty=True, start_s=150.0)
    assert forecast(spec(CONTROLNET_COMPILED), [*known, again], replace(HERE, cold=True)).basis == "measured"


@pytest.mark.parametrize(
    ("cell", "most"), [(SD, 1.4), (SD_COMPILED, 1.4), (CONTROLNET, 1.4), (CONTROLNET_COMPILED, 1.4), (IF, 1.4)]
)
def test_a_cell_that_was_never_measured_takes_what_the_others_say(cell: str, most: float) -> None:
    found = forecast(spec(cell), without(taken(PAGE), cell), HERE)
    assert found.basis == "similar"
    assert ratio(found, took_s(PAGE, cell)) < most


def test_compilation_counts_for_each_denoiser() -> None:
    found = forecast(spec(IF_COMPILED), without(taken(PAGE), IF_COMPILED), HERE)
    assert ratio(found, took_s(PAGE, IF_COMPILED)) < 1.8, "three, where the others compile one or two"


@pytest.mark.parametrize("cell", PAGE.cells)
def test_without_any_measurement_it_is_a_guess(cell: str) -> None:
    found = forecast(spec(cell), [], HERE)
    assert found.basis == "guess"
    assert ratio(found, took_s(PAGE, cell)) < 1.6


def test_what_was_never_compiled_on_a_device_stays_a_guess() -> None:
    eager = [each for each in taken(PAGE) if not each.compiled]
    found = forecast(spec(IF_COMPILED), eager, HERE)
    assert found.basis == "guess"
    assert ratio(found, took_s(PAGE, IF_COMPILED)) < 1.5


def test_calls_grow_with_their_work_and_nothing_else_does() -> None:
    cell = spec(SD)
    large = replace(cell, id="large", slot=replace(cell.slot, batch_size=4))
    assert work_of(large) == 4 * work_of(cell)
    one, four = (forecast(each, taken(PAGE), HERE).seconds for each in (cell, large))
    (known,) = (each for each in taken(PAGE) if each.cell == SD)
    assert four - one == pytest.approx(3 * cell.calls * known.call_s, abs=0.2)


def test_one_short_call_that_compiled_is_no_measure_of_fifty_steps() -> None:
    """On an H200, one call of four steps, most of it compiling, became a forecast of 74 minutes for three of fifty."""
    (cold,) = taken(COLD)
    cell = replace(spec(SD_COMPILED), id="longer", mode=replace(spec(SD_COMPILED).mode, name="mine"))
    short = replace(cold, cell="short", mode="mine", work=cold.work / 12.5, call_s=10.0, once=True)
    without_it, with_it = (forecast(cell, known, HERE).seconds for known in ([cold], [cold, short]))
    assert with_it == pytest.approx(without_it, abs=0.2)
    assert forecast(cell, [short], HERE).seconds > 3 * 12.5 * 10, "where there is nothing else, it counts"


def test_another_torch_or_manner_tells_less() -> None:
    other = replace(HERE, torch={"current": "2.12.0"})
    assert forecast(spec(SD), taken(PAGE), other).basis == "similar"
    assert forecast(spec(SD), taken(PAGE), replace(HERE, traced=True)).basis == "similar"
    assert forecast(spec(SD), taken(PAGE, TRACE), replace(HERE, traced=True)).basis == "measured"


def test_imports_are_those_of_the_newest_cell_that_imported() -> None:
    before = forecast(spec(SD), taken(PAGE), HERE).seconds
    newest = taken(PAGE)[-1]
    after = forecast(spec(SD), [*taken(PAGE), replace(newest, cell="x", import_s=0.1)], HERE).seconds
    assert before - after == pytest.approx(newest.import_s - 0.1, abs=0.1)
    other = replace(HERE, torch={"current": "2.12.0"})
    assert forecast(spec(SD), taken(PAGE), other).seconds - before == pytest.approx(IMPORT_S - newest.import_s, abs=0.1)


def test_a_precision_takes_up_to_its_limits() -> None:
    plain = forecast(spec(SD), taken(PAGE), HERE).seconds
    (known,) = (each for each in taken(PAGE) if each.cell == SD)

    def more_s(rule: PrecisionRule) -> float:
        return forecast(spec(SD), taken(PAGE), replace(HERE, precision=rule)).seconds - plain

    assert more_s(PrecisionRule(0.01, 12, 1e6)) == pytest.approx(9 * known.call_s, abs=0.2)
    assert more_s(PrecisionRule(0.01, 50, 10.0)) == pytest.approx(10 - 2 * known.call_s, abs=0.2)
    assert more_s(PrecisionRule(0.01, 50, 1.0)) == 0, "the plan's own calls are made in any case"
