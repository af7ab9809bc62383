"""How a report says what a precision came to."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.model.precision import PrecisionReached
from sdtui.records import CellRecord
from sdtui.report import text
from sdtui.report.merge import Result

NOTE = (
    "Where a precision was asked for, a cell is called until the 95 % interval of the median step lies within that "
    "share of the median in every stage, after 5 measured calls at the earliest, or until `max-calls` or "
    '`max-seconds` ends it: the number of calls under "What ran" is then the least.'
)


def reached(result: Result) -> list[tuple[CellRecord, PrecisionReached]]:
    """Returns what the precision came to in each process that had one to reach and ended ok."""
    records = [process.record for process in result.processes]
    return [(record, record.finished.precision) for record in records if record.finished and record.finished.precision]


def said(precision: PrecisionReached) -> str:
    """Writes ``the median step is known to ±0.8 % after 9 calls``, and what was unmet, and why."""
    calls = f"{precision.calls} calls"
    where = "" if precision.stage == "main" else f" of stage {precision.stage}"
    known = f"±{text.percent(precision.half_width)}" if precision.half_width is not None else text.NOT_AVAILABLE
    if precision.limit is None:
        return f"the median step{where} is known to {known} after {calls}"
    spent = f"after {calls} ({precision.limit}; {precision.seconds:.1f} s measured)"
    return (
        f"precision ±{text.percent(precision.target)} not reached {spent}: the median step{where} is known to {known}"
    )


def unmet(result: Result) -> str:
    """Returns what of a cell's precision was unmet, in its first process where it was; empty where nothing was."""
    found = [(record.process, precision) for record, precision in reached(result) if precision.limit]
    if not found:
        return ""
    process, first = found[0]
    several = f" (process {process}; unmet in {len(found)} of {len(result.processes)} processes)"
    return said(first) + (several if len(result.processes) > 1 else "")


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the cells that had a precision to reach."""
    header = ["Cell", "Asked for", "Reached", "In stage", "Calls", "Measured s", "Ended by"]
    rows = []
    for record, found in (each for result in results for each in reached(result)):
        known = f"±{text.percent(found.half_width)}" if found.half_width is not None else text.NOT_AVAILABLE
        figures = [str(found.calls), text.number(found.seconds)]
        asked = f"±{text.percent(found.target)}"
        rows.append([record.name, asked, known, found.stage, *figures, found.limit or "precision"])
    return header, rows
