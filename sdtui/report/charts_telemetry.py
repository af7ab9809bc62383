"""What the device did while one cell ran, over time, with the cell's phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING

from sdtui.records import CellRecord
from sdtui.report import charts_style as style
from sdtui.report.charts_canvas import Canvas, Chart, text_width
from sdtui.report.charts_samples import Point, thinned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANEL, _BETWEEN = 0.62, 0.3
_LEFT, _RIGHT = 0.42, 0.8
_FLAG = 0.16
_MOST_POINTS = 700


@dataclass(frozen=True)
class Panel:
    """A figure that is drawn over time.

    Attributes:
        field: Of telemetry.
        label: With the unit that is drawn.
        per_unit: What of the field's unit makes one of the label's.
        top: Of the scale; ``None`` for the highest value seen.
    """

    field: str
    label: str
    per_unit: float = 1.0
    top: float | None = None


PANELS = (
    Panel("gpu_utilisation_percent", "GPU utilisation, %", top=100),
    Panel("vram_used_mib", "device memory in use, GiB", 1024),
    Panel("power_w", "power, W"),
    Panel("sm_clock_mhz", "SM clock, MHz"),
    Panel("cpu_percent", "CPU use, % (100 is one core)"),
    Panel("rss_mib", "resident memory, GiB", 1024),
)


@dataclass(frozen=True)
class Band:
    """A phase, in seconds since the cell started."""

    phase: str
    begin: float
    end: float


def bands_of(record: CellRecord) -> list[Band]:
    """Returns a cell's phases one after the other; as in the tables, what passed before the first is ``import``."""
    if record.started is None:
        return []
    entered = [(0.0, "import"), *((t - record.started, phase.phase) for t, phase in record.phases)]
    left = [t for t, _ in entered[1:]] + [duration_s(record)]
    found: list[Band] = []
    for (begin, phase), end in zip(entered, left, strict=True):
        since = found.pop().begin if found and found[-1].phase == phase else begin
        found.append(Band(phase, since, max(since, end)))
    return found


def duration_s(record: CellRecord) -> float:
    """Returns how long the cell ran, as far as the journal says."""
    times = [t for t, _ in record.phases] + [t for t, _ in record.telemetry]
    end = record.finished_at if record.finished_at is not None else max(times, default=record.started or 0.0)
    return end - (record.started or 0.0)


def series_of(record: CellRecord, field: str) -> list[list[Point]]:
    """Returns a field's values over the seconds since the cell started, in pieces where it was available.

    Telemetry says what changed: a value holds until the next, and at the end until telemetry last said anything.
    """
    pieces: list[list[Point]] = [[]]
    for t, event in record.telemetry:
        if field in event.changed:
            seconds, value = t - (record.started or t), event.changed[field]
            if pieces[-1]:
                pieces[-1].append((seconds, pieces[-1][-1][1]))
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                pieces[-1].append((seconds, float(value)))
            elif pieces[-1]:
                pieces.append([])
    if pieces[-1]:
        last, _ = record.telemetry[-1]
        pieces[-1].append((last - (record.started or last), pieces[-1][-1][1]))
    return [piece for piece in pieces if piece]


def telemetry_chart(record: CellRecord, whose: str, name: str) -> Chart | None:
    """Makes the chart; ``None`` for a cell without telemetry.

    Args:
        record: Of one process.
        whose: The cell, and which process of it, as the caption says it.
        name: Of the chart.
    """
    panels = [(panel, series_of(record, panel.field)) for panel in PANELS]
    panels = [(panel, pieces) for panel, pieces in panels if pieces]
    if not panels:
        return None
    bands = bands_of(record)
    flags = _flags(bands, duration_s(record))
    head = _FLAG * (1 + max((flag.row for flag in flags), default=-1)) + 0.04
    title = "Telemetry"
    said = [f"highest {panel.label}: {_figure(panel, _highest(panel, pieces))}" for panel, pieces in panels]
    phases = ", ".join(f"{band.phase} {band.end - band.begin:.1f} s" for band in bands)
    return Chart(
        name,
        title,
        f"{whose}. Over seconds since the cell started; the bands are its phases.",
        f"{title} of {whose}; phases: {phases or 'none'}; {'; '.join(said)}.",
        head + len(panels) * (_PANEL + _BETWEEN) + 0.25,
        lambda canvas: _draw(canvas, panels, bands, flags, head, duration_s(record)),
    )


