"""A watch over a worker that has ended, but is not quite gone."""

from __future__ import annotations

import os
import select
import selectors
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from sdtui.model.events import CallFinished, CellFinished, CellPhase, Stamped, to_line
from sdtui.supervisor import limits
from sdtui.supervisor.launch import Worker
from sdtui.supervisor.log import CellLog
from sdtui.supervisor.sampling import Sampling
from sdtui.supervisor.watch import Surroundings, Watch


@pytest.fixture
def signals() -> Iterator[SimpleNamespace]:
    """Stands in for a supervisor's signals; none comes."""
    readable, writable = os.pipe()
    yield SimpleNamespace(descriptor=readable, drain=lambda: None)
    os.close(readable)
    os.close(writable)


def _start(script: str) -> Worker:
    events_read, events_write = os.pipe()
    output_read, output_write = os.pipe()
    process = subprocess.Popen(
        ["sh", "-c", script.replace("EVENTS", str(events_write))],
        stdin=subprocess.PIPE,
        stdout=output_write,
        pass_fds=(events_write,),
        process_group=0,
    )
    os.close(events_write)
    os.close(output_write)
    return Worker(process, events_read, output_read)


def test_what_a_dead_worker_left_behind_can_neither_flood_nor_hold_up_its_end(
    tmp_path: Path, signals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "OUTPUT_BYTES", 16 << 20)
    worker = _start("yes & exit 5")
    os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)

    class SlowLog(CellLog):
        """Takes a chunk in no sooner than the next is there."""

        def write(self, chunk: bytes) -> None:
            super().write(chunk)
            select.select([worker.output], [], [], 30)

    select.select([worker.output], [], [], 30)
    around = Surroundings(lambda _: None, lambda: None, signals, limits.SILENCE_S)
    with worker:
        ending = Watch("cell", worker, SlowLog(tmp_path / "log"), Sampling(None, None), around).run()
    assert (ending.status, ending.phase) == ("failed", "import")
    assert ending.reason == "the worker exited with status 5 before the cell ended; it last printed: y"


@pytest.mark.parametrize("stopped_s", [0.0, 3.0])
def test_silence_while_the_supervisor_was_stopped_is_not_the_workers(
    tmp_path: Path, signals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, stopped_s: float
) -> None:
    select_once, stops = selectors.DefaultSelector.select, [stopped_s] if stopped_s else []

    def stopped(selector: selectors.DefaultSelector, timeout: float | None = None) -> object:
        """As after SIGSTOP and SIGCONT: the time is over, and nothing was looked at."""
        if not stops:
            return select_once(selector, timeout)
        time.sleep(stops.pop())
        return []

    monkeypatch.setattr(selectors.DefaultSelector, "select", stopped)
    finished = CellFinished("cell", "ok", "measure", 2)
    worker = _start(f"sleep 1; echo '{to_line(Stamped(1.0, finished)).strip()}' >/proc/self/fd/EVENTS")
    around = Surroundings(lambda _: None, lambda: None, signals, dict.fromkeys(limits.SILENCE_S, 2.0))
    with worker:
        ending = Watch("cell", worker, CellLog(tmp_path / "log"), Sampling(None, None), around).run()
    assert ending == finished


def test_means_end_with_the_last_call(tmp_path: Path, signals: SimpleNamespace) -> None:
    """What comes after it, such as a trace, an output check or a slow exit, is not measured."""
    measured = to_line(Stamped(1.0, CellPhase("cell", "measure", 2)))
    called = to_line(Stamped(1.0, CallFinished("cell", 2, "main", 1, 1, *[1.0] * 7)))
    finished = to_line(Stamped(1.0, CellFinished("cell", "ok", "measure", 2)))
    worker = _start(f"exec 3>/proc/self/fd/EVENTS; printf '{measured}{called}' >&3; read go; printf '{finished}' >&3")
    taken: dict[str, float] = {}

    def record(stamped: Stamped) -> None:
        taken[stamped.event.KIND] = time.monotonic()
        if isinstance(stamped.event, CallFinished):
            assert worker.process.stdin is not None
            worker.process.stdin.write(b"go\n")
            worker.process.stdin.flush()

    class Sampler:
        def next_due(self) -> float:
            return float("inf")

        def mean(self, name: str, start: float, end: float) -> tuple[float, float]:
            return start, end

    sampling = SimpleNamespace(source="process", take_trouble=lambda: None, of_worker=lambda _: Sampler())
    around = Surroundings(record, lambda: None, signals, limits.SILENCE_S)
    with worker:
        watch = Watch("cell", worker, CellLog(tmp_path / "log"), sampling, around)
        assert watch.run().status == "ok"
    start, end = watch.mean("cpu_percent")
    assert start <= taken["cell.phase"] <= end <= taken["call.finished"]


def test_a_worker_that_takes_its_time_to_exit_is_waited_for_without_spinning(
    tmp_path: Path, signals: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "EXIT_S", 0.5)
    selections: list[float | None] = []
    select_once = selectors.DefaultSelector.select

    def counted(selector: selectors.DefaultSelector, timeout: float | None = None) -> object:
        selections.append(timeout)
        return select_once(selector, timeout)

    monkeypatch.setattr(selectors.DefaultSelector, "select", counted)
    finished = CellFinished("cell", "ok", "measure", 2)
    worker = _start(f"echo '{to_line(Stamped(1.0, finished)).strip()}' >/proc/self/fd/EVENTS; sleep 600")
    around = Surroundings(lambda _: None, lambda: None, signals, limits.SILENCE_S)
    with worker:
        ending = Watch("cell", worker, CellLog(tmp_path / "log"), Sampling(None, None), around).run()
    assert ending == finished
    assert len(selections) < 20
