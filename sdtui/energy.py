"""Energy per image over the measured calls: from NVML's counter, or from power readings where there is no counter."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from sdtui.readings import Window, readings, seconds, windows_of
from sdtui.records import CellRecord

Source = Literal["counter", "power"]

SHORTEST_S: dict[Source, float] = {"counter": 1.0, "power": 5.0}
"""How long the measured calls must last together. The counter is known to one reading at each end of them; power is
averaged by the driver over up to a second (nvml.h), and so lags: see docs/methodology.md."""

FEWEST_READINGS = 10
"""That must lie within the measured calls."""

_FIELDS: dict[Source, str] = {"counter": "energy_j", "power": "power_w"}


@dataclass(frozen=True)
class Energy:
    """What the GPU drew during the measured calls.

    Attributes:
        joules_per_image: Every stage of a call included.
        mean_power_w: Over the same time.
        source: ``counter`` (NVML's energy counter) or ``power`` (integral of its power readings).
        seconds: How long the measured calls were together.
        readings: How many readings lay within them.
    """

    joules_per_image: float
    mean_power_w: float
    source: Source
    seconds: float
    readings: int


def energy(record: CellRecord) -> Energy | None:
    """Returns the energy per image, idle draw included; ``None`` where it is not available.

    It is not where no call after the first was finished by every stage, where those calls or their readings were too
    few (`SHORTEST_S`, `FEWEST_READINGS`), or where neither figure covers them.
    """
    whole = _whole_calls(record)
    windows = windows_of(record, lambda call: call.call in whole)
    duration = seconds(windows)
    images = len(whole) * record.spec.slot.batch_size
    for source, field in _FIELDS.items():
        points = _points(record, field)
        count = sum(begin <= t <= end for t, _ in points for begin, end in windows)
        if duration < SHORTEST_S[source] or count < FEWEST_READINGS or not _covered(points, windows):
            continue
        joules = sum(_risen(points, window) if source == "counter" else _area(points, window) for window in windows)
        if joules > 0:
            return Energy(joules / images, joules / duration, source, duration, count)
    return None


def _whole_calls(record: CellRecord) -> set[int]:
    """Returns the numbers of the calls after the first that every stage finished."""
    finished: dict[int, set[str]] = defaultdict(set)
    for call in record.calls:
        finished[call.call].add(call.stage)
    stages = {stage.name for stage in record.spec.stages}
    return {call for call, names in finished.items() if call > 1 and names >= stages}


def _covered(points: Sequence[tuple[float, float]], windows: Sequence[Window]) -> bool:
    return all(points[0][0] <= begin and end <= points[-1][0] for begin, end in windows)


def _points(record: CellRecord, field: str) -> list[tuple[float, float]]:
    """Returns a figure's readings; it still held at the last sample, whatever that changed."""
    points = [(t, float(value)) for t, value in readings(record, field) if value is not None]
    if points and record.telemetry[-1][0] > points[-1][0]:
        points.append((record.telemetry[-1][0], points[-1][1]))
    return points


def _risen(points: Sequence[tuple[float, float]], window: Window) -> float:
    """How much a counter rose."""
    begin, end = window
    return _at(points, end) - _at(points, begin)


def _area(points: Sequence[tuple[float, float]], window: Window) -> float:
    """The integral by trapezoids."""
    begin, end = window
    inside = [point for point in points if begin < point[0] < end]
    knots = [(begin, _at(points, begin)), *inside, (end, _at(points, end))]
    return sum((t1 - t0) * (v0 + v1) / 2 for (t0, v0), (t1, v1) in pairwise(knots))


def _at(points: Sequence[tuple[float, float]], t: float) -> float:
    """The value at a time within the readings, linear between two of them."""
    after = bisect_left(points, t, key=lambda point: point[0])
    (t1, v1), (t0, v0) = points[after], points[max(0, after - 1)]
    return v0 + (v1 - v0) * (t - t0) / (t1 - t0) if t1 > t0 else v1
