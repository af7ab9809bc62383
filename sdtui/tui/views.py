"""From a run's events to the snapshots that screens draw."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from sdtui.check import check_output
from sdtui.flags import BENIGN, Flag, flags
from sdtui.model.events import (
    WAITING,
    CellChecked,
    CellFinished,
    CellStarted,
    RungFinished,
    Stamped,
    Step,
    Telemetry,
)
from sdtui.model.forecast import Forecast
from sdtui.model.results import CellSummary, StageSummary
from sdtui.progress import cell_remaining_s, progress_of, rate_of, recent_steps
from sdtui.records import CellRecord, RunRecord
from sdtui.report import text
from sdtui.report.merge import Result, results_of
from sdtui.tui.meters import CPU_METERS, GPU_METERS
from sdtui.tui.snapshot import CellView, LiveView, RunView

TRACED_STEPS = 240
"""How many of the latest steps a live view holds."""
KEPT_STEPS = 20_000
"""How many steps of a running cell are kept; older ones are in the journal, and in no live figure."""
HISTORY = 240
"""How many readings of each gauge a live view holds, one per view."""
GRAPHED = tuple(meter.field for meter in (*GPU_METERS, *CPU_METERS))
"""The telemetry fields with a history."""


class RunReducer:
    """Takes in a run's events and makes views of it. It keeps raw samples of the running cell alone.

    Attributes:
        record: The run, as far as it was read; samples of finished cells are left out.
    """

    def __init__(self, folder: Path) -> None:
        self.record = RunRecord(folder)
        self._latest = 0.0
        self._cells: dict[str, CellView] = {}
        self._gauges: dict[str, Any] = {}
        self._history: dict[str, deque[float | None]] = {}
        self._peak_vram_mib: float | None = None

    def apply(self, stamped: Stamped) -> None:
        """Takes in the next event."""
        self.record.apply(stamped)
        self._latest = stamped.t
        event = stamped.event
        if isinstance(event, CellStarted):
            self._forget_gauges()
            self._cells.pop(event.cell, None)
        elif isinstance(event, Telemetry):
            self._take_telemetry(event)
        elif isinstance(event, Step):
            _bound(self.record.cells[event.cell].steps)
        elif isinstance(event, CellFinished):
            self._finish(event.cell)
        elif isinstance(event, CellChecked):
            self._check(event.cell)
        elif isinstance(event, RungFinished):
            for cell in event.closed:
                self._finish(cell)

    def view(self, now: float, state: str, share_read: float = 1.0) -> RunView:
        """Returns the run as it stands.

        Args:
            now: Unix seconds; of a replay, as it was then.
            state: As `sdtui.runs.Listed` words it.
            share_read: How much of its events was applied, 0 to 1: until all are, nothing in it is live.
        """
        record, progress = self.record, progress_of(self.record, now)
        sitting = record.sittings[-1] if record.sittings else None
        alive = state in ("running", "waiting") and share_read == 1
        current = progress.current if alive else None
        live = self._live(current, now) if current else None
        left = "not run" if state not in ("running", "waiting") and share_read == 1 else ""
        queue = self._queue(current) if alive else []
        standing = _standing(record)
        cells = {
            cell: replace(self._cell(cell, live, left, queue), tuning=standing.get(cell, "")) for cell in record.cells
        }
        until = now if state in ("running", "waiting") else self._latest
        ended = sitting.finished_at if sitting else None
        message = self._message(progress.done, progress.total) if alive and live is None else ""
        if share_read < 1:
            message = f"reading its journal, {100 * share_read:.0f} %"
        return RunView(
            folder=record.path,
            id=record.id,
            state=state,
            machine=sitting.started.machine if sitting else None,
            torch=text.torches(sitting.started.environments) if sitting else {},
            cells=cells,
            live=live,
            done=progress.done,
            total=progress.total,
            unit=progress.unit,
            elapsed_s=max(0.0, (ended or until) - sitting.started_at) if sitting else 0.0,
            remaining_s=progress.remaining_s if alive else None,
            how_sure=progress.how_sure,
            message=message,
            reason=(sitting.finished.reason if sitting and sitting.finished else "") or text.beyond_budget(sitting),
            fastest=tuple(tuple(record.cells[cell].spec.slot.mode for cell in best) for best in record.leading),
        )

    # ------------------------------------------------------------------------------------------------------ cells

    def _finish(self, cell: str) -> None:
        """Makes a finished cell's view while its samples are there, then lets go of them."""
        record = self.record.cells.get(cell)
        if record is None or record.finished is None:
            return
        self._cells[cell] = finished_view(self.record, record)
        if self._is_single(record):
            record.steps.clear()
            record.telemetry.clear()

    def _check(self, cell: str) -> None:
        """Judges a finished cell's output, whose samples are gone."""
        record, before = self.record.cells.get(cell), self._cells.get(cell)
        if record is None or before is None or not self._is_single(record):
            self._finish(cell)
            return
        check = check_output(self.record, record)
        differs = [Flag("differs", check.reason)] if check and check.verdict == "failed" else []
        others = (flag for flag in before.flags if flag.name != "differs")
        self._cells[cell] = replace(before, flags=(*differs, *others), check=check)

    def _is_single(self, record: CellRecord) -> bool:
        return self.record.processes == 1 and not record.others

    def _queue(self, current: CellRecord | None) -> list[Forecast]:
        """Returns what waits, in the order in which it runs."""
        forecasts = self.record.sittings[-1].queue if self.record.sittings else ()
        waiting = [each for each in forecasts if self.record.due(self.record.cells[each.cell])]
        return [each for each in waiting if current is None or each.cell != current.spec.id]

    def _cell(self, cell: str, live: LiveView | None, left: str, queue: Sequence[Forecast]) -> CellView:
        record = self.record.cells[cell]
        if live is not None and live.cell == cell:
            return CellView(record.spec, "running", _progress_words(live), run=self.record.path)
        if cell in self._cells:
            return self._cells[cell]
        if left and record.started and not record.finished:
            return CellView(record.spec, "queued", "interrupted", run=self.record.path)
        why = self.record.why_not_run(record)
        place = next((place for place, each in enumerate(queue, 1) if each.cell == cell), None)
        words = "not run" if why else left if place is None else f"queued {place}"
        return CellView(record.spec, "queued", words, reason=why, forecast=queue[place - 1] if place else None)

    def _message(self, done: int, total: int) -> str:
        sitting = self.record.sittings[-1] if self.record.sittings else None
        if sitting and self.record.logs:
            t, log = self.record.logs[-1]
            if t >= sitting.started_at and log.message.startswith(WAITING):
                return log.message
        return "starting" if done < total or not total else "writing the report"

    # ------------------------------------------------------------------------------------------------------- live

    def _forget_gauges(self) -> None:
        self._gauges, self._history, self._peak_vram_mib = {}, {}, None

    def _take_telemetry(self, event: Telemetry) -> None:
        self._gauges.update(event.changed)
        used = event.changed.get("vram_used_mib")
        if used is not None:
            self._peak_vram_mib = max(used, self._peak_vram_mib or 0.0)

    def _live(self, cell: CellRecord, now: float) -> LiveView:
        entered, phase = (cell.phases[-1][0], cell.phases[-1][1]) if cell.phases else (cell.started or now, None)
        steps = recent_steps(cell)
        trace = _trace(cell)
        need = text.vram_need(cell.need) if cell.need else ""
        short = cell.need is not None and cell.need.is_short
        for name in GRAPHED:
            if name in self._gauges:
                self._history.setdefault(name, deque(maxlen=HISTORY)).append(self._gauges[name])
        return LiveView(
            cell=cell.spec.id,
            name=cell.name,
            phase=phase.phase if phase else "launch",
            phase_s=max(0.0, now - entered),
            call=steps[-1].call if steps else (phase.call if phase else None),
            calls=cell.spec.calls,
            stage=steps[-1].stage if steps and len(cell.spec.stages) > 1 else "",
            step=steps[-1].step if steps else None,
            steps=steps[-1].steps if steps else None,
            latest_ms=steps[-1].ms if steps else None,
            median_ms=statistics.median(trace) if trace else None,
            p95_ms=_p95(trace),
            its=rate_of(steps) if steps else None,
            trace=trace,
            gauges=dict(self._gauges),
            history={name: tuple(values) for name, values in self._history.items()},
            peak_vram_mib=self._peak_vram_mib,
            warnings=(*([need] if short else []), *_warnings(self._gauges)),
            need="" if short else need,
            remaining_s=cell_remaining_s(cell, self.record),
        )


