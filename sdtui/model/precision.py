"""How sure a cell's figures are to be: the rule of `--precision`, and what it came to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Limit = Literal["max-calls", "max-seconds"]
Condition = Literal["half-width", "measured-calls"]

FEWEST_MEASURED = 5
"""Calls after the first that there must be before the interval is trusted to end them: of fewer it is often narrow by
chance, because they happen to be alike (docs/methodology.md has the figures)."""

MAX_CALLS = 50
"""Where a plan does not say."""

MAX_SECONDS = 120.0
"""Where a plan does not say."""


@dataclass(frozen=True)
class PrecisionRule:
    """When a cell's calls are enough.

    Attributes:
        target: Share of the median step within which its whole 95 % interval must lie, in every stage: 0.01 is 1 %.
        max_calls: Calls of one process after which there is no other, the first included.
        max_seconds: Wall time of the measured calls of one process after which there is no other.
    """

    target: float
    max_calls: int
    max_seconds: float


@dataclass(frozen=True)
class PrecisionReached:
    """What a rule came to in one process of a cell.

    Attributes:
        target: Of the rule.
        half_width: Of the interval of the median step, its longer side as a share of the median, in the stage where it
            is widest; ``None`` where a stage has too few samples for an interval.
        stage: Which stage that is.
        calls: That were made, the first included.
        seconds: Wall time of those after the first.
        limit: What ended the calls before the target was reached; ``None`` where it was.
    """

    target: float
    half_width: float | None
    stage: str
    calls: int
    seconds: float
    limit: Limit | None = None

    @property
    def measured_calls(self) -> int:
        """Calls after the first."""
        return self.calls - 1

    @property
    def unmet(self) -> tuple[Condition, ...]:
        """What was missing when a limit ended the calls: a narrow interval, or `FEWEST_MEASURED` calls, or both."""
        if self.limit is None:
            return ()
        wide = self.half_width is None or self.half_width > self.target
        few = self.measured_calls < FEWEST_MEASURED
        return (*(("half-width",) if wide else ()), *(("measured-calls",) if few else ()))
