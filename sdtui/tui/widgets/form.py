"""A form in one widget: a screen of it opens at once, and a key redraws what it changes alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Region, Size
from textual.message import Message
from textual.widgets import Input

from sdtui.tui.form import LABEL, PARTS, Item, Place, Section, choice_at, lay_out, stepped
from sdtui.tui.widgets.drawing import Drawing, Row

_WIDE = 140
"""Columns from which all columns of sections stand side by side."""


class Form(VerticalScroll, can_focus=False, inherit_bindings=False):
    """Sections of items with a cursor; texts are typed in place."""

    class Changed(Message):
        """A person typed or chose ``value``, or ticked the item or no longer: then it is the label, or empty."""

        def __init__(self, item: Item, value: str) -> None:
            super().__init__()
            self.item = item
            self.value = value

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id)
        self._columns: Sequence[Sequence[Section]] = ((),)
        self._cursor = 0
        self._drawn = _Drawn(self)
        self._edit = Input(compact=True, select_on_focus=False, id="edit")
        self._edit.cursor_blink = False

    def compose(self) -> ComposeResult:
        """Lays out the rows, and above them what is typed in."""
        yield self._drawn
        yield self._edit

    # -------------------------------------------------------------------------------------------------------- showing

    @property
    def items(self) -> list[Item]:
        """All items, in the order in which the cursor goes through them."""
        return [item for sections in self._columns for section in sections for item in section.items]

    @property
    def item(self) -> Item:
        """The one under the cursor."""
        return self.items[self._cursor]

    def laid_out(self, width: int) -> tuple[list[Row], list[Place]]:
        """Returns rows and places for a width."""
        wide = width >= _WIDE
        columns = self._columns if wide else [[section for sections in self._columns for section in sections]]
        return lay_out(columns, width, self._cursor)

    def show(self, columns: Sequence[Sequence[Section]]) -> None:
        """Shows these sections, left column first; what is being typed stays."""
        first = not self.items
        self._columns = columns
        self._edit.placeholder = self.item.own
        if first:
            self.go_to(0)
        self._redraw()

    def go_to(self, index: int) -> None:
        """Puts the cursor on an item."""
        self._cursor = index % len(self.items)
        with self.prevent(Input.Changed):
            self._edit.value = self.item.typed if self.item.kind == "text" else ""
        self._edit.cursor_position = len(self._edit.value)
        self._edit.placeholder = self.item.own
        self._redraw()
        (self._edit if self.item.kind == "text" else self._drawn).focus(scroll_visible=False)

    def on_resize(self) -> None:
        """Finds its place anew."""
        self._redraw()

    def _redraw(self) -> None:
        width = self._drawn.content_size.width
        if not width or not self.items:
            return
        rows, places = self.laid_out(width)
        if len(rows) != self._drawn.content_size.height:
            self._drawn.refresh(layout=True)
        self._drawn.redraw()
        place = places[self._cursor]
        self._edit.display = self.item.kind == "text"
        self._edit.styles.offset = (place.x + LABEL, place.y)
        above = 2 if self._cursor == 0 else 1
        self.scroll_to_region(Region(0, place.y - above, width, place.height + above + 1), animate=False, force=True)

    # --------------------------------------------------------------------------------------------------------- typing

    def on_input_changed(self, event: Input.Changed) -> None:
        """Tells what was typed."""
        event.stop()
        self.post_message(self.Changed(self.item, event.value))

    def move(self, step: int) -> None:
        """Goes to the item before or after."""
        self.go_to(self._cursor + step)

    def step(self, step: int) -> None:
        """Chooses the value before or after, or ticks."""
        item = self.item
        if item.kind == "choice":
            self.post_message(self.Changed(item, stepped(item, step)))
        elif item.kind == "tick":
            self.post_message(self.Changed(item, "" if item.typed else item.label))

    def clicked(self, x: int, y: int) -> None:
        """Goes to what was clicked on, and chooses or ticks it."""
        _, places = self.laid_out(self._drawn.content_size.width)
        for index, place in enumerate(places):
            if place.y <= y < place.y + place.height and place.x <= x < place.x + place.width:
                self.go_to(index)
                value = choice_at(self.item, x - place.x - LABEL) if self.item.kind == "choice" else None
                if value is not None:
                    self.post_message(self.Changed(self.item, value))
                elif self.item.kind == "tick":
                    self.step(1)


class _Drawn(Drawing, can_focus=True):
    """The form's rows; it has the focus while the cursor is on what is not typed."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"drawing--{part}" for part in PARTS}

    def __init__(self, form: Form) -> None:
        super().__init__(id="drawn")
        self._form = form

    def draw(self, width: int, height: int) -> list[Row]:  # noqa: ARG002, as tall as it needs to be
        """Draws the whole form."""
        return self._form.laid_out(width)[0]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:  # noqa: ARG002
        """Returns how many rows it has."""
        return len(self._form.laid_out(width)[0])

    def on_click(self, event: events.Click) -> None:
        """Tells the form."""
        self._form.clicked(event.x, event.y)
