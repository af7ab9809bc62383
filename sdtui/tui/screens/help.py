"""The help: every key of the screen in use, as it is bound now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from sdtui.tui.active_keys import ActiveKeys
from sdtui.tui.keys import bindings

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard

Group = tuple[str, Sequence[ActiveKeys]]


class Help(ModalScreen[None]):
    """Lists keys in groups.

    Args:
        groups: By title.
        source: The settings file, which can give everything other keys.
    """

    app: Dashboard

    CSS_PATH = "help.tcss"
    BINDINGS = bindings("help")

    def __init__(self, groups: Mapping[str, Sequence[ActiveKeys]], source: Path) -> None:
        super().__init__()
        self._groups = tuple(groups.items())
        self._source = source

    def compose(self) -> ComposeResult:
        """Lays the groups out in two columns, below one another where the terminal is narrow."""
        width = max((len(row.keys) for _, rows in self._groups for row in rows), default=0)
        with VerticalScroll(id="box") as box:
            box.border_title = "Keys"
            box.border_subtitle = f"{self.app.key_of('back')} closes"
            with Horizontal(id="columns"):
                for groups in _halves(self._groups):
                    with Vertical(classes="column"):
                        for group in groups:
                            yield Static(_words(group, width), classes="group")
            yield Static(f"Other keys: [keys] in {self._source}", id="hint", markup=False)

    def on_mount(self) -> None:
        """Lets keys scroll the list."""
        self.query_one("#box").focus()

    def action_move(self, lines: int) -> None:
        """Scrolls."""
        self.query_one("#box").scroll_relative(y=lines, animate=False)

    def action_page(self, pages: int) -> None:
        """Scrolls by pages."""
        box = self.query_one("#box")
        box.scroll_relative(y=pages * box.scrollable_content_region.height, animate=False)

    def action_back(self) -> None:
        """Closes the help."""
        self.dismiss(None)


def _halves(groups: Sequence[Group]) -> tuple[Sequence[Group], Sequence[Group]]:
    """Splits groups where the longer half is shortest."""
    splits = [(groups[:at], groups[at:]) for at in range(len(groups) + 1)]
    return min(splits, key=lambda halves: max(sum(len(rows) + 2 for _, rows in half) for half in halves))


def _words(group: Group, width: int) -> Content:
    title, rows = group
    lines = [Content.styled(title, "bold")]
    for row in rows:
        keys = Content.styled(f"{row.keys:>{width}}", "bold $footer-key-foreground")
        lines.append(Content.assemble(keys, "  ", Content.styled(row.words, "" if row.enabled else "$text-disabled")))
    return Content("\n").join(lines)
