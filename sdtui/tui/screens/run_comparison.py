"""Two runs, compared stage by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import Screen
from textual.widgets import Footer

from sdtui import runs
from sdtui.tui import run_threads
from sdtui.tui.comparison_table import ComparisonTable
from sdtui.tui.keys import bindings
from sdtui.tui.messages import RunsCompared, Told
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class RunComparisonScreen(Screen[None]):
    """Says of each stage of each cell that both runs have whether B is faster than A, by how much and how sure."""

    app: Dashboard

    CSS_PATH = "run_comparison.tcss"

    BINDINGS = bindings("comparison")

    def __init__(self, a: Path, b: Path) -> None:
        super().__init__()
        self.a = a
        self.b = b
        self.table: ComparisonTable | None = None

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="top")
        yield Lines(id="counts")
        yield Rows(id="rows")
        yield Lines(id="detail")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Compares."""
        self.rows.focus()
        self._compare()

    @property
    def rows(self) -> Rows:
        """The lines."""
        return self.query_one(Rows)

    def _compare(self) -> None:
        self.query_one("#counts", Lines).show(Text(" comparing …"))
        self.app.in_thread("compare", run_threads.compare, self.a, self.b, cancellable=True, screen=self)

    # ----------------------------------------------------------------------------------------------------- showing

    def on_runs_compared(self, message: RunsCompared) -> None:
        """Shows what came out."""
        self.table = ComparisonTable(message.comparison)
        self.show()

    def on_told(self, message: Told) -> None:
        """Goes back where there is nothing to show."""
        self.dismiss()
        self.app.on_told(message)

    def on_resize(self) -> None:
        """Fits the columns to the width."""
        self.show()

    def show(self) -> None:
        """Draws what has changed."""
        top = Text.assemble(" A ", (runs.short(self.a), "bold"), "   B ", (runs.short(self.b), "bold"))
        self.query_one("#top", Lines).show(top.append("   speed of B over speed of A, by the median step"))
        if self.table is not None:
            self.query_one("#counts", Lines).show(Text(f" {self.table.counts}"))
            self.rows.show(*self.table.rows(self.size.width - 3))
            self.on_rows_moved()

    def on_rows_moved(self) -> None:
        """Tells of the line under the cursor."""
        if self.table is not None:
            self.query_one("#detail", Lines).show(self.table.describe(self.rows.key))

    # ----------------------------------------------------------------------------------------------------- actions

    def action_move(self, lines: int) -> None:
        """Moves the cursor."""
        self.rows.move(lines)

    def action_page(self, pages: int) -> None:
        """Moves the cursor by what is seen at once."""
        self.rows.move(pages * self.rows.page)

    def action_swap(self) -> None:
        """Compares the other way round."""
        self.a, self.b = self.b, self.a
        self.show()
        self._compare()

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()
