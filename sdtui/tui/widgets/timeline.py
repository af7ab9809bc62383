"""Figures over time, one graph below the other, with the phases that they belong to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.cells import set_cell_size

from sdtui.tui import plot
from sdtui.tui.widgets.drawing import Drawing, Row, spread
from sdtui.tui.widgets.trace import AXIS, Graph, columns_of

_LEAST = 2
"""Rows of a graph with its title."""
_MOST = 9
_SHORT_S = 20.0
"""A window that is shorter has its ends told to a tenth of a second."""
_LEAST_NAME = 3
"""Columns, without which a phase's name is left out."""


@dataclass(frozen=True)
class Series:
    """One figure over time.

    Attributes:
        graph: How it is drawn.
        points: Moments in seconds, ascending, and the figure that held from then on; the last one ends the series.
        words: What is said of it as a whole, such as ``highest 98 %``.
        reduce: Of the figures that fall into one column; ``None`` takes their mean over time.
    """

    graph: Graph
    points: tuple[plot.Point, ...]
    words: str = ""
    reduce: Callable[[Sequence[float]], float] | None = None


@dataclass(frozen=True)
class Band:
    """A phase, from one moment to another, in seconds."""

    name: str
    begin: float
    end: float


class Timeline(Drawing):
    """Draws series over the same time, and under them the phases in proportion to how long each was."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id, classes=classes)
        self._series: tuple[Series, ...] = ()
        self._bands: tuple[Band, ...] = ()
        self._window = (0.0, 1.0)

    def show(self, series: Sequence[Series], bands: Sequence[Band], window: tuple[float, float] | None = None) -> None:
        """Shows these series.

        Args:
            series: From top to bottom; those for which there is no room are left out.
            bands: One after the other.
            window: First and last moment; ``None`` takes those of the bands.
        """
        self._series, self._bands = tuple(series), tuple(bands)
        begin, end = window or ((bands[0].begin, bands[-1].end) if bands else (0.0, 1.0))
        self._window = (begin, end if end > begin else begin + 1.0)
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns the graphs and the phases."""
        begin, end = self._window
        below = [self._ribbon(width), self._seconds(width), self._lengths()]
        room = height - len(below)
        shown = self._series[: max(0, room // _LEAST)]
        rows: list[Row] = []
        for index, series in enumerate(shown):
            each = min(_MOST, (room - len(rows)) // (len(shown) - index))
            title, words = spread(series.graph.title, series.words, width)
            figures = plot.over_time(series.points, begin, end, columns_of(width, self.unicode), series.reduce)
            rows += [((title, "title"), (words, "value")), *series.graph.drawn(figures, each - 1, self.unicode)]
        return [*rows, *below]

    def _ribbon(self, width: int) -> Row:
        """Writes each phase's name from where it began, as far as there is room for it."""
        begin, end = self._window
        room = max(1, width - AXIS)
        text = ""
        for band in self._bands:
            at = min(room - 1, max(0, int((band.begin - begin) / (end - begin) * room)))
            until = min(room, max(0, int((band.end - begin) / (end - begin) * room)))
            if band.end <= begin or band.begin >= end or until <= len(text):
                continue
            wide = until - max(at, len(text))
            name = band.name if wide > _LEAST_NAME else ""
            text = text[:at].ljust(at) + set_cell_size(f"▏{name}", wide)
        return ((f"{'phase':>{AXIS - 2}}  ", "label"), (text, "value"))

    def _seconds(self, width: int) -> Row:
        begin, end = self._window
        decimals = 1 if end - begin < _SHORT_S else 0
        left, right = spread(f"{begin:.{decimals}f} s", f"{end:.{decimals}f} s", max(1, width - AXIS))
        return ((f"{'time':>{AXIS - 2}}  ", "label"), (left + right, "label"))

    def _lengths(self) -> Row:
        words = " · ".join(f"{band.name} {band.end - band.begin:.1f} s" for band in self._bands)
        return ((words, "value"),)
