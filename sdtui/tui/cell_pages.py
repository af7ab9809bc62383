"""The pages of the cell screen that are text, laid out for a width."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from sdtui.tui.cell_facts import Fact, Table
from sdtui.tui.cell_reading import CellReading, ProcessReading
from sdtui.tui.widgets.drawing import Row

_GAP = "  "
_PART = 30
"""Longest part of a line that is not broken."""


def figures(reading: CellReading, width: int) -> list[Row]:
    """Returns what the cell has come to."""
    return [((reading.id, "quiet"),), (), *_facts(reading.facts, width)]


def calls(reading: CellReading, width: int) -> list[Row]:
    """Returns a line per call, and what was compiled."""
    if not reading.calls.rows:
        return [(("no call was finished", "quiet"),)]
    compiled = [(), *_facts(reading.compilations, width)] if reading.compilations else []
    return [*_table(reading.calls), *compiled]


def log(process: ProcessReading, folder: str, width: int) -> list[Row]:
    """Returns the end of a process's log."""
    if process.log is None:
        return [((f"{folder} has no log of it", "quiet"),)]
    if not any(process.log):
        return [(("nothing was printed", "quiet"),)]
    return [((part, ""),) for line in process.log for part in _cut(line, width)]


def script(reading: CellReading, width: int) -> list[Row]:
    """Returns the bare script, its comments and texts apart from its code."""
    if reading.script is None:
        return [((reading.script_problem, "warning"),)]
    command = f"sdtui script {reading.id} > cell.py"
    lines = reading.script.splitlines()
    shown = [((part, _part_of(line)),) for line in lines for part in _cut(line, width)]
    return [((f"y copies it · {command}", "quiet"),), (), *shown]


def _cut(line: str, width: int) -> list[str]:
    """Cuts a line that is too long, wherever that is."""
    return [line[at : at + width] for at in range(0, len(line), width)] or [""]


def _part_of(line: str) -> str:
    if line.lstrip().startswith("#"):
        return "quiet"
    return "code" if line.startswith(("import ", "from ", "def ", "class ")) else ""


def _facts(facts: Iterable[Fact], width: int) -> list[Row]:
    """Puts labels into a column and wraps the words beside it."""
    listed = list(facts)
    wide = max(len(fact.label) for fact in listed) + len(_GAP)
    rows: list[Row] = []
    for fact in listed:
        lines = _wrapped(fact.words, max(20, width - wide))
        part = "warning" if fact.warning else ""
        rows += [
            ((f"{fact.label if first else '':<{wide}}", "quiet"), (line, part))
            for first, line in zip([True, *[False] * len(lines)], lines, strict=False)
        ]
    return rows


def _wrapped(words: str, width: int) -> list[str]:
    """Wraps between short parts rather than within them: a figure stays with its unit."""
    parts = [part.replace(" ", "\N{NO-BREAK SPACE}") if len(part) <= _PART else part for part in words.split(" · ")]
    lines = textwrap.wrap("\N{NO-BREAK SPACE}· ".join(parts), width, break_on_hyphens=False) or [""]
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _table(table: Table) -> list[Row]:
    """Aligns columns to the right, but the first to the left."""
    widths = [max(map(len, column)) for column in zip(table.header, *table.rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first, *others = zip(cells, widths, strict=True)
        return _GAP.join([f"{first[0]:<{first[1]}}", *(f"{text:>{wide}}" for text, wide in others)])

    return [((line(table.header), "quiet"),), *(((line(row), ""),) for row in table.rows)]
