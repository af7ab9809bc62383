"""How a form is laid out: sections of items in columns, row by row."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.cells import set_cell_size

from sdtui.tui.widgets.drawing import Piece, Row

Kind = Literal["text", "choice", "tick"]

_UNDER = ("label", "value", "own", "note", "chosen")
PARTS = ("heading", "changed", "wrong", *_UNDER, *(f"{part}-at" for part in _UNDER))
"""Names of styles; those of what is under the cursor end in ``-at``."""

LABEL = 14
"""Columns of a label, its mark included."""
CONTROL = 29
"""Columns of what is typed or chosen."""
GAP = 4
"""Columns between two columns of sections."""
_LEAST_NOTE = 28


@dataclass(frozen=True)
class Item:
    """What can be typed, chosen or ticked.

    Attributes:
        key: Of a plan.
        kind: ``tick`` is one name of several under a key.
        label: Its name.
        own: What counts where nothing is typed.
        typed: What was typed or chosen; empty where the own value counts. Of a tick, the label where it is ticked.
        values: What there is to choose from.
        problem: What is wrong with it; empty where nothing is.
        words: What it is.
        is_told: Whether the words tell of the value, and are said of a changed one too.
    """

    key: str
    kind: Kind
    label: str
    own: str = ""
    typed: str = ""
    values: tuple[str, ...] = ()
    problem: str = ""
    words: str = ""
    is_told: bool = False

    @property
    def value(self) -> str:
        """What counts."""
        return self.typed or self.own

    @property
    def mark(self) -> str:
        """A cross where something is wrong, a star where it was changed."""
        return "✗" if self.problem else "*" if self.typed and self.kind != "tick" else " "

    @property
    def note(self) -> Piece:
        """What there is to say of it."""
        if self.problem:
            return self.problem, "wrong"
        if self.mark == "*":
            meaning = f"{self.words}, " if self.is_told and self.words else ""
            return f"{meaning}instead of {self.own}", "changed"
        return self.words, "note"


@dataclass(frozen=True)
class Section:
    """Items under a heading; ``problem`` is what is wrong with all of them."""

    heading: str
    items: tuple[Item, ...]
    changed: bool = False
    problem: str = ""


@dataclass(frozen=True)
class Place:
    """Where an item is."""

    x: int
    y: int
    width: int
    height: int


def lay_out(columns: Sequence[Sequence[Section]], width: int, cursor: int) -> tuple[list[Row], list[Place]]:
    """Lays a form out.

    Args:
        columns: Of sections, the left one first.
        width: Of the whole form, in cells.
        cursor: Which item it is on, counted over all of them.

    Returns:
        The rows, and the place of each item.
    """
    each = (width - GAP * (len(columns) - 1)) // len(columns)
    parts: list[list[Row]] = []
    places: list[Place] = []
    for index, sections in enumerate(columns):
        rows: list[Row] = []
        for section in sections:
            rows += [((" " * each, ""),), _heading(section, each)] if rows else [_heading(section, each)]
            for item in section.items:
                drawn = list(_rows(item, each, cursor == len(places)))
                places.append(Place(index * (each + GAP), len(rows), each, len(drawn)))
                rows += drawn
        parts.append(rows)
    height = max(map(len, parts))
    blank: Row = ((" " * each, ""),)
    lines = [[part[y] if y < len(part) else blank for part in parts] for y in range(height)]
    return [_side_by_side(line) for line in lines], places


def choice_at(item: Item, x: int) -> str | None:
    """Returns the value that is drawn at a column of an item's control; ``None`` where none is."""
    if _choice_width(item) > CONTROL:
        return item.values[(_index(item) + 1) % len(item.values)]
    end = 0
    for value in item.values:
        end += len(value) + 2
        if 0 <= x < end:
            return value
    return None


def stepped(item: Item, step: int) -> str:
    """Returns the value before or after an item's."""
    return item.values[(_index(item) + step) % len(item.values)]


# --------------------------------------------------------------------------------------------------------- drawing


def _side_by_side(parts: Sequence[Row]) -> Row:
    line = list(parts[0])
    for part in parts[1:]:
        line += [(" " * GAP, ""), *part]
    return tuple(line)


def _heading(section: Section, width: int) -> Row:
    mark = "✗ " if section.problem else "* " if section.changed else ""
    words = f"{mark}{section.heading}{': ' if section.problem else ''}{section.problem}"
    return ((set_cell_size(words, width), "wrong" if section.problem else "heading"),)


def _rows(item: Item, width: int, under: bool) -> Iterator[Row]:
    if item.kind == "tick":
        yield _tick(item, width, under)
        return
    note, part = item.note
    room = max(8, width - LABEL - CONTROL - 1)
    if part == "note" and room < _LEAST_NOTE:  # not worth rows of its own
        note = textwrap.shorten(note, room, placeholder=" …")
    notes = textwrap.wrap(note, room) or [""]
    label = (set_cell_size(f"{item.mark} {item.label}", LABEL), part if part != "note" else _part("label", under))
    yield (label, *_control(item, under), (" ", ""), (set_cell_size(notes[0], room), part))
    for more in notes[1:]:
        yield ((" " * (LABEL + CONTROL + 1), ""), (set_cell_size(more, room), part))


def _tick(item: Item, width: int, under: bool) -> Row:
    ticked = bool(item.typed)
    name = set_cell_size(item.label, LABEL + 8)
    words = textwrap.shorten(item.words, max(4, width - LABEL - 16), placeholder=" …")
    rest = set_cell_size(f"  {words}", width - LABEL - 14)
    box = "[x] " if ticked else "[ ] "
    return (
        ("  ", ""),
        (f"{box}{name}", _part("chosen" if ticked else "value", under)),
        (rest, _part("note", under)),
    )


def _control(item: Item, under: bool) -> list[Piece]:
    if item.kind == "text":
        return [(set_cell_size(item.value, CONTROL), "value" if item.typed else "own")]
    if _choice_width(item) > CONTROL:
        place = f" {_index(item) + 1} of {len(item.values)}"
        shown = set_cell_size(f"[{item.value}]", min(len(item.value) + 2, CONTROL - len(place)))
        return [(set_cell_size(shown + place, CONTROL), _part("chosen", under))]
    pieces = [
        (f"[{value}]", _part("chosen", under)) if value == item.value else (f" {value} ", _part("own", under))
        for value in item.values
    ]
    return [*pieces, (" " * (CONTROL - _choice_width(item)), _part("own", under))]


def _part(name: str, under: bool) -> str:
    return f"{name}-at" if under else name


def _choice_width(item: Item) -> int:
    return sum(len(value) + 2 for value in item.values)


def _index(item: Item) -> int:
    return item.values.index(item.value) if item.value in item.values else 0
