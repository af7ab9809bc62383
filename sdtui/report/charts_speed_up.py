"""The page's first chart: how many times as fast each mode is as no compile, per device."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sdtui.catalog.reference import Reference, ReferenceRow, load_reference
from sdtui.report import charts_style as style
from sdtui.report.charts_canvas import Canvas, Chart
from sdtui.report.charts_rows import RowLayout, RowName
from sdtui.report.comparison import is_comparable
from sdtui.report.tables import Column, Row, Table

BASELINE_MODE = "no-compile"
PAGE_BATCH_SIZE = 4
"""Which batch size the page's chart was drawn for."""

_PAGE_TORCH = "torch 2.0"
_PAGE_COLUMNS = (f"{_PAGE_TORCH} - no compile", f"{_PAGE_TORCH} - compile")


@dataclass(frozen=True)
class SpeedUp:
    """One figure of the chart.

    Attributes:
        pipeline: Row label of the tables.
        device: Whose it is; the page's devices say so.
        torch: Label of both modes' torch.
        mode: Label of the faster, or slower, mode.
        stage: Empty where the pipeline ran one.
        times: Its iterations per second ÷ those of no compile.
        ours: Whether it was measured here, rather than for the page.
    """

    pipeline: str
    device: str
    torch: str
    mode: str
    stage: str
    times: float
    ours: bool = True


def speed_up_charts(tables: Sequence[Table], with_page: bool) -> list[Chart]:
    """Makes a chart for each scale and variant: of batch size 4 where there is one, else of each batch size.

    Args:
        tables: Of every device.
        with_page: Whether to put the page's five GPUs beside what followed the page's protocol.
    """
    charts = []
    for scale, variant in dict.fromkeys((table.group.scale, table.group.variant) for table in tables):
        alike = [table for table in tables if (table.group.scale, table.group.variant) == (scale, variant)]
        departure = " · ".join(part for part in ("tiny" if scale == "tiny" else "", variant) if part)
        for size in _sizes(alike):
            of_size = [table for table in alike if table.batch_size == size]
            figures = [figure for table in of_size for figure in speed_ups(table)]
            if with_page and is_comparable(of_size[0]):
                figures += _page_speed_ups(size, figures)
            charts.append(_chart(figures, size, departure))
    return charts


def speed_ups(table: Table) -> list[SpeedUp]:
    """Returns what a table says of every mode beside no compile of the same torch, stage by stage."""
    baselines = {
        (column.environment, column.torch): index
        for index, column in enumerate(table.columns)
        if column.mode == BASELINE_MODE
    }
    found = []
    for row in table.rows:
        for index, column in enumerate(table.columns):
            baseline = baselines.get((column.environment, column.torch))
            if baseline is not None and index != baseline:
                found += _ratios(table, row, column, index, baseline)
    return found


def _ratios(table: Table, row: Row, column: Column, index: int, baseline: int) -> list[SpeedUp]:
    ours, theirs = (row.entries[i].result for i in (index, baseline))
    if ours is None or theirs is None or ours.status != "ok" or theirs.status != "ok":
        return []
    torch, _, mode = column.label.partition(" - ")
    stages = [stage.stage for stage in ours.summary.stages]
    return [
        SpeedUp(row.label, table.group.device, torch, mode, stage, times)
        for stage, times in _stage_ratios(stages, ours.its, theirs.its)
    ]


def _stage_ratios(stages: Sequence[str], ours: Sequence[float], theirs: Sequence[float]) -> Iterator[tuple[str, float]]:
    if len(stages) == len(ours) == len(theirs):
        for stage, mine, base in zip(stages, ours, theirs, strict=True):
            if mine > 0 and base > 0:
                yield (f"stage {stage}" if len(stages) > 1 else ""), mine / base


def _sizes(tables: Sequence[Table]) -> list[int]:
    sizes = sorted({table.batch_size for table in tables if speed_ups(table)})
    return [PAGE_BATCH_SIZE] if PAGE_BATCH_SIZE in sizes else sizes


