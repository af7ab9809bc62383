"""The matrix: pipelines by modes and environments, a table that is selection and result."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from sdtui.tui.board import FLAG, Board, BoardRow, Square

_HEADER = 2
_LABEL = range(14, 25)
_COLUMN = range(21, 37)
_GLYPHS = {"empty": "·", "unfit": "-", "queued": "◌", "running": "▶", "ok": " ", "ended": "✗"}


class Matrix(ScrollView, can_focus=True, inherit_bindings=False):
    """Draws a board and moves a cursor on it; header and labels stay while columns and rows scroll.

    The cursor is drawn as brackets and the selection as a glyph, so that both are seen without colour.
    """

    COMPONENT_CLASSES = {
        "matrix--header",
        "matrix--label",
        "matrix--empty",
        "matrix--unfit",
        "matrix--queued",
        "matrix--running",
        "matrix--ok",
        "matrix--ended",
        "matrix--selected",
        "matrix--cursor",
        "matrix--speedup-1",
        "matrix--speedup-2",
        "matrix--speedup-3",
        "matrix--speedup-4",
    }

    board: reactive[Board] = reactive(Board((), ()), always_update=False, repaint=False)
    cursor: reactive[tuple[int, int]] = reactive((0, 0), repaint=False)

    class Moved(Message):
        """The cursor is on another square."""

    # ------------------------------------------------------------------------------------------------------- state

    @property
    def square(self) -> Square | None:
        """The square under the cursor; ``None`` on an empty board."""
        row, column = self.cursor
        rows = self.board.rows
        return rows[row].squares[column] if row < len(rows) and column < len(rows[row].squares) else None

    @property
    def row(self) -> BoardRow | None:
        """The row under the cursor."""
        return self.board.rows[self.cursor[0]] if self.cursor[0] < len(self.board.rows) else None

    def watch_board(self, before: Board, board: Board) -> None:
        """Redraws the rows that have changed."""
        if before.headers != board.headers or len(before.rows) != len(board.rows):
            self._fit()
            self.cursor = self._place_like(before)
            self.refresh()
            self.post_message(self.Moved())
            return
        for index, (was, row) in enumerate(zip(before.rows, board.rows, strict=True)):
            if was != row:
                self._refresh_row(index)

    def validate_cursor(self, cursor: tuple[int, int]) -> tuple[int, int]:
        """Keeps the cursor on the board."""
        return self._within(*cursor)

    def watch_cursor(self, before: tuple[int, int], cursor: tuple[int, int]) -> None:
        """Redraws both squares' rows and brings the cursor into view."""
        self._scroll_to_cursor()
        for row in {before[0], cursor[0]}:
            self._refresh_row(row)
        self.post_message(self.Moved())

    def _place_like(self, before: Board) -> tuple[int, int]:
        """Returns where the cursor goes on another board: to the same pipeline, and batch size where it is there."""
        row, column = self.cursor
        if row >= len(before.rows):
            return self._within(row, column)
        was, rows = before.rows[row], list(enumerate(self.board.rows))
        same = [index for index, each in rows if (each.pipeline, each.batch_size) == (was.pipeline, was.batch_size)]
        alike = [index for index, each in rows if each.pipeline == was.pipeline]
        return self._within(next(iter(same + alike), 0), column)

    def _within(self, row: int, column: int) -> tuple[int, int]:
        rows, columns = len(self.board.rows), len(self.board.headers)
        return max(0, min(row, rows - 1)), max(0, min(column, columns - 1))

    # ------------------------------------------------------------------------------------------------------ moving

    def action_move(self, rows: int, columns: int) -> None:
        """Moves the cursor."""
        row, column = self.cursor
        self.cursor = (row + rows, column + columns)

    def on_click(self, event: events.Click) -> None:
        """Puts the cursor where the mouse was clicked; a click on the cursor chooses the square."""
        x, y = event.x - self._label_width, event.y - _HEADER + round(self.scroll_y)
        if event.y < _HEADER or y >= len(self.board.rows) or x < 0:
            return
        clicked = (y, (x + round(self.scroll_x)) // self._column_width)
        if clicked[1] >= len(self.board.headers):
            return
        again = clicked == self.cursor
        self.cursor = clicked
        if again:
            self.post_message(self.Clicked())

    class Clicked(Message):
        """The square under the cursor was clicked."""

    # ----------------------------------------------------------------------------------------------------- drawing

    def on_resize(self) -> None:
        """Fits the columns to the width."""
        self._fit()

    @property
    def _label_width(self) -> int:
        longest = max((len(row.label) + len(row.mark) + bool(row.mark) for row in self.board.rows), default=0)
        return min(max(longest + 2, _LABEL.start), _LABEL.stop - 1)

    @property
    def _column_width(self) -> int:
        columns = max(1, len(self.board.headers))
        return max(_COLUMN.start, min(_COLUMN.stop - 1, (self.size.width - self._label_width) // columns))

    def _fit(self) -> None:
        width = self._label_width + self._column_width * len(self.board.headers)
        self.virtual_size = Size(width, _HEADER + len(self.board.rows))
        self._scroll_to_cursor()

    def _scroll_to_cursor(self) -> None:
        row, column = self.cursor
        width = self.size.width - self._label_width
        height = self.size.height - _HEADER
        if width <= 0 or height <= 0:
            return
        left, right = column * self._column_width, (column + 1) * self._column_width
        x = min(max(self.scroll_x, right - width), left)
        y = min(max(self.scroll_y, row + 1 - height), row)
        self.scroll_to(x, y, animate=False)

    def _refresh_row(self, index: int) -> None:
        y = _HEADER + index - round(self.scroll_y)
        if _HEADER <= y < self.size.height:
            self.refresh(Region(0, y, self.size.width, 1))

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is visible."""
        width = self.size.width
        if y < _HEADER:
            return self._header_line(y, width)
        index = y - _HEADER + round(self.scroll_y)
        if index >= len(self.board.rows):
            return Strip.blank(width, self.rich_style)
        row = self.board.rows[index]
        leads = index == 0 or self.board.rows[index - 1].pipeline != row.pipeline
        label_style = self.get_component_rich_style("matrix--label" if leads else "matrix--header")
        cells = [self._cell(square, (index, column)) for column, square in enumerate(row.squares)]
        return self._line(Segment(self._in_label(row.label, row.mark), label_style), cells, width)

    def _header_line(self, y: int, width: int) -> Strip:
        """Draws a line of the header; on its second, arrows point to columns that are out of sight."""
        style = self.get_component_rich_style("matrix--header")
        before = "←" if y and self.scroll_x > 0 else " "
        after = "→" if y and self.virtual_size.width - self.scroll_x > width else ""
        label = self._in_label("Pipeline" if y else "")[:-1] + before
        cells = [Segment(self._in_column(f"  {header[y]}"), style) for header in self.board.headers]
        line = self._line(Segment(label, style), cells, width - len(after))
        return Strip([*line, Segment(after, style)]) if after else line

    def _line(self, label: Segment, cells: list[Segment], width: int) -> Strip:
        scrolled = Strip(cells).crop(round(self.scroll_x), round(self.scroll_x) + width - self._label_width)
        return Strip([label, *scrolled]).adjust_cell_length(width, self.rich_style)

    def _cell(self, square: Square, place: tuple[int, int]) -> Segment:
        under = place == self.cursor
        left, right = "[]" if under else "  "
        mark = "●" if square.selected else _GLYPHS[square.kind]
        content = _fitted(square, self._column_width - 5)
        return Segment(f"{left}{mark} {content}{right} ", self._style(square, under))

    def _style(self, square: Square, under: bool) -> Style:
        name = f"speedup-{square.level}" if square.level else square.kind
        style = self.get_component_rich_style(f"matrix--{name}")
        if square.selected and not square.level:
            style += self.get_component_rich_style("matrix--selected", partial=True)
        if under:
            style += self.get_component_rich_style("matrix--cursor", partial=True)
        return style

    def _in_label(self, text: str, mark: str = "") -> str:
        return f"{set_cell_size(text, self._label_width - len(mark) - 1)}{mark} "

    def _in_column(self, text: str) -> str:
        room = self._column_width - 1
        return set_cell_size(text if cell_len(text) <= room else set_cell_size(text, room - 1) + "…", room) + " "


def _fitted(square: Square, room: int) -> str:
    """Returns a square's text at the left and its note at the right: a shorter text, or the flag alone, if need be."""
    texts = (square.text, *square.shorter)
    for note in dict.fromkeys((square.note, FLAG if FLAG in square.note else "", "")):
        for text in texts:
            if cell_len(text) + (1 + cell_len(note) if note else 0) <= room:
                return set_cell_size(text, room - cell_len(note)) + note
    return set_cell_size(texts[-1], room - 1) + "…"
