"""How often samples fell where."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.tui import plot
from sdtui.tui.widgets.drawing import Drawing, Row, spread
from sdtui.tui.widgets.trace import AXIS

_BELOW = 3
"""Rows under the bars: axis, marks, words."""


class Histogram(Drawing):
    """Bars over equal bins of the samples, with marks on the axis that are named and written out below.

    Args:
        title: What is counted.
        unit: Of the samples.
    """

    def __init__(
        self,
        title: str,
        unit: str,
        *,
        id: str | None = None,  # noqa: A002, textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._title, self._unit = title, unit
        self._samples: tuple[float, ...] = ()
        self._marks: tuple[tuple[str, float], ...] = ()

    def show(self, samples: Sequence[float], marks: Sequence[tuple[str, float]], title: str | None = None) -> None:
        """Shows these samples.

        Args:
            samples: In any order.
            marks: Names and places, ascending, such as ``("median", 10.4)``.
            title: Replaces the one there was.
        """
        self._samples, self._marks = tuple(samples), tuple(marks)
        self._title = self._title if title is None else title
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns title, bars, axis, marks and words."""
        title, count = spread(self._title, f"{len(self._samples):,} samples", width)
        head: Row = ((title, "title"), (count, "value"))
        if not self._samples:
            return [head]
        bins = plot.bin_samples(self._samples, max(1, width - AXIS))
        wide = max(1, (width - AXIS) // len(bins.counts))
        return [head, *self._bars(bins, wide, max(1, height - 1 - _BELOW)), *self._axis(bins, wide)]

    def _bars(self, bins: plot.Bins, wide: int, height: int) -> list[Row]:
        most = max(bins.counts)
        drawn = plot.bars(bins.counts, most, height, plot.BLOCKS if self.unicode else plot.ASCII_BLOCKS)
        labels = [f"{most:,}", *[""] * (height - 1)]
        return [
            ((f"{label:>{AXIS - 2}} {'┤' if label else '│'}", "label"), (_widened(row, wide), "graph"))
            for label, row in zip(labels, drawn, strict=True)
        ]

    def _axis(self, bins: plot.Bins, wide: int) -> list[Row]:
        columns = wide * len(bins.counts)
        line = ["─"] * columns
        names: list[tuple[int, str]] = []
        for name, place in self._marks:
            if bins.begin <= place <= bins.end:
                at = min(columns - 1, int((place - bins.begin) / ((bins.end - bins.begin) or 1) * columns))
                line[at] = "┴"
                names.append((at - len(name) // 2, name))
        last = f"{bins.end:.2f} {self._unit}"
        below = _placed([*names, (0, f"{bins.begin:.2f}"), (columns - len(last), last)], columns)
        return [
            ((f"{'0':>{AXIS - 2}} └", "label"), ("".join(line), "label")),
            ((" " * AXIS, ""), (below, "label")),
            ((self._words(bins), "value"),),
        ]

    def _words(self, bins: plot.Bins) -> str:
        words = [f"{name} {place:.2f}" for name, place in self._marks]
        if bins.above:
            words.append(f"{bins.above} above {bins.end:.2f}")
        return f"{' · '.join(words)} {self._unit}"


def _widened(row: str, wide: int) -> str:
    return "".join(character * wide for character in row)


def _placed(texts: Sequence[tuple[int, str]], width: int) -> str:
    """Writes each text where it belongs, unless an earlier one is there or beside it."""
    line = " " * width
    for wanted, text in texts:
        at = max(0, min(wanted, width - len(text)))
        if not line[max(0, at - 1) : at + len(text) + 1].strip():
            line = line[:at] + text + line[at + len(text) :]
    return line
