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
        self._spent = _Spent()
        self._last: float | None = None
        self.sample()

    def sample(self) -> dict[str, Any]:
        """Reads every figure; one that is not available is ``None``.

        Returns:
            ``cpu_percent`` (since the previous sample; 100 is one core busy) and ``rss_mib`` (summed: pages that
            processes share count in each), both of the worker and its descendants; ``load_1m`` of the host.
        """
        now = time.monotonic()
        times, rss = dict[int, tuple[float, float]](), 0
        for process in self._family.processes(now):
            try:
                with process.oneshot():
                    used, memory = process.cpu_times(), process.memory_info()
            except psutil.Error:
                continue
            times[process.pid] = (used.user + used.system, used.children_user + used.children_system)
            rss += memory.rss
        return {
            "cpu_percent": self._cpu_percent(now, times) if times else None,
            "rss_mib": round(rss / MIB, 1) if times else None,
            "load_1m": round(os.getloadavg()[0], 2),
        }

    def _cpu_percent(self, now: float, times: dict[int, tuple[float, float]]) -> float | None:
        last = self._last
        if last is not None and now - last < _SHORTEST_S:
            return None
        self._last = now
        spent = self._spent.since_last(times)
        if last is None:
            return None
        # A descendant that is found, or ended, only now brings what it spent earlier: no more than every core is shown.
        return round(min(spent / (now - last), os.cpu_count() or 1) * 100, 1)


class _Spent:
    """Adds up CPU seconds of processes that come and go, each second once.

    What a child spent is its own while it lives and its parent's "ended children" once it was waited for; in between,
    and where nobody waits for it, it is neither's.
    """

    def __init__(self) -> None:
        self._times: dict[int, tuple[float, float]] = {}
        self._gone = 0.0

    def since_last(self, times: dict[int, tuple[float, float]]) -> float:
        """Takes each living process's own CPU seconds and those of its ended children; returns what is new."""
        last, self._times = self._times, times
        self._gone += sum(sum(last[pid]) for pid in last.keys() - times.keys())
        own, ended = 0.0, 0.0
        for pid, (seconds, of_children) in times.items():
            seconds_before, of_children_before = last.get(pid, (0.0, 0.0))
            own += max(0.0, seconds - seconds_before)
            ended += max(0.0, of_children - of_children_before)
        known = min(ended, self._gone)
        self._gone -= known
        return own + ended - known
