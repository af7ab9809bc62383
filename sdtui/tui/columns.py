"""Text in columns of a list."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size


def fit(text: str, width: int) -> str:
    """Cuts or fills a text to a width, of which the last column stays blank."""
    if width <= 0:
        return ""
    return set_cell_size(text if cell_len(text) < width else set_cell_size(text, max(0, width - 2)) + "…", width)
