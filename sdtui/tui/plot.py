"""Graphs in characters: axes, figures made few enough to draw, and dots and bars put into cells."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Figure = float | None
"""``None`` is not available, and drawn as a gap."""

Point = tuple[float, Figure]
"""A moment, and the figure that holds from then on."""

Span = tuple[int, int] | None
"""The lowest and the highest dot of a column, counted from the bottom; ``None`` for a column without any."""

_NICE = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)

BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:#"
"""Fillings of a cell from the bottom, the emptiest first."""


# ----------------------------------------------------------------------------------------------------------- axes


def nice_top(highest: float) -> float:
    """Returns the end of an axis from 0 that holds a figure: the next round number; 1 where there is nothing."""
    if not math.isfinite(highest) or highest <= 0:
        return 1.0
    unit = float(10.0 ** math.floor(math.log10(highest)))
    return next(step * unit for step in _NICE if step * unit >= highest * (1 - 1e-9))


def tick_texts(top: float, unit: str, rows: int) -> list[str]:
    """Labels the rows of a graph, the highest first: its top with the unit, its middle where there is one, and 0.

    Args:
        top: Of the axis, which begins at 0.
        unit: Such as ``ms``.
        rows: Of the graph, 1 or more; a single one has the top alone.
    """
    texts = [""] * rows
    if rows > 4 and rows % 2:
        texts[rows // 2] = _tick(top / 2)
    texts[-1] = "0"
    texts[0] = f"{_tick(top)} {unit}".rstrip()
    return texts


def _tick(value: float) -> str:
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


# -------------------------------------------------------------------------------------------------------- columns


def mean(figures: Sequence[float]) -> float:
    """Returns the arithmetic mean."""
    return sum(figures) / len(figures)


def buckets(figures: Sequence[Figure], columns: int, reduce: Callable[[Sequence[float]], float] = max) -> list[Figure]:
    """Returns one figure per column: those of an equal stretch of the samples, reduced.

    Args:
        figures: Samples in order. Where they are fewer than the columns, each fills several.
        columns: 1 or more.
        reduce: Such as ``max``, which loses no peak, or `mean`.
    """
    count = len(figures)
    if not count:
        return [None] * columns
    found: list[Figure] = []
    for column in range(columns):
        begin = column * count // columns
        end = max(begin + 1, (column + 1) * count // columns)
        known = [figure for figure in figures[begin:end] if figure is not None]
        found.append(reduce(known) if known else None)
    return found


def latest(figures: Sequence[Figure], columns: int) -> list[Figure]:
    """Returns the latest figures, one per column, gaps before them where they are too few."""
    kept = list(figures[-columns:]) if columns > 0 else []
    return [None] * (columns - len(kept)) + kept


def over_time(
    points: Sequence[Point],
    begin: float,
    end: float,
    columns: int,
    reduce: Callable[[Sequence[float]], float] | None = None,
) -> list[Figure]:
    """Returns one figure per column of a stretch of time, of a figure that holds until the next reading.

    Args:
        points: Moments ascending; the last one ends the series.
        begin: Of the first column, in the moments' unit.
        end: Of the last one, later than ``begin``.
        columns: 1 or more.
        reduce: Of the figures that held within a column; ``None`` takes their mean, by how long each held.
    """
    held: list[list[tuple[float, float]]] = [[] for _ in range(columns)]
    wide = (end - begin) / columns
    for (since, figure), (until, _) in pairwise(points):
        if figure is None or until <= begin or since >= end:
            continue
        first = max(0, int((since - begin) / wide))
        last = min(columns - 1, int((until - begin) / wide))
        for column in range(first, last + 1):
            left, right = begin + column * wide, begin + (column + 1) * wide
            seconds = min(until, right) - max(since, left)
            if seconds > 0:
                held[column].append((figure, seconds))
    return [_reduced(each, reduce) for each in held]


def _reduced(held: Sequence[tuple[float, float]], reduce: Callable[[Sequence[float]], float] | None) -> Figure:
    if not held:
        return None
    if reduce is not None:
        return reduce([figure for figure, _ in held])
    return sum(figure * seconds for figure, seconds in held) / sum(seconds for _, seconds in held)


# --------------------------------------------------------------------------------------------------- dots and bars


@dataclass(frozen=True)
class Raster:
    """How dots are written into cells of characters.

    Attributes:
        across: Dots of a cell, side by side.
        down: Dots of a cell, one above the other.
        glyphs: A character for each set of dots. Bit ``x * down + y`` is the dot in column x and row y of a cell, rows
            counted from the bottom.
    """

    across: int
    down: int
    glyphs: str

    def rows(self, spans: Sequence[Span], height: int) -> list[str]:
        """Returns so many rows of characters, the highest first, with each column's dots from lowest to highest."""
        lines = []
        for row in reversed(range(height)):
            masks = [0] * math.ceil(len(spans) / self.across)
            for column, span in enumerate(spans):
                if span is not None:
                    masks[column // self.across] |= self._bits(column % self.across, row * self.down, span)
            lines.append("".join(self.glyphs[mask] for mask in masks))
        return lines

    def _bits(self, x: int, bottom: int, span: tuple[int, int]) -> int:
        low, high = max(0, span[0] - bottom), min(self.down - 1, span[1] - bottom)
        return ((1 << (high - low + 1)) - 1) << (x * self.down + low) if low <= high else 0


def _braille() -> str:
    """Orders the patterns of Unicode's block by `Raster.glyphs`; the empty one is a space, which takes one byte."""
    dots = (0x40, 0x04, 0x02, 0x01, 0x80, 0x20, 0x10, 0x08)  # of bit 0 to 7: left column upwards, then the right one
    codes = (sum(dot for bit, dot in enumerate(dots) if mask >> bit & 1) for mask in range(256))
    return "".join(chr(0x2800 + code) if code else " " for code in codes)


BRAILLE = Raster(2, 4, _braille())
ASCII = Raster(1, 2, " .':")


def line(figures: Sequence[Figure], top: float, dots: int) -> list[Span]:
    """Returns a line's dots: of two neighbours the higher reaches down to the lower, so that the line is not torn.

    Args:
        figures: One per column of dots; those out of 0 to ``top`` are drawn at the edge.
        top: Of the axis.
        dots: Height of the graph.
    """
    heights = [None if figure is None else _dot(figure, top, dots) for figure in figures]
    spans: list[Span] = []
    for before, dot, after in zip([None, *heights], heights, [*heights[1:], None], strict=False):
        beside = [near + 1 for near in (before, after) if near is not None]
        spans.append(None if dot is None else (min(dot, *beside, dot), dot))
    return spans


def area(figures: Sequence[Figure], top: float, dots: int) -> list[Span]:
    """Returns the dots below a line; arguments as of `line`."""
    return [None if figure is None else (0, _dot(figure, top, dots)) for figure in figures]


def bars(figures: Sequence[Figure], top: float, height: int, ramp: str = BLOCKS) -> list[str]:
    """Returns so many rows of characters, the highest first, with a bar per figure; one above 0 is never empty.

    Args:
        figures: One per column.
        top: Of the axis.
        height: Of the graph, in rows.
        ramp: Fillings of a cell, the emptiest first.
    """
    full = len(ramp) - 1
    levels = [0 if not figure else max(1, round(_share(figure, top) * height * full)) for figure in figures]
    return ["".join(ramp[min(full, max(0, level - row * full))] for level in levels) for row in reversed(range(height))]


def _dot(figure: float, top: float, dots: int) -> int:
    return round(_share(figure, top) * (dots - 1))


def _share(figure: float, top: float) -> float:
    return min(1.0, max(0.0, figure / top)) if top > 0 else 0.0


# ----------------------------------------------------------------------------------------------------------- bins


@dataclass(frozen=True)
class Bins:
    """How many samples fell into each of several bins of one width.

    Attributes:
        begin: Of the first bin.
        end: Of the last one.
        counts: Of each bin; a sample on the edge of two is in the upper one.
        above: Samples beyond the last bin.
    """

    begin: float
    end: float
    counts: tuple[int, ...]
    above: int = 0


def bin_samples(samples: Sequence[float], most: int) -> Bins:
    """Counts samples in bins: some two for each of the square root of their number, ``most`` at most.

    Where a few lie so far above the others that those would share a bin or two, they are counted apart.
    """
    ordered = sorted(samples)
    low, high = ordered[round(0.05 * (len(ordered) - 1))], ordered[round(0.95 * (len(ordered) - 1))]
    limit = high + 2 * (high - low) if high > low else ordered[-1]
    inside = [sample for sample in ordered if sample <= limit]
    begin, end = inside[0], inside[-1]
    count = max(1, min(most, round(2 * math.sqrt(len(inside))))) if end > begin else 1
    counts = [0] * count
    for sample in inside:
        counts[min(count - 1, int((sample - begin) / ((end - begin) or 1) * count))] += 1
    return Bins(begin, end, tuple(counts), len(ordered) - len(inside))
