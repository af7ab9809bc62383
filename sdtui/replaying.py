"""Plays a recorded run as if it were live: its events, paced as they came."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sdtui import runs
from sdtui.model.events import Stamped

LONGEST_WAIT_S = 2.0
"""The longest that a replay is silent: a longer wait of the run, such as for torch.compile, goes by faster."""


class Replay:
    """A run's events, each given by the first `poll` after its time has come; stands where `sdtui.runs.Tail` does.

    What follows on an event waits as long as it did in the run, divided by the speed, and at most `LONGEST_WAIT_S`.
    The journal is read as it is played; of a run that goes on, what was there at the first `poll` is.
    """

    def __init__(self, folder: Path, speed: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        """Begins to play with the first `poll`.

        Args:
            folder: Of the run.
            speed: How many times faster than it was; more than 0.
            clock: Seconds, of any beginning.
        """
        self._events = runs.Tail(folder).poll()
        self._speed = speed
        self._clock = clock
        self._next: Stamped | None = None
        self._played = 0.0  # what the clock said when the last event was due
        self._wait = 0.0  # from then until the next is
        self._reached = 0.0  # the run's time then, and how far the next is from it
        self._ahead = 0.0
        self._begun = False

    @property
    def now(self) -> float:
        """How far the run has come, in unix seconds of when it was recorded; 0 before the first `poll`."""
        share = min(1.0, (self._clock() - self._played) / self._wait) if self._wait else 0.0
        return self._reached + share * self._ahead

    @property
    def ended(self) -> bool:
        """Whether every event was given."""
        return self._begun and self._next is None

    def poll(self) -> Iterator[Stamped]:
        """Yields the events whose time has come when it is called; each with the time at which it was recorded.

        What is left when the caller stops is yielded by the next poll.

        Raises:
            OSError: The journal cannot be read.
        """
        now = self._clock()
        if not self._begun:
            self._begun, self._played = True, now
            self._look_ahead()
            self._reached, self._ahead, self._wait = self._reached + self._ahead, 0.0, 0.0
        while self._next is not None and self._played + self._wait <= now:
            due = self._next
            self._played += self._wait
            self._reached += self._ahead
            self._look_ahead()
            yield due

    def _look_ahead(self) -> None:
        self._next = next(self._events, None)
        self._ahead = max(0.0, self._next.t - self._reached) if self._next else 0.0
        self._wait = min(self._ahead / self._speed, LONGEST_WAIT_S)
