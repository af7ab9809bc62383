"""How long cells took, kept per GPU model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdtui import durations, runs
from sdtui.durations import Duration
from sdtui.model.errors import UserError

RESULTS = Path(__file__).parents[2] / "docs" / "results"
H100 = "NVIDIA H100 80GB HBM3"


def recorded(name: str) -> list[Duration]:
    return list(durations.taken(runs.read(RESULTS / name), H100))


def test_a_recorded_run_tells_what_its_cells_took() -> None:
    record = runs.read(RESULTS / "2026-11-24-h100-docs-batch-1")
    found = {each.cell: each for each in durations.taken(record, H100)}
    assert found.keys() == record.cells.keys()
    for cell in record.cells.values():
        told = found[cell.spec.id]
        whole_s = told.import_s + told.start_s + (cell.spec.calls - 1) * told.call_s
        assert whole_s == pytest.approx(cell.finished_at - cell.started)  # type: ignore[operator]
    stages = found["if.compile.current.b1-b1261010"]
    assert (stages.compiled, stages.torch, stages.dtype) == (3, "2.11.0", "float16")
    assert stages.start_s > 240, "which is mostly compilation"
    assert found["if.no-compile.current.b1-eba1e105"].compiled == 0
    assert stages.peak_mib == pytest.approx(3801, abs=1), "of its second stage, which takes the most"


def test_a_call_that_was_the_only_one_is_told_without_its_compilation() -> None:
    record = runs.read(RESULTS / "2026-11-25-h100-cold")
    (cell,) = record.cells.values()
    process = replace(cell.processes[0], calls=[call for call in cell.calls if call.call == 1])
    told, whole = (durations.taken_by(record, each) for each in (process, cell))
    assert told
    assert whole
    assert (told.once, whole.once) == (True, False)
    assert told.call_s == pytest.approx(process.calls[0].wall_ms / 1000 - told.compile_s)
    assert told.call_s < 0.5 * told.compile_s
    assert told.start_s == pytest.approx(whole.start_s + 2 * whole.call_s), "with that call in it"


def test_another_device_tells_nothing_here() -> None:
    assert list(durations.taken(runs.read(RESULTS / "2026-11-25-h100-cold"), "NVIDIA A100")) == []


def test_cold_and_warm_compile_caches_are_kept_apart() -> None:
    (cold,) = recorded("2026-11-25-h100-cold")
    eager, warm = recorded("2026-11-25-h100-trace")
    assert (cold.cell, cold.cold, warm.cold, eager.cold) == (warm.cell, True, False, False)
    assert (cold.found_empty, warm.found_empty, eager.found_empty) == (True, False, False)
    assert (cold.traced, warm.traced) == (False, True)
    for each in (cold, replace(warm, traced=False), replace(cold, start_s=7.0)):
        durations.keep(each, H100)
    assert durations.known(H100) == (replace(warm, traced=False), replace(cold, start_s=7.0)), "the newest, last"
    assert durations.known("NVIDIA A100") == ()


def test_every_process_of_a_cell_tells() -> None:
    assert len(recorded("2026-11-25-h100-processes")) == 8, "the ninth was cancelled"


def test_the_oldest_go_where_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "MOST", 2)
    (one,) = recorded("2026-11-25-h100-cold")
    for cell in "abc":
        durations.keep(replace(one, cell=cell), H100)
    assert [each.cell for each in durations.known(H100)] == ["b", "c"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "no durations of cells (it is not JSON); remove the file"),
        ("[]", "no durations of cells (_File: expected an object, got list); remove the file"),
        ('{"durations": [{}]}', "no durations of cells (Duration: 'cell' is missing); remove the file"),
    ],
)
def test_a_damaged_file_is_one_message(content: str, what: str) -> None:
    path = durations.path_of(H100)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError) as raised:
        durations.known(H100)
    assert str(raised.value) == f"{path}: {what}"
