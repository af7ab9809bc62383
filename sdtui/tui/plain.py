"""Text for terminals that show no Unicode: each character as ASCII that is as wide."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_GLYPHS = {
    **dict.fromkeys("·∙•", "."),
    **dict.fromkeys("…±≈◐", "~"),
    **dict.fromkeys("–−─━╌╴╶╸╺", "-"),
    **dict.fromkeys("×✗❌⊠", "x"),
    **dict.fromkeys("▶→≥", ">"),
    **dict.fromkeys("◀←≤", "<"),
    **dict.fromkeys("▲△↑", "^"),
    **dict.fromkeys("▼▽↓", "v"),
    **dict.fromkeys("│┃▏▎▍▌▐▕", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯✓", "+"),
    **dict.fromkeys("▁▂▃▄", "_"),
    **dict.fromkeys("▅▆▇█▓▀▔", "#"),
    **dict.fromkeys("○◌", "o"),
    **dict.fromkeys("●★", "*"),
    **dict.fromkeys("÷⊘", "/"),
    **dict.fromkeys("’", "'"),
    **dict.fromkeys("“”", '"'),
    "⚑": "!",
    "⏎": "<",
    "▒": ":",
    "░": ".",
}


def plain(text: str) -> str:
    """Returns a text in ASCII, as wide as it was; what has no likeness is a question mark."""
    if text.isascii():
        return text
    return "".join(map(_plain, re.sub("°([CF])", r"\1 ", text)))  # "65 °C" without a hole before its unit


class Plain(LineFilter):
    """Makes whatever the app draws plain, Textual's own widgets included."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002, Textual's signature
        """Returns the segments of a line, as wide as they were."""
        return [Segment(plain(text), style, control) for text, style, control in segments]


@cache
def _plain(character: str) -> str:
    if character.isascii():
        return character
    width = get_character_cell_size(character)
    alike = _GLYPHS.get(character) or unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return (alike[:width] or "?" * width).ljust(width)
