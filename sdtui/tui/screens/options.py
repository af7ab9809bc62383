"""The options of the plan, as one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import Footer

from sdtui.model.errors import UserError
from sdtui.tui import bridge
from sdtui.tui.draft import Draft
from sdtui.tui.keys import bindings
from sdtui.tui.messages import ChoicesFound
from sdtui.tui.options import overrides, own_values, problems, sections, typed_of
from sdtui.tui.widgets.form import Form
from sdtui.tui.widgets.lines import Lines

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


class Options(ModalScreen[Draft | None]):
    """Gives the draft with the options that were taken; ``None`` where it was left.

    Raises:
        UserError: The draft's plan file can no longer be read.
    """

    app: Dashboard

    CSS_PATH = "options.tcss"
    BINDINGS = bindings("options")

    def __init__(self, draft: Draft) -> None:
        super().__init__()
        self.draft = draft
        self.typed = typed_of(draft)
        self.own: Mapping[str, Any] = own_values(draft, self.typed)
        self.wrong: Mapping[str, str] = {}
        self._devices: Mapping[str, str] = {}
        self._environments: Mapping[str, str] = {}

    def compose(self) -> ComposeResult:
        """Lays out the screen."""
        yield Lines(id="title")
        yield Form(id="form")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        """Shows what is typed so far, and looks for devices and environments."""
        self._show()
        self.app.in_thread("choices", bridge.find_choices, cancellable=True, screen=self)

    def on_choices_found(self, message: ChoicesFound) -> None:
        """Offers the devices and environments that there are."""
        self._devices, self._environments = message.devices, message.environments
        if message.problem:
            self.notify(message.problem, severity="warning", timeout=15, markup=False)
        self._show()

    @property
    def form(self) -> Form:
        """The form."""
        return self.query_one(Form)

    def _show(self) -> None:
        """Checks what is typed, and says what comes of it."""
        try:
            self.own = own_values(self.draft, self.typed)
            self.wrong = problems(self.draft, self.typed)
        except UserError as error:
            self.wrong = {"": str(error)}
        shown = sections(self.draft, self.typed, self.own, self.wrong, self._devices, self._environments)
        self.form.show(shown)
        self.query_one("#title", Lines).show(self._title())

    def _title(self) -> Text:
        changed = len([value for value in self.typed.values() if value])
        words = [f"options of plan {self.draft.name}", f"{changed} changed" if changed else "none changed"]
        shown = {item.key for item in self.form.items}
        others = [f"✗ {problem}" for key, problem in self.wrong.items() if key not in shown]
        return Text(" ").append("sdtui", "bold").append("  " + " · ".join([*words, *others]))

    # --------------------------------------------------------------------------------------------------------- typing

    def on_form_changed(self, event: Form.Changed) -> None:
        """Takes what was typed, chosen or ticked; the plan's own value is no change."""
        key, own = event.item.key, self.own[event.item.key]
        if event.item.kind == "tick":
            names = tuple(
                item.label
                for item in self.form.items
                if item.key == key and (event.value if item.label == event.item.label else item.typed)
            )
            self.typed[key] = "" if names == own else names
        else:
            self.typed[key] = "" if event.value.strip() == own else event.value
        self._show()

    # -------------------------------------------------------------------------------------------------------- actions

    def action_take(self) -> None:
        """Takes the options, or goes to the first that is wrong."""
        wrong = [index for index, item in enumerate(self.form.items) if item.key in self.wrong]
        if wrong:
            self.form.go_to(wrong[0])
            count = len({self.form.items[index].key for index in wrong})
            self.notify(f"{count} {'value is' if count == 1 else 'values are'} wrong", severity="error", timeout=3)
            return
        try:
            self.dismiss(self.draft.with_options(overrides(self.typed)))
        except UserError as error:
            self.notify(str(error), title="cannot be used here", severity="error", timeout=15, markup=False)

    def action_reset(self) -> None:
        """Takes the plan's own values again."""
        self.typed = {}
        self._show()
        self.form.go_to(0)

    def action_move(self, step: int) -> None:
        """Goes to the option before or after."""
        self.form.move(step)

    def action_step(self, step: int) -> None:
        """Chooses the value before or after, or ticks."""
        self.form.step(step)

    def action_back(self) -> None:
        """Leaves the options as they were."""
        self.dismiss(None)
