"""Markdown laid out for a terminal: text fits the width, tables keep theirs and are scrolled sideways."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping

from rich.cells import cell_len
from rich.console import Console
from rich.markdown import Heading, Markdown
from rich.style import Style
from rich.theme import Theme
from textual.strip import Strip

_MARK = re.compile(r"\[\^(\d+)\]")
_NOTE = re.compile(r"^\[\^(\d+)\]: ", re.MULTILINE)
_SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
_WIDEST = 1000
"""Columns that a table may have."""

STYLES = {
    "markdown.h1": "title",
    "markdown.h2": "heading",
    "markdown.h3": "heading",
    "markdown.h4": "heading",
    "markdown.table.header": "quiet",
    "markdown.table.border": "quiet",
    "markdown.item.bullet": "quiet",
    "markdown.item.number": "quiet",
    "markdown.code": "code",
    "markdown.link": "code",
    "markdown.link_url": "quiet",
}
"""The part of a page, as its widget styles it, by the name that Rich has for it; all else is plain."""


class _Heading(Heading):
    LEVEL_ALIGN = {}


class _Markdown(Markdown):
    elements = {**Markdown.elements, "heading_open": _Heading}


def lay_out(markdown: str, width: int, styles: Mapping[str, Style], unicode: bool) -> tuple[Strip, ...]:
    """Returns the lines of a document.

    Args:
        markdown: As reports are written: blocks with a blank line between, tables, footnotes.
        width: Of text, in columns; tables are as wide as they need.
        styles: By part, see `STYLES`.
        unicode: Whether superscripts and lines can be shown.
    """
    file = io.TextIOWrapper(io.BytesIO(), "utf-8" if unicode else "ascii")
    theme = Theme({name: styles[part] for name, part in STYLES.items()})
    console = Console(file=file, width=width, theme=theme, force_terminal=True)
    lines: list[Strip] = []
    for block in _with_plain_footnotes(markdown, unicode).split("\n\n"):
        options = console.options.update(width=_WIDEST if block.startswith("|") else width)
        rendered = console.render_lines(_Markdown(block), options, pad=False)
        lines += [*_without_blank_ends([_trimmed(Strip(segments)) for segments in rendered]), Strip([])]
    return tuple(lines[:-1])


def _with_plain_footnotes(markdown: str, unicode: bool) -> str:
    """Turns notes into numbered lists, and marks into superscripts."""
    listed = _NOTE.sub(r"\1. ", markdown)
    return _MARK.sub(lambda mark: mark[1].translate(_SUPERSCRIPTS) if unicode else f" ({mark[1]})", listed)


def _trimmed(line: Strip) -> Strip:
    return line.crop(0, cell_len(line.text.rstrip()))


def _without_blank_ends(lines: list[Strip]) -> list[Strip]:
    filled = [index for index, line in enumerate(lines) if line.cell_length]
    return lines[filled[0] : filled[-1] + 1] if filled else []
