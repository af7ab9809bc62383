"""The home screen: the matrix, what the cursor is on, and the run that goes on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Container
from textual.screen import Screen
from textual.widgets import Footer, Input

from sdtui.model.cell import Slot
from sdtui.model.errors import UserError
from sdtui.tui import asking
from sdtui.tui.board import make_board
from sdtui.tui.detail import describe, first_words, no_match
from sdtui.tui.exporting import subject_of
from sdtui.tui.heading import batch_strip, filter_words, run_line, too_small, top_line
from sdtui.tui.keys import bindings
from sdtui.tui.screens.compare import Compare
from sdtui.tui.screens.export import Export
from sdtui.tui.screens.options import Options
from sdtui.tui.screens.presets import Presets
from sdtui.tui.screens.save import Save
from sdtui.tui.snapshot import RunView
from sdtui.tui.widgets.detail import Detail
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.live import Live
from sdtui.tui.widgets.matrix import Matrix

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Home(Screen[None]):
    """The matrix with its detail pane, and the live panel while a run goes on."""

    app: Dashboard

    BINDINGS = bindings("home")

    def __init__(self) -> None:
        super().__init__()
        self.batch_size: int | None = self.app.draft.batch_sizes[0]
        self.wanted = ""
        self.without_live = False

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="small")
        yield Lines(id="top")
        yield Lines(id="strip")
        with Container(id="body"):
            yield Matrix(id="matrix")
            yield Live(id="live")
            yield Detail(id="detail")
        yield Lines(id="run")
        asked = Input(id="filter", placeholder="pipelines, modes, environments: parts of their names", compact=True)
        asked.cursor_blink = False
        yield asked
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Shows what is known so far."""
        self.matrix.focus()
        self.query_one("#filter").display = False
        self._show()

    @property
    def matrix(self) -> Matrix:
        """The matrix."""
        return self.query_one(Matrix)

    # ----------------------------------------------------------------------------------------------------- showing

    def show(self) -> None:
        """Draws what has changed."""
        if self.is_mounted:
            self._show()

    def on_screen_resume(self) -> None:
        """Draws how the run has gone on meanwhile."""
        self.show()

    def _show(self) -> None:
        if self.batch_size is not None and self.batch_size not in self.app.draft.batch_sizes:
            self.batch_size = self.app.draft.batch_sizes[0]
        draft, comparer = self.app.draft, self.app.comparer
        board = make_board(draft, self.app.cells, self.app.torch, self.batch_size, self.wanted)
        self.matrix.board = comparer.shown_on(board, draft)
        self.query_one("#top", Lines).show(top_line(draft, self.app.machine, self.app.run_view, self.size.width))
        strip = batch_strip(draft, self.batch_size).append(filter_words(draft, board, self.wanted))
        self.query_one("#strip", Lines).show(strip.append(comparer.words, style="bold"))
        self._show_run()
        self._show_detail()

    def on_resize(self) -> None:
        """Fits the lines to the width, and says what a terminal lacks that is too small for the matrix."""
        self.query_one("#small", Lines).show(too_small(*self.size, self.app.run_view, self.app.key_of))
        self.show()

    def _show_run(self) -> None:
        run = self.app.run_view
        self.set_class(run is not None and run.is_live and not self.without_live, "-live")
        self.query_one("#run").display = run is not None
        if run is not None:
            self.query_one("#run", Lines).show(run_line(run))
            self.query_one(Live).show(run)

    def _show_detail(self) -> None:
        square, detail = self.matrix.square, self.query_one(Detail)
        app = self.app
        is_new = app.searched and not (app.results or app.followed or app.draft.selected)
        described = [first_words(self.app.key_of)] if is_new else []
        if square is None:
            described = [no_match(self.wanted, self.app.key_of)]
        else:
            draft, cells, key = self.app.draft, self.app.cells, self.app.key_of
            compared = self.app.comparer.told(draft.cells.get(square.slot))
            described.append(describe(draft, cells, square.slot, key, compared, self.app.torch))
        detail.show(*described)

    def on_matrix_moved(self) -> None:
        """Tells of the square under the cursor."""
        self._show_detail()

    def on_matrix_clicked(self) -> None:
        """Chooses the square."""
        self.action_select("cell")

    # ----------------------------------------------------------------------------------------------------- actions

    def action_move(self, rows: int, columns: int) -> None:
        """Moves the cursor."""
        self.matrix.action_move(rows, columns)

    def action_select(self, what: str) -> None:
        """Chooses, or no longer chooses, a square, its row or its column."""
        self.app.draft = self.app.draft.toggled(self._slots(what))
        self.show()

    def _slots(self, what: str) -> Iterable[Slot]:
        row, column = self.matrix.cursor
        rows = self.matrix.board.rows
        if not rows:
            return []
        if what == "row":
            return [square.slot for square in rows[row].squares]
        if what == "column":
            return [each.squares[column].slot for each in rows]
        return [rows[row].squares[column].slot]

    def go_to_selection(self) -> None:
        """Puts the cursor on the first selected square, and shows a batch size that has one."""
        sizes = [slot.batch_size for slot in self.app.draft.chosen]
        if sizes and self.batch_size not in (None, *sizes):
            self.batch_size = sizes[0]
        self.show()
        rows = enumerate(self.matrix.board.rows)
        places = ((row, column) for row, each in rows for column, square in enumerate(each.squares) if square.selected)
        self.matrix.cursor = next(places, self.matrix.cursor)

    def action_live(self) -> None:
        """Hides the panel of the run that goes on, or shows it again."""
        self.without_live = not self.without_live
        self._show_run()

    def action_batch(self) -> None:
        """Shows the next batch size; after the last all of them."""
        sizes: list[int | None] = [*self.app.draft.batch_sizes, None]
        self.batch_size = sizes[(sizes.index(self.batch_size) + 1) % len(sizes)]
        self.show()

    def action_presets(self) -> None:
        """Offers presets and plan files to begin with."""
        self.app.push_screen(Presets(), self.app.take)

    def action_options(self) -> None:
        """Asks for the plan's options."""
        try:
            self.app.push_screen(Options(self.app.draft), self.app.take_draft)
        except UserError as error:
            self.notify(str(error), severity="error", timeout=15, markup=False)

    def action_save_plan(self) -> None:
        """Saves what is selected as a plan file."""
        try:
            self.app.push_screen(Save(self.app.draft))
        except UserError as error:
            self.notify(str(error), title="cannot be saved", severity="error", timeout=15, markup=False)

    def action_run(self) -> None:
        """Runs what is chosen, or else the square under the cursor."""
        slots = self.app.draft.chosen or [slot for slot in self._slots("cell") if slot in self.app.draft.cells]
        if self.app.is_starting:
            self.notify("the run before is still starting", severity="warning", timeout=3)
        elif slots:
            self.notify(f"starting {len(slots)} {'cell' if len(slots) == 1 else 'cells'} …", timeout=3)
            self.app.start(slots)

    def action_tune(self) -> None:
        """Asks whether to look for the fastest mode for the pipeline and batch size under the cursor."""
        slot = next(iter(self._slots("cell")), None)
        if self.app.is_starting:
            self.notify("the run before is still starting", severity="warning", timeout=3)
        elif slot is not None:
            asking.tune(self.app, slot)

    def action_compare(self) -> None:
        """Asks what to compare with."""
        self.app.push_screen(Compare())

    def action_export(self) -> None:
        """Opens the export of the run that is shown, else of the runs that the figures come from."""
        subject = subject_of(self.app.run_view, self.app.cells, self.app.comparer.page_gpu)
        if subject is None:
            self.notify(f"nothing to export yet: {self.app.key_of('run.start')} measures what is selected", timeout=5)
        else:
            self.app.push_screen(Export(subject))

    def action_open_cell(self) -> None:
        """Opens the cell under the cursor in the run that knows it."""
        square = self.matrix.square
        cell = self.app.draft.cells.get(square.slot) if square else None
        view = self.app.cells.get(cell.id) if cell else None
        if view is None:
            self.notify(f"not measured yet: {self.app.key_of('run.start')} measures it", timeout=5)
        elif view.run is None and view.text:
            self.notify(f"not run; {self.app.key_of('run.start')} measures it once it is selected", timeout=5)
        elif view.run is None:
            self.notify(f"queued: nothing of it is known yet; {self.app.key_of('run.skip')} skips it", timeout=5)
        else:
            from sdtui.tui.screens.cell import CellScreen

            self.app.push_screen(CellScreen(view.run, view.id))

    def action_runs(self) -> None:
        """Shows all runs."""
        from sdtui.tui.screens.runs import Runs

        self.app.push_screen(Runs())

    def action_cancel(self) -> None:
        """Asks whether to end the run that goes on."""
        run = self._live_run()
        if run is not None:
            asking.cancel(self.app, run.folder)

    def action_skip(self) -> None:
        """Leaves out the cell under the cursor, or where that has ended or is none, the one that runs."""
        run = self._live_run()
        if run is None:
            return
        square = self.matrix.square
        cell = run.cells.get(self.app.draft.cells[square.slot].id) if square and square.kind != "unfit" else None
        if cell is None or cell.state == "finished":
            cell = run.cells[run.live.cell] if run.live else None
        if cell is None:
            self.notify("no cell runs, and none that is queued is under the cursor", severity="warning")
        else:
            asking.skip(self.app, run.folder, cell)

    def _live_run(self) -> RunView | None:
        """Returns the run that goes on; says so where there is none."""
        run = self.app.live_run
        if run is None:
            words = f"no run goes on here; {self.app.key_of('runs.open')} lists all runs"
            self.notify("the run is still starting" if self.app.is_starting else words, severity="warning", timeout=5)
            return None
        return run

    def action_filter(self) -> None:
        """Asks for a text that rows or columns must hold."""
        asked = self.query_one("#filter", Input)
        asked.display = True
        asked.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filters while it is typed."""
        self.wanted = event.value
        self.show()

    def action_back(self) -> None:
        """Takes the filter away."""
        self.query_one("#filter", Input).value = ""
        self.on_input_submitted()

    def on_input_submitted(self) -> None:
        """Goes back to the matrix."""
        self.query_one("#filter").display = False
        self.matrix.focus()

    async def action_quit(self) -> None:
        """Leaves; a run goes on."""
        self.app.exit()
