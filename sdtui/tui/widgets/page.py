"""A document to scroll through, in both directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.style import Style
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Page(ScrollView, can_focus=True, inherit_bindings=False):
    """Shows lines that were laid out elsewhere, see `sdtui.tui.pages`; the keys are the screen's."""

    COMPONENT_CLASSES = {"page--title", "page--heading", "page--quiet", "page--code", "page--warning"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id)
        self._lines: tuple[Strip, ...] = ()

    @property
    def styles_of_parts(self) -> Mapping[str, Style]:
        """How the theme draws each part of a document."""
        parts = ("title", "heading", "quiet", "code", "warning")
        return {part: self.get_component_rich_style(f"page--{part}") for part in parts}

    def show(self, lines: Sequence[Strip]) -> None:
        """Shows a document, or the same one laid out anew."""
        self._lines = tuple(lines)
        self.virtual_size = Size(max((line.cell_length for line in lines), default=0), len(lines))
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draws one line of what is visible."""
        x, index, width = round(self.scroll_x), y + round(self.scroll_y), self.size.width
        line = self._lines[index] if index < len(self._lines) else Strip([])
        return line.crop_extend(x, x + width, self.rich_style).apply_style(self.rich_style)
