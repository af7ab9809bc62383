"""A cell that is measured in several processes, by turns with the others."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from supervised import Lab, after_append, await_event, counts, edit_start, events, reasons, statuses

from sdtui import runs
from sdtui.model.events import CellFinished, CellStarted, Event, Log, RunStarted, Step
from sdtui.progress import progress_of
from sdtui.records import RunRecord
from sdtui.report.markdown import tables_markdown
from sdtui.report.show import show_text


def began(folder: Path) -> list[tuple[int, int, int]]:
    """Sitting, cell (by its batch size) and process of every start, in order."""
    sizes = {cell.spec.id: cell.spec.slot.batch_size for cell in runs.read(folder).cells.values()}
    starts = [stamped.event for stamped in events(folder) if isinstance(stamped.event, CellStarted)]
    return [(start.sitting, sizes[start.cell], start.process) for start in starts]


def test_processes_take_turns_and_all_count(lab: Lab) -> None:
    folder = lab.create("ok", "ok", processes=3)
    assert lab.run(folder) == 0
    assert began(folder) == [(1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2), (1, 1, 3), (1, 2, 3)]
    record = runs.read(folder)
    assert counts(folder) == {"ok": 2}
    for cell in record.cells.values():
        assert [process.process for process in cell.processes] == [1, 2, 3]
        assert [(len(process.steps), len(process.calls)) for process in cell.processes] == [(6, 2)] * 3
        assert [process.finished.process for process in cell.processes if process.finished] == [1, 2, 3]
        assert cell.processes[0].versions == {"torch": "0.fake"}
        names = {f"{cell.spec.id}.log", f"{cell.spec.id}.p2.log", f"{cell.spec.id}.p3.log"}
        assert names < {path.name for path in (folder / "logs").iterdir()}
    assert record.sittings[0].started.processes == 3


@pytest.fixture
def killed(lab: Lab) -> Path:
    """A run of two cells in three processes, whose second worker of the first cell was killed."""
    folder = lab.create("measure:sigkill@2", "ok", processes=3)
    assert lab.run(folder) == 1
    return folder


def test_a_process_that_is_killed_gives_its_cell_its_status_and_is_named(killed: Path) -> None:
    assert statuses(killed) == ["failed", "ok"]
    assert reasons(killed)[0].startswith("process 2: the worker was killed by SIGKILL")
    assert counts(killed) == {"failed": 1, "ok": 1}
    assert began(killed) == [(1, 1, 1), (1, 2, 1), (1, 1, 2), (1, 2, 2), (1, 2, 3)], (
        "the cell is not begun a third time"
    )
    record = runs.read(killed)
    first, _ = record.cells.values()
    assert [len(process.steps) for process in first.processes] == [6, 3], "what was measured stays"
    assert "failed[^1]" in tables_markdown([record])
    assert "process 2: the worker was killed" in show_text(record, "incomplete")


def test_a_retry_runs_what_failed_and_what_never_ran(lab: Lab, killed: Path) -> None:
    lab.behave("ok", "ok")
    assert lab.run(killed, lab.sitting(killed, retry=frozenset({"failed"}))) == 0
    assert began(killed)[5:] == [(2, 1, 2), (2, 1, 3)]
    assert statuses(killed) == ["ok", "ok"]


def test_a_retry_that_ends_the_same_way_closes_the_cell(lab: Lab, killed: Path) -> None:
    assert lab.run(killed, lab.sitting(killed, retry=frozenset({"failed"}))) == 1
    assert began(killed)[5:] == [(2, 1, 2)], "the third process would fail as well, after who knows how long"
    assert statuses(killed) == ["failed", "ok"]
    lab.behave("load:exit3@3", "ok")
    assert lab.run(killed, lab.sitting(killed, retry=frozenset({"failed"}))) == 1
    assert began(killed)[6:] == [(3, 1, 2), (3, 1, 3)]


def test_a_retried_cell_is_still_to_do_until_it_has_ended(lab: Lab) -> None:
    folder = lab.create("load:exit3", processes=3)
    assert lab.run(folder) == 1
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"failed"}))) == 1
    record, done = RunRecord(folder), list[tuple[str, int]]()
    for stamped in events(folder):
        record.apply(stamped)
        if isinstance(stamped.event, (RunStarted, CellStarted, CellFinished)):
            done.append((stamped.event.KIND, progress_of(record, stamped.t).done))
    assert done == [("run.started", 0), ("cell.started", 0), ("cell.finished", 3)] * 2


@pytest.mark.parametrize(
    "edit",
    [
        lambda start: start["machine"].update(gpu={"name": "NVIDIA H100", "uuid": "GPU-1"}),
        lambda start: start["environments"][0]["packages"].update(torch="2.1.0"),
        lambda start: start["environments"][0]["packages"].update(diffusers="0.1"),
    ],
    ids=["gpu", "torch", "diffusers"],
)
def test_what_was_measured_elsewhere_is_measured_anew(lab: Lab, edit: Callable[[dict[str, Any]], None]) -> None:
    folder = lab.create("ok", "measure:sigkill@2", processes=2)
    assert lab.run(folder) == 1
    edit_start(folder, edit)
    lab.behave("ok", "ok")
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"failed"}))) == 0
    whole, anew = runs.read(folder).cells.values()
    assert began(folder)[4:] == [(2, 2, 1), (2, 2, 2)], "a cell that was complete stays what it was"
    assert [each.sitting for each in whole.processes] == [1, 1]
    assert [each.sitting for each in anew.processes] == [2, 2]
    (log,) = [stamped.event for stamped in events(folder) if isinstance(stamped.event, Log)]
    assert log.message == (
        "begun anew, since their earlier processes were measured on another device or with other versions, and do not "
        f"count: {anew.spec.id}"
    )
    assert log.message in (folder / "report.md").read_text()


def test_a_cell_is_never_of_two_devices_while_it_is_measured_anew(lab: Lab) -> None:
    folder = lab.create("measure:hang@3", processes=3)
    supervisor = lab.start(folder)
    await_event(folder, CellStarted, 3)
    supervisor.signal(signal.SIGTERM)
    supervisor.wait()
    edit_start(folder, lambda start: start["environments"][0]["packages"].update(torch="2.1.0"))
    lab.behave("load:exit3")
    assert lab.run(folder) == 1
    (cell,) = runs.read(folder).cells.values()
    assert [(each.process, each.sitting) for each in cell.processes] == [(1, 2)]
    assert statuses(folder) == ["failed"]


def test_another_card_of_the_same_model_goes_on_and_is_said(lab: Lab) -> None:
    folder = lab.create("load:exit3@2", processes=2)
    assert lab.run(folder) == 1
    cpu = runs.read(folder).sittings[0].started.machine.cpu
    edit_start(folder, lambda start: start["machine"].update(gpu={"name": cpu, "uuid": "GPU-1"}))
    lab.behave("ok")
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"failed"}))) == 0
    (cell,) = runs.read(folder).cells.values()
    assert [each.sitting for each in cell.processes] == [1, 2]
    assert (
        f"{cell.spec.id}: its processes ran on different cards of one model (GPU-1, {cpu})."
        in (folder / "report.md").read_text()
    )


def test_without_a_retry_a_failed_cell_is_left_alone(lab: Lab, killed: Path) -> None:
    before = len(began(killed))
    assert lab.run(killed) == 1
    assert len(began(killed)) == before


def test_a_supervisor_that_was_killed_in_the_second_round_goes_on_there(lab: Lab) -> None:
    folder = lab.create("ok", "measure:hang@2", "ok", processes=2)
    supervisor = lab.start(folder)
    await_event(folder, CellStarted, 5)
    second = list(runs.read(folder).cells)[1]
    await_event(folder, Step, 9, cell=second)
    supervisor.signal(signal.SIGKILL)
    supervisor.wait()
    lab.await_silence()
    assert statuses(folder) == ["ok", None, None]
    lab.behave("ok", "ok", "ok")
    assert lab.run(folder) == 0
    assert began(folder)[5:] == [(2, 2, 2), (2, 3, 2)]
    for cell in runs.read(folder).cells.values():
        assert [len(process.steps) for process in cell.processes] == [6, 6]


def test_a_run_that_was_cancelled_in_the_second_round_goes_on_there(lab: Lab) -> None:
    folder = lab.create("ok", "measure:hang@2", processes=2)
    supervisor = lab.start(folder)
    await_event(folder, CellStarted, 4)
    supervisor.signal(signal.SIGTERM)
    assert supervisor.wait() == 1
    assert statuses(folder) == ["ok", "cancelled"]
    assert reasons(folder)[1] == "process 2: the run was cancelled"
    lab.behave("ok", "ok")
    assert lab.run(folder) == 0
    assert began(folder)[4:] == [(2, 2, 2)]


def test_a_cell_that_is_skipped_keeps_what_its_earlier_processes_measured(lab: Lab) -> None:
    folder = lab.create("ok", "ok", processes=4)

    def skip(event: Event, _: int) -> None:
        if isinstance(event, CellFinished) and event.process == 1:
            (folder / "control" / f"skip-{event.cell}").touch()

    assert lab.run(folder, before=after_append(skip)) == 1
    assert statuses(folder) == ["cancelled", "cancelled"]
    first, _ = runs.read(folder).cells.values()
    kept, skipped = first.processes
    assert (len(kept.steps), kept.finished and kept.finished.status) == (6, "ok")
    assert [e.event.process for e in events(folder) if isinstance(e.event, CellFinished)] == [1, 2, 1, 2], "at once"
    assert (skipped.started, skipped.finished and skipped.finished.reason) == (None, "skipped")


def test_a_worker_that_cannot_start_ends_its_cell_in_the_first_round(lab: Lab) -> None:
    folder = lab.create("ok", processes=2)
    sitting = lab.sitting(folder)
    lab.python.unlink()
    assert lab.run(folder, sitting) == 1
    assert statuses(folder) == ["failed"]
    assert reasons(folder)[0].startswith("process 1: ")
    assert began(folder) == [(1, 1, 1)]
