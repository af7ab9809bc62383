"""Labelled texts, wrapped by words under a title: how the detail pane is laid out."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.cells import set_cell_size

from sdtui.tui.widgets.drawing import Row

LABEL = 13
"""Columns of a label, the gap after it included."""
WIDE = 150
"""Columns from which what is beside stands beside."""
NO_BREAK = "\u00a0"
_MARGIN = 1
_GAP = 3


@dataclass(frozen=True)
class Entry:
    """A text under a label.

    Attributes:
        label: In a word or two; empty goes on with the entry before.
        text: One paragraph, wrapped by words; a no-break space keeps two together.
        part: Of a drawing: ``value``, ``label`` for what matters less, ``warning`` or ``wrong``.
        beside: Whether it stands in the right column where there is room for two.
    """

    label: str
    text: str
    part: str = "value"
    beside: bool = False


@dataclass(frozen=True)
class Described:
    """A title with its entries, in order of weight: where there is no room for all, the last are left out."""

    title: str = ""
    entries: tuple[Entry, ...] = ()


def lay_out(described: Sequence[Described], width: int, height: int) -> list[Row]:
    """Lays out titles and entries, a blank row between one title and the next."""
    rows: list[Row] = []
    for each in described:
        rows += [(), *_one(each, width)] if rows else _one(each, width)
    if len(rows) <= height or height < 1:
        return rows
    return [*rows[: height - 1], ((" " * (_MARGIN + LABEL), ""), ("…", "label"))]


def _one(described: Described, width: int) -> list[Row]:
    rows: list[Row] = [((" " * _MARGIN, ""), (described.title, "title"))] if described.title else []
    if width < WIDE:
        return rows + _column(described.entries, width)
    first = width * 11 // 20
    left = _column([entry for entry in described.entries if not entry.beside], first)
    right = _column([entry for entry in described.entries if entry.beside], width - first - _GAP)
    if not right:
        return rows + _column(described.entries, width)
    blank: Row = ((" " * first, ""),)
    count = max(len(left), len(right))
    left += [blank] * (count - len(left))
    right += [()] * (count - len(right))
    return rows + [(*_filled(one, first), (" " * _GAP, ""), *other) for one, other in zip(left, right, strict=True)]


def _column(entries: Sequence[Entry], width: int) -> list[Row]:
    room = max(16, width - _MARGIN - LABEL - 1)
    rows: list[Row] = []
    for entry in entries:
        label = entry.label
        for line in textwrap.wrap(_breakable(entry.text, room), room, break_on_hyphens=False) or [""]:
            part = entry.part if entry.part in ("warning", "wrong") else "label"
            words = (line.replace(NO_BREAK, " "), entry.part)
            rows.append(((" " * _MARGIN, ""), (set_cell_size(label, LABEL), part), words))
            label = ""
    return rows


def _breakable(text: str, room: int) -> str:
    """Lets go of what is kept together but is longer than a line, which would be broken within a word."""
    return " ".join(
        word if len(word) <= room else word.replace(NO_BREAK, " ").replace(" ·", f"{NO_BREAK}·")
        for word in text.split(" ")
    )


def _filled(row: Row, width: int) -> Row:
    used = sum(len(text) for text, _ in row)
    return (*row, (" " * max(0, width - used), ""))


def listed(items: Iterable[str]) -> str:
    """Joins what is not empty by dots; no item is broken, and no line begins with a dot."""
    return f"{NO_BREAK}· ".join(item.replace(" ", NO_BREAK) for item in items if item)
