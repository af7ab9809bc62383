"""Step latency of one cell: every step of every call, the first call apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdtui.model.events import Step
from sdtui.model.results import CellSummary
from sdtui.records import CellRecord
from sdtui.report import charts_style as style
from sdtui.report.charts_canvas import Canvas, Chart, log_scale
from sdtui.report.charts_samples import Point, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LEFT, _RIGHT, _GAP = 0.42, 0.82, 0.5
_MOST_POINTS = 1500
_MOST_CALL_LABELS = 10
_SHORTEST_MS = 1e-3
"""What a step is drawn at that a coarse clock saw no time pass in: a log scale has no zero."""

_LOG_FROM = 20.0
"""Longest step over the median from which the later calls need a log scale too."""


@dataclass(frozen=True)
class StageSteps:
    """The steps of one stage.

    Attributes:
        stage: Its name.
        first: Of the first call.
        later: Of each later call, in order.
        median_ms: As the tables have it; ``None`` where no call finished.
    """

    stage: str
    first: tuple[Step, ...]
    later: tuple[tuple[Step, ...], ...]
    median_ms: float | None


def stages_of(record: CellRecord, summary: CellSummary) -> list[StageSteps]:
    """Returns the steps by stage, in the order the stages ran; empty for a cell that made no step."""
    by_stage: dict[str, dict[int, list[Step]]] = {}
    for step in record.steps:
        by_stage.setdefault(step.stage, defaultdict(list))[step.call].append(step)
    medians = {stage.stage: stage.median_step_ms for stage in summary.stages}
    found = []
    for stage, by_call in by_stage.items():
        calls = [tuple(by_call[number]) for number in sorted(by_call)]
        found.append(StageSteps(stage, calls[0], tuple(calls[1:]), medians.get(stage)))
    return found


def steps_chart(record: CellRecord, summary: CellSummary, whose: str, name: str) -> Chart | None:
    """Makes the chart; ``None`` for a cell that made no step.

    Args:
        record: Of one process.
        summary: Of the same process.
        whose: The cell, and which process of it, as the caption says it.
        name: Of the chart.
    """
    stages = stages_of(record, summary)
    if not stages:
        return None
    height = 1.45 if len(stages) == 1 else 1.1
    double = any(step.forwards > 1 for stage in stages for call in (stage.first, *stage.later) for step in call)
    hollow = " Hollow: an interval of more than one denoiser evaluation." if double else ""
    title = "Step latency"
    return Chart(
        name,
        title,
        f"{whose}. Milliseconds per step; the first call on a log scale of its own.{hollow}",
        f"{title} of {whose}: " + "; ".join(_said(stage, len(stages) > 1) for stage in stages) + ".",
        len(stages) * (height + 0.5),
        lambda canvas: _draw(canvas, stages, height),
    )


def _said(stage: StageSteps, several: bool) -> str:
    of = f"stage {stage.stage}, " if several else ""
    slowest = max(step.ms for step in stage.first)
    median = stage.median_ms
    middle = "" if median is None else f"median {_ms(median)} over {_calls(len(stage.later) or 1)}, "
    return f"{of}{middle}slowest step of the first call {_ms(slowest)}"


def _calls(count: int) -> str:
    return f"{count} call" if count == 1 else f"{count} calls"


def _ms(ms: float) -> str:
    return f"{ms / 1000:.2f} s" if ms >= 1000 else f"{ms:.2f} ms"


def _draw(canvas: Canvas, stages: Sequence[StageSteps], height: float) -> None:
    several = len(stages) > 1
    for number, stage in enumerate(stages):
        top = number * (height + 0.5)
        of = f"stage {stage.stage}, " if several else ""
        first_width = 1.75 if stage.later else canvas.width - _LEFT - _RIGHT
        canvas.text(0, top + 0.1, f"{of}first call, ms", color=style.INK)
        axes = canvas.axes(_LEFT, top + 0.25, first_width, height)
        _draw_first(axes, stage)
        if stage.later:
            left = _LEFT + first_width + _GAP
            canvas.text(left - 0.35, top + 0.1, f"{of}later calls, ms", color=style.INK)
            later = canvas.axes(left, top + 0.25, canvas.width - left - _RIGHT, height)
            _draw_later(later, stage)
        else:
            _draw_median(axes, stage)


def _draw_first(axes: Axes, stage: StageSteps) -> None:
    _scatter(axes, [(step.step, step) for step in stage.first])
    low, high = (max(pick(step.ms for step in stage.first), _SHORTEST_MS) for pick in (min, max))
    log_scale(axes, low / 1.6, high * 1.6)
    steps = stage.first[0].steps
    axes.set_xlim(0, steps + 1)
    axes.set_xticks([1, steps] if steps > 1 else [1], ["step 1", str(steps)] if steps > 1 else ["step 1"])
    axes.grid(axis="y")


def _draw_later(axes: Axes, stage: StageSteps) -> None:
    numbered, middles, begin = [], [], 0
    for call in stage.later:
        numbered += [(begin + step.step, step) for step in call]
        width = max(step.steps for step in call)
        middles.append((begin + width / 2 + 0.5, f"call {call[0].call}"))
        if begin:
            axes.axvline(begin + 0.5, color=style.MUTED, linewidth=0.6)
        begin += width
    _scatter(axes, numbered)
    every = -(-len(middles) // _MOST_CALL_LABELS)
    shown = middles[::every]
    axes.set_xticks([x for x, _ in shown], [label for _, label in shown])
    axes.set_xlim(0, begin + 1)
    slowest, median = max(step.ms for _, step in numbered), stage.median_ms
    if median and slowest > _LOG_FROM * median:
        log_scale(axes, max(min(step.ms for _, step in numbered), _SHORTEST_MS) / 1.6, slowest * 1.6)
    else:
        axes.set_ylim(0, slowest * 1.08 or 1.0)
    axes.grid(axis="y")
    _draw_median(axes, stage)


def _draw_median(axes: Axes, stage: StageSteps) -> None:
    median = stage.median_ms
    if median is None:
        return
    axes.axhline(median, color=style.colour_of(1), linewidth=1.2)
    axes.annotate(
        f"median\n{_ms(median)}",
        (1, median),
        xycoords=("axes fraction", "data"),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        annotation_clip=False,
    )


def _scatter(axes: Axes, numbered: Sequence[tuple[int, Step]]) -> None:
    single: list[Point] = [(x, max(step.ms, _SHORTEST_MS)) for x, step in numbered if step.forwards <= 1]
    double: list[Point] = [(x, max(step.ms, _SHORTEST_MS)) for x, step in numbered if step.forwards > 1]
    colour = style.colour_of(0)
    for points, face in ((single, colour), (double, style.SURFACE)):
        drawn = thinned(points, _MOST_POINTS)
        if drawn:
            axes.plot(
                [x for x, _ in drawn],
                [y for _, y in drawn],
                "o",
                color=colour,
                markerfacecolor=face,
                markersize=2.4 if face == colour else 3.6,
                markeredgewidth=0 if face == colour else 0.9,
            )
