"""The runs screen: every run folder, and what can be done with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer, Input

from sdtui.tui import asking, run_threads
from sdtui.tui.keys import bindings
from sdtui.tui.messages import RunDeleted, RunsListed, Told
from sdtui.tui.run_list import RunLine
from sdtui.tui.run_table import describe_run, table
from sdtui.tui.screens.preview import Preview
from sdtui.tui.screens.run_comparison import RunComparisonScreen
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Runs(Screen[None]):
    """All runs of the directory, newest first."""

    app: Dashboard

    CSS_PATH = "runs.tcss"

    BINDINGS = bindings("runs")

    def __init__(self) -> None:
        super().__init__()
        self.lines: tuple[RunLine, ...] | None = None
        self.marked: list[Path] = []
        self.wanted = ""

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="top")
        yield Rows(id="rows")
        yield Lines(id="detail")
        yield Input(id="filter", placeholder="run, device, plan or state", compact=True)
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Lists the runs, and watches them."""
        self.rows.focus()
        self.query_one("#filter").display = False
        self.app.in_thread("list", run_threads.watch_list, self.app.opening.runs_dir, cancellable=True, screen=self)
        self.show()

    @property
    def rows(self) -> Rows:
        """The list."""
        return self.query_one(Rows)

    @property
    def line(self) -> RunLine | None:
        """The run under the cursor."""
        return next((line for line in self.lines or () if line.folder.name == self.rows.key), None)

    # ----------------------------------------------------------------------------------------------------- showing

    def on_runs_listed(self, message: RunsListed) -> None:
        """Shows the runs as they are now."""
        self.lines = message.lines
        there = {line.folder for line in message.lines}
        self.marked = [folder for folder in self.marked if folder in there]
        self.show()

    def on_told(self, message: Told) -> None:
        """Says it."""
        self.app.on_told(message)

    def on_resize(self) -> None:
        """Fits the columns to the width."""
        self.show()

    def show(self) -> None:
        """Draws what has changed."""
        if not self.is_mounted:
            return
        found = [line for line in self.lines or () if line.holds(self.wanted)]
        self.rows.show(*table(found, self.marked, self.size.width - 3))
        self.query_one("#top", Lines).show(self._top(len(found)))
        self._show_detail()

    def _top(self, found: int) -> Text:
        line = Text.assemble(" ", ("runs", "bold"), f"  {self.app.opening.runs_dir}")
        if self.lines is not None:
            line.append(f" · {found} of {len(self.lines)}" if self.wanted else f" · {len(self.lines)}")
        if self.wanted:
            line.append(f" · / {self.wanted}")
        if self.marked:
            line.append(f" · ● {len(self.marked)} marked")
        return line

    def _show_detail(self) -> None:
        line, key = self.line, self.app.key_of
        if line is not None:
            shown = describe_run(line)
        elif self.lines is None:
            shown = Text(" looking …")
        elif self.lines:
            shown = Text(f" No run matches; {key('back')} in the filter shows all.")
        else:
            words = f"{key('back')} goes back, {key('select.cell')} selects cells, {key('run.start')} measures them"
            shown = Text(f" There is no run yet: {words}.")
        self.query_one("#detail", Lines).show(shown)

    def on_rows_moved(self) -> None:
        """Tells of the run under the cursor."""
        self._show_detail()

    # ------------------------------------------------------------------------------------------------------ moving

    def action_move(self, lines: int) -> None:
        """Moves the cursor."""
        self.rows.move(lines)

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is seen at once."""
        self.rows.move(pages * self.rows.page)

    def action_mark(self) -> None:
        """Marks the run, or no longer: two that are marked can be compared, and the older mark makes room."""
        line = self.line
        if line is None:
            return
        if line.folder in self.marked:
            self.marked.remove(line.folder)
        else:
            self.marked = [*self.marked[-1:], line.folder]
        self.show()

    def action_filter(self) -> None:
        """Asks for a text that the lines must hold."""
        asked = self.query_one("#filter", Input)
        asked.display = True
        asked.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while it is typed."""
        self.wanted = event.value
        self.show()

    def on_input_submitted(self) -> None:
        """Goes back to the list."""
        self.query_one("#filter").display = False
        self.rows.focus()

    def action_back(self) -> None:
        """Goes back to the matrix; out of the filter, shows all runs again."""
        asked = self.query_one("#filter", Input)
        if asked.display:
            asked.value = ""
            self.on_input_submitted()
        else:
            self.app.pop_screen()

    # -------------------------------------------------------------------------------------------- what can be done

    def on_rows_chosen(self) -> None:
        """Opens the run that was clicked again."""
        self.action_open()

    def action_open(self) -> None:
        """Opens the run in the matrix."""
        line = self.line
        if line is not None:
            self.app.pop_screen()
            self.app.open_run(line.folder)

    def action_follow(self) -> None:
        """Opens a run that goes on."""
        line = self.line
        if line is not None and not line.is_live:
            self.notify(f"run {line.short} is not running; {self.app.key_of('run.open')} opens it", severity="warning")
        else:
            self.action_open()

    def action_compare(self) -> None:
        """Compares two marked runs, or the marked one with that under the cursor; the older one is A."""
        line, key = self.line, self.app.key_of
        folders = {*self.marked, *([line.folder] if line is not None and len(self.marked) < 2 else [])}
        if len(folders) < 2:
            self.notify(
                f"mark a run with {key('run.mark')}, then another, or go to it; {key('compare')} compares the two",
                severity="warning",
            )
        else:
            self.app.push_screen(RunComparisonScreen(*sorted(folders)))

    def action_report(self) -> None:
        """Shows the run's report."""
        line = self.line
        if line is not None:
            self.app.push_screen(Preview(line.folder))

    def action_cancel(self) -> None:
        """Asks whether to end the run."""
        line = self.line
        if line is None:
            return
        if not line.is_live:
            self.notify(f"run {line.short} is not running", severity="warning")
            return

        asking.cancel(self.app, line.folder)

    def action_resume(self) -> None:
        """Goes on with the run, and shows it in the matrix once it does."""
        line = self.line
        if line is None:
            return
        if line.is_live:
            self.notify(f"run {line.short} is running; f follows it", severity="warning")
        else:
            asking.resume(self.app, line)

    def action_delete(self) -> None:
        """Asks whether to delete the run."""
        line = self.line
        if line is not None:
            asking.delete(self.app, line, self)

    def on_run_deleted(self, message: RunDeleted) -> None:
        """Takes it off the list and out of the matrix."""
        self.notify(f"run {message.folder.name}: deleted")
        self.on_runs_listed(RunsListed(tuple(line for line in self.lines or () if line.folder != message.folder)))
        self.app.forget(message.folder)
