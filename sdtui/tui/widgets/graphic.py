"""An image in pixels, where the terminal knows a protocol for it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.message import Message
from textual.widget import Widget
from textual.worker import get_current_worker

from sdtui.tui import pixels

if TYPE_CHECKING:
    from PIL.Image import Image
    from textual_image.widget import SixelImage, TGPImage

    from sdtui.tui.protocols import ImageWidget


class Graphic(Widget):
    """Draws an image as large as there is room; the file is read in a thread, once as long as it stays the same."""

    class Read(Message):
        """An image was read, or why not in ``problem``; ``version`` is the file and when it was written."""

        def __init__(self, image: Image | None, version: tuple[Path, int] | None, problem: str = "") -> None:
            super().__init__()
            self.image = image
            self.version = version
            self.problem = problem

    def __init__(self, widget: ImageWidget, *, id: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id)
        self.drawn: TGPImage | SixelImage = widget()
        self._version: tuple[Path, int] | None = None
        self._problem = ""

    def compose(self) -> ComposeResult:
        """Puts the image into the middle."""
        yield self.drawn

    def show(self, path: Path) -> None:
        """Shows a PNG."""
        self.run_worker(partial(self._read, path), thread=True, exclusive=True)

    def _read(self, path: Path) -> None:
        try:
            version = path, path.stat().st_mtime_ns
            if version == self._version:
                return
            message = self.Read(pixels.read_image(path), version)
        except OSError as error:
            message = self.Read(None, None, f"{path.name}: {error.strerror or error}")
        if not get_current_worker().is_cancelled:
            self.post_message(message)

    def on_graphic_read(self, message: Read) -> None:
        """Draws the image."""
        self._version, self._problem = message.version, message.problem
        self.drawn.image = message.image
        self.refresh()

    def render(self) -> str:
        """Says why there is no image."""
        return self._problem
