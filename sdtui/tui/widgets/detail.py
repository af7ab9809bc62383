"""The detail pane."""

from __future__ import annotations

from typing import ClassVar

from sdtui.tui.entries import Described, lay_out
from sdtui.tui.widgets.drawing import Drawing, Row


class Detail(Drawing):
    """Draws what is told of a square."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"drawing--wrong"}

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id)
        self._described: tuple[Described, ...] = ()

    def show(self, *described: Described) -> None:
        """Shows these, one below the other."""
        self._described = described
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Draws them."""
        return lay_out(self._described, width, height)