def _highest(panel: Panel, pieces: Sequence[Sequence[Point]]) -> float:
    return max(y for piece in pieces for _, y in piece) / panel.per_unit


def _figure(panel: Panel, value: float) -> str:
    return f"{value:,.{2 if panel.per_unit > 1 else 0}f}"


@dataclass(frozen=True)
class _Flag:
    """A band's name above it; in inches.

    Attributes:
        begin: Where the band begins.
        left: Where the name is written: at the band's begin, or before it at the right end.
        row: Counted upwards.
    """

    text: str
    begin: float
    left: float
    row: int


def _flags(bands: Sequence[Band], duration: float) -> list[_Flag]:
    """Places the names from the right: each in the lowest row where no later name, nor the line below one, is."""
    width = Canvas.width - _LEFT - _RIGHT
    starts: list[float] = []
    placed = []
    for band in reversed(bands):
        text = f"{band.phase} {band.end - band.begin:.1f} s"
        wide = text_width(text, style.SMALL) + 0.1
        begin = band.begin / duration * width if duration > 0 else 0.0
        left = min(begin, width + _RIGHT - wide)
        row = next(i for i in range(len(starts) + 1) if left + wide <= min(starts[i:], default=inf))
        starts[row : row + 1] = [left]
        placed.append(_Flag(text, begin, left, row))
    return placed


def _draw(
    canvas: Canvas,
    panels: Sequence[tuple[Panel, list[list[Point]]]],
    bands: Sequence[Band],
    flags: Sequence[_Flag],
    head: float,
    duration: float,
) -> None:
    width = canvas.width - _LEFT - _RIGHT
    rows = max((flag.row for flag in flags), default=0)
    for flag in flags:
        top = _FLAG * (rows - flag.row)
        x = _LEFT + flag.begin
        canvas.line(x, top if flag.left == flag.begin else top + _FLAG, x, head, style.MUTED)
        canvas.text(_LEFT + flag.left + 0.04, top + _FLAG / 2, flag.text, size=style.SMALL)
    total = len(panels) * (_PANEL + _BETWEEN) - 0.06
    _draw_bands(canvas.axes(_LEFT, head, width, total), bands, duration)
    for number, (panel, pieces) in enumerate(panels):
        top = head + number * (_PANEL + _BETWEEN)
        canvas.text(_LEFT + 0.04, top + 0.13, panel.label, color=style.INK)
        axes = canvas.axes(_LEFT, top + 0.24, width, _PANEL)
        _draw_panel(axes, panel, pieces, duration)
        if number == len(panels) - 1:
            axes.set_xlabel("seconds since the cell started", loc="left")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
        else:
            axes.set_xticklabels([])


def _draw_bands(axes: Axes, bands: Sequence[Band], duration: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, duration or 1.0)
    for number, band in enumerate(bands):
        if number % 2 == 0:
            axes.axvspan(band.begin, band.end, color=style.BAND, linewidth=0)


def _draw_panel(axes: Axes, panel: Panel, pieces: Sequence[Sequence[Point]], duration: float) -> None:
    highest = _highest(panel, pieces)
    for piece in pieces:
        drawn = thinned(piece, _MOST_POINTS)
        axes.plot(
            [x for x, _ in drawn], [y / panel.per_unit for _, y in drawn], color=style.colour_of(0), linewidth=1.0
        )
    axes.set_xlim(0, duration or 1.0)
    axes.set_ylim(0, panel.top or highest * 1.1 or 1.0)
    axes.locator_params(axis="y", nbins=3)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.grid(axis="y")
    axes.annotate(
        f"highest\n{_figure(panel, highest)}",
        (1, highest),
        xycoords=("axes fraction", "data"),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        size=style.SMALL,
        annotation_clip=False,
    )
