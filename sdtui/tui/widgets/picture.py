"""An image in half blocks: two pixels in each cell."""

from __future__ import annotations

from functools import partial
from itertools import groupby
from pathlib import Path

from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.worker import get_current_worker

from sdtui.tui import pixels
from sdtui.tui.pixels import Pixels
from sdtui.tui.terminal import draws_unicode


class Picture(Widget):
    """Draws an image in the terminal's colours; in shades where it has fewer than 256, in ASCII without Unicode.

    The file is read in a thread, when it is shown and when there is another room for it.
    """

    class Read(Message):
        """The image was read for the present room, or why not in ``problem``."""

        def __init__(self, image: Pixels, problem: str = "") -> None:
            super().__init__()
            self.image = image
            self.problem = problem

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id, classes=classes)
        self.unicode = draws_unicode()
        self._path: Path | None = None
        self._strips: list[Strip] = []

    def show(self, path: Path | None) -> None:
        """Shows a PNG, or nothing."""
        if path != self._path:
            self._path, self._strips = path, []
            self.refresh()
        self._begin()

    def on_resize(self) -> None:
        """Reads the image for the new size."""
        self._begin()

    def _begin(self) -> None:
        width, height = self.content_size
        if self._path is not None and width > 0 and height > 0:
            self.run_worker(partial(self._read, self._path, width, 2 * height), thread=True, exclusive=True)

    def _read(self, path: Path, width: int, height: int) -> None:
        try:
            message = self.Read(pixels.read_pixels(path, width, height))
        except OSError as error:
            message = self.Read((), f"{path.name}: {error.strerror or error}")
        if not get_current_worker().is_cancelled:
            self.post_message(message)

    def on_picture_read(self, message: Read) -> None:
        """Draws the image."""
        self._strips = [Strip([Segment(message.problem)])] if message.problem else self._drawn(message.image)
        self.refresh()

    def _drawn(self, image: Pixels) -> list[Strip]:
        colours = self.app.console.color_system
        if self.app.no_color or not self.unicode or colours not in ("256", "truecolor"):
            shades = pixels.SHADES if self.unicode else pixels.ASCII_SHADES
            return [Strip([Segment(row)]) for row in pixels.shaded(image, shades)]
        return _half_blocks(image if colours == "truecolor" else pixels.in_256_colours(image))

    def render_line(self, y: int) -> Strip:
        """Draws one row, the image in the middle of its width."""
        strip = self._strips[y] if y < len(self._strips) else Strip([])
        left = max(0, (self.content_size.width - strip.cell_length) // 2)
        padded = Strip([Segment(" " * left, self.rich_style), *strip.apply_style(self.rich_style)])
        return padded.adjust_cell_length(self.content_size.width, self.rich_style)


def _half_blocks(image: Pixels) -> list[Strip]:
    """Returns a row of upper half blocks for each two rows of pixels, neighbours of the same colours as one segment."""
    below = [*image[1::2], *([None] if len(image) % 2 else [])]
    strips = []
    for upper, lower in zip(image[::2], below, strict=True):
        pairs = zip(upper, lower or [None] * len(upper), strict=True)
        segments = []
        for (top, bottom), same in groupby(pairs):
            style = Style(color=Color.from_rgb(*top), bgcolor=None if bottom is None else Color.from_rgb(*bottom))
            segments.append(Segment("▀" * len(list(same)), style))
        strips.append(Strip(segments))
    return strips
