"""A run's report, as it reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from sdtui import runs
from sdtui.tui import run_threads
from sdtui.tui.keys import bindings
from sdtui.tui.messages import PageLaidOut, ReportRead, Told
from sdtui.tui.terminal import draws_unicode
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.page import Page

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Preview(Screen[None]):
    """Shows the Markdown report of a run; tables that are wider than the terminal are scrolled sideways."""

    app: Dashboard

    CSS_PATH = "preview.tcss"

    BINDINGS = bindings("report")

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder = folder
        self.markdown = ""
        self.ready = False

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="top")
        yield Page(id="page")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Reads the run."""
        self.page.focus()
        self._say(" · reading …")
        self.app.in_thread("report", run_threads.read_report, self.folder, cancellable=True, screen=self)

    @property
    def page(self) -> Page:
        """The document."""
        return self.query_one(Page)

    def _say(self, more: str) -> None:
        line = Text(" ")
        line.append(f"report of run {runs.short(self.folder)}", "bold")
        self.query_one("#top", Lines).show(line.append(more))

    # ----------------------------------------------------------------------------------------------------- showing

    def on_report_read(self, message: ReportRead) -> None:
        """Lays it out."""
        self.markdown = message.markdown
        self._lay_out()

    def on_resize(self) -> None:
        """Lays it out for the new width."""
        self._lay_out()

    def _lay_out(self) -> None:
        if self.markdown:
            width = max(1, self.size.width - 3)
            arguments = (self.markdown, width, self.page.styles_of_parts, draws_unicode())
            self.app.in_thread("layout", run_threads.lay_out_page, *arguments, screen=self)

    def on_page_laid_out(self, message: PageLaidOut) -> None:
        """Shows it."""
        self.ready = True
        self._say(f" · {self.folder / 'report.md'}")
        self.page.show(message.lines)

    def on_told(self, message: Told) -> None:
        """Goes back where there is nothing to show."""
        self.dismiss()
        self.app.on_told(message)

    # ------------------------------------------------------------------------------------------------------ moving

    def action_scroll(self, columns: int, lines: int) -> None:
        """Scrolls."""
        self.page.scroll_relative(columns, lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scrolls by what is seen at once."""
        self.page.scroll_relative(y=pages * max(1, self.page.size.height - 1), animate=False)

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()
