"""Saving the plan: what is selected, as a file that ``sdtui run`` takes."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from sdtui.model.errors import UserError
from sdtui.tui.draft import Draft
from sdtui.tui.exporting import target
from sdtui.tui.keys import bindings
from sdtui.tui.messages import PlanRefused, PlanWritten
from sdtui.tui.saving import DEFAULT_NAME, plan_of, words_of, write_plan
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Save(ModalScreen[None]):
    """Asks for a file, writes the plan in a thread, and closes when it is there.

    Args:
        draft: To be saved.

    Raises:
        UserError: It makes no plan.
    """

    app: Dashboard

    CSS_PATH = "save.tcss"
    BINDINGS = bindings("save")

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self._words = words_of(draft)
        self._plan = plan_of(draft)

    def compose(self) -> ComposeResult:
        """Lays out the dialog."""
        with Vertical(id="dialog") as dialog:
            dialog.border_title = "Save the plan"
            yield Label(self._words, id="words", markup=False)
            yield Label("File", id="file")
            path = Input(f"./{DEFAULT_NAME}", id="path", compact=True, select_on_focus=False)
            path.cursor_blink = False
            yield path
            yield Lines(id="notice")
            yield Label(f"enter saves · {self.app.key_of('back')} goes back", id="keys")

    def on_input_changed(self) -> None:
        """Says what will run it."""
        self._target()

    def _target(self) -> Path | None:
        """Returns the file that is named, or says why it is none."""
        notice = self.query_one("#notice", Lines)
        try:
            path = target(self.query_one(Input).value)
        except UserError as error:
            notice.add_class("-error").show(Text(f"✗ {error}"))
            return None
        notice.remove_class("-error").show(Text(f"sdtui run {_command_name(path)} will measure it"))
        return path

    def on_input_submitted(self) -> None:
        """Writes the file."""
        self._write(replace=False)

    def _write(self, replace: bool) -> None:
        path = self._target()
        if path is not None:
            self.app.in_thread("save", write_plan, self._plan, path, replace, screen=self)

    def on_plan_written(self, message: PlanWritten) -> None:
        """Says where it lies and what runs it."""
        run = f"sdtui run {_command_name(message.path)}"
        self.app.notify(f"{message.path}\n{run}", title="plan saved", timeout=12, markup=False)
        self.dismiss()

    def on_plan_refused(self, message: PlanRefused) -> None:
        """Says why nothing was written, or asks whether a file may be replaced."""
        if not message.taken:
            self.query_one("#notice", Lines).add_class("-error").show(Text(f"✗ {message.reason}"))
            return
        more = "Its content is lost then."
        self.app.push_screen(Confirm(f"{message.reason}. Replace it?", more, "Replace"), self._answered)

    def _answered(self, replace: bool | None) -> None:
        if replace:
            self._write(replace=True)

    def action_back(self) -> None:
        """Leaves; nothing is written."""
        self.dismiss()


def _command_name(path: Path) -> str:
    """Writes a path as a shell takes it, from the working directory where it lies below."""
    here = Path(os.getcwd())
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
