"""What a sitting runs, in which order, and what of it a budget leaves."""

from __future__ import annotations

import dataclasses
import re
import time
from pathlib import Path
from typing import Any

import pytest
from supervised import Lab, after_append, await_event, both, counts, events, known, patched, statuses

from sdtui import durations, runs
from sdtui.model.events import CellPhase, CellQueued, CellStarted, Event, Log, RunFinished, RunForecast
from sdtui.report.csv_report import csv_report
from sdtui.report.markdown import markdown, tables_markdown
from sdtui.report.show import show_text
from sdtui.supervisor.sitting import Sitting


def began(folder: Path) -> list[tuple[int, str, int]]:
    """Batch size, mode and process of every start, in order; of the first cell, which waits for imports, once."""
    slots = {cell.spec.id: cell.spec.slot for cell in runs.read(folder).cells.values()}
    starts = [stamped.event for stamped in events(folder) if isinstance(stamped.event, CellStarted)]
    found = [(slots[start.cell].batch_size, slots[start.cell].mode, start.process) for start in starts]
    return list(dict.fromkeys(found))


def with_budget(lab: Lab, folder: Path, budget_s: float, *seconds: float) -> Sitting:
    sitting = lab.sitting(folder, budget_s=budget_s)
    return dataclasses.replace(sitting, durations=tuple(known(sitting, *seconds)))


def forecasts(folder: Path) -> list[RunForecast]:
    return [stamped.event for stamped in events(folder) if isinstance(stamped.event, RunForecast)]


def left(folder: Path) -> list[str]:
    """What the last sitting says of cells that it left, in the plan's order."""
    record = runs.read(folder)
    return [record.why_not_run(cell) for cell in record.cells.values()]


def test_rows_run_whole_and_no_compile_first_while_the_journal_keeps_the_plans_order(lab: Lab) -> None:
    folder = lab.create("ok", "ok", modes=["channels-last", "no-compile"], processes=2)
    assert lab.run(folder) == 0
    order = [(size, mode) for size in (1, 2) for mode in ("no-compile", "channels-last")]
    assert began(folder) == [(*each, process) for process in (1, 2) for each in order]
    queued = [stamped.event.spec.slot for stamped in events(folder) if isinstance(stamped.event, CellQueued)]
    assert [slot.mode for slot in queued] == ["channels-last", "no-compile"] * 2
    first, *later = forecasts(folder)
    cells = runs.read(folder).cells
    assert [(s.batch_size, s.mode) for s in (cells[each.cell].spec.slot for each in first.queue)] == order
    assert {each.basis for each in first.queue} == {"guess"}
    assert [each.basis for each in later[0].queue] == ["measured", *["similar"] * 3]
    assert {each.basis for each in later[3].queue} == {"measured"}


def after_imports(lab: Lab, folder: Path, **changes: object) -> Sitting:
    """One before which the first cell's process imported for 30 s, and the others', which were forked, for 2 s."""
    sitting = lab.sitting(folder, **changes)
    first, *others = known(sitting, 5, 5, 5)
    forked = [dataclasses.replace(each, import_s=2.0, imports=False) for each in others]
    return dataclasses.replace(sitting, durations=(dataclasses.replace(first, import_s=30.0), *forked))


@pytest.mark.parametrize(
    ("changes", "seconds"), [({}, [35, 7, 7]), ({"exclusive": True}, [35] * 3), ({"processes": 2}, [35] * 3)]
)
def test_the_first_cell_waits_for_imports_and_where_nothing_is_forked_every_cell_does(
    lab: Lab, changes: dict[str, Any], seconds: list[float]
) -> None:
    folder = lab.create("ok", "ok", "ok", processes=changes.get("processes", 1))
    assert lab.run(folder, after_imports(lab, folder, **changes)) == 0
    assert [each.seconds for each in forecasts(folder)[0].queue] == seconds
    imports = [process.imports for cell in runs.read(folder).cells.values() for process in cell.processes]
    assert imports == ([True] * len(imports) if changes else [True, False, False])


