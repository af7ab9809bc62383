"""Charts of labelled rows: a scale to the right of names, the names in groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sdtui.report.charts_canvas import Canvas, fitted, plain, text_width

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW = 0.2
_HEADING = 0.24
_AXIS = 0.36
_LONGEST_NAME = 2.4
_GAP = 0.06
_INDENT = 0.12


@dataclass(frozen=True)
class RowName:
    """What names a row: rows of the same group that follow one another stand together."""

    group: str
    label: str


class RowLayout:
    """Places rows below one another; a group of one row is named by its group alone.

    Args:
        names: Of the rows, in order.
    """

    def __init__(self, names: Sequence[RowName]) -> None:
        self.positions: list[float] = []
        self._headings: list[tuple[float, str]] = []
        self._labels: list[tuple[float, float, str]] = []
        y = 0.0
        for group, rows in _groups(names):
            if len(rows) > 1:
                self._headings.append((y + _HEADING / 2, group))
                y += _HEADING
            for name in rows:
                alone = " · ".join(part for part in (group, name.label) if part)
                self._labels.append(
                    (_INDENT, y + _ROW / 2, name.label) if len(rows) > 1 else (0.0, y + _ROW / 2, alone)
                )
                self.positions.append(y + _ROW / 2)
                y += _ROW
            y += _GAP
        self._plot_height = y
        widest = max((x + text_width(text) for x, _, text in self._labels), default=0.0)
        self._names_width = min(_LONGEST_NAME, widest)

    @property
    def height(self) -> float:
        """Of rows and scale, in inches."""
        return self._plot_height + _AXIS

    @property
    def room(self) -> float:
        """Width to the right of the names, in inches."""
        return Canvas.width - self._names_width - 0.14

    def axes(self, canvas: Canvas, top: float, right: float) -> Axes:
        """Writes the names and returns axes whose y is inches from the first row's top.

        Args:
            canvas: To draw on.
            top: Of the first row.
            right: Space to leave for labels of figures.
        """
        for y, text in self._headings:
            canvas.text(0, top + y, fitted(text, canvas.width), weight=700)
        for x, y, text in self._labels:
            canvas.text(x, top + y, fitted(text, self._names_width - x))
        axes = canvas.axes(canvas.width - self.room, top, self.room - right, self._plot_height)
        axes.set_ylim(self._plot_height, 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        return axes


def key_height(entries: Sequence[tuple[str, str, str]], width: float = Canvas.width) -> float:
    """Returns the height of a key's lines, in inches."""
    return 0.2 * len(_key_lines(entries, width)) + 0.06 if entries else 0.0


def draw_key(canvas: Canvas, top: float, entries: Sequence[tuple[str, str, str]]) -> None:
    """Writes a key, a marker before each name.

    Args:
        canvas: To draw on.
        top: Of the first line.
        entries: Name, colour and marker of each.
    """
    for number, line in enumerate(_key_lines(entries, canvas.width)):
        x, y = 0.05, top + 0.2 * number + 0.1
        for name, colour, marker in line:
            canvas.marker(x, y, marker, colour)
            canvas.text(x + 0.09, y, name)
            x += _key_width(name)


def _key_lines(entries: Sequence[tuple[str, str, str]], width: float) -> list[list[tuple[str, str, str]]]:
    lines: list[list[tuple[str, str, str]]] = []
    x = width
    for name, colour, marker in entries:
        if x + _key_width(name) > width:
            lines.append([])
            x = 0.0
        lines[-1].append((name, colour, marker))
        x += _key_width(name)
    return lines


def _key_width(name: str) -> float:
    return text_width(plain(name)) + 0.3


def _groups(names: Sequence[RowName]) -> list[tuple[str, list[RowName]]]:
    groups: list[tuple[str, list[RowName]]] = []
    for name in names:
        if not groups or groups[-1][0] != name.group:
            groups.append((name.group, []))
        groups[-1][1].append(name)
    return groups
