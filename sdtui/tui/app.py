"""The dashboard's app: what all screens share, and the threads behind them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from textual.app import App, SystemCommand
from textual.reactive import reactive
from textual.screen import Screen

from sdtui import runs, settings
from sdtui.catalog.load import Catalog
from sdtui.model.cell import Slot
from sdtui.model.errors import UserError
from sdtui.report.text import Torch
from sdtui.settings import Settings
from sdtui.tui import asking, bridge, run_threads
from sdtui.tui.commands import Runs, commands
from sdtui.tui.comparing import Against, Comparer, OtherRun
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.hang_up import on_hang_up
from sdtui.tui.heading import LEAST, ended_words, left_out_words
from sdtui.tui.keys import bindings
from sdtui.tui.known import Results, known_cells, torch_of
from sdtui.tui.messages import (
    LaunchRefused,
    LiveRunsFound,
    MachineSeen,
    RatiosFound,
    ReportRefused,
    ReportWritten,
    ResultsFound,
    RunChanged,
    RunLaunched,
    TablesReady,
    Told,
)
from sdtui.tui.screens.export import Export
from sdtui.tui.screens.home import Home
from sdtui.tui.snapshot import CellView, RunView
from sdtui.tui.styled_app import StyledApp
from sdtui.tui.terminal import announcement, copied_words
from sdtui.tui.threads import Cancelled, in_thread

if TYPE_CHECKING:
    from sdtui.tui.protocols import ImageWidget

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Opening:
    """What the dashboard is opened with.

    Attributes:
        runs_dir: Where runs live.
        catalog: What there is to measure.
        gpu: Whether there is a usable GPU.
        follow: Folder of a run to open at once.
        replay_speed: Plays that run as if live, so many times faster; ``None`` opens it as it is.
        settings: What the person set.
        images: Draws them by a protocol of the terminal's; ``None`` has characters do it.
        problem: Why what is the person's own is not in the catalog; empty where it is.
    """

    runs_dir: Path
    catalog: Catalog
    gpu: bool
    follow: Path | None = None
    replay_speed: float | None = None
    settings: Settings = field(default_factory=settings.load)
    images: ImageWidget | None = None
    problem: str = ""


class Dashboard(StyledApp):
    """The dashboard.

    What is wrong with themes is a toast.

    Attributes:
        draft: What is chosen to run.
        run_view: The run that is shown; ``None`` where none is.
        results: What earlier runs know of cells, by id.
        searched: Whether earlier runs were read.
        machine: As it was looked up; ``None`` before.
        comparer: What the matrix is compared with.
    """

    TITLE = "sdtui"
    BINDINGS = bindings("everywhere")
    COMMANDS = App.COMMANDS | {Runs}
    CSS_PATH = [
        _HERE / "app.tcss",
        _HERE / "screens" / "home.tcss",
        *sorted((_HERE / "widgets").glob("*.tcss")),
    ]
    HORIZONTAL_BREAKPOINTS = [(0, "-cramped"), (LEAST[0], "-narrow"), (100, "-medium"), (150, "-wide")]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (LEAST[1], "-short"), (30, "-tall")]

    run_view: reactive[RunView | None] = reactive(None, repaint=False, always_update=True)

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening.settings)
        self.opening = opening
        self.draft: Draft = self._first_draft()
        self.results = Results()
        self.searched = False
        self.machine: MachineSeen | None = None
        self.comparer = Comparer(self.in_thread)
        self._followed: Path | None = None
        self._replays = False
        self._waiting: list[Path] = []

    def _first_draft(self) -> Draft:
        preset = "docs" if self.opening.gpu else "demo"
        return make_draft(self.opening.catalog, preset, {}, self.opening.gpu).with_selection_of(())

    def get_default_screen(self) -> Screen[None]:
        """Returns the screen with the matrix: one below it would be laid out and painted too."""
        return Home()

    def on_mount(self) -> None:
        """Looks at what takes longer once the matrix is painted."""
        on_hang_up(self.exit)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.exit)
        for problem in self.theme_problems:
            self.notify(problem, title="theme", severity="warning", timeout=15, markup=False)
        if self.opening.problem:
            title = "without modes and pipelines of your own"
            self.notify(self.opening.problem, title=title, severity="warning", timeout=15, markup=False)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._look()
        self._find_results()
        if self.opening.follow is None:
            self.in_thread("live", run_threads.find_live, self.opening.runs_dir)
        else:
            self.open_run(self.opening.follow, self.opening.replay_speed)

    def get_system_commands(self, screen: Screen[Any]) -> Iterator[SystemCommand]:
        """Yields what the command palette finds beside runs."""
        return commands(self, screen)

    def in_thread(
        self,
        group: str,
        function: Callable[..., None],
        *arguments: Any,
        cancellable: bool = False,
        screen: Screen[Any] | None = None,
    ) -> None:
        """Runs a function of `sdtui.tui.bridge` in a thread; a later one of the same group ends it.

        Args:
            group: Of threads of which one runs at a time.
            function: Takes the arguments, ``post``, and ``cancelled`` where it is cancellable.
            arguments: Its first ones.
            cancellable: Whether it asks if it is to end; the app ends without waiting for it.
            screen: Gets the messages, and ends the thread when it is closed; ``None`` is the app.
        """
        owner = screen or self

        def work(cancelled: Cancelled) -> None:
            try:
                function(*arguments, owner.post_message, *((cancelled,) if cancellable else ()))
            except UserError as error:
                self.post_message(Told(str(error), "error"))
            except OSError as error:  # a folder that is gone, or not ours to read
                self.post_message(
                    Told(": ".join(filter(None, (error.filename, error.strerror))) or str(error), "error")
                )

        owner.run_worker(in_thread(work, lasting=cancellable), group=group, exclusive=True)

    @property
    def cells(self) -> dict[str, CellView]:
        """What is known of cells, by id: of the run that is shown, else of earlier ones of this device and torch."""
        return known_cells(self.results, self.run_view, self.machine)

    def take(self, source: str | None) -> None:
        """Begins anew with a preset or plan file, its cells selected; ``None`` leaves things as they are."""
        if source is None:
            return
        try:
            self.take_draft(make_draft(self.opening.catalog, source, {}, self.opening.gpu))
        except UserError as error:
            self.notify(str(error), title="cannot be used here", severity="error", timeout=15, markup=False)
            return
        if isinstance(self.screen, Home):
            self.screen.go_to_selection()

    def take_draft(self, draft: Draft | None) -> None:
        """Shows another draft, and looks at its device and environments; ``None`` leaves things as they are."""
        if draft is None:
            return
        before, self.draft = self.draft, draft
        if (before.plan.device, before.environments) != (draft.plan.device, draft.environments):
            self._look()
        self._changed()

    def _find_results(self) -> None:
        self.in_thread("results", bridge.find_results, self.opening.runs_dir, cancellable=True)

    def _look(self) -> None:
        self.in_thread("look", bridge.look, self.draft.plan.device, self.draft.environments, cancellable=True)

    @property
    def torch(self) -> dict[str, Torch]:
        """The torch of each environment: of the run that is shown, else as it is here now."""
        return torch_of(self.run_view, self.machine)

    # -------------------------------------------------------------------------------------------------------- runs

    @property
    def followed(self) -> tuple[Path, ...]:
        """The run that is shown, and those that are shown after it."""
        return (*filter(None, [self._followed]), *self._waiting)

    def show_run(self, folder: Path) -> None:
        """Shows a run in the matrix, over which nothing stays."""
        while not isinstance(self.screen, Home):
            self.pop_screen()
        self.open_run(folder)

    @property
    def live_run(self) -> RunView | None:
        """The run that is shown, where it goes on; a replay does not."""
        return self.run_view if self.run_view is not None and self.run_view.is_live and not self._replays else None

    @property
    def is_starting(self) -> bool:
        """Whether a run was asked for that does not go on yet."""
        return any(worker.group == "launch" and not worker.is_finished for worker in self.workers)

    def start(self, slots: Iterable[Slot]) -> None:
        """Starts a run of these slots with the draft's options."""
        overrides = self.draft.to_run(slots)
        self.in_thread("launch", bridge.launch, self.draft.source, overrides, self.opening.runs_dir)

    def tune(self, slot: Slot) -> None:
        """Starts a run that looks for the fastest mode for a slot's pipeline, with the draft's options."""
        draft, runs_dir = self.draft, self.opening.runs_dir
        self.in_thread("launch", bridge.tune, slot.pipeline, draft.source, draft.to_tune(slot), runs_dir)

    def resume(self, folder: Path, retry: str | None) -> None:
        """Starts a further sitting of a run; ``retry`` names statuses whose cells run again, as ``--retry`` does."""
        self.in_thread("launch", bridge.resume, folder, retry)

    def open_run(self, folder: Path, replay_speed: float | None = None) -> None:
        """Shows a run: follows it while it lives, and takes its plan for the matrix.

        Args:
            folder: Of the run.
            replay_speed: Plays it as if it were live, so many times faster; ``None`` shows it as it is.
        """
        try:
            plan = make_draft(self.opening.catalog, str(folder / runs.PLAN), {}, gpu=True)
        except UserError as error:
            self.notify(str(error), title=f"plan of run {folder.name}", severity="warning", markup=False)
        else:
            self.draft = plan.with_selection_of(())
        self._follow(folder, replay_speed)

    def _follow(self, folder: Path, replay_speed: float | None = None) -> None:
        self._followed, self.run_view, self._replays = folder, None, replay_speed is not None
        if replay_speed is None:
            self.in_thread("follow", bridge.follow, folder, cancellable=True)
        else:
            self.in_thread("follow", bridge.replay, folder, replay_speed, cancellable=True)
        self._changed()

    def forget(self, folder: Path) -> None:
        """Lets go of a run that was deleted: of its figures, and where the matrix has its plan, of that."""
        self.results.forget(folder)
        if self._followed == folder:
            self._followed, self.run_view = None, None
        if self.comparer.against == OtherRun(folder):
            self.comparer.against = None
        if Path(self.draft.source) == folder / runs.PLAN:
            self.draft = self._first_draft()
            self._look()
        self._find_results()  # of older runs, which it may have hidden
        self._changed()

    # ---------------------------------------------------------------------------------------------------- messages

    def on_run_changed(self, message: RunChanged) -> None:
        """Shows how far the run is, and after its end the next one that was started meanwhile."""
        if message.view.folder != self._followed:
            return
        was_live, self.run_view = self.run_view is not None and self.run_view.is_live, message.view
        self.results.add(message.view.cells.values())
        self._changed(beneath=not message.view.is_live)
        if was_live and not message.view.is_live:
            self._announce(message.view)
        if self._waiting and not message.view.is_live:
            self._follow(self._waiting.pop(0))

    def _announce(self, run: RunView) -> None:
        """Says that the followed run has ended, beyond the screen too; a replay ends on the screen alone."""
        words = ended_words(run)
        severity: Literal["information", "warning"] = "information" if run.state == "ok" else "warning"
        self.notify(words, title="run ended", severity=severity, timeout=15, markup=False)
        if self.opening.settings.notify and not self._replays and self._driver is not None:
            self._driver.write(announcement(words))

    def on_run_launched(self, message: RunLaunched) -> None:
        """Follows the run that was started, at once or after the one that goes on."""
        self.draft = self.draft.with_selection_of(())
        if message.left_out:
            self.notify(left_out_words(message.left_out), title="not tried out", timeout=10, markup=False)
        if self.live_run is not None and message.folder != self._followed:
            self._waiting.append(message.folder)
            self.notify(f"run {runs.short(message.folder)} waits for the device, and is shown when this one has ended")
            self._changed()
        elif message.is_shown_whole:
            self.open_run(message.folder)
        else:
            self._follow(message.folder)

    def on_launch_refused(self, message: LaunchRefused) -> None:
        """Says why a run did not start."""
        self.notify(message.reason, title="not started", severity="error", timeout=15, markup=False)

    def on_machine_seen(self, message: MachineSeen) -> None:
        """Says where sdtui is."""
        self.machine = message
        if message.problem:
            self.notify(message.problem, severity="warning", timeout=15, markup=False)
        self._changed()

    def on_live_runs_found(self, message: LiveRunsFound) -> None:
        """Offers to follow one of them, unless something else was begun meanwhile."""
        if self._followed is None and isinstance(self.screen, Home):
            asking.offer_to_follow(self, message.lines)

    def on_told(self, message: Told) -> None:
        """Says it."""
        self.notify(
            message.text, severity=message.severity, timeout=15 if message.severity == "error" else 5, markup=False
        )

    def on_results_found(self, message: ResultsFound) -> None:
        """Fills the matrix with what earlier runs measured."""
        known, self.results, self.searched = self.results, Results(), True
        self.results.add((*message.views, *known))  # a run that was followed has judged its cells
        self._changed()

    def on_report_written(self, message: ReportWritten) -> None:
        """Says where the export lies."""
        self.notify(str(message.path), title="report written", timeout=12, markup=False)
        if isinstance(self.screen, Export):
            self.screen.dismiss()

    def on_report_refused(self, message: ReportRefused) -> None:
        """Says why there is none, where it was asked for if that is still open."""
        if isinstance(self.screen, Export):
            self.screen.refused(message.reason)
        else:
            self.notify(message.reason, title="not exported", severity="error", timeout=15, markup=False)

    def on_tables_ready(self, message: TablesReady) -> None:
        """Copies tables to the terminal's clipboard."""
        self.copy_to_clipboard(message.markdown)
        self.notify(copied_words(message.markdown), title="tables copied as Markdown", timeout=8, markup=False)

    def on_ratios_found(self, message: RatiosFound) -> None:
        """Shows ratios to another run."""
        self.comparer.take(message)
        if message.problem:
            self.notify(message.problem, title="not compared", severity="error", timeout=15, markup=False)
        self._changed()

    def compare_with(self, against: Against | None) -> None:
        """Compares the matrix with something else; with nothing, shows its figures."""
        self.comparer.against = against
        self._changed()

    def _changed(self, beneath: bool = True) -> None:
        """Draws the matrix; beneath another screen that sends all of that one anew: too much four times a second."""
        self.comparer.update(self.cells)
        for screen in self.screen_stack:
            if isinstance(screen, Home) and (beneath or screen is self.screen):
                screen.show()
