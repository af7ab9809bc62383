"""Watches one worker from launch to exit: events, output, silence, telemetry, requests."""

from __future__ import annotations

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sdtui.model.codec import DecodeError
from sdtui.model.events import CallFinished, CellFinished, CellPhase, Log, Stamped, Step, Telemetry, from_line
from sdtui.model.results import Phase, Status
from sdtui.supervisor import limits
from sdtui.supervisor.launch import Worker
from sdtui.supervisor.log import CellLog
from sdtui.supervisor.sampling import Sampling
from sdtui.supervisor.signals import Signals

_FROM_WORKERS = (CellPhase, Step, CallFinished, CellFinished, Log)
_CHUNK = 1 << 16
_SHOWN_CHARS = 200


@dataclass(frozen=True)
class Surroundings:
    """What a watch needs of its surroundings.

    Attributes:
        record: Appends an event to the journal.
        idle: Is called at least every `limits.POLL_S` seconds; returns a reason to cancel the cell, or ``None``.
        signals: Wake the watch; ``None`` where nothing does.
        silence_s: Longest silence by phase, in seconds.
        enough: Says of a call that was recorded whether it was the last to be made; ``None`` where the worker does not
            ask. Left out where it never does.
    """

    record: Callable[[Stamped], None]
    idle: Callable[[], str | None]
    signals: Signals | None
    silence_s: Mapping[Phase, float]
    enough: Callable[[CallFinished], bool | None] | None = None


