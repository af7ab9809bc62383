"""Images made small enough for cells of characters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

Pixels = tuple[tuple[Colour, ...], ...]
"""Rows from the top."""

SHADES = " ░▒▓█"
ASCII_SHADES = " .:-=+*#%@"
"""From dark to bright."""

_CUBE = (0, 95, 135, 175, 215, 255)  # of xterm's 256 colours


def read_image(path: Path) -> Image:
    """Reads an image in RGB; takes some tens of milliseconds, so in a thread.

    Raises:
        OSError: It cannot be read or is no image.
    """
    from PIL import Image

    with Image.open(path) as image:
        return image.convert("RGB")


def read_pixels(path: Path, width: int, height: int) -> Pixels:
    """Reads an image, made small, as `read_image` does.

    Args:
        path: A PNG.
        width: Most pixels of a row.
        height: Most rows; the image keeps its proportions.

    Raises:
        OSError: It cannot be read or is no image.
    """
    from PIL.Image import Resampling

    image = read_image(path)
    scale = min(width / image.width, height / image.height)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    values = image.resize(size, Resampling.BOX).tobytes()
    flat = list(zip(values[::3], values[1::3], values[2::3], strict=True))
    return tuple(tuple(flat[row * size[0] : (row + 1) * size[0]]) for row in range(size[1]))


def in_256_colours(pixels: Pixels) -> Pixels:
    """Returns the nearest colours of xterm's cube, so that neighbours that will look alike are alike."""
    nearest = [min(_CUBE, key=lambda level: abs(level - value)) for value in range(256)]
    return tuple(tuple((nearest[r], nearest[g], nearest[b]) for r, g, b in row) for row in pixels)


def shaded(pixels: Pixels, shades: str = SHADES) -> list[str]:
    """Returns a row of characters for each two rows of pixels, the brighter the denser."""
    pairs = zip(pixels[::2], [*pixels[1::2], *pixels[-1:]], strict=False)
    return ["".join(_shade((a, b), shades) for a, b in zip(upper, lower, strict=True)) for upper, lower in pairs]


def _shade(colours: tuple[Colour, Colour], shades: str) -> str:
    bright = sum(0.299 * r + 0.587 * g + 0.114 * b for r, g, b in colours) / (255 * len(colours))  # ITU-R BT.601
    return shades[min(len(shades) - 1, int(bright * len(shades)))]
