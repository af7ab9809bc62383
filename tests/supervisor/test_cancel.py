"""Requests to a supervisor: cancel, skip, and signals."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
from collections.abc import Iterator

import pytest
from supervised import Lab, after_append, await_event, both, counts, patched, reasons, statuses

from sdtui import locks, runs
from sdtui.model.events import CellFinished, CellPhase, CellStarted, Event, RunStarted
from sdtui.report.detail import ending
from sdtui.report.merge import results_of
from sdtui.supervisor import limits
from sdtui.supervisor.control import request_cancel, request_skip

DEAF_TO_FILES = patched(limits, POLL_S=3600)
QUICK = patched(limits, POLL_S=0.02)


def _ended(folder) -> str:
    finished = runs.read(folder).sittings[-1].finished
    assert finished is not None
    return finished.status


@pytest.mark.parametrize("behaviour", ["measure:hang", "measure:deaf"])
def test_cancel_during_a_cell_wakes_the_supervisor(lab: Lab, behaviour: str) -> None:
    folder = lab.create(behaviour, "ok")
    supervisor = lab.start(folder, before=DEAF_TO_FILES)
    await_event(folder, CellPhase, phase="measure")
    assert request_cancel(folder)
    assert supervisor.wait() == 1
    assert (statuses(folder), reasons(folder)) == (["cancelled", None], ["the run was cancelled", ""])
    assert (_ended(folder), counts(folder)) == ("cancelled", {"cancelled": 1, "not run": 1})
    assert "| SD - txt2img | – |" in (folder / "report.md").read_text()
    lab.await_silence()
    assert not request_cancel(folder), "there is nobody to ask any more"


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    """A process that SIGUSR1 would end."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def test_a_bystander_with_the_supervisors_number_is_not_signalled(lab: Lab, bystander: subprocess.Popen[bytes]) -> None:
    """Another PID namespace of the same host may hold the lock under a number that is another's here."""
    folder = lab.create("ok")
    lock = locks.Lock(folder / runs.LOCK)
    assert lock.acquire("run x")
    holder = dataclasses.replace(locks.this_process("run x"), pid=bystander.pid)
    (folder / runs.LOCK).write_text(json.dumps(dataclasses.asdict(holder)))
    assert request_cancel(folder)
    assert (folder / "control" / "cancel").exists()
    lock.release()
    bystander.send_signal(signal.SIGTERM)  # were SIGUSR1 on its way, it would come first
    assert bystander.wait() == -signal.SIGTERM


def test_cancel_needs_no_signal(lab: Lab) -> None:
    folder = lab.create("measure:hang", "ok")
    supervisor = lab.start(folder, before=QUICK)
    await_event(folder, CellPhase, phase="measure")
    (folder / "control" / "cancel").touch()
    assert supervisor.wait() == 1
    assert statuses(folder) == ["cancelled", None]


def _cancel_after_cell(folder, nth: int):
    ended = 0

    def act(event: Event, _: int) -> None:
        nonlocal ended
        ended += isinstance(event, CellFinished)
        if isinstance(event, CellFinished) and ended == nth:
            (folder / "control" / "cancel").touch()

    return after_append(act)


def test_cancel_between_cells_starts_no_other(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder, before=_cancel_after_cell(folder, 1)) == 1
    assert (statuses(folder), _ended(folder)) == (["ok", None], "cancelled")


def test_cancel_after_the_last_cell_comes_too_late(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder, before=_cancel_after_cell(folder, 2)) == 0
    assert (statuses(folder), _ended(folder)) == (["ok", "ok"], "ok")


def test_cancel_as_soon_as_the_run_is_held(lab: Lab) -> None:
    """Whoever sees the lock may ask: neither is the request cleared away nor does the signal kill."""
    folder = lab.create("ok")
    acquire = locks.Lock.acquire

    def acquire_and_ask(lock: locks.Lock, purpose: str, force: bool = False) -> bool:
        acquired = acquire(lock, purpose, force)
        if lock.path.name == runs.LOCK:
            assert request_cancel(folder)
        return acquired

    assert lab.run(folder, before=patched(locks.Lock, acquire=acquire_and_ask)) == 1
    assert (statuses(folder), _ended(folder)) == ([None], "cancelled")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_end_cancels_the_run(lab: Lab, number: int) -> None:
    folder = lab.create("measure:hang", "ok")
    supervisor = lab.start(folder, before=DEAF_TO_FILES)
    await_event(folder, CellPhase, phase="measure")
    supervisor.signal(number)
    assert supervisor.wait() == 1
    assert (statuses(folder), _ended(folder)) == (["cancelled", None], "cancelled")
    lab.await_silence()


def test_a_hang_up_changes_nothing(lab: Lab) -> None:
    folder = lab.create("ok", "ok")

    def hang_up(event: Event, _: int) -> None:
        if isinstance(event, (RunStarted, CellStarted, CellPhase)):
            os.kill(os.getpid(), signal.SIGHUP)

    assert lab.run(folder, before=after_append(hang_up)) == 0
    assert statuses(folder) == ["ok", "ok"]


def test_a_wake_up_alone_changes_nothing(lab: Lab) -> None:
    folder = lab.create("ok")

    def wake(event: Event, _: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    assert lab.run(folder, before=after_append(wake)) == 0
    assert statuses(folder) == ["ok"]


def test_the_running_cell_is_skipped_and_no_other(lab: Lab) -> None:
    folder = lab.create("measure:hang", "ok")
    supervisor = lab.start(folder, before=DEAF_TO_FILES)
    started = await_event(folder, CellPhase, phase="measure")
    assert isinstance(started, CellPhase)
    assert request_skip(folder, started.cell)
    assert supervisor.wait() == 1
    assert (statuses(folder), reasons(folder)) == (["cancelled", "ok"], ["skipped", ""])
    assert _ended(folder) == "incomplete"


def test_a_pending_cell_is_skipped_at_once(lab: Lab) -> None:
    folder = lab.create("measure:hang", "ok", "ok")
    supervisor = lab.start(folder, before=both(DEAF_TO_FILES))
    await_event(folder, CellPhase, phase="measure")
    first, second, _ = runs.read(folder).cells
    assert request_skip(folder, second)
    await_event(folder, CellFinished, cell=second)
    assert statuses(folder) == [None, "cancelled", None]
    assert request_skip(folder, first)
    assert supervisor.wait() == 1
    assert (statuses(folder), reasons(folder)) == (["cancelled", "cancelled", "ok"], ["skipped", "skipped", ""])
    started = [record.started for record in runs.read(folder).cells.values()]
    assert started[1] is None
    endings = [ending(result) for result in results_of(runs.read(folder))]
    assert endings == ["cancelled in measure, call 2", "cancelled before it began", "ok"]
    assert not (folder / "logs" / f"{second}.log").exists()


def test_what_was_asked_of_an_earlier_sitting_does_not_matter(lab: Lab) -> None:
    folder = lab.create("ok")
    (cell,) = lab.sitting(folder).cells
    for name in ("cancel", f"skip-{cell.id}"):
        (folder / "control" / name).touch()
        os.utime(folder / "control" / name, (0, 0))
    assert lab.run(folder) == 0
    assert statuses(folder) == ["ok"]
    assert list((folder / "control").iterdir()) == []
