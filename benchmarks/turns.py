"""Two calls at once, a step of the one and a step of the other by turns, each with a stopwatch of its own.

What slows a noisy host for longer than two steps slows both calls alike, where calls that are made one after another
differ by it. Each call has a thread, and one of the two threads stands still at any time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from overhead_rounds import Took


class Turns:
    """Calls that take turns: the turn passes on whenever a call comes to its denoiser."""

    def __init__(self, denoisers: Sequence[torch.nn.Module]) -> None:
        """Instruments the denoisers.

        Args:
            denoisers: Of two pipelines, one for each of the calls that are made.
        """
        for number, denoiser in enumerate(denoisers):
            denoiser.register_forward_pre_hook(lambda *_, number=number: self._pass_on(number))
        self._mine = [threading.Semaphore(0) for _ in denoisers]
        self._running: set[int] = set()
        self._begun = [(0.0, 0.0) for _ in denoisers]
        self._took = [(0.0, 0.0) for _ in denoisers]
        self._errors: list[BaseException] = []

    def make(self, calls: Sequence[Callable[[], Any]], first: int) -> list[Took]:
        """Makes both calls, each by itself again once the other is over; returns what each took in its own turns.

        Args:
            calls: One for each denoiser.
            first: Which begins: 0 or 1.
        """
        self._running = set(range(len(calls)))
        self._took = [(0.0, 0.0) for _ in calls]
        threads = [threading.Thread(target=self._call, args=(number, call)) for number, call in enumerate(calls)]
        for thread in threads:
            thread.start()
        self._mine[first].release()
        for thread in threads:
            thread.join()
        if self._errors:
            raise self._errors.pop()
        return [Took(*took) for took in self._took]

    def _call(self, number: int, call: Callable[[], Any]) -> None:
        self._mine[number].acquire()
        self._begin(number)
        try:
            call()
        except BaseException as error:  # raised again by the thread that makes the calls
            self._errors.append(error)
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

    def _begin(self, number: int) -> None:
        self._begun[number] = (time.perf_counter(), time.thread_time())

    def _end(self, number: int) -> None:
        (seconds, cpu_s), (at, cpu_at) = self._took[number], self._begun[number]
        self._took[number] = (seconds + time.perf_counter() - at, cpu_s + time.thread_time() - cpu_at)
