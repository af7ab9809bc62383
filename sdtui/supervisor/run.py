"""Runs a plan in its folder: one cell after another, one sitting at a time."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sdtui import locks, runs, settings, statistics, tuning
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.events import (
    WAITING,
    CellFinished,
    CellPhase,
    CellQueued,
    CellStarted,
    Event,
    Log,
    RunFinished,
    RunStarted,
    RunStatus,
    Stamped,
)
from sdtui.model.job import Job, stem
from sdtui.model.machine import Interpreter
from sdtui.model.results import CellSummary, Status
from sdtui.model.vram import VramNeed
from sdtui.precision import Stopping
from sdtui.records import CellRecord
from sdtui.report.markdown import markdown
from sdtui.supervisor import caches, limits, vram
from sdtui.supervisor.checks import checks
from sdtui.supervisor.control import Control
from sdtui.supervisor.forkserver import ForkServers
from sdtui.supervisor.launch import Worker, start_worker, telling, worker_environ, worker_path
from sdtui.supervisor.log import CellLog
from sdtui.supervisor.on_finish import OnFinish
from sdtui.supervisor.queue import Queue
from sdtui.supervisor.sampling import Sampling
from sdtui.supervisor.signals import Signals
from sdtui.supervisor.sitting import Sitting
from sdtui.supervisor.watch import Surroundings, Watch
from sdtui.telemetry.nvml import open_nvml

_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Supervisor:
    """Takes a run's folder for one sitting."""

    def __init__(self, folder: Path, sitting: Sitting, force: bool = False, on_finish: OnFinish | None = None) -> None:
        """Prepares to run.

        Args:
            folder: Of the run.
            sitting: What is measured.
            force: Take the run also where only a heartbeat says that another supervisor has it.
            on_finish: Is run when the sitting has ended, however it ended.
        """
        self._folder = folder
        self._sitting = sitting
        self._force = force
        self._on_finish = on_finish

    def run(self) -> int:
        """Runs what is left to run.

        Returns:
            0 where every cell of the run ended ok, else 1.
        """
        signals = Signals()  # before the lock, which shows others whom to wake
        lock = locks.Lock(self._folder / runs.LOCK)
        try:
            acquired = lock.acquire(f"run {self._folder.name}", self._force)
        except OSError as error:
            print(f"{lock.path}: {error.strerror}", flush=True)
            return 1
        if not acquired:
            print(
                f"run {self._folder.name} has a supervisor already: {runs.lock_state(self._folder).holder}", flush=True
            )
            return 1
        status: RunStatus = "failed"
        try:
            status = _Held(self._folder, self._sitting, signals, lock).run()
        finally:
            lock.release()
            if self._on_finish:
                self._on_finish.run(self._folder, status)
        return 0 if status == "ok" else 1


