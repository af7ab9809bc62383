"""The choice of what the matrix is compared with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sdtui.catalog.reference import load_reference
from sdtui.model.errors import UserError
from sdtui.report.text import moment
from sdtui.tui.columns import fit
from sdtui.tui.comparing import Against, OtherRun, PageGpu
from sdtui.tui.keys import bindings
from sdtui.tui.messages import RunsListed
from sdtui.tui.run_list import RunLine, RunList

_LONGEST_NAME = 22
"""Columns of what runs are called, at most."""

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Compare(ModalScreen[None]):
    """Lists nothing, the GPUs of the docs page, and the other runs: those that compare first."""

    app: Dashboard

    CSS_PATH = "compare.tcss"
    BINDINGS = bindings("compare")

    def __init__(self) -> None:
        super().__init__()
        self.choices: list[Against | None] = []

    def compose(self) -> ComposeResult:
        """Lays out the dialog."""
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = "Compare with"
            dialog.border_subtitle = f"enter takes it · {self.app.key_of('back')} leaves"
            yield OptionList(id="choices", compact=True)

    def on_mount(self) -> None:
        """Shows what is known at once, and looks for runs."""
        self._list = self.query_one("#choices", OptionList)
        self._add("nothing   ", "figures, shaded by speed-up over no-compile", None)
        self._head("The docs page (ratios of figures)")
        for gpu in load_reference().gpus:
            self._add(gpu, "", PageGpu(gpu))
        self._list.focus()

        self._find_runs()

    @work(thread=True)
    def _find_runs(self) -> None:
        try:
            lines = RunList(self.app.opening.runs_dir).look()
        except UserError as error:
            self.app.notify(str(error), severity="error", markup=False)
        else:
            self.post_message(RunsListed(lines))

    def on_runs_listed(self, message: RunsListed) -> None:
        """Lists the runs on the device of the matrix, then those on others, which do not compare."""
        run = self.app.run_view
        devices = {view.device for view in (run.cells if run else self.app.cells).values() if view.device}
        others = [each for each in message.lines if each.device and not (run and each.folder.name == run.folder.name)]
        width = min(max((len(each.short) for each in others), default=0) + 2, _LONGEST_NAME)
        for device in sorted({each.device for each in others}, key=lambda name: (name not in devices, name)):
            comparable = not devices or device in devices
            self._head(f"Runs on {device}" + ("" if comparable else ": another device, does not compare"))
            for each in others:
                if each.device == device:
                    self._add_run(each, comparable, width)

    def _add_run(self, run: RunLine, comparable: bool, width: int) -> None:
        words = f"{moment(run.started_at)[:16]}  {run.state:<11} {run.plan}"
        self._add(fit(run.short, width), words, OtherRun(run.folder), not comparable)

    def _head(self, words: str) -> None:
        self.choices.append(None)
        self._list.add_option(Option(Text(words, style="bold"), disabled=True))

    def _add(self, name: str, words: str, against: Against | None, disabled: bool = False) -> None:
        current = against == self.app.comparer.against
        line = Text("● " if current else "  ").append(name).append(words, style="dim")
        self.choices.append(against)
        self._list.add_option(Option(line, disabled=disabled))
        if current:
            self._list.highlighted = len(self.choices) - 1

    def action_move(self, lines: int) -> None:
        """Moves the cursor to the next that can be taken."""
        self._list.action_cursor_down() if lines > 0 else self._list.action_cursor_up()

    def action_back(self) -> None:
        """Leaves things as they are."""
        self.dismiss()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Compares with what was chosen."""
        self.app.compare_with(self.choices[event.option_index])
        self.dismiss()
