"""Our tables beside the docs page's: its figures verbatim, and the ratio of ours to each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdtui.catalog.reference import Reference, ReferenceRow, load_reference
from sdtui.report import text
from sdtui.report.page import PAGE_MODES, departure, page_columns, ratios, times
from sdtui.report.tables import Entry, Row, Table


@dataclass(frozen=True)
class Comparison:
    """One table of ours against the page's of the same batch size.

    Attributes:
        table: Ours.
        heading: ``Against the page: <GPU> (batch size: N)``.
        header: Column names.
        rows: As texts, one per pipeline that both have.
    """

    table: Table
    heading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class _Block:
    """The columns of one mode: indices into the page's columns, then into ours."""

    theirs: tuple[int, ...]
    ours: tuple[int, ...]


def compare(tables: Sequence[Table], gpu: str | None) -> tuple[Comparison, ...]:
    """Compares every table that the page has a counterpart of.

    Tables at tiny scale, and those that depart from the docs protocol, have none. Modes pair by name, pipelines by
    label.

    Args:
        tables: Ours.
        gpu: As the page names it; ``None`` compares nothing.

    Raises:
        UserError: The page has no such GPU.
    """
    if gpu is None:
        return ()
    page = load_reference()
    compared = [_compare(table, page, page.gpu(gpu)) for table in tables if is_comparable(table)]
    return tuple(comparison for comparison in compared if comparison.rows)


def is_comparable(table: Table) -> bool:
    """Says whether a table followed the docs protocol at full scale."""
    return not departure(table.group.scale, table.group.variant)


def remarks(tables: Sequence[Table], comparisons: Sequence[Comparison], gpu: str | None) -> list[str]:
    """Says, for the notes, what the comparison is with and which tables have none."""
    if gpu is None:
        return []
    page = load_reference()
    notes = [
        f"The page's figures are for {page.gpu(gpu)}, from {text.inline(page.source)}: another torch, "
        "other weights, another driver and other clocks. A ratio is ours ÷ the page's, stage by stage where both have "
        "the same stages."
    ]
    compared = [comparison.table for comparison in comparisons]
    others = {column.mode: None for table in compared for column in table.columns if column.mode not in PAGE_MODES}
    if others:
        notes.append(f"The page has no counterpart of these modes: {', '.join(others)}.")
    return notes + [f"{text.inline(line)}." for line in uncompared(tables, comparisons)]


def uncompared(tables: Sequence[Table], comparisons: Sequence[Comparison]) -> list[str]:
    """Says of each table that has no comparison why, as plain text."""
    compared = [comparison.table for comparison in comparisons]
    return [
        f"{table.heading} is not compared with the page: {_why_not(table)}"
        for table in tables
        if not any(table is other for other in compared)
    ]


def _why_not(table: Table) -> str:
    departed = departure(table.group.scale, table.group.variant)
    return departed or "the page has none of its batch size, modes and pipelines"


def _compare(ours: Table, page: Reference, gpu: str) -> Comparison:
    blocks = _blocks(ours, page.columns)
    theirs = [table for table in page.tables if (table.gpu, table.batch_size) == (gpu, ours.batch_size)]
    counterparts = {row.pipeline: row for table in theirs for row in table.rows}
    rows = [
        (row.label, *_cells(row, counterparts[row.label], blocks))
        for row in ours.rows
        if row.label in counterparts and blocks
    ]
    header = ["Pipeline"]
    for block in blocks:
        header += [f"page: {page.columns[index]}" for index in block.theirs]
        for mine in block.ours:
            label = ours.columns[mine].label
            header += [label, *(f"{label} ÷ {_torch(page.columns[index])}" for index in block.theirs)]
    heading = f"Against the page: {gpu} (batch size: {ours.batch_size})"
    return Comparison(ours, heading, tuple(header), tuple(rows))


def _blocks(ours: Table, names: Sequence[str]) -> list[_Block]:
    blocks = []
    for mode in PAGE_MODES:
        mine = tuple(index for index, column in enumerate(ours.columns) if column.mode == mode)
        theirs = page_columns(mode, names)
        if mine and theirs:
            blocks.append(_Block(theirs, mine))
    return blocks


def _cells(ours: Row, theirs: ReferenceRow, blocks: Sequence[_Block]) -> list[str]:
    cells = []
    for block in blocks:
        figures = [theirs.cells[index] for index in block.theirs]
        cells += [figure.text for figure in figures]
        for mine in block.ours:
            entry = ours.entries[mine]
            partial = entry.result is not None and entry.result.is_partial
            cells += [text.NONE if partial else entry.text, *(_ratio(entry, figure.its) for figure in figures)]
    return cells


def _ratio(entry: Entry, theirs: Sequence[float]) -> str:
    """Writes ours ÷ the page's, stage by stage; ``–`` where there is none."""
    result = entry.result
    ours = result.its if result is not None and result.status == "ok" else ()
    return " / ".join(map(times, ratios(ours, theirs))) or text.NONE


def _torch(column: str) -> str:
    return column.partition(" - ")[0]
