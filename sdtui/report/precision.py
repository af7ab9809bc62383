"""How a report says what a precision came to."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.model.precision import FEWEST_MEASURED, PrecisionReached
from sdtui.precision import Precision, widest
from sdtui.records import CellRecord
from sdtui.report import text
from sdtui.report.merge import Result

NOTE = (
    "Where a precision was asked for, a cell is called until the 95 % interval of the median step lies within that "
    "share of the median in every stage, after 5 measured calls at the earliest, or until `max-calls` or "
    '`max-seconds` ends it: the number of calls under "What ran" is then the least.'
)
SEVERAL = (
    "With several processes a precision is each process's own, and promises nothing of the next process: how well the "
    "median step of all of them together is known is in the last row of each cell, and no call was made for it."
)


def reached(result: Result) -> list[tuple[CellRecord, PrecisionReached]]:
    """Returns what the precision came to in each process that counts, had one to reach and ended ok."""
    records = result.counted_records
    return [(record, record.finished.precision) for record in records if record.finished and record.finished.precision]


def pooled(result: Result) -> Precision | None:
    """Returns how well the median step of several processes together is known, where each had a precision to reach."""
    stages = {stage.stage: stage.step_ms for stage in result.summary.stages}
    return widest(stages) if stages and len(result.counted) > 1 and reached(result) else None


def said_of_all(result: Result) -> str:
    """Writes what processes with a precision each come to together; empty where there is nothing to say."""
    together = pooled(result)
    if together is None:
        return ""
    count = len(result.counted)
    return f"{count} processes together: the median step{_where(together.stage)} is known to {_known(together)}"


def said(precision: PrecisionReached) -> str:
    """Writes ``the median step is known to ±0.8 % after 9 calls``, and what was unmet, and why."""
    median = f"the median step{_where(precision.stage)} is known to {_known(precision)}"
    if precision.limit is None:
        return f"{median} after {precision.calls} calls"
    measured = f"{precision.seconds:.1f} s measured"
    few = f" after {precision.measured_calls} measured calls, of which a precision needs {FEWEST_MEASURED}"
    if "half-width" not in precision.unmet:
        return f"{median}{few}; {precision.limit} ended it ({measured})"
    spent = f"after {precision.calls} calls ({precision.limit}; {measured})"
    median += few if "measured-calls" in precision.unmet else ""
    return f"precision ±{text.percent(precision.target)} not reached {spent}: {median}"


def unmet(result: Result) -> str:
    """Returns what of a cell's precision was unmet, in its first process where it was; empty where nothing was."""
    found = [(record.process, precision) for record, precision in reached(result) if precision.limit]
    if not found:
        return ""
    process, first = found[0]
    several = f" (process {process}; unmet in {len(found)} of {len(result.counted)} processes)"
    return said(first) + (several if len(result.processes) > 1 else "")


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the cells that had a precision to reach."""
    header = ["Cell", "Asked for", "Reached", "In stage", "Calls", "Measured s", "Ended by"]
    rows = []
    for result in results:
        found = reached(result)
        rows += [_row(record, precision) for record, precision in found]
        if together := pooled(result):
            figures = [str(sum(each.calls for _, each in found)), text.number(sum(each.seconds for _, each in found))]
            name = f"{result.spec.id}, {len(result.counted)} processes together"
            rows.append([name, text.NONE, _known(together), together.stage, *figures, text.NONE])
    return header, rows


def _row(record: CellRecord, precision: PrecisionReached) -> list[str]:
    figures = [str(precision.calls), text.number(precision.seconds)]
    few = f", before {FEWEST_MEASURED} measured calls" if "measured-calls" in precision.unmet else ""
    ended_by = f"{precision.limit or 'precision'}{few}"
    asked = f"±{text.percent(precision.target)}"
    return [record.name, asked, _known(precision), precision.stage, *figures, ended_by]


def _known(precision: Precision | PrecisionReached) -> str:
    return text.NOT_AVAILABLE if precision.half_width is None else f"±{text.percent(precision.half_width)}"


def _where(stage: str) -> str:
    return "" if stage == "main" else f" of stage {stage}"
