"""A question that is answered with yes or no."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from sdtui.tui.keys import bindings

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Confirm(ModalScreen[bool]):
    """Asks a question; what is not answered with yes is no.

    Args:
        question: In one line.
        more: What the answer leads to.
        yes: Words of the button that does it.
    """

    app: Dashboard

    CSS_PATH = "confirm.tcss"

    BINDINGS = bindings("confirm")

    def __init__(self, question: str, more: str = "", yes: str = "Yes") -> None:
        super().__init__()
        self._question = question
        self._more = more
        self._yes = yes

    def compose(self) -> ComposeResult:
        """Lays out the question."""
        with Vertical(id="box"):
            yield Static(self._question, id="question", markup=False)
            if self._more:
                yield Static(self._more, id="more", markup=False)
            with Horizontal(id="answers"):
                yield Button(f"No ({self.app.key_of('answer.no')})", id="no", compact=True)
                yield Button(f"{self._yes} ({self.app.key_of('answer.yes')})", id="yes", compact=True)

    def on_mount(self) -> None:
        """Enter means no until another answer is chosen."""
        self.query_one("#no").focus()

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Takes the answer that was chosen."""
        self.action_answer(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        """Takes the answer."""
        self.dismiss(yes)

    def action_back(self) -> None:
        """Takes no for the answer."""
        self.dismiss(False)
