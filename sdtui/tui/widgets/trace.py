"""A figure over its latest samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdtui.tui import plot
from sdtui.tui.widgets.drawing import Drawing, Row, spread

AXIS = 10
"""Columns of the axis' labels, fixed so that the graph does not move with them."""


@dataclass(frozen=True)
class Graph:
    """A line over the latest samples on a scale from 0; in a single row, bars between title and value.

    Attributes:
        title: What is drawn.
        unit: Of the axis.
        top: End of the axis; ``None`` takes the next round number above what is shown.
        filled: Draws the area below the line as well.
        part: Of the drawing.
        whole: Draws all samples, of those that share a column the highest, rather than the latest.
    """

    title: str
    unit: str = ""
    top: float | None = None
    filled: bool = False
    part: str = "graph"
    whole: bool = False

    def rows(
        self, figures: Sequence[plot.Figure], value: str, width: int, height: int, unicode: bool = True
    ) -> list[Row]:
        """Returns a row with title and value, and those of the graph.

        Args:
            figures: Oldest first; as many of the latest are drawn as there is room for, unless it is `whole`.
            value: The current figure in words, with its unit.
            width: In columns.
            height: In rows.
            unicode: Whether dots and blocks can be drawn; ASCII otherwise.
        """
        if height == 1:
            return [self._single(figures, value, width, unicode)]
        title, shown = spread(self.title, value, width)
        choose = plot.buckets if self.whole else plot.latest
        drawn = self.drawn(choose(figures, columns_of(width, unicode)), height - 1, unicode)
        return [((title, "title"), (shown, "value")), *drawn]

    def drawn(self, figures: Sequence[plot.Figure], height: int, unicode: bool = True) -> list[Row]:
        """Returns the rows of axis and graph.

        Args:
            figures: One for each of `columns_of` a width.
            height: In rows.
            unicode: As of `rows`.
        """
        raster = _raster(unicode)
        top, dots = self._top(figures), height * raster.down
        spans = plot.area(figures, top, dots) if self.filled else plot.line(figures, top, dots)
        known = self.top is not None or any(figure is not None for figure in figures)
        labels = plot.tick_texts(top, self.unit, height) if known else [""] * height
        return [
            ((f"{label:>{AXIS - 2}} {'┤' if label else '│'}", "label"), (line, self.part))
            for label, line in zip(labels, raster.rows(spans, height), strict=True)
        ]

    def _single(self, figures: Sequence[plot.Figure], value: str, width: int, unicode: bool) -> Row:
        title, words = f"{self.title}  ", f"  {value}"
        shown = plot.latest(figures, max(1, width - len(title) - len(words)))
        ramp = plot.BLOCKS if unicode else plot.ASCII_BLOCKS
        return ((title, "label"), (plot.bars(shown, self._top(shown), 1, ramp)[0], self.part), (words, "value"))

    def _top(self, figures: Sequence[plot.Figure]) -> float:
        if self.top is not None:
            return self.top
        return plot.nice_top(max((figure for figure in figures if figure is not None), default=0.0))


def columns_of(width: int, unicode: bool = True) -> int:
    """Returns how many figures a graph draws beside its axis."""
    return max(1, width - AXIS) * _raster(unicode).across


def _raster(unicode: bool) -> plot.Raster:
    return plot.BRAILLE if unicode else plot.ASCII


class Trace(Drawing):
    """Shows a `Graph`."""

    def __init__(
        self,
        graph: Graph,
        *,
        id: str | None = None,  # noqa: A002, textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._graph = graph
        self._figures: tuple[plot.Figure, ...] = ()
        self._value = ""

    def show(self, figures: Sequence[plot.Figure], value: str = "", graph: Graph | None = None) -> None:
        """Shows these samples; see `Graph.rows`. Another ``graph`` replaces the one there was."""
        self._figures, self._value = tuple(figures), value
        self._graph = graph or self._graph
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns the title's row and the graph's."""
        return self._graph.rows(self._figures, self._value, width, height, self.unicode)
