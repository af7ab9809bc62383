"""How much of something is used."""

from __future__ import annotations

from sdtui.tui.widgets.drawing import Drawing, Row

_LEAST_BAR = 6


class Gauge(Drawing):
    """One row: label, a bar on a fixed axis with a mark at the peak, the figure in words, percent.

    Args:
        label: What is measured.
        label_width: Columns of the label, so that gauges below one another align.
        words_width: Columns of the figure in words, likewise.
    """

    def __init__(
        self,
        label: str,
        label_width: int = 6,
        words_width: int = 16,
        *,
        id: str | None = None,  # noqa: A002, textual's name
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._label, self._label_width, self._words_width = label, label_width, words_width
        self._share: float | None = None
        self._peak: float | None = None
        self._words = ""

    def show(self, share: float | None, words: str, peak: float | None = None) -> None:
        """Shows this figure.

        Args:
            share: Of the whole, 0 to 1; ``None`` is not available.
            words: The figure with its unit, such as ``12.3/80.0 GiB``.
            peak: The highest share so far; ``None`` marks none.
        """
        self._share, self._words, self._peak = share, words, peak
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:  # noqa: ARG002, one row is all
        """Returns the one row."""
        label = f"{self._label:<{self._label_width}} "
        percent = "" if self._share is None else f"{100 * self._share:.0f} %"
        words = f" {self._words:>{self._words_width}} {percent:>5}"
        room = width - len(label) - len(words)
        if room < _LEAST_BAR:
            return [((label, "label"), (words.strip(), "value"))]
        used, rest = self._bar(room)
        return [((label, "label"), (used, "graph"), (rest, "rest"), (words, "value"))]

    def _bar(self, width: int) -> tuple[str, str]:
        """Returns the used part and the rest; the peak is a mark in the rest."""
        full, half, empty, mark = "━╸╌┃" if self.unicode else "# -|"
        share = min(1.0, max(0.0, self._share or 0.0))
        halves = round(2 * width * share)
        used = full * (halves // 2) + (half if halves % 2 and self.unicode else "")
        rest = empty * (width - len(used))
        if self._peak is not None:
            at = min(width - 1, int(min(1.0, self._peak) * width)) - len(used)
            if at >= 0:
                rest = rest[:at] + mark + rest[at + 1 :]
        return used, rest
