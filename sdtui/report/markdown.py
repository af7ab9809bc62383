"""A report as Markdown (GFM, with footnotes)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sdtui.records import RunRecord
from sdtui.report import comparison, detail, notes, precision, processes, surroundings, tables, text, tuning
from sdtui.report.comparison import Comparison
from sdtui.report.cost import Price
from sdtui.report.merge import Result, merge, ordered
from sdtui.report.tables import Entry, Table

if TYPE_CHECKING:
    from sdtui.report.charts import Charts


def markdown(
    records: Iterable[RunRecord],
    reference: str | None = None,
    price: Price | None = None,
    charts: Charts | None = None,
) -> str:
    """Writes the whole report.

    Args:
        records: One or several runs; several are merged.
        reference: GPU of the docs page to compare with, such as ``A100``.
        price: Of the machine; adds what images cost.
        charts: Of the same runs; adds them as images.

    Raises:
        UserError: The page has no such GPU.
    """
    runs = ordered(records)
    results = merge(runs)
    built = tables.build(results)
    comparisons = comparison.compare(built, reference)
    marks = {run.path: f"R{number}" for number, run in enumerate(runs, 1)} if len(runs) > 1 else {}
    lines = [
        "# sdtui report",
        "",
        "Iterations per second of the denoising loop; with an `s`, seconds per iteration.",
        "",
        *_tables(built, comparisons),
        *tuning.sections(runs),
        *_runs(runs, results, marks),
        *(charts.overview_lines() if charts else []),
        *detail.sections(results, marks, price),
        *(charts.cell_lines() if charts else []),
        *surroundings.sections(runs),
        *notes.sections(runs, results, comparison.remarks(built, comparisons, reference)),
    ]
    return _document(lines)


def tables_markdown(records: Iterable[RunRecord], reference: str | None = None) -> str:
    """Writes the tables and their footnotes alone.

    Raises:
        UserError: The page has no GPU ``reference``.
    """
    built = tables.build(merge(records))
    return _document(_tables(built, comparison.compare(built, reference)))


class Footnotes:
    """Numbers footnotes by their text: the same text is one footnote."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, note: str) -> str:
        """Returns the mark to set, such as ``[^1]``; empty for an empty note."""
        note = text.inline(note)
        return f"[^{self._numbers.setdefault(note, len(self._numbers) + 1)}]" if note else ""

    def lines(self) -> list[str]:
        """Returns the definitions, in order."""
        return [f"[^{number}]: {note}" for note, number in self._numbers.items()]


def _document(lines: Sequence[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def _tables(built: Sequence[Table], comparisons: Sequence[Comparison]) -> list[str]:
    footnotes = Footnotes()
    lines: list[str] = []
    for table in built:
        lines += [f"## {text.inline(table.heading)}", "", *_docs_table(table, footnotes), ""]
        for compared in comparisons:
            if compared.table is table:
                lines += [f"### {text.inline(compared.heading)}", ""]
                lines += [*text.table_lines(*_escaped(compared.header, compared.rows)), ""]
    if not built:
        lines += ["There is no cell to report.", ""]
    definitions = footnotes.lines()
    return [*lines, *definitions, *([""] if definitions else [])]


def _docs_table(table: Table, footnotes: Footnotes) -> list[str]:
    header = ["Pipeline", *(text.inline(column.label) for column in table.columns)]
    rows = [
        [text.inline(row.label) + footnotes.mark(row.remark), *(_entry(entry, footnotes) for entry in row.entries)]
        for row in table.rows
    ]
    return text.table_lines(header, rows)


def _entry(entry: Entry, footnotes: Footnotes) -> str:
    return entry.text + (footnotes.mark(_note(entry.result)) if entry.result else "")


def _note(result: Result) -> str:
    """Says why a cell did not end ok, or what makes its figures less sure."""
    if result.status != "ok" and not result.is_partial:
        return f"not run: {result.reason}" if result.status is None and result.reason else result.reason
    doubts = (processes.partial(result), result.reason, precision.unmet(result), *map(str, result.flags))
    return "; ".join(filter(None, doubts))


def _escaped(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    return [text.inline(cell) for cell in header], [[text.inline(cell) for cell in row] for row in rows]


def _runs(runs: Sequence[RunRecord], results: Sequence[Result], marks: dict[Path, str]) -> list[str]:
    if not marks:
        return []
    rows = [
        [
            marks[run.path],
            text.inline(run.id),
            text.moment(run.sittings[0].started_at if run.sittings else None),
            f"{sum(result.run is run for result in results)} of {len(run.cells)}",
        ]
        for run in runs
    ]
    return ["## Runs", "", *text.table_lines(["Run", "Id", "Started", "Cells used"], rows), ""]
