"""SIGKILL of the supervisor at any moment loses at most the cell in flight, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from supervised import Lab, after_append, await_event, lock_is_free, patched, statuses

from sdtui import runs
from sdtui.model.events import CellFinished, CellQueued, CellStarted, Event, RunFinished, RunStarted, Step
from sdtui.report.markdown import markdown
from sdtui.supervisor import launch
from sdtui.supervisor.forkserver import ForkServer


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_after(kind: type[Event], nth: int = 1) -> Callable[[], None]:
    seen = 0

    def act(event: Event, _: int) -> None:
        nonlocal seen
        seen += isinstance(event, kind)
        if seen == nth:
            _die()

    return after_append(act)


def _die_half_way_through(kind: type[Event]) -> Callable[[], None]:
    """Tears a line: half of it is written when the supervisor dies."""

    def patch() -> None:
        append = runs.Journal.append

        def torn(journal: runs.Journal, event: Event, t: float | None = None) -> None:
            if isinstance(event, kind):
                os.write(journal._file.fileno(), runs.to_line(runs.Stamped(0.0, event)).encode()[:-20])
                _die()
            append(journal, event, t)

        runs.Journal.append = torn  # type: ignore[method-assign]

    return patch


MOMENTS: list[tuple[Callable[[], None], int]] = [
    (patched(runs.Journal, __init__=_die), 0),
    (_die_half_way_through(RunStarted), 0),
    (_die_after(RunStarted), 0),
    (_die_after(CellQueued, 2), 0),
    (patched(ForkServer, fork=_die), 0),
    (_die_after(CellStarted), 0),
    (_die_after(Step, 2), 0),
    (_die_half_way_through(Step), 0),
    (_die_half_way_through(CellFinished), 0),
    (_die_after(CellFinished), 1),
    (_die_after(Step, 4), 1),
    (_die_after(CellFinished), 2),
    (_die_after(CellStarted), 2),
    (_die_after(CellFinished), 3),
    (_die_half_way_through(RunFinished), 3),
]
"""Where it dies, sitting after sitting of one run, and how many cells have a result by then."""


def test_a_run_that_is_killed_again_and_again_comes_to_its_end(lab: Lab) -> None:
    folder = lab.create("load:grandchild", "ok", "ok")
    prepared = lab.sitting(folder)
    results: dict[str, float | None] = {}
    for moment, finished in MOMENTS:
        assert lab.run(folder, prepared, moment) == -signal.SIGKILL
        lab.await_silence()
        assert lock_is_free(folder)
        assert runs.listed(folder).state in ("interrupted", "empty")
        record = runs.read(folder)
        kept = {cell.spec.id: cell.finished_at for cell in record.cells.values() if cell.finished}
        assert len(kept) == finished
        assert results.items() <= kept.items(), "a cell that had a result ran again"
        results = kept
        markdown([record])
    assert lab.run(folder, prepared) == 0
    record = runs.read(folder)
    assert {cell.spec.id: cell.finished_at for cell in record.cells.values()} == results
    assert statuses(folder) == ["ok", "ok", "ok"]
    assert [sitting.started.sitting for sitting in record.sittings] == list(range(1, len(record.sittings) + 1))
    assert [sitting.finished is not None for sitting in record.sittings] == [False] * (len(record.sittings) - 1) + [
        True
    ]
    assert len(record.sittings) == len(MOMENTS) - 2 + 1  # two died before they could say that they began
    assert all(cell.steps and len(cell.steps) == 6 for cell in record.cells.values())
    assert (folder / "report.md").read_text().count("| SD - txt2img |") == 3


@pytest.mark.parametrize("behaviour", ["measure:hang", "measure:deaf", "measure:grandchild-hang"])
def test_nothing_that_a_worker_started_outlives_the_supervisor(lab: Lab, behaviour: str) -> None:
    folder = lab.create(behaviour)
    supervisor = lab.start(folder)
    await_event(folder, Step, 3)
    assert lab.survivors()
    supervisor.kill()
    lab.await_silence()


def test_a_worker_that_missed_its_supervisors_death_ends_itself(lab: Lab) -> None:
    """It may be orphaned before it could ask for the parent-death signal, and before it was told its job."""
    folder = lab.create("ok")
    assert lab.run(folder, before=patched(launch.Worker, hand_over=_die)) == -signal.SIGKILL
    lab.await_silence()
    assert lock_is_free(folder)
