"""Compares two runs cell by cell: by id, on one GPU model, with an interval and a verdict that may be 'ambiguous'."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sdtui import bootstrap
from sdtui.flags import Flag
from sdtui.model.errors import UserError
from sdtui.model.results import Interval, StageSummary, StepStatistics
from sdtui.model.shares import parse_share
from sdtui.processes import step_samples
from sdtui.records import RunRecord
from sdtui.report.detail import ending
from sdtui.report.differences import Difference, differences
from sdtui.report.merge import Result, results_of

Verdict = Literal["faster", "slower", "same", "ambiguous"]

SAME = 0.01
"""A ratio whose whole interval lies within one percent of 1 is ``same``, whether or not it holds 1."""

MEANINGS: dict[Verdict, str] = {
    "faster": "B's median step is outside A's interval and A's outside B's, and the ratio's interval is above 1",
    "slower": "the same, with the ratio's interval below 1",
    "same": f"the ratio's interval lies within {100 * SAME:g} % of 1",
    "ambiguous": "anything else: the samples neither show a difference nor rule one out",
}
"""What each verdict says; `same` is asked first."""


@dataclass(frozen=True)
class Side:
    """One run's part in a pair.

    Attributes:
        step_ms: Of the measured calls.
        loop_its: The figure of the tables.
        flags: Of the whole cell.
    """

    step_ms: StepStatistics
    loop_its: float
    flags: tuple[Flag, ...]


@dataclass(frozen=True)
class Pair:
    """One stage of one cell in both runs.

    Attributes:
        device: GPU model, or the CPU's name.
        ratio: Speed of B over speed of A: A's median step over B's.
        interval: Of the ratio, the steps of both runs resampled.
    """

    cell: str
    stage: str
    device: str
    a: Side
    b: Side
    ratio: float
    interval: Interval
    verdict: Verdict

    def is_regression(self, threshold: float) -> bool:
        """Whether B is slower and the whole interval says that it is so by more than a share (0 to 1)."""
        return self.verdict == "slower" and self.interval.high < 1 - threshold


@dataclass(frozen=True)
class NotCompared:
    """A cell that both runs have, and why it was not compared; ``stage`` is empty for the cell as a whole."""

    cell: str
    stage: str
    reason: str


@dataclass(frozen=True)
class RunComparison:
    """Two runs, compared.

    Attributes:
        a: The first run's id.
        b: The second run's id.
        only_a: Ids of cells that the second run has not, in plan order.
        only_b: Ids of cells that the first run has not, in plan order.
        differences: Between where and with what the cells in common ran; where there is none, all cells.
    """

    a: str
    b: str
    pairs: tuple[Pair, ...]
    not_compared: tuple[NotCompared, ...]
    only_a: tuple[str, ...]
    only_b: tuple[str, ...]
    differences: tuple[Difference, ...]

    def regressions(self, threshold: float | None) -> tuple[Pair, ...]:
        """Returns the pairs that are slower by more than a share; none without a threshold."""
        return tuple(pair for pair in self.pairs if threshold is not None and pair.is_regression(threshold))


def compare_runs(a: RunRecord, b: RunRecord) -> RunComparison:
    """Compares the cells that two runs have in common, in the first one's order."""
    ours, theirs = ({result.spec.id: result for result in results_of(run)} for run in (a, b))
    common = [cell for cell in ours if cell in theirs]
    found = [item for cell in common for item in _compare(ours[cell], theirs[cell])]
    ran = [[side[cell] for cell in common or side] for side in (ours, theirs)]
    return RunComparison(
        a=a.id,
        b=b.id,
        pairs=tuple(item for item in found if isinstance(item, Pair)),
        not_compared=tuple(item for item in found if isinstance(item, NotCompared)),
        only_a=tuple(cell for cell in ours if cell not in theirs),
        only_b=tuple(cell for cell in theirs if cell not in ours),
        differences=differences(*ran),
    )


def verdict(a: StepStatistics, b: StepStatistics, interval: Interval) -> Verdict:
    """Judges two medians, as `MEANINGS` says.

    Args:
        a: Steps of A.
        b: Steps of B.
        interval: Of the speed of B over the speed of A.
    """
    if interval.low >= 1 - SAME and interval.high <= 1 + SAME:
        return "same"
    outside = _outside(a.median_ms, b.median_interval_ms) and _outside(b.median_ms, a.median_interval_ms)
    if outside and _outside(1.0, interval):
        return "faster" if interval.low > 1 else "slower"
    return "ambiguous"


def exit_status(comparison: RunComparison, threshold: float | None) -> int:
    """Returns 1 where there is a regression beyond the threshold, else 0.

    Raises:
        UserError: There is a threshold and nothing to hold against it.
    """
    if threshold is not None and not comparison.pairs:
        raise UserError(f"--fail-on-regression: runs {comparison.a} and {comparison.b} have no cell that compares")
    return int(bool(comparison.regressions(threshold)))


def parse_threshold(text: str) -> float:
    """Reads a share of speed, such as ``3%`` or ``0.03``.

    Raises:
        UserError: It is none from 0 to 1 (exclusive).
    """
    share = parse_share(text)
    if share is None:
        raise UserError(f"--fail-on-regression: '{text}' is no share of speed; write it as 3% or 0.03")
    return share


def _compare(a: Result, b: Result) -> Iterator[Pair | NotCompared]:
    reason = _why_not(a, b)
    if reason:
        yield NotCompared(a.spec.id, "", reason)
        return
    ours, theirs = ({stage.stage: stage for stage in result.summary.stages} for result in (a, b))
    for stage in a.spec.stages:
        yield _compare_stage(a, b, ours.get(stage.name), theirs.get(stage.name), stage.name)


def _why_not(a: Result, b: Result) -> str:
    if a.device != b.device:
        return f"A ran on {a.device}, B on {b.device}: results compare on one model only"
    if a.status != "ok" or b.status != "ok":
        return f"A: {ending(a)}; B: {ending(b)}"
    return ""


def _compare_stage(
    a: Result, b: Result, ours: StageSummary | None, theirs: StageSummary | None, stage: str
) -> Pair | NotCompared:
    (above, ours_of), (below, theirs_of) = (_samples(result, stage) for result in (a, b))
    interval = bootstrap.ratio_interval(above, below, (ours_of, theirs_of))
    left, right = _side(a, ours), _side(b, theirs)
    if interval is None or left is None or right is None:
        return NotCompared(a.spec.id, stage, "too few steps in calls after the first")
    ratio = left.step_ms.median_ms / right.step_ms.median_ms
    judged = verdict(left.step_ms, right.step_ms, interval)
    return Pair(a.spec.id, stage, a.device, left, right, ratio, interval, judged)


def _side(result: Result, stage: StageSummary | None) -> Side | None:
    if stage is None or stage.step_ms is None or not stage.measured_calls:
        return None
    return Side(stage.step_ms, stage.loop_its, result.flags)


def _samples(result: Result, stage: str) -> tuple[list[tuple[float, ...]], list[int]]:
    return step_samples(result.counted_records, stage)


def _outside(value: float, interval: Interval | None) -> bool:
    return interval is not None and not interval.low <= value <= interval.high