def _standing(record: RunRecord) -> dict[str, str]:
    """Returns how cells stand of which the tuner has decided."""
    found = {cell: reason for rung in record.rungs for cell, reason in rung.closed.items()}
    for first, *others in filter(None, record.leading):
        found[first] = "the fastest within the output check, as far as it was measured"
        found |= dict.fromkeys(others, f"not told apart from {record.cells[first].spec.slot.mode}, which leads")
    return found


def finished_view(run: RunRecord, record: CellRecord, judged: bool = True) -> CellView:
    """Returns the view of a cell that has an ending, or of a process of it.

    Args:
        run: The cell's.
        record: With its samples, where flags are wanted.
        judged: Whether it gets flags, and its output a verdict.
    """
    from sdtui.report.detail import ending

    result = next(each for each in results_of(run) if each.record is record)
    summary = _summary(result)
    its = tuple(stage.loop_its for stage in summary.stages)
    ended = result.ending
    return CellView(
        spec=record.spec,
        state="finished" if ended else "queued",
        text=text.outcome(result.status, result.call, its) if ended else text.rates(its),
        status=result.status,
        its=its,
        loop_s=_loop_s(summary, len(record.spec.stages)),
        ended=ending(result),
        reason=result.reason,
        flags=_flags(result, summary) if judged else (),
        summary=summary,
        check=check_output(run, record) if judged else None,
        torch=result.torch,
        device=result.device,
        ended_at=record.finished_at,
        run=run.path,
    )