class Watch:
    """The life of one worker."""

    def __init__(self, cell: str, worker: Worker, log: CellLog, sampling: Sampling, surroundings: Surroundings) -> None:
        self._cell = cell
        self._worker = worker
        self._log = log
        self._source = sampling.source
        self._take_trouble = sampling.take_trouble
        self._sampler = sampling.of_worker(worker.process.pid)
        self._around = surroundings
        self._phase: Phase = "import"
        self._call: int | None = None
        self._last_event = time.monotonic()
        self._measured_from = self._last_event
        self._measured_until: float | None = None
        self._finished: CellFinished | None = None
        self._rest = bytearray()
        self._event_bytes = 0

    def run(self) -> CellFinished:
        """Follows the worker until it is gone, with its process group.

        Returns:
            How the cell ended, without summary.
        """
        try:
            exit_fd = os.pidfd_open(self._worker.process.pid)
        except ProcessLookupError:  # it was forked, and went with its fork server, so that nobody kept its id
            return self._death(self._worker.end())
        signals = self._around.signals
        woken_by = [signals.descriptor] if signals else []
        try:
            with selectors.DefaultSelector() as selector:
                for descriptor in (self._worker.events, self._worker.output, exit_fd, *woken_by):
                    selector.register(descriptor, selectors.EVENT_READ)
                ending = self._loop(selector, exit_fd)
        finally:
            os.close(exit_fd)
        status = self._worker.end()
        return ending or self._death(status)

    def mean(self, field: str) -> float | None:
        """Returns the mean of a telemetry field over the measured calls (over all where none was measured)."""
        return self._sampler.mean(field, self._measured_from, self._measured_until or self._last_event)

    def peak(self, field: str) -> float | None:
        """Returns the highest value of a telemetry field while the worker lived."""
        return self._sampler.peak(field)

    def _loop(self, selector: selectors.BaseSelector, exit_fd: int) -> CellFinished | None:
        """Returns how the cell ended; ``None`` where the worker died without a word."""
        next_poll = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_poll:
                next_poll = now + limits.POLL_S
                if reason := self._around.idle():
                    return self._ended("cancelled", reason)
            self._sample(now)
            due = next_poll if self._finished else min(next_poll, self._sampler.next_due())
            ready = {key.fd for key, _ in selector.select(max(0.0, due - now))}
            late = time.monotonic() - max(due, now)
            if late > limits.STOPPED_S:  # this process did not run; the worker may have spoken
                self._last_event += late
            if self._around.signals and self._around.signals.descriptor in ready:
                self._around.signals.drain()
                next_poll = 0.0
            if ending := self._read(ready, selector) or self._overdue():
                return ending
            if exit_fd in ready:
                self._worker.sweep()  # what it left behind could go on writing
                if not ready & {self._worker.events, self._worker.output}:
                    return self._finished

    def _read(self, ready: set[int], selector: selectors.BaseSelector) -> CellFinished | None:
        if self._worker.output in ready:
            chunk = os.read(self._worker.output, _CHUNK)
            if not chunk:
                selector.unregister(self._worker.output)
            self._log.write(chunk)
            if self._log.received > limits.OUTPUT_BYTES:
                return self._ended("failed", f"the worker flooded its output (over {limits.OUTPUT_BYTES >> 20} MiB)")
        if self._worker.events in ready:
            chunk = os.read(self._worker.events, _CHUNK)
            if not chunk:
                selector.unregister(self._worker.events)
            return self._take_events(chunk)
        return None

    def _take_events(self, chunk: bytes) -> CellFinished | None:
        if self._finished is not None:
            return None
        self._event_bytes += len(chunk)
        if self._event_bytes > limits.EVENT_BYTES:
            return self._ended("failed", f"the worker flooded its events (over {limits.EVENT_BYTES >> 20} MiB)")
        self._rest += chunk
        if len(self._rest) > limits.EVENT_LINE_BYTES and b"\n" not in self._rest:
            return self._ended("failed", "the worker sent an event line without end")
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        for line in lines:
            try:
                stamped = from_line(line)
                if not isinstance(stamped.event, _FROM_WORKERS) or stamped.event.cell != self._cell:
                    raise DecodeError(f"not this worker's to say: {stamped.event.KIND}")
            except DecodeError as error:
                why = str(error)[:_SHOWN_CHARS]
                return self._ended("failed", f"the worker sent an unreadable event ({why}): {line[:80]!r}")
            self._take(stamped)
            if self._finished is not None:
                break
        return None

    def _take(self, stamped: Stamped) -> None:
        self._last_event = time.monotonic()
        event = stamped.event
        if isinstance(event, CellFinished):
            self._finished = replace(event, reason=" ".join(event.reason.split()))
            return
        if isinstance(event, CellPhase):
            self._phase = event.phase
            if event.phase == "measure":
                self._measured_from = self._last_event
        if isinstance(event, CallFinished):
            self._measured_until = self._last_event
        if isinstance(event, (CellPhase, Step)) and event.call is not None:
            self._call = event.call
        self._around.record(stamped)
        if isinstance(event, CallFinished) and self._around.enough is not None:
            enough = self._around.enough(event)
            if enough is not None:
                self._worker.answer(enough)

    def _sample(self, now: float) -> None:
        if self._finished is None and now >= self._sampler.next_due():
            changed = self._sampler.take(now)
            if changed:
                self._around.record(Stamped(time.time(), Telemetry(self._cell, self._source, changed)))
            if trouble := self._take_trouble():
                self._around.record(Stamped(time.time(), Log(f"NVML: {trouble}", "warning", self._cell)))

    def _overdue(self) -> CellFinished | None:
        limit = limits.EXIT_S if self._finished else self._around.silence_s[self._phase]
        if time.monotonic() - self._last_event > limit:
            return self._ended("timeout", f"no event for {limit:g} s in {self._phase}")
        return None

    def _death(self, status: int) -> CellFinished:
        how = killed_by(-status) if status < 0 else f"exited with status {status} before the cell ended"
        last = self._log.last_line()
        return self._ended(
            "failed", f"the worker {how}" + (f"; it last printed: {last[:_SHOWN_CHARS]}" if last else "")
        )

    def _ended(self, status: Status, reason: str) -> CellFinished:
        """Returns how the cell ended: as the worker said where it did, whatever became of it afterwards."""
        return self._finished or CellFinished(self._cell, status, self._phase, self._call, reason)


def killed_by(number: int) -> str:
    """Says of a process that a signal ended it."""
    try:
        name = signal.Signals(number).name
    except ValueError:  # a real-time signal
        name = f"signal {number}"
    return f"was killed by {name}" + (" (the kernel's out-of-memory killer?)" if number == signal.SIGKILL else "")
