"""Widgets drawn alone, for tests of them."""

from __future__ import annotations

from pathlib import Path

from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

import sdtui.tui.widgets
from sdtui.tui.plain import plain
from sdtui.tui.terminal import draws_unicode
from sdtui.tui.themes import variable_defaults

STYLES = sorted(Path(sdtui.tui.widgets.__file__).parent.glob("*.tcss"))


class Drawn(App[None]):
    """Shows widgets below one another."""

    CSS_PATH = STYLES

    def __init__(self, *widgets: Widget) -> None:
        super().__init__()
        self._widgets = widgets

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return variable_defaults(self.current_theme)

    def compose(self) -> ComposeResult:
        yield from self._widgets


def text_of(widget: Widget) -> list[str]:
    """Returns what a widget shows, row by row."""
    rows = [widget.render_line(y).text for y in range(widget.content_size.height)]
    return rows if draws_unicode() else [plain(row) for row in rows]


class Refreshed:
    """Which rows of a widget are asked to be drawn again."""

    def __init__(self, widget: Widget) -> None:
        self.rows: list[int] = []
        self._refresh = widget.refresh
        widget.refresh = self._note  # type: ignore[method-assign]

    def _note(self, *regions: Region, **options: bool) -> Widget:
        self.rows += [y for region in regions for y in region.line_range] if regions else [-1]
        return self._refresh(*regions, **options)
