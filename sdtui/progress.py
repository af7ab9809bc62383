"""How far a run is, and how long it will take: from its record alone, for every live view."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
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
        done: Cells of which this sitting has nothing more to run; of a run with several processes per cell, processes;
            of one that is tuned, cells of the rung.
        total: Cells of the run, or processes, or cells of the rung.
        current: The cell, or process of it, that runs now.
        remaining_s: Estimate for the whole run; ``None`` until a forecast, a step or a cell tells.
        how_sure: ``about``, ``up to`` where a precision decides how often cells are called, or ``at a guess`` where a
            cell that is still to run was never measured.
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
    cells = list(record.cells.values())
    total = len(cells) * record.processes
    due = {cell.spec.id: len(record.due(cell)) for cell in cells}
    current = next((c for c in cells if c.started and not c.finished and c.sitting == sitting), None)
    done, unit = total - sum(due.values()), "cells" if record.processes == 1 else "processes"
    if record.is_tuned:
        rung = _rung(record)
        of_rung = _cells_in(rung, record)
        done, total = sum(rung not in record.due(cell) for cell in of_rung), len(of_rung)
        due, unit = _expected(rung, record), f"cells in rung {rung} of {record.processes}"
    if current:
        due[current.spec.id] -= 1
    to_run = {cell: count for cell, count in due.items() if count > 0}
    remaining_s = _remaining_s(record, current, to_run, now)
    return Progress(done, total, current, remaining_s, _how_sure(record, current, to_run), unit)


def recent_steps(cell: CellRecord) -> list[Step]:
    """Returns the latest steps of the stage and call that runs now, at most `RECENT_STEPS`."""
    if not cell.steps:
        return []
    last = cell.steps[-1]
    if cell.phases and (cell.phases[-1][1].call or 0) > last.call:
        return []  # the next phase has begun, and has no step yet
    return [step for step in cell.steps[-RECENT_STEPS:] if (step.call, step.stage) == (last.call, last.stage)]


def cell_remaining_s(cell: CellRecord, record: RunRecord) -> float | None:
    """Estimates what is left of the cell that runs; ``None`` before each of its stages has made two steps."""
    return _rest_of_cell_s(cell, record.sittings[-1].started.precision if record.sittings else None)


def rate_of(steps: list[Step]) -> float | None:
    """Returns steps per second; ``None`` where the clock saw no time pass."""
    elapsed_ms = sum(step.ms for step in steps)
    return 1000 * len(steps) / elapsed_ms if elapsed_ms > 0 else None


def _rung(record: RunRecord) -> int:
    """Returns the rung that a tuned run is in: the last that was begun, once that is decided the first that is due."""
    cells, sitting = record.cells.values(), record.sittings[-1].started.sitting
    due = [processes[0] for processes in map(record.due, cells) if processes]
    begun = [each for cell in cells for each in cell.processes if each.sitting == sitting and each.started]
    last = max(begun, key=lambda each: (each.started or 0.0, each.process)).process if begun else 0
    is_decided = any((rung.sitting, rung.rung) == (sitting, last) for rung in record.rungs)
    return min(due) if due and (is_decided or not begun) else max(last, 1)


def _cells_in(rung: int, record: RunRecord) -> list[CellRecord]:
    """Returns the cells that have a process of the rung, or are to have one."""
    return [
        cell
        for cell in record.cells.values()
        if rung in record.due(cell) or any(each.process == rung for each in cell.processes)
    ]


def _expected(rung: int, record: RunRecord) -> dict[str, int]:
    """Returns how many processes of each cell are to come, where half of those that are left drop out after each rung.

    Which half is not known: it is taken to be the later one. Who is left alone is measured no further.
    """
    expected = {name: int(rung in record.due(cell)) for name, cell in record.cells.items()}
    left = [name for name, cell in record.cells.items() if record.due(cell)]
    for _ in range(rung, record.processes):
        left = left[: (len(left) + 1) // 2]
        for cell in left if len(left) > 1 else ():
            expected[cell] += 1
    return expected


def _remaining_s(record: RunRecord, current: CellRecord | None, to_run: Mapping[str, int], now: float) -> float | None:
    """Sums what is left of the current cell and what the others take: as forecast, else as the cells before did.

    Under a budget it is what of the others will fit into it.
    """
    if not (current or to_run):
        return 0.0
    sitting = record.sittings[-1]
    expected_s = {each.cell: each.seconds for each in sitting.queue}
    usual_s = _usual_s(record, current, now)
    rest_s = _rest_of_current_s(current, expected_s.get(current.spec.id, usual_s), record, now) if current else 0.0
    order = {cell: index for index, cell in enumerate(expected_s)}
    in_order = sorted(to_run, key=lambda cell: order.get(cell, len(order)))
    others_s = [expected_s.get(cell, usual_s) for cell in in_order for _ in range(to_run[cell])]
    if rest_s is None or None in others_s:
        return None
    budget_s = sitting.started.budget_s
    room_s = math.inf if budget_s is None else sitting.started_at + budget_s - now
    for seconds in others_s:
        if seconds is not None and rest_s + seconds <= room_s:
            rest_s += seconds
    return rest_s


def _usual_s(record: RunRecord, current: CellRecord | None, now: float) -> float | None:
    """Returns what the processes that ended in this sitting took on average, else what the current one will."""
    sitting = record.sittings[-1].started.sitting
    began = [process for cell in record.cells.values() for process in cell.processes]
    took = [c.finished_at - c.started for c in began if c.sitting == sitting and c.started and c.finished_at]
    if took:
        return statistics.fmean(took)
    rest_s = cell_remaining_s(current, record) if current else None
    return None if current is None or current.started is None or rest_s is None else now - current.started + rest_s


def _rest_of_current_s(cell: CellRecord, whole_s: float | None, record: RunRecord, now: float) -> float | None:
    rest_s = cell_remaining_s(cell, record)
    if rest_s is not None or whole_s is None or cell.started is None:
        return rest_s
    return max(_rest_of_calls_s(cell, cell.spec.calls), cell.started + whole_s - now)


def _how_sure(record: RunRecord, current: CellRecord | None, to_run: Mapping[str, int]) -> str:
    if not (current or to_run):
        return "about"
    waiting = {*to_run, *([current.spec.id] if current and cell_remaining_s(current, record) is None else [])}
    if any(each.cell in waiting and not each.is_sure for each in record.sittings[-1].queue):
        return "at a guess"
    return "up to" if record.sittings[-1].started.precision else "about"


def _rest_of_cell_s(cell: CellRecord, rule: PrecisionRule | None) -> float | None:
    """Estimates what is left of a cell; ``None`` before the pace of each stage is known.

    Where a precision decides, that is up to its limits, and no less than the calls that are made in any case.
    """
    if any(_pace_ms(cell, stage.name) is None for stage in cell.spec.stages):
        return None
    least_s = _rest_of_calls_s(cell, cell.spec.calls)
    if rule is None:
        return least_s
    measured_s = sum(call.wall_ms for call in cell.calls if call.call > 1) / 1000
    return max(least_s, min(_rest_of_calls_s(cell, rule.max_calls), rule.max_seconds - measured_s))


def _rest_of_calls_s(cell: CellRecord, calls: int) -> float:
    """Estimates it for so many calls and the stages whose pace is known; what others take to compile is not."""
    rest_ms = 0.0
    for stage in cell.spec.stages:
        pace_ms = _pace_ms(cell, stage.name)
        if pace_ms is not None:
            last = _latest_steps(cell, stage.name)[0]
            done = (last.call - 1) * last.steps + last.step
            rest_ms += max(0, calls * last.steps - done) * pace_ms
    return rest_ms / 1000


def _pace_ms(cell: CellRecord, stage: str) -> float | None:
    """Returns what a step takes by the latest; ``None`` before the second: the first may compile or warm up."""
    taken = [step.ms for step in _latest_steps(cell, stage) if (step.call, step.step) != (1, 1)]
    return statistics.median(taken) if taken else None


def _latest_steps(cell: CellRecord, stage: str) -> list[Step]:
    """Returns the latest steps of a stage, the last one first: of the call that runs and the one before it."""
    found: list[Step] = []
    for step in reversed(cell.steps):
        if len(found) == RECENT_STEPS or step.call < cell.steps[-1].call - 1:
            break
        if step.stage == stage:
            found.append(step)
    return found
