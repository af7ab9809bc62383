"""One cell: its figures, calls, steps, telemetry, log, image and script."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import Screen
from textual.strip import Strip
from textual.widgets import Footer

from sdtui import runs
from sdtui.tui import cell_pages
from sdtui.tui.cell_reading import CellReading, ProcessReading, read_cell
from sdtui.tui.keys import bindings
from sdtui.tui.messages import CellRead, Told
from sdtui.tui.terminal import copied_words
from sdtui.tui.widgets.drawing import Row
from sdtui.tui.widgets.graphic import Graphic
from sdtui.tui.widgets.histogram import Histogram
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.page import Page
from sdtui.tui.widgets.picture import Picture
from sdtui.tui.widgets.timeline import Timeline
from sdtui.tui.widgets.trace import Graph, Trace

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard
    from sdtui.tui.snapshot import RunView

TABS = ("figures", "calls", "steps", "telemetry", "log", "image", "script")
_DRAWN = {"steps": "#steps", "telemetry": "#telemetry", "image": "#image"}
"""Tabs with a widget of their own; the others are pages of text."""
_REST_S = 2.0
"""Least between two readings of a cell that is followed."""
_REST = 20.0
"""Likewise, as a multiple of what a reading takes: long runs take a twentieth of a core too."""


class CellScreen(Screen[None]):
    """Shows a cell of a run's folder, in tabs; of a cell of several processes, samples of one at a time.

    While the run is followed, it is read again when the cell has moved on: after each call, and when it has ended.
    """

    app: Dashboard

    CSS_PATH = "cell.tcss"
    BINDINGS = bindings("cell")

    def __init__(self, folder: Path, cell: str) -> None:
        super().__init__()
        self.folder = folder
        self.cell = cell
        self.reading: CellReading | None = None
        self.tab = TABS[0]
        images = self.app.opening.images
        self.picture = Graphic(images, id="image") if images else Picture(id="image")
        self._process = self._stage = 0
        self._zoomed = False
        self._place: object = None
        self._began = 0.0
        self._resting = self._stale = False

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="top")
        yield Lines(id="tabs")
        yield Page(id="page")
        with Vertical(id="steps"):
            yield Histogram("", "ms", id="histogram")
            yield Trace(Graph("", "ms", whole=True), id="course")
        yield Timeline(id="telemetry")
        yield self.picture
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Reads the cell."""
        self._show()
        self.action_reload()
        self._place = self._place_in(self.app.run_view)
        self.watch(self.app, "run_view", self._follow, init=False)

    @property
    def page(self) -> Page:
        """The text of the tabs that are text."""
        return self.query_one(Page)

    @property
    def process(self) -> ProcessReading | None:
        """The process whose samples are shown."""
        return self.reading.processes[self._process] if self.reading else None

    # --------------------------------------------------------------------------------------------------- following

    def _follow(self, run: RunView | None) -> None:
        place = self._place_in(run)
        if place is None or place == self._place:
            return
        self._place, self._stale = place, True
        if not self._resting:
            self.action_reload()

    def _place_in(self, run: RunView | None) -> object:
        """Returns how far the cell is, call by call; ``None`` where the run is another."""
        if run is None or run.folder != self.folder or self.cell not in run.cells:
            return None
        view, live = run.cells[self.cell], run.live
        now = (live.name, live.phase, live.call, live.stage) if live and live.cell == self.cell else None
        return view.state, view.status, now

    def _rested(self) -> None:
        self._resting = False
        if self._stale:
            self.action_reload()

    # ----------------------------------------------------------------------------------------------------- showing

    def on_cell_read(self, message: CellRead) -> None:
        """Shows it, a log that was seen to its end as far as it goes now."""
        self.set_timer(max(_REST_S, _REST * (time.monotonic() - self._began)), self._rested)
        at_end = self.tab == "log" and self.page.is_vertical_scroll_end
        self.reading = message.cell
        self._process = min(self._process, len(message.cell.processes) - 1)
        self._show()
        if at_end:
            self.page.scroll_end(animate=False)

    def on_told(self, message: Told) -> None:
        """Goes back where there is nothing to show."""
        self.dismiss()
        self.app.on_told(message)

    def on_resize(self) -> None:
        """Lays text out for the new width."""
        self._show()

    def _show(self) -> None:
        self.query_one("#top", Lines).show(self._top())
        self.query_one("#tabs", Lines).show(self._tabs())
        shown = _DRAWN.get(self.tab, "#page")
        for part in ("#page", *_DRAWN.values()):
            self.query_one(part).display = part == shown and self.reading is not None
        if self.reading is None or self.process is None:
            return
        if self.tab == "steps":
            self._show_steps(self.process)
        elif self.tab == "telemetry":
            self._show_telemetry(self.process)
        elif self.tab == "image":
            self._show_image(self.process)
        else:
            self._show_text(self._rows(self.reading, self.process))

    def _top(self) -> Text:
        line = Text(" ", no_wrap=True, overflow="ellipsis")
        if self.reading is None:
            return line.append(f"{self.cell} · reading …")
        line.append(self.reading.title, "bold")
        line.append(f"   {self.reading.outcome}")
        if len(self.reading.processes) > 1 and self.process:
            last = self.reading.processes[-1].number
            line.append(f" · samples of process {self.process.number} of {last}")
        return line.append(f" · run {runs.short(self.folder)}")

    def _tabs(self) -> Text:
        line = Text(no_wrap=True)
        for tab in TABS:
            if tab == self.tab:
                line.append(f"[{tab}]", "bold")
            else:
                line.append(f" {tab} ", Style(meta={"@click": f"screen.show_tab('{tab}')"}))
        return line

    def _rows(self, reading: CellReading, process: ProcessReading) -> list[Row]:
        width = self.size.width - 3
        if self.tab == "calls":
            return cell_pages.calls(reading, width)
        if self.tab == "log":
            return cell_pages.log(process, str(self.folder), width)
        return cell_pages.script(reading, width) if self.tab == "script" else cell_pages.figures(reading, width)

    def _show_text(self, rows: Sequence[Row]) -> None:
        styles = {**self.page.styles_of_parts, "": self.page.rich_style}
        self.page.show([Strip([Segment(text, styles[part]) for text, part in row]) for row in rows])
        self.page.focus()

    def _show_steps(self, process: ProcessReading) -> None:
        histogram, course = self.query_one(Histogram), self.query_one(Trace)
        if not process.stages:
            histogram.show((), (), "no step was timed")
            course.show(())
            return
        steps = process.stages[self._stage % len(process.stages)]
        where = f"stage {steps.stage}, {steps.whose}" if len(process.stages) > 1 else steps.whose
        histogram.show(steps.samples, steps.marks, f"step times of {where}")
        course.show(steps.course, f"{len(steps.course):,} steps", Graph(f"in order, {where}", "ms", whole=True))

    def _show_telemetry(self, process: ProcessReading) -> None:
        window = process.measured if self._zoomed else None
        self.query_one(Timeline).show(process.series, process.bands, window)

    def _show_image(self, process: ProcessReading) -> None:
        if process.image is None:
            self.query_one("#image").display = False
            self.page.display = True
            self._show_text([((f"{self.folder} has no image of it", "quiet"),)])
        else:
            self.picture.show(process.image)

    # ----------------------------------------------------------------------------------------------------- actions

    def action_tab(self, tabs: int) -> None:
        """Shows the tab so many further on."""
        self.action_show_tab(TABS[(TABS.index(self.tab) + tabs) % len(TABS)])

    def action_show_tab(self, tab: str) -> None:
        """Shows a tab: a log at its end, other text at its beginning."""
        self.tab = tab
        self._show()
        if tab == "log":
            self.page.scroll_end(animate=False)
        else:
            self.page.scroll_home(animate=False)

    def action_process(self) -> None:
        """Shows the samples of the next process."""
        if self.reading:
            self._process = (self._process + 1) % len(self.reading.processes)
            self._show()

    def action_stage(self) -> None:
        """Shows the steps of the next stage."""
        self._stage += 1
        self._show()

    def action_zoom(self) -> None:
        """Shows the telemetry of the measured calls alone, or of the whole cell again."""
        self._zoomed = not self._zoomed
        self._show()

    def action_reload(self) -> None:
        """Reads the folder again, which a run that goes on has written to."""
        self._began, self._resting, self._stale = time.monotonic(), True, False
        self.app.in_thread("cell", read_cell, self.folder, self.cell, screen=self)

    def action_copy_script(self) -> None:
        """Copies the script to the terminal's clipboard."""
        if self.reading and self.reading.script:
            self.app.copy_to_clipboard(self.reading.script)
            self.notify(copied_words(self.reading.script), title="script copied", timeout=8, markup=False)

    def action_scroll(self, lines: int) -> None:
        """Scrolls."""
        self.page.scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scrolls by what is seen at once."""
        self.action_scroll(pages * max(1, self.page.size.height - 1))

    def action_back(self) -> None:
        """Goes back."""
        self.dismiss()
