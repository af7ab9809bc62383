"""The page's second chart: iterations per second of each pipeline for each batch size, mode by mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from sdtui.model.results import Interval, StageSummary
from sdtui.report import charts_style as style
from sdtui.report import processes, text
from sdtui.report.charts_canvas import WIDTH, Canvas, Chart, fitted, text_width
from sdtui.report.charts_rows import RowLayout, RowName, draw_key, key_height
from sdtui.report.charts_speed_up import BASELINE_MODE
from sdtui.report.tables import Column, Entry, Group, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LONGEST_NOTE = 2.6
_RISE = 8
"""Points from a row's line to the middle of the figures above it."""
_WORDS = {"oom": "OOM", "unsupported": "unsupported", "failed": "failed", "timeout": "timeout"}


@dataclass(frozen=True)
class Rates:
    """One row of the chart.

    Attributes:
        name: Pipeline, then batch size and stage.
        its: Iterations per second by column label.
        intervals: Their 95 % intervals, where there are samples enough.
        endings: By column label, how the cells ended that have no figure (those not run or cancelled are left out), and
            of how many processes a figure is that lacks some. A cell of several stages says it once.
    """

    name: RowName
    its: dict[str, float]
    intervals: dict[str, Interval]
    endings: dict[str, str]

    @property
    def extent(self) -> tuple[float, float]:
        """What is drawn lies between these, where there is a figure."""
        ends = [*self.its.values(), *(end for i in self.intervals.values() for end in (i.low, i.high))]
        return min(ends), max(ends)


def rates_charts(tables: Sequence[Table]) -> list[Chart]:
    """Makes a chart for each device, scale and variant that has a figure."""
    charts = []
    for group in dict.fromkeys(table.group for table in tables):
        of_group = [table for table in tables if table.group == group]
        rows = rates(of_group)
        if any(row.its for row in rows):
            columns = {column.label: column for table in of_group for column in table.columns}
            charts.append(_chart(group, rows, list(columns.values())))
    return charts


def rates(tables: Sequence[Table]) -> list[Rates]:
    """Returns the rows of one device's tables: by pipeline, then by batch size, then by stage."""
    labels = dict.fromkeys(row.label for table in tables for row in table.rows)
    several = len({table.batch_size for table in tables}) > 1
    found = []
    for label in labels:
        for table in tables:
            for row in table.rows:
                if row.label == label:
                    size = f"batch size {table.batch_size}" if several else ""
                    entries = {column.label: entry for column, entry in zip(table.columns, row.entries, strict=True)}
                    found += _stage_rows(label, size, entries)
    return found


def _stage_rows(pipeline: str, size: str, entries: dict[str, Entry]) -> list[Rates]:
    by_stage: dict[str, dict[str, StageSummary]] = {}
    endings = {}
    for label, entry in entries.items():
        result = entry.result
        if result is None:
            continue
        if result.is_partial:
            endings[label] = processes.partial(result)
        if result.status == "ok" or result.is_partial:
            for summary in result.summary.stages:
                by_stage.setdefault(summary.stage, {})[label] = summary
        elif result.status in _WORDS:
            endings[label] = entry.text if result.status == "oom" else _WORDS[result.status]
    if not by_stage:
        return [Rates(RowName(pipeline, size), {}, {}, endings)] if endings else []
    several = len(by_stage) > 1
    rows = []
    for number, (stage, summaries) in enumerate(by_stage.items()):
        name = RowName(pipeline, ", ".join(filter(None, (size, f"stage {stage}" if several else ""))))
        its = {label: found.loop_its for label, found in summaries.items()}
        intervals = {label: i for label, found in summaries.items() if (i := found.loop_its_interval)}
        rows.append(Rates(name, its, intervals, {} if number else endings))
    return rows


def _chart(group: Group, rows: Sequence[Rates], columns: Sequence[Column]) -> Chart:
    layout = RowLayout([row.name for row in rows])
    key = _key(columns)
    height = key_height(key) if len(key) > 1 else 0.0
    title = "Iterations per second"
    only = f" {columns[0].label}." if len(columns) == 1 else ""
    sure = " Lines: 95 % intervals." if any(row.intervals for row in rows) else ""
    said = "; ".join(_said(row) for row in rows)
    slug = "-".join(
        part for part in (group.device, group.scale if group.scale == "tiny" else "", group.variant) if part
    )
    return Chart(
        f"rates-{slug}",
        title,
        f"{group.title}.{only} Of the denoising loop in the last call; more is better.{sure}",
        f"{title} on {group.title}: {said}.",
        height + layout.height,
        lambda canvas: _draw(canvas, layout, height, rows, key),
    )


