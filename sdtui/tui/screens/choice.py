"""A question that is answered by taking one of several lines."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sdtui.tui.keys import bindings


class Choice(ModalScreen[int | None]):
    """Gives the index of the line that was taken, ``None`` where none was.

    Args:
        question: What is asked.
        lines: What there is to take; the first is highlighted.
        hint: What the keys do.
    """

    CSS_PATH = "choice.tcss"
    BINDINGS = bindings("choice")

    def __init__(self, question: str, lines: Sequence[str], hint: str) -> None:
        super().__init__()
        self._question = question
        self._lines = lines
        self._hint = hint

    def compose(self) -> ComposeResult:
        """Lists the lines."""
        shown = OptionList(*(Option(line) for line in self._lines), id="lines", markup=False)
        shown.border_title = self._question
        shown.border_subtitle = self._hint
        yield shown

    def on_mount(self) -> None:
        """Enter takes the first line until another is highlighted."""
        self.query_one(OptionList).highlighted = 0

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes it."""
        self.dismiss(event.option_index)

    def action_move(self, lines: int) -> None:
        """Moves the highlight."""
        shown = self.query_one(OptionList)
        shown.action_cursor_down() if lines > 0 else shown.action_cursor_up()

    def action_back(self) -> None:
        """Takes none."""
        self.dismiss(None)
