"""What all drawings share: rows of a few pieces, of which only those are sent that have changed."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from sdtui.tui.terminal import draws_unicode

Piece = tuple[str, str]
"""A text, and the part of the drawing it belongs to: the end of a component class, or empty for the widget's own."""

Row = tuple[Piece, ...]
"""From left to right; what is too long is cut off."""


class Drawing(Widget):
    """Draws rows; a class of it says which in `draw`, and calls `redraw` when its data is another.

    Attributes:
        unicode: Whether a graph may be of blocks and dots; what else is not ASCII, `sdtui.tui.plain` makes so.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "drawing--title",
        "drawing--label",
        "drawing--value",
        "drawing--graph",
        "drawing--load",
        "drawing--rest",
        "drawing--warning",
    }

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id, classes=classes)
        self.unicode = draws_unicode()
        self._rows: list[Row] = []

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns the rows for a size, the highest first; missing ones are blank."""
        raise NotImplementedError

    def redraw(self) -> None:
        """Draws anew, and sends the rows that have changed."""
        width, height = self.content_size
        if width <= 0 or height <= 0:
            return
        before, self._rows = self._rows, self.draw(width, height)[:height]
        for y in range(height):
            if self._row(y) != (before[y] if y < len(before) else ()):
                self.refresh(Region(0, y, width, 1))

    def on_resize(self) -> None:
        """Draws for the new size."""
        self.redraw()

    def render_line(self, y: int) -> Strip:
        """Draws one row."""
        segments = [Segment(text, self._style(part)) for text, part in self._row(y) if text]
        return Strip(segments).adjust_cell_length(self.content_size.width, self.rich_style)

    def _row(self, y: int) -> Row:
        return self._rows[y] if y < len(self._rows) else ()

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"drawing--{part}") if part else self.rich_style


def spread(left: str, right: str, width: int) -> tuple[str, str]:
    """Puts one text at each end of a row; the left one is cut off where both do not fit."""
    room = max(0, width - cell_len(right))
    shown = left if cell_len(left) < room else set_cell_size(left, max(0, room - 1))
    return set_cell_size(shown, room), right


def beside(left: Row, right: Row, width: int) -> Row:
    """Puts one row beside another, which begins after so many columns and a gap of two."""
    text = "".join(text for text, _ in left)
    return (*left, (" " * max(0, width + 2 - cell_len(text)), ""), *right)
