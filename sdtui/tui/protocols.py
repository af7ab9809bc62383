"""Images by a protocol that some terminals know, kitty's or sixel, as the package textual-image writes them."""

from __future__ import annotations

import fcntl
import io
import os
import struct
import sys
import termios
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sdtui.model.errors import UserError
from sdtui.settings import Settings
from sdtui.tui.terminal import draws_unicode
from sdtui.tui.themes import colours_of_terminal

if TYPE_CHECKING:
    from textual_image.widget import SixelImage, TGPImage

    ImageWidget = type[SixelImage] | type[TGPImage]


def image_widget(chosen: Settings, environ: Mapping[str, str]) -> ImageWidget | None:
    """Returns the widget that draws images as the settings say; ``None`` where characters are to draw them.

    Those do too where no colour is wanted, and where kitty's protocol is of no use: its images have their place by
    24-bit colours of a character of Unicode, are written to standard output, and do not pass tmux.

    Raises:
        UserError: The package is not installed, or ``TEXTUAL_COLOR_SYSTEM`` is wrong.
    """
    if chosen.images == "half-block":
        return None
    try:
        with _unasked():
            from textual_image.widget import SixelImage, TGPImage
    except ImportError as error:
        key = f"{chosen.source}: dashboard.images"
        raise UserError(
            f"{key}: '{chosen.images}' needs the package textual-image: pip install 'sdtui[images]'"
        ) from error
    if "NO_COLOR" in environ:
        return None
    if chosen.images == "sixel":
        return SixelImage
    placed = draws_unicode(environ=environ) and colours_of_terminal(environ) == "truecolor"
    return TGPImage if placed and os.isatty(1) and not environ.get("TMUX") else None


@contextmanager
def _unasked() -> Iterator[None]:
    """Keeps textual-image 0.12 from asking the terminal when it is imported.

    Where standard output is a terminal it asks what that can, waits for half a second, fails at a size of zero, and
    leaves a late answer to be read as keys. Where it is none, it takes the size of a cell from the environment.
    """
    terminal, known = sys.__stdout__, _cell_size()
    sys.__stdout__ = io.StringIO()  # type: ignore[misc, assignment]
    os.environ.update(known)
    try:
        yield
    finally:
        sys.__stdout__ = terminal  # type: ignore[misc]
        for name in known:
            del os.environ[name]


def _cell_size() -> dict[str, str]:
    """Returns the pixels of a cell, as variables of textual-image; none where the terminal does not say."""
    try:
        size = fcntl.ioctl(2, termios.TIOCGWINSZ, bytes(8))
    except OSError:  # no terminal
        return {}
    rows, columns, width, height = struct.unpack("HHHH", size)
    if not (rows and columns and width >= columns and height >= rows):
        return {}
    return {"TEXTUAL_CELL_WIDTH": str(width // columns), "TEXTUAL_CELL_HEIGHT": str(height // rows)}
