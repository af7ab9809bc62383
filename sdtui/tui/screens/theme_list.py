"""The list of themes; the one under the cursor is seen at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import ComposeResult
from textual.color import Color
from textual.screen import ModalScreen
from textual.theme import Theme
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from sdtui.tui.keys import bindings

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard

_SWATCHES = ("primary", "accent", "success", "warning", "error")


class ThemeList(ModalScreen[str | None]):
    """Shows a theme while it is highlighted; gives the name of the one that was taken, ``None`` where none was."""

    app: Dashboard

    CSS_PATH = "theme_list.tcss"
    BINDINGS = bindings("themes")

    def __init__(self) -> None:
        super().__init__()
        self._before = self.app.theme

    def compose(self) -> ComposeResult:
        """Lists the themes."""
        themes = self.app.available_themes
        width = max(map(len, themes))
        shown = OptionList(*(Option(_line(theme, width), name) for name, theme in themes.items()), id="themes")
        shown.border_title = "Theme"
        shown.border_subtitle = f"enter takes it · {self.app.key_of('back')} leaves"
        yield shown

    def on_mount(self) -> None:
        """Begins with the one that is shown."""
        shown = self.query_one(OptionList)
        shown.highlighted = shown.get_option_index(self._before)
        shown.focus()

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Shows it."""
        if event.option_id is not None:
            self.app.theme = event.option_id

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Takes it."""
        self.dismiss(event.option_id)

    def action_move(self, lines: int) -> None:
        """Moves the highlight."""
        shown = self.query_one(OptionList)
        shown.action_cursor_down() if lines > 0 else shown.action_cursor_up()

    def action_back(self) -> None:
        """Goes back to the theme there was."""
        self.app.theme = self._before
        self.dismiss(None)


def _line(theme: Theme, width: int) -> Text:
    """Returns a theme's name and some of its colours, which say nothing that the name does not."""
    kind = "the terminal's" if theme.ansi else "dark" if theme.dark else "light"
    line = Text(f"{theme.name:<{width}}  {kind:<14}  ")
    for name in _SWATCHES:
        colour = getattr(theme, name) or theme.primary
        line.append("██", Color.parse(colour).rich_color.name)
    return line
