"""When to sample and what to keep: no thread, no clock; the supervisor's loop brings both."""

from __future__ import annotations

import statistics
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from typing import Any

DEFAULT_HZ = 10.0


class Sampler:
    """Takes samples of one cell when they are due, and answers for what was sampled.

    Times are seconds of one clock, whichever the caller uses throughout.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]], hz: float = DEFAULT_HZ) -> None:
        """Makes a sampler whose first sample is due at once.

        Args:
            read: Returns every figure by field name; ``None`` is "not available".
            hz: Samples per second.
        """
        self._read = read
        self._period_s = 1 / hz
        self._next = float("-inf")
        self._last: dict[str, Any] | None = None
        self._series: dict[str, tuple[list[float], list[float]]] = {}

    def next_due(self) -> float:
        """Returns when the next sample is due; minus infinity before the first."""
        return self._next

    def take(self, now: float) -> dict[str, Any]:
        """Samples now.

        Returns:
            The fields that changed since the previous sample; all of them the first time. Samples that were missed
            are not made up for.
        """
        sample = dict(self._read())
        on_time = now - self._next < self._period_s
        self._next = (self._next if on_time else now) + self._period_s
        last, self._last = self._last, sample
        for name, value in sample.items():
            if isinstance(value, (int, float)):
                times, values = self._series.setdefault(name, ([], []))
                times.append(now)
                values.append(value)
        if last is None:
            return sample
        return {name: value for name, value in sample.items() if name not in last or last[name] != value}

    def mean(self, name: str, start: float, end: float) -> float | None:
        """Returns the mean of a field over the samples from ``start`` to ``end``; ``None`` where there is none."""
        times, values = self._series.get(name, ([], []))
        within = values[bisect_left(times, start) : bisect_right(times, end)]
        return statistics.fmean(within) if within else None

    def peak(self, name: str) -> float | None:
        """Returns the highest value of a field so far; ``None`` where it was never available."""
        _, values = self._series.get(name, ([], []))
        return max(values, default=None)