def _summary(result: Result) -> CellSummary:
    """One process's as its supervisor stored it, which costs nothing, unless an older sdtui did, which knew less.

    Where samples were not read there is nothing else.
    """
    stored = result.record.finished.summary if result.record.finished else None
    told = stored and (all(stage.step_ms for stage in stored.stages) or not result.record.calls)
    return stored if stored and told and _is_alone(result.record) else result.summary


def _is_alone(record: CellRecord) -> bool:
    """Whether a cell has one process; ``Result.processes`` would compute its figures to say so."""
    return len(record.processes) <= 1


def _flags(result: Result, summary: CellSummary) -> tuple[Flag, ...]:
    if not _is_alone(result.record):
        return result.flags
    return flags(result.record, summary, result.gpu, check_output(result.run, result.record))


def _loop_s(summary: CellSummary, stages: int) -> float | None:
    timed = [stage for stage in summary.stages if stage.loop_its > 0]
    return sum(_loop_of(stage) for stage in timed) if len(timed) == stages else None


def _loop_of(stage: StageSummary) -> float:
    return stage.steps / stage.loop_its


def _progress_words(live: LiveView) -> str:
    """Writes ``measure 2/3 62 %``; phases without steps by their name and seconds."""
    if live.step is None or not live.steps or live.call is None:
        return f"{live.phase} {live.phase_s:.0f} s"
    stage = f" {live.stage}" if live.stage else ""
    return f"{live.phase} {live.call}/{live.calls}{stage} {100 * live.step // live.steps} %"


def _trace(cell: CellRecord) -> tuple[float, ...]:
    if not cell.steps:
        return ()
    last = cell.steps[-1]
    least = min(last.call, 2)
    latest = cell.steps[-TRACED_STEPS:]
    return tuple(step.ms for step in latest if step.stage == last.stage and step.call >= least)


def _p95(values: tuple[float, ...]) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return statistics.quantiles(values, n=20, method="inclusive")[-1]


def _bound(steps: list[Step]) -> None:
    if len(steps) > 2 * KEPT_STEPS:
        del steps[:-KEPT_STEPS]


def _warnings(gauges: Mapping[str, Any]) -> tuple[str, ...]:
    found = []
    reasons = [reason for reason in gauges.get("clock_event_reasons") or () if reason not in BENIGN]
    if reasons:
        found.append("throttled: " + ", ".join(reason.replace("_", " ") for reason in reasons))
    others = gauges.get("other_processes")
    if others:
        found.append(f"contended: {others} other {'process' if others == 1 else 'processes'} on the GPU")
    return tuple(found)
