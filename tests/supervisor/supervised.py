"""Real supervisors over fake workers: what the tests here stand on."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import select
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sdtui import environments, locks, runs
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.durations import Duration
from sdtui.model.events import Event, RunStarted, Stamped
from sdtui.model.machine import Interpreter
from sdtui.model.results import STATUSES, Status
from sdtui.supervisor.prepare import prepare
from sdtui.supervisor.run import Supervisor
from sdtui.supervisor.sitting import Sitting

DEADLINE_S = 60.0
OK = "ok"
LEFT_ALONE: Callable[[], None] = lambda: None  # noqa: E731

CATALOG = load_catalog()
describe = functools.cache(environments.describe)  # each lab's fake answers as the interpreter of the tests does


class Lab:
    """A machine of a test's own: settings, locks, runs, and an environment ``fake`` whose workers do as told."""

    def __init__(self, root: Path, environ: pytest.MonkeyPatch) -> None:
        self.runs_dir = root / "runs"
        self.locks_dir = root / "locks"
        self.config_dir = root / "config" / "sdtui"
        self.config_dir.mkdir(parents=True)
        self.behaviour = root / "behaviour.json"
        self.python = root / "python"
        fake = Path(__file__).with_name("fake_worker.py")
        real = shlex.quote(sys.executable)
        self.python.write_text(
            f'#!/bin/sh\ncase "$*" in *"-m sdtui.worker"*) exec {real} -I -S {shlex.quote(str(fake))} "$@" ;; esac\n'
            f'exec {real} "$@"\n'
        )
        self.python.chmod(0o755)
        (self.config_dir / "settings.toml").write_text(f"[environments]\nfake = {json.dumps(str(self.python))}\n")
        for variable, value in (
            ("XDG_CONFIG_HOME", root / "config"),
            ("XDG_CACHE_HOME", root / "cache"),
            ("XDG_DATA_HOME", root / "data"),
            ("SDTUI_RUNS_DIR", self.runs_dir),
            ("SDTUI_LOCKS_DIR", self.locks_dir),
            ("FAKE_WORKER_BEHAVIOUR", self.behaviour),
        ):
            environ.setenv(variable, str(value))
        environ.setattr(environments, "describe", self._describe)
        self._children: list[Child] = []

    def behave(self, *behaviours: str) -> None:
        """Sets what the workers of batch size 1, 2, … do."""
        self.behaviour.write_text(json.dumps({str(size): text for size, text in enumerate(behaviours, 1)}))

    def create(
        self,
        *behaviours: str,
        runs_dir: Path | None = None,
        environment: str = "fake",
        modes: Sequence[str] = ("no-compile",),
        processes: int = 1,
        tune: bool = False,
    ) -> Path:
        """Makes a run of one cell per behaviour and mode."""
        self.behave(*behaviours)
        overrides = {
            "pipelines": ["sd-txt2img"],
            "modes": list(modes),
            "environments": [environment],
            "batch_sizes": list(range(1, len(behaviours) + 1)),
            "scale": "tiny",
            "device": "cpu",
            "calls": 2,
            "steps": 3,
            "processes": processes,
            "tune": tune,
        }
        plan = resolve_plan(CATALOG, None, overrides, gpu_available=False)
        return runs.create(runs_dir or self.runs_dir, "CPU", "host", plan_to_toml(plan))

    def sitting(self, folder: Path, **changes: object) -> Sitting:
        """Prepares a sitting of a run."""
        return dataclasses.replace(prepare(folder / runs.PLAN), **changes)  # type: ignore[arg-type]

    def start(self, folder: Path, sitting: Sitting | None = None, before: Callable[[], None] = LEFT_ALONE) -> Child:
        """Starts a supervisor in a process of its own.

        Args:
            folder: Of the run.
            sitting: As `sitting` makes by default.
            before: Is called in that process first, to change what the supervisor stands on.
        """
        supervisor = Supervisor(folder, sitting or self.sitting(folder))
        return self.fork(folder, supervisor.run, before)

    def fork(self, folder: Path, main: Callable[[], int], before: Callable[[], None] = LEFT_ALONE) -> Child:
        """Runs a function in a process of its own; as `start`."""
        pid = os.fork()
        if pid == 0:
            _be_a_child(folder, main, before)
        child = Child(pid, folder)
        self._children.append(child)
        return child

    def run(self, folder: Path, sitting: Sitting | None = None, before: Callable[[], None] = LEFT_ALONE) -> int:
        """Runs a supervisor to its end and returns its exit status."""
        return self.start(folder, sitting, before).wait()

    def survivors(self) -> list[int]:
        """Lists living processes that were started by workers of this lab."""
        mark = f"FAKE_WORKER_BEHAVIOUR={self.behaviour}".encode()
        return [pid for pid in _pids() if mark in _environ(pid)]

    def await_silence(self) -> None:
        """Waits until no worker, nor what it started, is left."""
        until(lambda: not self.survivors(), "a worker or its child survived")

    def _describe(self, name: str, python: Path) -> Interpreter:
        if python != self.python:
            return describe(name, python)
        return dataclasses.replace(describe(name, Path(sys.executable)), python=str(python))

    def close(self) -> None:
        """Kills what a failed test left."""
        for child in self._children:
            child.kill()
        for pid in self.survivors():
            os.kill(pid, signal.SIGKILL)