def _said(row: Rates) -> str:
    figures = [f"{label} {text.rate(its)}" for label, its in row.its.items()]
    endings = [f"{label} {ending}" for label, ending in row.endings.items()]
    return f"{' '.join(filter(None, (row.name.group, row.name.label)))}: {', '.join(figures + endings)}"


def _key(columns: Sequence[Column]) -> list[tuple[str, str, str]]:
    """Names, colours and markers: a colour for each mode (grey for no compile), a marker for each column."""
    modes = [mode for mode in dict.fromkeys(column.mode for column in columns) if mode != BASELINE_MODE]
    colours = {mode: style.colour_of(index) for index, mode in enumerate(modes)} | {BASELINE_MODE: style.BASELINE}
    return [(column.label, colours[column.mode], style.marker_of(i)) for i, column in enumerate(columns)]


def _draw(
    canvas: Canvas, layout: RowLayout, top: float, rows: Sequence[Rates], key: Sequence[tuple[str, str, str]]
) -> None:
    if top:
        draw_key(canvas, 0, key)
    notes = [_note(row, len(key)) for row in rows]
    highest = max(row.extent[1] for row in rows if row.its)
    axes = layout.axes(canvas, top, _space_right(layout.room, rows, notes, highest))
    axes.set_xlim(0, highest)
    for y, row, note in zip(layout.positions, rows, notes, strict=True):
        if row.its:
            values = sorted(row.its.values())
            axes.plot([values[0], values[-1]], [y, y], color=style.GRID, linewidth=3, solid_capstyle="round", zorder=1)
        for label, colour, marker in key:
            if label in row.intervals:
                interval = row.intervals[label]
                axes.plot([interval.low, interval.high], [y, y], color=colour, linewidth=1.4, clip_on=False, zorder=2)
            if label in row.its:
                axes.plot([row.its[label]], [y], marker, color=colour, markersize=6, clip_on=False, zorder=3)
        _label(axes, y, row, note)
    axes.set_xlabel("iterations per second (it/s)", loc="left")


def _label(axes: Axes, y: float, row: Rates, note: str) -> None:
    """Writes the highest and the lowest figure above their markers, outward, the lowest where there is room."""
    if row.its:
        low, high = min(row.its.values()), max(row.its.values())
        _write(axes, high, y, text.rate(high), -3, rise=_RISE)
        room = low / axes.get_xlim()[1] * axes.get_position().width * WIDTH
        if low < high and room > text_width(text.rate(low)) + 0.1:
            _write(axes, low, y, text.rate(low), 3, rise=_RISE, align="right")
        if note:
            _write(axes, row.extent[1], y, note, 7, style.MUTED)
    else:
        _write(axes, 0, y, note, 2, style.MUTED)


def _write(
    axes: Axes,
    x: float,
    y: float,
    words: str,
    offset: float,
    colour: str = style.INK,
    *,
    rise: float = 0,
    align: Literal["left", "right"] = "left",
) -> None:
    axes.annotate(
        words,
        (x, y),
        xytext=(offset, rise),
        textcoords="offset points",
        ha=align,
        va="center_baseline",
        color=colour,
        size=style.BASE if colour == style.INK else style.SMALL,
        annotation_clip=False,
    )


def _note(row: Rates, columns: int) -> str:
    """Says how cells ended that have no figure: alone where all columns of the chart ended alike, else of whom."""
    modes: dict[str, list[str]] = {}
    for label, ending in row.endings.items():
        modes.setdefault(ending, []).append(label.partition(" - ")[2])
    if len(modes) == 1 and len(row.endings) == columns:
        return next(iter(modes))
    note = "; ".join(f"{ending}: {' · '.join(of)}" for ending, of in modes.items())
    return fitted(note, _LONGEST_NOTE, style.SMALL)


def _space_right(room: float, rows: Sequence[Rates], notes: Sequence[str], highest: float) -> float:
    """Returns how much of the room labels need to the right of the scale, so that each ends within it."""
    needed = [0.5]
    for row, note in zip(rows, notes, strict=True):
        if row.its and note:
            needed.append(room - (room - text_width(note, style.SMALL) - 0.3) * highest / row.extent[1])
    return max(needed)
