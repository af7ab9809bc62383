"""What telemetry says of the measured calls: a figure holds until the next reading, and counts by how long it held."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sdtui.model.events import CallFinished
from sdtui.records import CellRecord

Window = tuple[float, float]
"""When something began and ended, in unix seconds."""


def windows_of(record: CellRecord, counts: Callable[[CallFinished], bool]) -> tuple[Window, ...]:
    """Returns when each call of a stage ran that counts, in order."""
    ended = zip(record.calls, record.call_times, strict=True)
    return tuple((t - call.wall_ms / 1000, t) for call, t in ended if counts(call))


def measured_windows(record: CellRecord, stage: str | None = None) -> tuple[Window, ...]:
    """Returns when each call after the first ran; none where there was no second call.

    Args:
        record: A cell.
        stage: Of this stage alone; ``None`` for all.
    """
    return windows_of(record, lambda call: call.call > 1 and stage in (None, call.stage))


def seconds(windows: Sequence[Window]) -> float:
    """Returns how long the windows are together."""
    return sum(end - begin for begin, end in windows)


def readings(record: CellRecord, field: str) -> list[tuple[float, Any]]:
    """Returns the times at which a figure was read to have changed, and to what; ``None`` is not available."""
    return [(t, event.changed[field]) for t, event in record.telemetry if field in event.changed]


def mean(record: CellRecord, field: str, windows: Sequence[Window]) -> float | None:
    """Returns a figure's mean over the time in which it was available; ``None`` where it never was."""
    held = [(value, length) for value, length in _held(record, field, windows) if value is not None]
    total = sum(length for _, length in held)
    return sum(value * length for value, length in held) / total if total > 0 else None


def median(record: CellRecord, field: str, windows: Sequence[Window]) -> float | None:
    """Returns the figure that half of the time was not above; ``None`` where it was never available."""
    held = sorted((value, length) for value, length in _held(record, field, windows) if value is not None)
    half = sum(length for _, length in held) / 2
    for value, length in held:
        half -= length
        if half <= 0:
            return float(value)
    return None


def highest(record: CellRecord, field: str, windows: Sequence[Window]) -> Any:
    """Returns the highest figure; ``None`` where it was never available."""
    return max((value for value, _ in _held(record, field, windows) if value is not None), default=None)


def shares(record: CellRecord, field: str, windows: Sequence[Window]) -> dict[str, float]:
    """Returns, of a figure that is a list of names, the share (0 to 1) of the time that each name was in it."""
    known, by_name = 0.0, dict[str, float]()
    for names, length in _held(record, field, windows):
        if names is not None:
            known += length
            for name in names:
                by_name[name] = by_name.get(name, 0.0) + length
    return {name: length / known for name, length in by_name.items()} if known > 0 else {}


def _held(record: CellRecord, field: str, windows: Sequence[Window]) -> Iterator[tuple[Any, float]]:
    """Yields each value within the windows and for how many seconds it held."""
    changes = readings(record, field)
    times = [t for t, _ in changes]
    for begin, end in windows:
        inside = range(max(0, bisect_right(times, begin) - 1), bisect_right(times, end))
        for index in inside:
            since = max(begin, times[index])
            until = min(end, times[index + 1]) if index + 1 < len(times) else end
            if until > since:
                yield changes[index][1], until - since