class Child:
    """A supervisor's process."""

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.folder = folder
        self._pidfd = os.pidfd_open(pid)
        self._status: int | None = None

    def wait(self) -> int:
        """Waits for its end; returns the exit status, negative for a signal."""
        if self._status is None:
            ready, _, _ = select.select([self._pidfd], [], [], DEADLINE_S)
            assert ready, (
                f"the supervisor has not ended; its journal:\n{(self.folder / runs.JOURNAL).read_text()[-3000:]}"
            )
            self._status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
            os.close(self._pidfd)
        return self._status

    def signal(self, number: int) -> None:
        """Sends it a signal."""
        signal.pidfd_send_signal(self._pidfd, number)

    def kill(self) -> None:
        """Kills it, as the kernel would."""
        if self._status is None:
            self.signal(signal.SIGKILL)
            self.wait()


def _be_a_child(folder: Path, main: Callable[[], int], before: Callable[[], None]) -> None:
    status = 70
    try:
        os.setsid()
        log = os.open(folder / "logs" / "supervisor.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        before()
        status = main()
    except BaseException:  # nothing of this process may run into the test
        traceback.print_exc()
    finally:
        os._exit(status)


def patched(target: object, **values: object) -> Callable[[], None]:
    """Returns what sets attributes of a module or class in a supervisor's process."""

    def patch() -> None:
        for name, value in values.items():
            setattr(target, name, value)

    return patch


def both(*steps: Callable[[], None]) -> Callable[[], None]:
    """Returns what does all of them."""
    return lambda: [step() for step in steps] and None


def after_append(action: Callable[[Event, int], None]) -> Callable[[], None]:
    """Returns what has the supervisor do something after each event of its journal.

    Args:
        action: Is given the event and how many have been appended.
    """

    def patch() -> None:
        append, count = runs.Journal.append, 0

        def counted(journal: runs.Journal, event: Event, t: float | None = None) -> None:
            nonlocal count
            append(journal, event, t)
            count += 1
            action(event, count)

        runs.Journal.append = counted  # type: ignore[method-assign]

    return patch


def until(condition: Callable[[], object], otherwise: str) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.005)


def await_event(folder: Path, kind: type[Event], count: int = 1, **fields: object) -> Event:
    """Waits until a run's journal holds so many events of a kind with these fields; returns the last."""
    tail, found = runs.Tail(folder), list[Event]()

    def seen() -> bool:
        for stamped in tail.poll():
            event = stamped.event
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                found.append(event)
        return len(found) >= count

    until(seen, f"no {kind.__name__} {fields} in {folder}")
    return found[count - 1]


def events(folder: Path) -> list[Stamped]:
    """Returns all events of a run; every line but a torn last one must be readable."""
    lines = (folder / runs.JOURNAL).read_bytes().split(b"\n")[:-1]
    read = list(runs.Tail(folder).poll())
    assert len(read) == len(lines)
    return read


def known(sitting: Sitting, *seconds: float) -> Iterator[Duration]:
    """What the first cells of a plan took before."""
    for cell, whole_s in zip(sitting.cells, seconds, strict=False):
        torch = sitting.environments[0].packages["torch"]
        slot, kind = cell.slot, (cell.scale, cell.dtype)
        yield Duration(cell.id, slot.pipeline, slot.mode, *kind, 0, 1e12, torch, False, False, 0.0, whole_s, 0.0)


def statuses(folder: Path) -> list[Status | None]:
    """Returns the status of each cell, in the plan's order."""
    record = runs.read(folder)
    endings = [record.ending_of(cell) for cell in record.cells.values()]
    return [ending.status if ending else None for ending in endings]


def reasons(folder: Path) -> list[str]:
    """Returns the reason of each cell, in the plan's order."""
    record = runs.read(folder)
    endings = [record.ending_of(cell) for cell in record.cells.values()]
    return [ending.reason if ending else "" for ending in endings]


def lock_is_free(folder: Path) -> bool:
    """Says whether nobody holds the run."""
    return not locks.query(folder / runs.LOCK).held


def counts(folder: Path) -> Mapping[str, int]:
    """Returns what the last sitting says of the run's cells."""
    finished = runs.read(folder).sittings[-1].finished
    assert finished is not None
    assert set(finished.counts) <= {*STATUSES, "not run"}
    return finished.counts


def _pids() -> Iterator[int]:
    return (int(name) for name in os.listdir("/proc") if name.isdigit())


def _environ(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()  # empty for a zombie
    except OSError:
        return b""


def edit_start(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    """Changes what the first sitting says of where it was."""
    first, *rest = (folder / runs.JOURNAL).read_text().splitlines(keepends=True)
    start = json.loads(first)
    assert start["kind"] == RunStarted.KIND
    edit(start)
    (folder / runs.JOURNAL).write_text("".join([json.dumps(start) + "\n", *rest]))
