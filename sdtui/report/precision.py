"""How a report says what a precision came to."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.model.precision import PrecisionReached
from sdtui.report import text
from sdtui.report.merge import Result

NOTE = (
    "Where a precision was asked for, a cell is called until the 95 % interval of the median step lies within that "
    "share of the median in every stage, after 5 measured calls at the earliest, or until `max-calls` or "
    '`max-seconds` ends it: the number of calls under "What ran" is then the least.'
)


def reached(result: Result) -> PrecisionReached | None:
    """Returns what the cell's precision came to; ``None`` where none was asked for, or the cell did not end ok."""
    return result.record.finished.precision if result.record.finished else None


def said(precision: PrecisionReached) -> str:
    """Writes ``the median step is known to ±0.8 % after 9 calls``, and what was unmet, and why."""
    calls = f"{precision.calls} calls"
    where = "" if precision.stage == "main" else f" of stage {precision.stage}"
    known = f"±{percent(precision.half_width)}" if precision.half_width is not None else text.NOT_AVAILABLE
    if precision.limit is None:
        return f"the median step{where} is known to {known} after {calls}"
    spent = f"after {calls} ({precision.limit}; {precision.seconds:.1f} s measured)"
    return f"precision ±{percent(precision.target)} not reached {spent}: the median step{where} is known to {known}"


def unmet(result: Result) -> str:
    """Returns what of a cell's precision was unmet; empty where nothing was."""
    found = reached(result)
    return said(found) if found and found.limit else ""


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the cells that had a precision to reach."""
    header = ["Cell", "Asked for", "Reached", "In stage", "Calls", "Measured s", "Ended by"]
    rows = []
    for result in results:
        if found := reached(result):
            known = f"±{percent(found.half_width)}" if found.half_width is not None else text.NOT_AVAILABLE
            figures = [str(found.calls), text.number(found.seconds)]
            asked = f"±{percent(found.target)}"
            rows.append([result.spec.id, asked, known, found.stage, *figures, found.limit or "precision"])
    return header, rows


def percent(share: float) -> str:
    """Writes a share with as many digits as it needs, three at most: ``1 %``, ``0.834 %``."""
    return f"{100 * share:.3g} %"
