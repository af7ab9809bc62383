"""One function for every format a report comes in."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.model.errors import UserError, nearest
from sdtui.report.csv_report import csv_report
from sdtui.report.json_report import json_report
from sdtui.report.markdown import markdown
from sdtui.runs import RunRecord

FORMATS = ("md", "csv", "json")


def render(records: Sequence[RunRecord], fmt: str = "md", reference: str | None = None) -> str:
    """Writes a report of one or several runs: the same runs give the same bytes.

    Args:
        records: The runs.
        fmt: One of `FORMATS`.
        reference: GPU of the docs page to compare with.

    Raises:
        UserError: The format or the GPU is unknown, or the format has no place for a comparison.
    """
    if fmt == "csv" and reference is not None:
        raise UserError("--reference: csv holds raw calls only; choose --format md or json")
    if fmt == "csv":
        return csv_report(records)
    if fmt == "json":
        return json_report(records, reference)
    if fmt == "md":
        return markdown(records, reference)
    raise UserError(f"--format: unknown format '{fmt}'; {nearest(fmt, FORMATS)}")