def test_where_no_worker_can_be_forked_the_cells_left_are_expected_to_import(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FORK_SERVER", "it cannot today")
    folder = lab.create("ok", "ok", "ok")
    assert lab.run(folder, after_imports(lab, folder)) == 0
    first, after_second = ([each.seconds for each in told.queue] for told in forecasts(folder))
    assert first == [35, 7, 7]
    assert after_second[1:] == [pytest.approx(5, abs=1)], "and the import of the second; the first waits in any case"
    assert all(cell.imports for cell in runs.read(folder).cells.values())


def test_what_does_not_fit_by_less_than_a_second_is_not_said_to_fit(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder, with_budget(lab, folder, 60, 5, 60.4)) == 1
    reason = left(folder)[1]
    assert re.fullmatch(r"did not fit into the budget of 1m: it takes 1m1s; 5\ds was left", reason)


def test_a_budget_passes_over_what_does_not_fit_and_says_what_it_left(lab: Lab) -> None:
    folder = lab.create("ok", "ok", "ok")
    assert lab.run(folder, with_budget(lab, folder, 60, 5, 1000, 5)) == 1
    assert statuses(folder) == ["ok", None, "ok"]
    assert counts(folder) == {"ok": 2, "not run": 1}
    record = runs.read(folder)
    assert (record.sittings[0].started.budget_s, record.sittings[0].finished.status) == (60, "incomplete")  # type: ignore[union-attr]
    fits, reason, small = left(folder)
    assert (fits, small) == ("", "")
    assert re.fullmatch(r"did not fit into the budget of 1m: it takes 16m40s; (1m|5\ds) was left", reason)
    assert f"[^1]: not run: {reason}" in tables_markdown([record])
    assert reason in show_text(record, "incomplete")
    assert reason in csv_report([record])
    rest = f"1 cell did not fit into the budget of 1m; `sdtui resume {runs.short(folder)}` runs what is left."
    assert f"- Run {record.id}: {rest}" in markdown([record])


def test_what_a_budget_left_of_results_that_were_wanted_anew_is_said_too(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder) == 0
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"ok"}), budget_s=1e-9)) == 0
    *_, last = runs.read(folder).sittings
    assert last.finished is not None
    assert (last.finished.status, len(last.finished.left)) == ("ok", 2)


def test_a_later_sitting_has_a_budget_of_its_own_and_runs_the_rest(lab: Lab) -> None:
    folder = lab.create("ok", "ok", "ok")
    assert lab.run(folder, with_budget(lab, folder, 60, 5, 1000, 2000)) == 1
    assert [bool(reason) for reason in left(folder)] == [False, True, True]
    assert lab.run(folder, with_budget(lab, folder, 1500, 5, 1000, 2000)) == 1
    assert [bool(reason) for reason in left(folder)] == [False, False, True]
    assert lab.run(folder) == 0
    assert [size for size, *_ in began(folder)] == [1, 2, 3]
    assert left(folder) == [""] * 3


def test_where_nothing_fits_nothing_runs(lab: Lab) -> None:
    folder = lab.create("ok")
    assert lab.run(folder, lab.sitting(folder, budget_s=1.0)) == 1
    assert statuses(folder) == [None]
    assert ", at a guess; " in left(folder)[0], "nothing like it was measured here"


def test_a_cell_under_way_is_not_ended_by_the_budget(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    sitting = with_budget(lab, folder, 0.001, 0.0, 5)
    assert lab.run(folder, sitting) == 1
    assert statuses(folder) == ["ok", None]


def test_a_cancelled_run_was_not_left_for_its_budget(lab: Lab) -> None:
    folder = lab.create("measure:hang", "ok")
    child = lab.start(folder, with_budget(lab, folder, 600, 5, 1000))
    await_event(folder, CellStarted)
    (folder / "control" / "cancel").touch()
    child.wait()
    finished = events(folder)[-1].event
    assert isinstance(finished, RunFinished)
    assert (finished.status, finished.left) == ("cancelled", {})


def test_how_long_cells_took_is_kept_for_later_runs(lab: Lab) -> None:
    folder = lab.create("ok", "load:exit3")
    assert lab.run(folder) == 1
    device = lab.sitting(folder).machine.device_name
    (kept,) = durations.known(device)
    first = next(iter(runs.read(folder).cells.values()))
    assert (kept.cell, kept.call_s, kept.compiled) == (first.spec.id, 0.04, 0), "what failed tells nothing"
    assert kept.import_s + kept.start_s + kept.call_s == pytest.approx(first.finished_at - first.started, abs=0.05)  # type: ignore[operator]
    again = lab.create("ok")
    assert lab.run(again) == 0
    (said,) = forecasts(again)
    assert [each.basis for each in said.queue] == ["measured"], "what the last cell took changes nothing to come"
    assert len(durations.known(device)) == 1


def test_a_clock_that_is_set_changes_neither_what_a_cell_took_nor_the_budget(lab: Lab) -> None:
    folder, ahead, clock = lab.create("ok", "ok"), [0.0], time.time

    def set_it(event: Event, _: int) -> None:
        if isinstance(event, CellPhase) and event.phase == "measure":
            ahead[0] = 3600.0

    before = both(patched(time, time=lambda: clock() + ahead[0]), after_append(set_it))
    sitting = lab.sitting(folder, budget_s=600.0)
    assert lab.run(folder, sitting, before) == 0
    first = next(iter(runs.read(folder).cells.values()))
    assert first.finished_at - first.started < 60  # type: ignore[operator]
    kept = durations.known(sitting.machine.device_name)
    assert [each.start_s < 60 for each in kept if each.cell == first.spec.id] == [True], "workers have the real clock"


def test_what_cannot_be_kept_is_said_once_and_ends_nothing(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    sitting = lab.sitting(folder)
    path = durations.path_of(sitting.machine.device_name)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert lab.run(folder, sitting) == 0
    said = [stamped.event for stamped in events(folder) if isinstance(stamped.event, Log)]
    assert [log.message for log in said] == [
        f"how long cells take is not kept for later runs: {path}: no durations of cells (it is not JSON); remove the "
        "file"
    ]
    assert path.read_text() == "{"
