"""How far a run is, and how long it will take: from its record alone, for every live view."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from sdtui.model.events import Step
from sdtui.model.precision import PrecisionRule
from sdtui.records import CellRecord, RunRecord

RECENT_STEPS = 10
"""How many steps the live rate and pace are taken over."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands.

    Attributes:
        done: Cells of which this sitting has nothing more to run; of a run with several processes per cell, processes.
        total: Cells of the run, or processes.
        current: The cell, or process of it, that runs now.
        remaining_s: Estimate for the whole run; ``None`` until a step or a cell tells.
        how_sure: ``about``, or ``up to`` where a precision decides how often the current cell is called.
    """

    done: int
    total: int
    current: CellRecord | None
    remaining_s: float | None
    how_sure: str = "about"
    unit: str = "cells"


def progress_of(record: RunRecord, now: float) -> Progress:
    """Returns where a run stands at ``now`` (unix seconds)."""
    sitting = record.sittings[-1].started.sitting if record.sittings else 0
    rule = record.sittings[-1].started.precision if record.sittings else None
    cells = list(record.cells.values())
    total = len(cells) * record.processes
    done = total - sum(len(record.due(cell)) for cell in cells)
    current = next((c for c in cells if c.started and not c.finished and c.sitting == sitting), None)
    began = [process for cell in cells for process in cell.processes]
    remaining_s = _remaining_s(began, current, total - done, sitting, now, rule)
    how_sure = "up to" if rule and current else "about"
    return Progress(done, total, current, remaining_s, how_sure, "cells" if record.processes == 1 else "processes")


def recent_steps(cell: CellRecord) -> list[Step]:
    """Returns the latest steps of the stage and call that runs now, at most `RECENT_STEPS`."""
    if not cell.steps:
        return []
    last = cell.steps[-1]
    if cell.phases and (cell.phases[-1][1].call or 0) > last.call:
        return []  # the next phase has begun, and has no step yet
    return [step for step in cell.steps[-RECENT_STEPS:] if (step.call, step.stage) == (last.call, last.stage)]


def cell_remaining_s(cell: CellRecord, record: RunRecord) -> float | None:
    """Estimates what is left of the cell that runs; ``None`` before its first step."""
    return _rest_of_cell_s(cell, record.sittings[-1].started.precision if record.sittings else None)


def rate_of(steps: list[Step]) -> float | None:
    """Returns steps per second; ``None`` where the clock saw no time pass."""
    elapsed_ms = sum(step.ms for step in steps)
    return 1000 * len(steps) / elapsed_ms if elapsed_ms > 0 else None


def _remaining_s(
    processes: list[CellRecord],
    current: CellRecord | None,
    left: int,
    sitting: int,
    now: float,
    rule: PrecisionRule | None,
) -> float | None:
    if not left:
        return 0.0
    took = [c.finished_at - c.started for c in processes if c.sitting == sitting and c.started and c.finished_at]
    if current is None or current.started is None:
        return statistics.fmean(took) * left if took else None
    elapsed = max(0.0, now - current.started)
    rest = _rest_of_cell_s(current, rule)
    if took:
        usual = statistics.fmean(took)
        return (max(0.0, usual - elapsed) if rest is None else rest) + usual * (left - 1)
    return None if rest is None else rest + (elapsed + rest) * (left - 1)


def _rest_of_cell_s(cell: CellRecord, rule: PrecisionRule | None) -> float | None:
    """Estimates what is left of a cell; ``None`` before the first step.

    Where a precision decides, that is up to its limits, and no less than the calls that are made in any case.
    """
    least = _rest_of_calls_s(cell, cell.spec.calls)
    most = _rest_of_calls_s(cell, rule.max_calls) if rule else least
    if rule is None or least is None or most is None:
        return least
    measured_s = sum(call.wall_ms for call in cell.calls if call.call > 1) / 1000
    return max(least, min(most, rule.max_seconds - measured_s))


def _rest_of_calls_s(cell: CellRecord, calls: int) -> float | None:
    """Estimates it for so many calls from the pace of the latest steps, stage by stage; ``None`` before the first."""
    if not cell.steps:
        return None
    rest_ms = 0.0
    for stage in cell.spec.stages:
        taken = _latest_steps(cell, stage.name)
        pace_ms = statistics.median(step.ms for step in taken or cell.steps[-RECENT_STEPS:])
        steps, done = stage.steps, 0
        if taken:
            last = taken[0]
            steps, done = last.steps, (last.call - 1) * last.steps + last.step
        rest_ms += max(0, calls * steps - done) * pace_ms
    return rest_ms / 1000


def _latest_steps(cell: CellRecord, stage: str) -> list[Step]:
    """Returns the latest steps of a stage, the last one first: of the call that runs and the one before it."""
    found: list[Step] = []
    for step in reversed(cell.steps):
        if len(found) == RECENT_STEPS or step.call < cell.steps[-1].call - 1:
            break
        if step.stage == stage:
            found.append(step)
    return found
