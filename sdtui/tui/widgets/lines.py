"""Lines of text that are redrawn only when they change."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Static


class Lines(Static):
    """A block of text whose height does not follow its content: a change of it moves nothing else."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__("", id=id, classes=classes, markup=False)
        self._shown = Text()

    def show(self, text: Text) -> None:
        """Shows this text."""
        if text != self._shown or text.spans != self._shown.spans:
            self._shown = text
            self.update(text, layout=False)
