"""The export: a report of what the matrix shows, as a file or on the clipboard."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label, OptionList
from textual.widgets.option_list import Option

from sdtui.model.errors import UserError
from sdtui.tui import exporting
from sdtui.tui.exporting import FORMATS, Format, Subject
from sdtui.tui.keys import bindings
from sdtui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Export(ModalScreen[None]):
    """Asks for format and file, writes in a thread, and closes when the file is there."""

    app: Dashboard

    CSS_PATH = "export.tcss"
    BINDINGS = bindings("export")

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self.subject = subject
        self.format: Format = FORMATS[0]
        self.writing = False

    def compose(self) -> ComposeResult:
        """Lays out the dialog."""
        name = exporting.default_name(self.subject.device, self.format.suffix)
        with Vertical(id="dialog", classes="dialog") as dialog:
            dialog.border_title = "Export"
            yield Label(self.subject.device, id="device", markup=False)
            yield Label(self.subject.words, id="words", markup=False)
            if self.subject.reference:
                yield Label(f"beside the docs page's {self.subject.reference}, as compared", id="reference")
            yield OptionList(*(Option(_line(each, self.format)) for each in FORMATS), id="formats", compact=True)
            yield Label("File", id="file")
            yield Input(f"./{name}", id="path", compact=True)
            yield Lines(id="notice")
            yield OptionList(id="ask", compact=True)

    def on_mount(self) -> None:
        """Shows the first format, and where the file will lie."""
        self.query_one("#ask").display = False
        formats = self.query_one("#formats", OptionList)
        formats.highlighted = 0
        formats.focus()
        self._say_where()
        self._say_writing_keys()

    # ----------------------------------------------------------------------------------------------------- choosing

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Takes the format, and gives the file its ending."""
        if event.option_list.id == "formats":
            self.format = FORMATS[event.option_index]
            for index, each in enumerate(FORMATS):
                event.option_list.replace_option_prompt_at_index(index, _line(each, self.format))
            path = self.query_one("#path", Input)
            path.value = exporting.with_format(path.value, self.format)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Takes the format that the file's ending names."""
        self.format = exporting.format_of(event.value, self.format)
        self.query_one("#formats", OptionList).highlighted = FORMATS.index(self.format)
        self._say_where()

    def _say_where(self) -> None:
        try:
            path = exporting.target(self.query_one("#path", Input).value)
        except UserError as error:
            self._say(str(error), "error")
        else:
            self._say(f"in {_short(path.parent)}")

    def _say(self, words: str, kind: str = "") -> None:
        notice = self.query_one("#notice", Lines)
        notice.set_class(kind == "error", "-error")
        notice.show(Text(f"✗ {words}" if kind == "error" else words))

    def _say_writing_keys(self) -> None:
        self._say_keys("enter writes", f"{self.app.key_of('copy')} copies the tables", "tab file name")

    def _say_keys(self, *words: str) -> None:
        self.query_one("#dialog").border_subtitle = " · ".join((*words, f"{self.app.key_of('back')} back"))

    # ------------------------------------------------------------------------------------------------------ writing

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Writes, or takes the answer to what is to become of a file that is there."""
        if event.option_list.id == "formats":
            self._write()
        else:
            self._answered(event.option_index)

    def on_input_submitted(self) -> None:
        """Writes."""
        self._write()

    def _write(self) -> None:
        if self.writing:
            return
        try:
            path = exporting.target(self.query_one("#path", Input).value)
        except UserError as error:
            self._say(str(error), "error")
            return
        if exporting.taken(path, self.format):
            self._ask(path)
        else:
            self._begin(path, replace=False)

    def _begin(self, path: Path, replace: bool) -> None:
        self.writing = True
        self._say(f"writing {path.name} …")
        self.app.in_thread("export", exporting.write_report, self.subject, self.format, path, replace)

    def _ask(self, path: Path) -> None:
        """Asks before anything is replaced; what keeps the file stands first."""
        free = exporting.free_name(path, self.format)
        ask = self.query_one("#ask", OptionList)
        ask.clear_options()
        ask.add_options([Option(f"write {free.name} instead"), Option(f"replace {path.name}"), Option("go back")])
        ask.highlighted = 0
        ask.display = True
        ask.focus()
        self._say_keys("enter does it")
        self._say(f"{path.name} is there already.")

    def _answered(self, index: int) -> None:
        path = exporting.target(self.query_one("#path", Input).value)
        self._end_asking()
        if index == 0:
            free = exporting.free_name(path, self.format)
            typed = self.query_one("#path", Input)
            typed.value = os.path.join(os.path.dirname(typed.value.strip()), free.name)
            self._begin(free, replace=False)
        elif index == 1:
            self._begin(path, replace=True)

    def _end_asking(self) -> None:
        self.query_one("#ask").display = False
        self.query_one("#formats").focus()
        self._say_where()
        self._say_writing_keys()

    def refused(self, reason: str) -> None:
        """Says why nothing was written; what was typed stays."""
        self.writing = False
        self._say(reason, "error")

    # ------------------------------------------------------------------------------------------------------ actions

    def action_copy(self) -> None:
        """Copies the tables to the terminal's clipboard."""
        if not self.query_one("#ask").display:
            self.app.in_thread("copy", exporting.read_tables, self.subject)

    def action_back(self) -> None:
        """Takes back the question, or leaves."""
        if self.query_one("#ask").display:
            self._end_asking()
        else:
            self.dismiss()


def _line(fmt: Format, current: Format) -> Text:
    line = Text(f"{'●' if fmt is current else '○'} {fmt.label:<19}")
    line.append(fmt.words, style="dim")
    return line


def _short(path: Path) -> str:
    home, text = str(Path.home()), str(path)
    return "~" + text[len(home) :] if text == home or text.startswith(home + "/") else text
