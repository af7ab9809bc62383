"""A list of lines with a cursor, drawn with as few bytes as they need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sdtui.tui.widgets.drawing import Piece

_CURSOR = ">"


@dataclass(frozen=True)
class Row:
    """One line of the list.

    Attributes:
        key: Tells it from the others; the cursor stays on it when lines come and go.
        pieces: In columns already; ``plain``, ``good``, ``warn``, ``bad``, ``active`` and ``quiet`` are the colours,
            which say no more than the text.
    """

    key: str
    pieces: tuple[Piece, ...]


class Rows(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws lines below a heading, and moves a cursor on them; the keys are the screen's."""

    COMPONENT_CLASSES = {
        "rows--heading",
        "rows--plain",
        "rows--good",
        "rows--bad",
        "rows--warn",
        "rows--active",
        "rows--quiet",
        "rows--cursor",
    }

    cursor: reactive[int] = reactive(0, repaint=False)

    class Moved(Message):
        """The cursor is on another line."""

    class Chosen(Message):
        """The line under the cursor was clicked."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id)
        self._heading = ""
        self._rows: tuple[Row, ...] = ()

    @property
    def key(self) -> str | None:
        """The key of the line under the cursor; ``None`` where there is none."""
        return self._rows[self.cursor].key if self.cursor < len(self._rows) else None

    def show(self, heading: str, rows: Sequence[Row]) -> None:
        """Shows these lines; draws those that have changed."""
        under, before, heading_before = self.key, self._rows, self._heading
        self._rows, self._heading = tuple(rows), heading
        if [row.key for row in before] != [row.key for row in rows] or heading != heading_before:
            self.virtual_size = Size(0, len(rows) + 1)
            self.cursor = next((index for index, row in enumerate(rows) if row.key == under), self.cursor)
            self.refresh()
            self.post_message(self.Moved())
            return
        for index, (was, row) in enumerate(zip(before, rows, strict=True)):
            if was != row:
                self._refresh_row(index)

    def validate_cursor(self, cursor: int) -> int:
        """Keeps the cursor on the list."""
        return max(0, min(cursor, len(self._rows) - 1))

    def watch_cursor(self, before: int, cursor: int) -> None:
        """Redraws both lines and brings the cursor into view."""
        height = max(1, self.size.height - 1)
        self.scroll_to(y=min(max(self.scroll_y, cursor + 1 - height), cursor), animate=False)
        self._refresh_row(before)
        self._refresh_row(cursor)
        self.post_message(self.Moved())

    def move(self, lines: int) -> None:
        """Moves the cursor."""
        self.cursor += lines

    @property
    def page(self) -> int:
        """How many lines are seen at once."""
        return max(1, self.size.height - 1)

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor where the mouse was clicked; a click on the cursor chooses the line."""
        clicked = event.y - 1 + round(self.scroll_y)
        if event.y < 1 or clicked >= len(self._rows):
            return
        again = clicked == self.cursor
        self.cursor = clicked
        if again:
            self.post_message(self.Chosen())

    def _refresh_row(self, index: int) -> None:
        y = 1 + index - round(self.scroll_y)
        if 1 <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is visible."""
        width, index = self.size.width, y - 1 + round(self.scroll_y)
        if y == 0:
            return self._line([(f"  {self._heading}", "heading")], width, "heading")
        if index >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        pieces = self._rows[index].pieces
        if index == self.cursor:
            return self._line([(f"{_CURSOR} {''.join(text for text, _ in pieces)}", "cursor")], width, "cursor")
        return self._line([("  ", "plain"), *pieces], width, "plain")

    def _line(self, pieces: Sequence[Piece], width: int, rest: str) -> Strip:
        segments = [Segment(text, self._style(part)) for text, part in pieces]
        return Strip(segments).adjust_cell_length(width, self._style(rest))

    def _style(self, part: str) -> Style:
        return self.get_component_rich_style(f"rows--{part}")
