"""Two calls at once, a step of the one and a step of the other by turns, each with a stopwatch of its own.

What changes a noisy host's pace more slowly than from step to step slows both calls alike. Each pipeline has a thread
of its own for all of its calls, since torch keeps plans of convolutions and of attention by thread; one of the two
threads stands still at any time. Both stay on one core: two cores of a host that others use are seldom as fast as each
other.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from overhead_rounds import Took


class Turns:
    """Calls that take turns: the turn passes on whenever a call comes to its denoiser."""

    def __init__(
        self,
        denoisers: Sequence[torch.nn.Module],
        clock: Callable[[], float] = time.perf_counter,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        """Instruments the denoisers.

        Args:
            denoisers: Of two pipelines, one for each of the calls that are made.
            clock: Seconds.
            cpu_clock: CPU seconds of the thread that asks.
        """
        for number, denoiser in enumerate(denoisers):
            denoiser.register_forward_pre_hook(lambda *_, number=number: self._pass_on(number))
        self._clocks = (clock, cpu_clock)
        self._threads = [ThreadPoolExecutor(1, initializer=_stay_on_one_core) for _ in denoisers]
        self._mine = [threading.Semaphore(0) for _ in denoisers]
        self._running: set[int] = set()
        self._begun = [(0.0, 0.0) for _ in denoisers]
        self._took = [(0.0, 0.0) for _ in denoisers]

    def make(self, calls: Sequence[Callable[[], Any]], first: int) -> list[Took]:
        """Makes both calls, each by itself again once the other is over; returns what each took in its own turns.

        Args:
            calls: One for each denoiser.
            first: Which begins: 0 or 1.
        """
        self._running = set(range(len(calls)))
        self._took = [(0.0, 0.0) for _ in calls]
        made = [
            thread.submit(self._call, number, call)
            for number, (thread, call) in enumerate(zip(self._threads, calls, strict=True))
        ]
        self._mine[first].release()
        errors = [each.exception() for each in made]
        for error in filter(None, errors):
            raise error
        return [Took(*took) for took in self._took]

    def _call(self, number: int, call: Callable[[], Any]) -> None:
        self._mine[number].acquire()
        self._begin(number)
        try:
            call()
        finally:
            self._end(number)
            self._running.discard(number)
            for other in self._running:
                self._mine[other].release()

    def _pass_on(self, number: int) -> None:
        if len(self._running) < len(self._mine):
            return
        self._end(number)
        self._mine[1 - number].release()
        self._mine[number].acquire()
        self._begin(number)

    def _now(self) -> tuple[float, float]:
        clock, cpu_clock = self._clocks
        return clock(), cpu_clock()

    def _begin(self, number: int) -> None:
        self._begun[number] = self._now()

    def _end(self, number: int) -> None:
        now = self._now()
        since = [end - start for end, start in zip(now, self._begun[number], strict=True)]
        self._took[number] = (self._took[number][0] + since[0], self._took[number][1] + since[1])


def _stay_on_one_core() -> None:
    """Keeps the thread that calls it on the last of the cores that the process may use, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(os.getpid()))})
