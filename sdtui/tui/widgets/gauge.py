"""How much of something is used."""

from __future__ import annotations

from dataclasses import dataclass

from sdtui.tui.widgets.drawing import Drawing, Row

_LEAST_BAR = 4


@dataclass(frozen=True)
class Bar:
    """One row on a fixed axis: label, a bar with a mark at the peak, the figure in words, percent.

    Attributes:
        label: What is measured.
        label_width: Columns of the label, so that bars below one another align.
        words_width: Columns of the figure in words, likewise.
        part: Of the drawing.
    """

    label: str
    label_width: int = 8
    words_width: int = 14
    part: str = "graph"

    def row(self, share: float | None, words: str, width: int, peak: float | None = None, unicode: bool = True) -> Row:
        """Returns the row.

        Args:
            share: Of the whole, 0 to 1; ``None`` is not available, and then neither is a percentage.
            words: The figure with its unit, such as ``12.3/80.0 GiB``.
            width: In columns.
            peak: The highest share so far; ``None`` marks none.
            unicode: Whether lines can be drawn; ASCII otherwise.
        """
        label = f"{self.label:<{self.label_width}} "
        percent = "" if share is None else f"{100 * share:.0f} %"
        shown = f" {words:>{self.words_width}}  {percent:>5}"
        room = width - len(label) - len(shown)
        if room < _LEAST_BAR:
            return ((label, "label"), (f"{words} {percent}", "value"))
        used, rest = _bar(share or 0.0, peak, room, "━╸╌┃" if unicode else "# -|")
        return ((label, "label"), (used, self.part), (rest, "rest"), (shown, "value"))


def _bar(share: float, peak: float | None, width: int, glyphs: str) -> tuple[str, str]:
    """Returns the used part and the rest; the peak is a mark in the rest."""
    full, half, empty, mark = tuple(glyphs)
    halves = round(2 * width * min(1.0, max(0.0, share)))
    used = full * (halves // 2) + (half if halves % 2 else "").strip()
    rest = empty * (width - len(used))
    at = -1 if peak is None else min(width - 1, int(min(1.0, peak) * width)) - len(used)
    return used, rest if at < 0 else rest[:at] + mark + rest[at + 1 :]


class Gauge(Drawing):
    """Shows a `Bar`."""

    def __init__(
        self,
        bar: Bar,
        *,
        id: str | None = None,  # noqa: A002, textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._bar = bar
        self._share: float | None = None
        self._peak: float | None = None
        self._words = ""

    def show(self, share: float | None, words: str, peak: float | None = None) -> None:
        """Shows this figure; see `Bar.row`."""
        self._share, self._words, self._peak = share, words, peak
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:  # noqa: ARG002, one row is all
        """Returns the one row."""
        return [self._bar.row(self._share, self._words, width, self._peak, self.unicode)]
