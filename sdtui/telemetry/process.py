"""What the worker uses of the CPU, where there is no GPU to look at."""

from __future__ import annotations

import os
import time
from typing import Any

import psutil

MIB = 2**20
_FAMILY_AGE_S = 1.0  # finding descendants reads every process of the machine: ten times a second would show
_SHORTEST_S = 0.05  # the kernel counts CPU time in ticks of 10 ms: over less than a few of them a share means nothing


class Family:
    """A worker and its descendants."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._found: list[psutil.Process] = []
        self._found_at = float("-inf")

    def processes(self, now: float) -> list[psutil.Process]:
        """Returns them as of at most a second before ``now``, the worker first; none once it is gone."""
        if now - self._found_at >= _FAMILY_AGE_S:
            self._found_at = now
            try:
                worker = psutil.Process(self._pid)
                self._found = [worker, *worker.children(recursive=True)]
            except psutil.Error:
                self._found = []
        return self._found


class ProcessReader:
    """Samples a worker and its descendants."""

    def __init__(self, pid: int) -> None:
        """Starts at the worker's present CPU time; a worker that is already gone reads as not available."""
        self._family = Family(pid)
        self._last: tuple[float, float] | None = None
        self.sample()

    def sample(self) -> dict[str, Any]:
        """Reads every figure; one that is not available is ``None``.

        Returns:
            ``cpu_percent`` (since the previous sample; 100 is one core busy) and ``rss_mib`` (summed: pages that
            processes share count in each), both of the worker and its descendants; ``load_1m`` of the host.
        """
        now = time.monotonic()
        seconds, rss, alive = 0.0, 0, 0
        for process in self._family.processes(now):
            try:
                with process.oneshot():
                    times, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue
            seconds += sum(times[:4])  # user, system, and both of children that ended
            rss += memory.rss
            alive += 1
        return {
            "cpu_percent": self._cpu_percent(now, seconds) if alive else None,
            "rss_mib": round(rss / MIB, 1) if alive else None,
            "load_1m": round(os.getloadavg()[0], 2),
        }

    def _cpu_percent(self, now: float, seconds: float) -> float | None:
        last = self._last
        if last is not None and now - last[0] < _SHORTEST_S:
            return None
        self._last = (now, seconds)
        if last is None:
            return None
        return round(max(0.0, seconds - last[1]) / (now - last[0]) * 100, 1)
