"""The list of presets and plan files, one of which the matrix begins with."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sdtui.tui import bridge
from sdtui.tui.keys import bindings
from sdtui.tui.messages import PlansFound
from sdtui.tui.offers import Offer, presets

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard

_LONGEST_NAME = 24


class Presets(ModalScreen[str | None]):
    """Gives the source of the plan that was taken, ``None`` where none was."""

    app: Dashboard

    CSS_PATH = "presets.tcss"
    BINDINGS = bindings("presets")

    def __init__(self) -> None:
        super().__init__()
        self._offers: tuple[Offer, ...] = ()

    def compose(self) -> ComposeResult:
        """Lists the presets; plan files follow once they are read."""
        shown = OptionList(id="presets")
        shown.border_title = "take a preset or a plan file"
        shown.border_subtitle = f"enter takes it · {self.app.key_of('back')} leaves"
        yield shown

    def on_mount(self) -> None:
        """Begins with the plan that is shown."""
        self._add(presets(self.app.opening.catalog, self.app.opening.gpu))
        known = self.app.opening.catalog, self.app.opening.gpu
        self.app.in_thread("plans", bridge.find_plans, Path(), *known, cancellable=True, screen=self)

    def on_plans_found(self, message: PlansFound) -> None:
        """Adds the plan files."""
        self._add(message.offers)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes it."""
        self.dismiss(event.option_id)

    def action_move(self, lines: int) -> None:
        """Moves the highlight to the next that can be taken."""
        shown = self.query_one(OptionList)
        shown.action_cursor_down() if lines > 0 else shown.action_cursor_up()

    def action_back(self) -> None:
        """Leaves things as they are."""
        self.dismiss(None)

    def _add(self, offers: Iterable[Offer]) -> None:
        shown = self.query_one(OptionList)
        current = shown.highlighted_option.id if shown.highlighted_option else self.app.draft.source
        self._offers += tuple(offers)
        width = min(max(len(_name(offer)) for offer in self._offers), _LONGEST_NAME)
        shown.set_options(Option(_line(offer, width), offer.source, bool(offer.problem)) for offer in self._offers)
        usable = [index for index, offer in enumerate(self._offers) if not offer.problem]
        wanted = [index for index in usable if self._offers[index].source == current]
        shown.highlighted = next(iter((*wanted, *usable)), None)


def _name(offer: Offer) -> str:
    return Path(offer.source).name


def _line(offer: Offer, width: int) -> Table:
    words = Text(offer.description)
    if offer.problem:
        words = words.append("\n" if words else "").append(f"Not here: {offer.problem}", style="italic")
    line = Table.grid(padding=(0, 2), expand=True)
    line.add_column(width=width, overflow="fold")
    line.add_column(ratio=1)
    line.add_column(justify="right", no_wrap=True)
    line.add_row(Text(_name(offer), style="bold"), words, _count(offer.cells))
    return line


def _count(cells: int) -> str:
    return f"{cells} {'cell' if cells == 1 else 'cells'}" if cells else "–"
