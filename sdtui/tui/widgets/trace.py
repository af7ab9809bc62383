"""A figure over its latest samples."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.tui import plot
from sdtui.tui.widgets.drawing import Drawing, Row, justified

_AXIS = 9
"""Columns of the axis' labels, fixed so that the graph does not move with them."""


class Trace(Drawing):
    """A line over the latest samples, its scale from 0; in a single row, bars between title and value.

    Args:
        title: What is drawn.
        unit: Of the axis.
        top: End of the axis; ``None`` takes the next round number above what is shown.
        filled: Draws the area below the line as well.
    """

    def __init__(
        self,
        title: str,
        unit: str = "",
        top: float | None = None,
        *,
        filled: bool = False,
        id: str | None = None,  # noqa: A002, textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self.title, self.unit, self.top, self.filled = title, unit, top, filled
        self._figures: tuple[plot.Figure, ...] = ()
        self._value = ""

    def show(self, figures: Sequence[plot.Figure], value: str = "", title: str | None = None) -> None:
        """Shows these samples.

        Args:
            figures: Oldest first; as many of the latest are drawn as there is room for. ``None`` is a gap.
            value: The current figure in words, with its unit.
            title: Replaces the one there was.
        """
        self._figures, self._value = tuple(figures), value
        self.title = self.title if title is None else title
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns the title's row and the graph's."""
        if height == 1:
            return [self._single(width)]
        title, value = justified(self.title, self._value, width)
        return [((title, "title"), (value, "value")), *self._graph(width, height - 1)]

    def _graph(self, width: int, height: int) -> list[Row]:
        raster = plot.BRAILLE if self.unicode else plot.ASCII
        columns, dots = max(1, width - _AXIS) * raster.across, height * raster.down
        figures = plot.latest(self._figures, columns)
        top = self._top(figures)
        spans = plot.area(figures, top, dots) if self.filled else plot.line(figures, top, dots)
        labels = plot.tick_texts(top, self.unit, height)
        edges = self._edges(labels)
        return [
            ((f"{label:>{_AXIS - 2}} {edge}", "label"), (drawn, "graph"))
            for label, edge, drawn in zip(labels, edges, raster.rows(spans, height), strict=True)
        ]

    def _edges(self, labels: Sequence[str]) -> list[str]:
        marked, plain = ("┤", "│") if self.unicode else ("+", "|")
        return [marked if label else plain for label in labels]

    def _single(self, width: int) -> Row:
        title, value = f"{self.title}  ", f"  {self._value}"
        room = max(1, width - len(title) - len(value))
        figures = plot.latest(self._figures, room)
        drawn = plot.bars(figures, self._top(figures), 1, plot.BLOCKS if self.unicode else plot.ASCII_BLOCKS)[0]
        return ((title, "title"), (drawn, "graph"), (value, "value"))

    def _top(self, figures: Sequence[plot.Figure]) -> float:
        if self.top is not None:
            return self.top
        return plot.nice_top(max((figure for figure in figures if figure is not None), default=0.0))
