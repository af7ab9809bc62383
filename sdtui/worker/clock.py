"""Device time: CUDA events, or the host's clock where there is no GPU."""

from __future__ import annotations

import time
from typing import Any, Protocol

import torch


class Clock(Protocol):
    """Marks moments on the device's time line and measures between them."""

    def restart(self) -> None:
        """Says that no earlier mark is needed any more."""

    def mark(self) -> Any:
        """Marks the present moment, without waiting for the device."""

    def reached(self, mark: Any) -> bool:
        """Says whether the device has come to ``mark``, without waiting."""

    def between_ms(self, start: Any, end: Any) -> float:
        """Returns the milliseconds between two marks that were reached."""

    def wait(self) -> None:
        """Waits until the device is idle."""


class CudaClock:
    """CUDA events on the current stream (resolution about 0.5 us, CUDA runtime API, "Event Management").

    Events are made once and recorded again in each call: to make one takes the host longer than to record it.
    """

    def __init__(self) -> None:
        self._events: list[torch.cuda.Event] = []
        self._recorded = 0
        self._stream = torch.cuda.current_stream()

    def restart(self) -> None:
        """Lets the events be recorded again, on what is now the current stream."""
        self._recorded = 0
        self._stream = torch.cuda.current_stream()

    def mark(self) -> torch.cuda.Event:
        """Records an event."""
        if self._recorded == len(self._events):
            self._events.append(torch.cuda.Event(enable_timing=True))
        event = self._events[self._recorded]
        self._recorded += 1
        event.record(self._stream)
        return event

    def reached(self, mark: torch.cuda.Event) -> bool:
        """Queries the event."""
        return bool(mark.query())

    def between_ms(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        """Returns the events' elapsed time."""
        return float(start.elapsed_time(end))

    def wait(self) -> None:
        """Synchronises."""
        torch.cuda.synchronize()


class HostClock:
    """The host's monotonic clock: on a CPU an operation has ended when it returns."""

    def restart(self) -> None:
        """Has nothing to let go."""

    def mark(self) -> float:
        """Reads the clock."""
        return time.perf_counter()

    def reached(self, mark: float) -> bool:  # noqa: ARG002
        """Is always true."""
        return True

    def between_ms(self, start: float, end: float) -> float:
        """Returns the difference."""
        return (end - start) * 1e3

    def wait(self) -> None:
        """Has nothing to wait for."""


def clock_for(device: str) -> Clock:
    """Returns the clock of a device such as ``cuda:0`` or ``cpu``."""
    return CudaClock() if device.startswith("cuda") else HostClock()