class _Held:
    """The sitting of a run whose lock is held."""

    def __init__(self, folder: Path, sitting: Sitting, signals: Signals, lock: locks.Lock) -> None:
        self._folder = folder
        self._sitting = sitting
        self._signals = signals
        self._locks = [lock]
        self._control = Control(folder)
        self._control.clear(lock.path.stat().st_mtime_ns)
        self._reserve = folder / runs.RESERVE
        self._cache = folder / runs.COMPILE_CACHE
        self._told_of_refusal = False
        self._nvml = open_nvml() if sitting.machine.gpu else None
        self._journal = runs.Journal(folder)
        self._record = runs.read(folder)
        self._number = max((each.started.sitting for each in self._record.sittings), default=0) + 1
        self._fork_servers = ForkServers(sitting, self._gpu_uuid(), folder / "logs")
        self._queue = Queue(sitting, self._record)

    def run(self) -> RunStatus:
        try:
            finished = self._sit()
        except Exception as error:
            finished = self._give_up(error)
        finally:
            self._reserve.unlink(missing_ok=True)
            self._leave_no_compile_cache()
        self._write_report()
        if finished.reason:
            print(finished.reason, flush=True)
        return finished.status

    def _sit(self) -> RunFinished:
        self._append(self._run_started())
        self._reserve.write_bytes(os.urandom(limits.RESERVE_BYTES))  # not zeros, which a file system may leave out
        for cell in self._sitting.cells:
            if cell.id not in self._record.cells:
                self._append(CellQueued(cell.id, cell.without_configs()))
        self._check_outputs()
        self._journal.sync()
        if due := self._due():
            self._append(self._queue.forecast())
            self._say_what_starts_anew(due)
            with self._device() as held:
                if held:
                    self._measure_due()
        statuses = {self._status(cell) for cell in self._sitting.cells}
        if self._cancel_requested() and statuses & {None, "cancelled"}:
            return self._finish("cancelled", "")
        return self._finish("ok" if statuses == {"ok"} else "incomplete", "")

    def _give_up(self, error: Exception) -> RunFinished:
        """Records why the sitting cannot go on."""
        self._reserve.unlink(missing_ok=True)
        if isinstance(error, UserError):
            reason = str(error)
        elif isinstance(error, OSError) and error.errno in _DISK:
            goes_on = f"free some space, then 'sdtui resume {runs.short(self._folder)}'"
            reason = f"{error.filename or self._folder}: {error.strerror}; {goes_on}"
        else:
            traceback.print_exception(error)
            reason = f"the supervisor failed: {type(error).__name__}: {error}"
        try:
            return self._finish("failed", reason)
        except OSError:  # not even the reserve's room was left; the supervisor's log says why
            return RunFinished(self._number, "failed", {}, reason)

    def _run_started(self) -> RunStarted:
        sitting = self._sitting
        return RunStarted(
            run=self._record.id,
            sitting=self._number,
            sdtui=sitting.sdtui,
            machine=sitting.machine,
            environments=tuple(sitting.environments),
            device=sitting.device,
            pid=os.getpid(),
            probe=sitting.probe,
            flags={
                "retry": sorted(sitting.retry),
                "cold": sitting.cold,
                "trace": sitting.trace,
                "skip_larger_after_oom": sitting.skip_larger_after_oom,
                "exclusive": sitting.exclusive,
                "tune": sitting.tune,
                "variables": self._variables(),
            },
            processes=sitting.processes,
            precision=sitting.precision,
            budget_s=sitting.budget_s,
        )

    def _variables(self) -> list[str]:
        """Returns what of the workers' environment can change figures: the same for every cell of a plan."""
        cell, interpreter = self._sitting.cells[0], self._sitting.environments[0]
        cache = caches.within(self._cache) if self._sitting.cold else None
        return telling(worker_environ(os.environ, cell, interpreter, self._gpu_uuid(), cache))

    def _gpu_uuid(self) -> str | None:
        gpu = self._sitting.machine.gpu
        return gpu.uuid if gpu else None

    @contextlib.contextmanager
    def _device(self) -> Iterator[bool]:
        """Holds the device's lock; gives whether it came to that before the run was cancelled.

        The way to it leads through a second lock, which whoever waits longest holds until it has the first: no later
        run overtakes it.
        """
        path = settings.device_lock(self._sitting.machine.gpu)
        lock = locks.Lock(path, shared_by_users=True)
        queue = locks.Lock(path.with_suffix(".queue.lock"), shared_by_users=True)
        self._locks += [lock, queue]
        try:
            held = self._wait_for(lock, queue)
            queue.release()
            yield held
        finally:
            queue.release()
            lock.release()

    def _wait_for(self, lock: locks.Lock, queue: locks.Lock) -> bool:
        purpose = f"run {self._folder.name}"
        told: locks.Holder | None = None
        next_ = False
        while True:
            next_ = next_ or queue.acquire(purpose)
            if next_ and lock.acquire(purpose):
                return True
            if self._cancel_requested() or self._queue.is_over() or not self._due():
                return False
            holder = locks.query(lock.path).holder
            if holder is not None and holder != told:
                told = holder
                self._append(Log(f"{WAITING}{self._sitting.machine.device_name}: in use by {holder}"))
            self._signals.wait(limits.POLL_S)
            self._beat()
            if self._end_skipped():
                told = None  # that it waits is said last, which listings go by

    def _measure_due(self) -> None:
        with self._fork_servers.started(self._due_in):
            for process, cells in self._queue.rounds():
                measured = list[str]()
                for cell in cells:
                    if self._cancel_requested():
                        return
                    self._measure(cell, process)
                    measured.append(cell.id)
                if self._sitting.tune and not self._cancel_requested():
                    self._end_rung(process, measured)

    def _end_rung(self, rung: int, measured: Sequence[str]) -> None:
        for finished in tuning.end_rung(self._record, rung, measured):
            self._append(finished)
        self._journal.sync()

    def _due_in(self, environment: str) -> list[Cell]:
        cells = [cell for cell in self._sitting.cells if cell.slot.environment == environment]
        return [cell for cell in cells if self._record.due(self._record_of(cell))]

    def _say_what_starts_anew(self, due: Sequence[CellRecord]) -> None:
        """Where a sitting was forced upon another device or other versions, what was measured before does not count."""
        counted = {cell.spec.id: self._record.measured_elsewhere(cell) for cell in due}
        left = [name for name, found in counted.items() if any(each.calls for each in found)]
        if left and self._sitting.processes > 1:
            why = "were measured on another device or with other versions, and do not count"
            self._append(Log(f"begun anew, since their earlier processes {why}: {', '.join(left)}", "warning"))

    def _say_what_is_left_out(self, due: Sequence[CellRecord]) -> None:
        """Names those of the cells that were due, of which the one that just ended has left nothing to run."""
        why = {cell.spec.id: self._record.why_left_out(cell) for cell in due}
        names = [name for name in why if why[name]]
        if names:
            self._append(Log(f"not run, since {why[names[0]]}: {', '.join(names)}"))

    def _due(self) -> list[CellRecord]:
        return [record for record in map(self._record_of, self._sitting.cells) if self._record.due(record)]

    def _record_of(self, cell: Cell) -> CellRecord:
        return self._record.cells[cell.id]

    def _status(self, cell: Cell) -> Status | None:
        finished = self._record.ending_of(self._record_of(cell))
        return finished.status if finished else None

    def _measure(self, cell: Cell, process: int, may_fork: bool = True) -> None:
        if cell.id in self._control.skipped():
            self._end(CellFinished(cell.id, "cancelled", "import", None, "skipped", process=process))
            return
        with CellLog(self._folder / "logs" / f"{stem(cell.id, process)}.log") as log:
            sampling = Sampling(self._nvml, self._gpu_uuid())
            need = self._need(cell, sampling.free_mib())
            started, began = time.time(), time.monotonic()
            if importing := self._fork_servers.importing():
                self._append(CellStarted(cell.id, self._number, importing[0].pid, process), started)  # and again below
                self._append(CellPhase(cell.id, "import"))
                if reason := self._await_imports(cell):
                    self._end(CellFinished(cell.id, "cancelled", "import", None, reason, process=process))
                    return
            worker = self._start_worker(cell, process, may_fork)
            if worker is None:
                return
            with worker:
                found, imports = worker.compile_cache, bool(importing) or not worker.forked
                begun = CellStarted(cell.id, self._number, worker.process.pid, process, found, need, imports)
                self._append(begun, started)
                rule = self._sitting.precision
                stopping = Stopping(rule, self._record_of(cell)) if rule else None
                watch = Watch(cell.id, worker, log, sampling, self._surroundings(cell, stopping))
                ending = watch.run()
        if worker.forked and ending.status == "failed" and ending.phase == "import":
            self._append(Log(f"{cell.id}: measured by a process of its own, since a forked one said: {ending.reason}"))
            self._measure(cell, process, may_fork=False)
            return
        if not may_fork and ending.phase != "import":  # alone it came further
            self._fork_servers.give_up(cell.slot.environment)
        finished = started + time.monotonic() - began  # whatever the clock was set to meanwhile
        summary = self._summary(cell.id, started, finished, watch)
        precision = stopping.reached if stopping and ending.status == "ok" else None
        self._end(replace(ending, summary=summary, precision=precision, process=process), finished)

    def _surroundings(self, cell: Cell, stopping: Stopping | None) -> Surroundings:
        return Surroundings(
            self._take,
            lambda: self._reason_to_cancel(cell),
            self._signals,
            self._sitting.silence_s,
            stopping.enough if stopping else None,
        )

    def _need(self, cell: Cell, free_mib: float | None) -> VramNeed | None:
        return vram.need(cell, self._sitting.estimated_mib.get(cell.id), self._queue.peak_mib(cell), free_mib)

    def _start_worker(self, cell: Cell, process: int, may_fork: bool) -> Worker | None:
        """Starts the cell's worker; where it cannot be started, ends the cell and returns ``None``."""
        interpreter = next(e for e in self._sitting.environments if e.name == cell.slot.environment)
        device = "cuda:0" if self._sitting.machine.gpu else "cpu"
        job = Job(cell, device, str(self._folder / "outputs"), self._sitting.trace, process)
        try:
            asks, cache = self._sitting.precision is not None, self._compile_cache(cell, interpreter)
            server = self._fork_servers.of(interpreter) if may_fork else None
            if server and (worker := server.fork(job, cache, asks)):
                return worker
            return start_worker(job, interpreter, self._gpu_uuid(), worker_path(settings.cache_dir()), cache, asks)
        except OSError as error:
            if error.errno in _DISK:
                raise
            self._append(CellStarted(cell.id, self._number, 0, process))
            reason = f"{error.filename or interpreter.python}: {error.strerror}"
            self._end(CellFinished(cell.id, "failed", "import", None, reason, process=process))
            return None

    def _await_imports(self, cell: Cell) -> str | None:
        """Waits until nothing imports any more, which would disturb what is measured.

        Returns:
            Why the cell ends instead; ``None`` where it need not.
        """
        until = time.monotonic() + self._sitting.silence_s["import"]
        while importing := self._fork_servers.importing():
            if reason := self._reason_to_cancel(cell):
                return reason
            if time.monotonic() > until:
                importing[0].close()  # and the cells of its environment, which import themselves, tell of it
                continue
            importing[0].await_ready(limits.POLL_S, self._signals.descriptor)
            self._signals.drain()
        for problem in self._fork_servers.problems():
            self._append(Log(problem))
        return None

    def _compile_cache(self, cell: Cell, interpreter: Interpreter) -> dict[str, str]:
        """Returns the variables of a cell's compile cache: for a cold start the run's own, emptied.

        Where what lasts cannot be written, or has little room and the run's folder has more, the run's own serves.
        """
        if self._sitting.cold:
            self._drop_compile_cache()
            return caches.within(self._cache)
        if not caches.uses(cell):
            return {}
        lasting = caches.unless_named(caches.lasting(interpreter, self._sitting.machine), os.environ)
        room = min(limits.COMPILE_ROOM_BYTES, shutil.disk_usage(self._folder).free // 2)
        refusal = caches.refusal({**os.environ, **lasting}, room)
        if not refusal:
            return lasting
        if not self._told_of_refusal:
            self._told_of_refusal = True
            instead = "what is compiled is kept in the run's folder while the sitting lasts"
            self._append(Log(f"compile cache {refusal}; {instead}", "warning"))
        return caches.within(self._cache)

    def _leave_no_compile_cache(self) -> None:
        try:
            self._drop_compile_cache()
        except OSError as error:  # the run has ended, well or not
            print(f"{error.filename}: {error.strerror}; what is left of the run's compile cache can be removed")

    def _drop_compile_cache(self) -> None:
        if self._cache.exists():
            shutil.rmtree(self._cache)

    def _end(self, ending: CellFinished, t: float | None = None) -> None:
        due = self._due()
        for forecast in self._queue.learn(ending, t):
            self._append(forecast, t)
        self._append(ending, t)
        self._say_what_is_left_out([cell for cell in due if cell.spec.id != ending.cell])
        self._check_outputs(ending.cell)
        for log in self._queue.keep():
            self._append(log)
        self._journal.sync()

    def _check_outputs(self, cell: str | None = None) -> None:
        for checked in tuple(checks(self._record, cell)):
            self._append(checked)

    def _summary(self, cell: str, started: float, finished: float, watch: Watch) -> CellSummary:
        record = self._record.cells[cell]
        return statistics.summarise(
            record.spec,
            record.steps,
            record.calls,
            record.phases,
            started,
            finished,
            gpu_utilisation_percent=watch.mean("gpu_utilisation_percent"),
            cpu_percent=watch.mean("cpu_percent"),
            peak_vram_mib=watch.peak("vram_used_mib"),
            peak_rss_mib=watch.peak("rss_mib"),
        )

    def _end_skipped(self, but: str = "") -> bool:
        """Ends the cells that are to be left out and have not begun; ``but`` is the one that has.

        Returns:
            Whether there was one.
        """
        asked = [name for name in self._control.skipped() if name in self._record.cells and name != but]
        left = {name: due for name in asked if (due := self._record.due(self._record.cells[name]))}
        for name, processes in left.items():
            self._end(CellFinished(name, "cancelled", "import", None, "skipped", process=processes[0]))
        return bool(left)

    def _reason_to_cancel(self, cell: Cell) -> str | None:
        self._beat()
        if self._cancel_requested():
            return "the run was cancelled"
        self._end_skipped(but=cell.id)
        return "skipped" if cell.id in self._control.skipped() else None

    def _cancel_requested(self) -> bool:
        return self._signals.terminated or self._control.cancelled()

    def _beat(self) -> None:
        for lock in self._locks:
            lock.beat()

    def _finish(self, status: RunStatus, reason: str) -> RunFinished:
        known = [cell for cell in self._sitting.cells if cell.id in self._record.cells]
        counts = Counter[str](self._status(cell) or "not run" for cell in known)
        left = self._queue.left() if status in ("ok", "incomplete") else {}
        finished = RunFinished(self._number, status, dict(counts), reason, left)
        self._append(finished)
        self._journal.sync()
        return finished

    def _write_report(self) -> None:
        try:
            runs.write_atomically(self._folder / runs.REPORT, markdown([self._record]))
        except OSError as error:
            print(f"{self._folder / runs.REPORT}: {error.strerror}; 'sdtui report' can still write it elsewhere")

    def _append(self, event: Event, t: float | None = None) -> None:
        self._take(Stamped(time.time() if t is None else t, event))

    def _take(self, stamped: Stamped) -> None:
        self._journal.append(stamped.event, stamped.t)
        self._record.apply(stamped)
