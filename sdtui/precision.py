"""Decides, call by call, whether a cell has been called often enough for the precision that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sdtui import statistics
from sdtui.model.events import CallFinished
from sdtui.model.precision import FEWEST_MEASURED, Limit, PrecisionReached, PrecisionRule
from sdtui.model.results import StepStatistics
from sdtui.records import CellRecord

LOOK_AGAIN = 1.1
"""By how much the measured calls must have grown since the interval was last looked at. Its cost grows with them; so it
stays the same per call."""


class Precision(NamedTuple):
    """How well the median step of a cell is known, by its widest stage; see `PrecisionReached`."""

    stage: str
    half_width: float | None

    def is_within(self, target: float) -> bool:
        """Whether the whole interval lies within a share of the median."""
        return self.half_width is not None and self.half_width <= target


class Stopping:
    """Follows one process of a cell.

    The interval is the very one that reports give (`statistics.step_statistics`), over the same samples.
    """

    def __init__(self, rule: PrecisionRule, record: CellRecord) -> None:
        """Prepares to decide.

        Args:
            rule: When calls are enough.
            record: Of the process, into which its events go before `enough` is asked.
        """
        self._rule = rule
        self._record = record
        self._next_look = FEWEST_MEASURED
        self._reached: PrecisionReached | None = None

    @property
    def reached(self) -> PrecisionReached | None:
        """What it came to; ``None`` where the calls did not end by the rule."""
        return self._reached

    def enough(self, call: CallFinished) -> bool | None:
        """Says whether there is no further call to be made.

        Args:
            call: That finished just now.

        Returns:
            ``None`` where the worker does not ask: other stages of the call are to come, or calls that the cell makes
            in any case.
        """
        spec = self._record.spec
        if call.stage != spec.stages[-1].name or call.call < spec.calls:
            return None
        seconds = sum(made.wall_ms for made in self._record.calls if made.call > 1) / 1000
        limit = self._limit(call.call, seconds)
        if limit is None and call.call - 1 < self._next_look:
            return False
        self._next_look = max(call.call, int((call.call - 1) * LOOK_AGAIN))
        found = precision_of(self._record)
        if found.is_within(self._rule.target) and call.call > FEWEST_MEASURED:
            limit = None
        elif limit is None:
            return False
        self._reached = PrecisionReached(self._rule.target, found.half_width, found.stage, call.call, seconds, limit)
        return True

    def _limit(self, calls: int, seconds: float) -> Limit | None:
        if calls >= self._rule.max_calls:
            return "max-calls"
        return "max-seconds" if seconds >= self._rule.max_seconds else None


def precision_of(record: CellRecord) -> Precision:
    """Returns how well the median step is known now, in the stage where it is known least."""
    return widest({stage.name: _steps(record, stage.name) for stage in record.spec.stages})


def widest(stages: Mapping[str, StepStatistics | None]) -> Precision:
    """Returns how well the median step is known in the stage where it is known least.

    Args:
        stages: Step times by stage; at least one.
    """
    found = [Precision(stage, half_width(steps)) for stage, steps in stages.items()]
    return next((each for each in found if each.half_width is None), None) or max(found, key=_width)


def half_width(steps: StepStatistics | None) -> float | None:
    """Returns the longer side of the median's interval as a share of the median; ``None`` where it has no interval."""
    interval = steps.median_interval_ms if steps else None
    if steps is None or interval is None or steps.median_ms <= 0:
        return None
    return max(interval.high - steps.median_ms, steps.median_ms - interval.low) / steps.median_ms


def _width(precision: Precision) -> float:
    return precision.half_width or 0.0


def _steps(record: CellRecord, stage: str) -> StepStatistics | None:
    calls = [call for call in record.calls if call.stage == stage]
    return statistics.step_statistics(
        statistics.measured_steps(calls, (step for step in record.steps if step.stage == stage))
    )