def _page_speed_ups(batch_size: int, ours: Sequence[SpeedUp]) -> list[SpeedUp]:
    page = load_reference()
    labels = dict.fromkeys(figure.pipeline for figure in ours)
    return [
        figure
        for table in page.tables
        if table.batch_size == batch_size
        for row in table.rows
        if row.pipeline in labels
        for figure in _page_ratios(page, table.gpu, row)
    ]


def _page_ratios(page: Reference, gpu: str, row: ReferenceRow) -> list[SpeedUp]:
    base, compiled = (row.cells[page.columns.index(name)].its for name in _PAGE_COLUMNS)
    stages = ("I", "II", "III")[: len(compiled)]
    return [
        SpeedUp(row.pipeline, f"{gpu} (page)", _PAGE_TORCH, "compile", stage, times, ours=False)
        for stage, times in _stage_ratios(stages, compiled, base)
    ]


def _chart(figures: Sequence[SpeedUp], batch_size: int, departure: str) -> Chart:
    order = list(dict.fromkeys(figure.pipeline for figure in figures))
    figures = sorted(figures, key=lambda figure: order.index(figure.pipeline))
    shared, names = _named(figures)
    layout = RowLayout(names)
    title = f"Speed-up over no compile, batch size {batch_size}"
    of = ", ".join(filter(None, (*shared, departure)))
    page = "" if all(figure.ours for figure in figures) else f" Hollow: the page's, {_PAGE_TORCH}, compile."
    said = "; ".join(
        " ".join(filter(None, (name.group, name.label, times_text(figure.times))))
        for name, figure in zip(names, figures, strict=True)
    )
    return Chart(
        f"speed-up-b{batch_size}-{departure}",
        title,
        f"{of}{'. ' if of else ''}it/s ÷ it/s of no compile in the same torch.{page}",
        f"{title}{': ' if of else ''}{of}. {said}.",
        layout.height,
        lambda canvas: _draw(canvas, layout, figures),
    )


def _named(figures: Sequence[SpeedUp]) -> tuple[list[str], list[RowName]]:
    """Returns what all of a chart's figures have in common, to be said once, and what names each row beyond it."""
    shared, differing = [], []
    for part in ("device", "torch", "mode", "stage"):
        values = {getattr(figure, part) for figure in figures if figure.ours or part == "device"}
        if len(values) > 1:
            differing.append(part)
        else:
            shared += [value for value in values if value]
    names = []
    for figure in figures:
        parts = [part for part in differing if figure.ours or part in ("device", "stage")]
        names.append(RowName(figure.pipeline, ", ".join(filter(None, (getattr(figure, part) for part in parts)))))
    return shared, names


def times_text(times: float) -> str:
    """Writes a ratio: ``2.62×``."""
    return f"{times:.2f}×"


def _draw(canvas: Canvas, layout: RowLayout, figures: Sequence[SpeedUp]) -> None:
    axes = layout.axes(canvas, 0, 0.5)
    modes = list(dict.fromkeys(figure.mode for figure in figures))
    axes.axvline(1, color=style.MUTED, linewidth=1)
    for y, figure in zip(layout.positions, figures, strict=True):
        colour = style.colour_of(modes.index(figure.mode)) if figure.ours else style.BASELINE
        axes.plot([1, figure.times], [y, y], color=colour, linewidth=2 if figure.ours else 1.2, solid_capstyle="butt")
        face = colour if figure.ours else style.SURFACE
        axes.plot([figure.times], [y], "o", color=colour, markerfacecolor=face, markersize=6, clip_on=False)
        slower = figure.times < 1
        axes.annotate(
            times_text(figure.times),
            (figure.times, y),
            xytext=(-7 if slower else 7, 0),
            textcoords="offset points",
            ha="right" if slower else "left",
            va="center_baseline",
            color=style.INK if figure.ours else style.MUTED,
            annotation_clip=False,
        )
    low, high = min(1.0, *(f.times for f in figures)), max(1.0, *(f.times for f in figures))
    spread = high - low or 1.0
    axes.set_xlim(low - (spread * 0.12 if low < 1 else spread * 0.02), high + spread * 0.02)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.set_xlabel("times as fast as no compile", loc="left")
