"""One function for every format a report comes in."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sdtui.model.errors import UserError, nearest
from sdtui.records import RunRecord
from sdtui.report import comparison, tables
from sdtui.report.cost import Price
from sdtui.report.csv_report import csv_report
from sdtui.report.json_report import json_report
from sdtui.report.markdown import markdown
from sdtui.report.merge import merge, ordered
from sdtui.runs import write_atomically

FORMATS = ("md", "html", "csv", "json")


def format_of(output: Path | None, fmt: str | None) -> str:
    """Returns the format to write: as named, else as a file's name ends, else Markdown.

    Raises:
        UserError: The two disagree.
    """
    ending = output.suffix.lstrip(".").lower() if output is not None else ""
    if fmt in FORMATS and ending in FORMATS and ending != fmt:
        raise UserError(f"-o {output}: its name says {ending}, and --format {fmt}; leave one out")
    return fmt or (ending if ending in FORMATS else "md")


def render(
    records: Sequence[RunRecord], fmt: str = "md", reference: str | None = None, price: Price | None = None
) -> str:
    """Writes a report of one or several runs: the same runs give the same bytes.

    Args:
        records: The runs.
        fmt: One of `FORMATS`.
        reference: GPU of the docs page to compare with.
        price: Of the machine; adds what images cost.

    Raises:
        UserError: The format or the GPU is unknown, or the format has no place for a comparison or a cost.
    """
    if fmt == "csv" and reference is not None:
        raise UserError("--reference: csv holds raw calls only; choose --format md, html or json")
    if fmt == "csv" and price is not None:
        raise UserError("--price: csv holds raw calls only; choose --format md, html or json")
    if fmt == "csv":
        return csv_report(records)
    if fmt == "json":
        return json_report(records, reference, price)
    if fmt == "html":
        from sdtui.report.html import html_report

        return html_report(records, reference, price)
    if fmt == "md":
        return markdown(records, reference, price)
    raise UserError(f"--format: unknown format '{fmt}'; {nearest(fmt, FORMATS)}")


def uncompared(records: Sequence[RunRecord], reference: str | None) -> list[str]:
    """Says why nothing was compared, where a GPU of the page was named; none where something was.

    Raises:
        UserError: The page has no such GPU.
    """
    built = tables.build(merge(ordered(records))) if reference is not None else []
    comparisons = comparison.compare(built, reference)
    return [] if comparisons else comparison.uncompared(built, comparisons)


def charts_folder(output: Path) -> Path:
    """Returns where the charts of a Markdown report lie: beside it, named like it."""
    return output.with_name(f"{output.stem}-charts")


def save(content: str, path: Path) -> None:
    """Writes a report to a file that a person named, whole or not at all.

    A link keeps its place, and what is no regular file (``/dev/stdout``, a pipe) is written to, never replaced.

    Raises:
        UserError: It cannot be written.
    """
    try:
        if is_open_elsewhere(path):
            with open(path, "a", encoding="utf-8") as file:
                file.write(content)
        else:
            write_atomically(Path(os.path.realpath(path)), content)
    except OSError as error:
        missing = not path.parent.is_dir()
        raise UserError(f"-o {path}: " + (f"no folder '{path.parent}'" if missing else str(error.strerror))) from error


def is_open_elsewhere(path: Path) -> bool:
    """Says whether a path is written to as it is: a device or a pipe."""
    return path.absolute().is_relative_to("/dev") or (path.exists() and not path.is_file())
