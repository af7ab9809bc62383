"""What a run knows: its state, reduced from its events; every reader uses this one reducer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdtui.model.cell import Cell, Slot
from sdtui.model.events import (
    CallFinished,
    CellChecked,
    CellFinished,
    CellPhase,
    CellQueued,
    CellStarted,
    CompileCache,
    Event,
    Log,
    RunFinished,
    RunForecast,
    RungFinished,
    RunStarted,
    Stamped,
    Step,
    Telemetry,
)
from sdtui.model.forecast import Forecast
from sdtui.model.vram import VramNeed

Row = tuple[str, str, int]
"""Pipeline, environment and batch size: what is compared when the fastest mode is looked for."""

MEASURED_WITH = ("torch", "diffusers")
"""The packages with which figures change: a run that is resumed with others of these needs ``--force``."""


@dataclass
class CellRecord:
    """All that the journal says of one process of a cell: of its latest attempt.

    ``call_times`` are when each of ``calls`` ended, in unix seconds. ``ended_in`` is the sitting that ``finished`` is
    of, which may be a later one than that of the samples: a cell can be skipped before it starts. ``others`` are the
    cell's other processes by number, where there are some; this one began last.
    """

    spec: Cell
    sitting: int = 0
    started: float | None = None
    phases: list[tuple[float, CellPhase]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    calls: list[CallFinished] = field(default_factory=list)
    telemetry: list[tuple[float, Telemetry]] = field(default_factory=list)
    finished: CellFinished | None = None
    finished_at: float | None = None
    ended_in: int = 0
    call_times: list[float] = field(default_factory=list)
    checked: CellChecked | None = None
    process: int = 1
    others: dict[int, CellRecord] = field(default_factory=dict)
    compile_cache: CompileCache | None = None
    need: VramNeed | None = None
    imports: bool = True

    @property
    def processes(self) -> tuple[CellRecord, ...]:
        """Every process that was started or has an ending, by number."""
        known = {**self.others, self.process: self}
        return tuple(known[n] for n in sorted(known) if known[n].started is not None or known[n].finished is not None)

    @property
    def name(self) -> str:
        """The cell's id, and which process it is where it is not the first."""
        return self.spec.id if self.process == 1 else f"{self.spec.id}, process {self.process}"

    def begun(self, process: int, sitting: int, started: float | None, beside: Sequence[CellRecord]) -> CellRecord:
        """Returns the record of a process that begins now, with others of the cell's beside it."""
        others = {each.process: replace(each, others={}) for each in beside if each.process != process}
        return CellRecord(self.spec, sitting, started, process=process, others=others)

    @property
    def versions(self) -> dict[str, str | None]:
        """Package versions as the worker's imported packages stated them."""
        return next((dict(phase.versions) for _, phase in self.phases if phase.versions), {})


@dataclass
class SittingRecord:
    """One stretch of a run: started once, resumed for each further one.

    ``queue`` is what was due when that was last said, in the order in which it runs.
    """

    started_at: float
    started: RunStarted
    finished: RunFinished | None = None
    finished_at: float | None = None
    queue: tuple[Forecast, ...] = ()


@dataclass
class RunRecord:
    """The state of a run, reduced from its events; the one reducer that every reader uses.

    ``rungs`` are those of a run that is tuned, one per rung and row, on the device and with the versions of the last
    sitting: what was decided elsewhere does not count. ``unreadable`` lines of the journal were no events.
    """

    path: Path
    sittings: list[SittingRecord] = field(default_factory=list)
    cells: dict[str, CellRecord] = field(default_factory=dict)
    logs: list[tuple[float, Log]] = field(default_factory=list)
    rungs: list[RungFinished] = field(default_factory=list)
    unreadable: int = 0

    @property
    def id(self) -> str:
        """The run's id: its folder's name when it was made."""
        return self.sittings[0].started.run if self.sittings else self.path.name

    def sitting_of(self, record: CellRecord) -> SittingRecord | None:
        """Returns the sitting in which the cell last ran."""
        return next((s for s in reversed(self.sittings) if s.started.sitting == record.sitting), None)

    @property
    def processes(self) -> int:
        """How many processes each cell is measured in."""
        return self.sittings[-1].started.processes if self.sittings else 1

    @property
    def is_tuned(self) -> bool:
        """Whether the run looks for the fastest mode: see `sdtui.tuning`."""
        return bool(self.sittings and self.sittings[-1].started.flags.get("tune"))

    def why_closed(self, cell: CellRecord) -> str:
        """Says why a cell that is tuned is measured in no further process; empty where it is."""
        return next((rung.closed[cell.spec.id] for rung in self.rungs if cell.spec.id in rung.closed), "")

    @property
    def leading(self) -> tuple[tuple[str, ...], ...]:
        """By tuned row, the cells that may be its fastest as its last rung said, the one that seems to be first."""
        return tuple({row_of(each): each.best for each in self.rungs}.values())

    def ending_of(self, cell: CellRecord) -> CellFinished | None:
        """Returns how a cell ended: as the first of its processes that did not end ok, named in the reason.

        ``None`` while a process has no ending. A process that was cancelled counts where no other ended worse.
        """
        if self.processes == 1 and not cell.others:
            return cell.finished
        endings = [process.finished for process in cell.processes if process.finished]
        worse = [ending for ending in endings if ending.status != "ok"]
        if worse:
            worst = min(worse, key=lambda ending: ending.status == "cancelled")
            return replace(worst, reason=f"process {worst.process}: {worst.reason}")
        complete = len(endings) >= self.processes or (endings and self.why_closed(cell))
        return endings[-1] if complete else None

    def why_not_run(self, cell: CellRecord) -> str:
        """Says why a cell is not run, or did not fit into the budget of the last sitting, which has ended."""
        finished = self.sittings[-1].finished if self.sittings else None
        return self.why_left_out(cell) or (finished.left.get(cell.spec.id, "") if finished else "")

    def due(self, cell: CellRecord) -> tuple[int, ...]:
        """Returns which of a cell's processes the last sitting still has to run, by number; empty without a sitting.

        None of them, once one has ended otherwise than ok in this sitting, or did in an earlier one with a status that
        is not run again, nor of a cell that is closed (see `why_closed`) or left out (see `why_left_out`). A process
        that was measured elsewhere (see `measured_elsewhere`) does not count.
        """
        return () if self.why_closed(cell) or self.why_left_out(cell) else self._left_of(cell)

    def why_left_out(self, cell: CellRecord, asked: bool | None = None) -> str:
        """Says why a cell is not run: ``batch size 4 ran out of memory``; empty where it is, or has a process ended ok.

        That was a cell of the same pipeline, mode and environment with a smaller batch, whose stages are all among this
        one's (IF has three at batch size 1 alone), and which this sitting does not run again.

        Args:
            cell: Of this run.
            asked: Whether such cells are to be left out; ``None`` is as the last sitting was asked.
        """
        if asked is None:
            asked = bool(self.sittings and self.sittings[-1].started.flags.get("skip_larger_after_oom"))
        if not asked or any(each.finished and each.finished.status == "ok" for each in cell.processes):
            return ""
        sizes = [each.spec.slot.batch_size for each in self.cells.values() if self._outgrew(each, cell.spec)]
        return f"batch size {min(sizes)} ran out of memory" if sizes else ""

    def _outgrew(self, smaller: CellRecord, larger: Cell) -> bool:
        """Whether a cell ran out of memory for good, and another needs more in any case."""
        slot, size = smaller.spec.slot, larger.slot.batch_size
        if size <= slot.batch_size or replace(slot, batch_size=size) != larger.slot:
            return False
        ending, stages = self.ending_of(smaller), {stage.name for stage in larger.stages}
        ended = ending is not None and ending.status == "oom" and not self._left_of(smaller)
        return ended and all(stage.name in stages for stage in smaller.spec.stages)

    def _left_of(self, cell: CellRecord) -> tuple[int, ...]:
        if not self.sittings:
            return ()
        now = self.sittings[-1].started
        again = {"cancelled", *now.flags.get("retry", ())}
        ended = {each.process: each.finished.status for each in cell.processes if each.finished}
        fresh = {each.process for each in cell.processes if each.finished and each.ended_in == now.sitting}
        if any(status != "ok" and (process in fresh or status not in again) for process, status in ended.items()):
            return ()
        rounds = range(1, now.processes + 1)
        left = {n for n in rounds if n not in ended or (n not in fresh and ended[n] in again)}
        if self.is_tuned or (left and len(left) < now.processes):
            left |= {each.process for each in self.measured_elsewhere(cell)}
        return tuple(n for n in rounds if n in left)

    def measured_elsewhere(self, cell: CellRecord) -> tuple[CellRecord, ...]:
        """Returns the processes of a cell that the last sitting's cannot stand beside.

        They were measured on another GPU model (or CPU), or with another torch or diffusers.
        """
        return self._elsewhere(cell, self.sittings[-1]) if self.sittings else ()

    def _elsewhere(self, cell: CellRecord, sitting: SittingRecord) -> tuple[CellRecord, ...]:
        here = _place(sitting, cell.spec.slot.environment)
        started = [(each, self.sitting_of(each)) for each in cell.processes if each.started is not None]
        return tuple(each for each, was in started if was and _place(was, cell.spec.slot.environment) != here)

    def apply(self, stamped: Stamped) -> None:
        """Takes in the next event of the journal."""
        t, event = stamped.t, stamped.event
        if isinstance(event, RunStarted):
            self._begin(SittingRecord(t, event))
        elif isinstance(event, RungFinished):
            self.rungs.append(event)
        elif isinstance(event, RunForecast):
            if self.sittings and self.sittings[-1].started.sitting == event.sitting:
                self.sittings[-1].queue = event.queue
        elif isinstance(event, RunFinished):
            if self.sittings and self.sittings[-1].started.sitting == event.sitting:
                self.sittings[-1].finished, self.sittings[-1].finished_at = event, t
        elif isinstance(event, CellQueued):
            self.cells.setdefault(event.cell, CellRecord(event.spec))
        elif isinstance(event, Log):
            self.logs.append((t, event))
        elif event.cell in self.cells:
            self._apply_to_cell(t, event)

    def _begin(self, sitting: SittingRecord) -> None:
        environments = [each.name for each in sitting.started.environments]
        if self.sittings and any(_place(self.sittings[-1], name) != _place(sitting, name) for name in environments):
            self.rungs.clear()
        self.sittings.append(sitting)
        rows = {row_of(cell.spec.slot) for cell in self.cells.values() if self.due(cell)}
        self.rungs = [_with_more(rung) if row_of(rung) in rows else rung for rung in self.rungs]

    def _apply_to_cell(self, t: float, event: Event) -> None:
        assert not isinstance(event, (RunStarted, RunForecast, RungFinished, RunFinished, Log))
        record = self.cells[event.cell]
        if isinstance(event, CellStarted):
            begun = record.begun(event.process, event.sitting, t, self._beside(record, event))
            begun.compile_cache, begun.need, begun.imports = event.compile_cache, event.need, event.imports
            self.cells[event.cell] = begun
        elif isinstance(event, CellPhase):
            record.phases.append((t, event))
        elif isinstance(event, Step):
            record.steps.append(event)
        elif isinstance(event, CallFinished):
            record.calls.append(event)
            record.call_times.append(t)
        elif isinstance(event, Telemetry):
            record.telemetry.append((t, event))
        elif isinstance(event, CellFinished):
            if event.process != record.process:  # it was skipped, and had no start
                record = record.begun(event.process, record.sitting, None, record.processes)
                self.cells[event.cell] = record
            record.finished, record.finished_at = event, t
            record.ended_in = self.sittings[-1].started.sitting if self.sittings else 0
        elif isinstance(event, CellChecked):
            record.checked = event

    def _beside(self, record: CellRecord, start: CellStarted) -> tuple[CellRecord, ...]:
        """Returns the processes that stay when another starts: figures of two devices are never one figure."""
        sitting = next((each for each in reversed(self.sittings) if each.started.sitting == start.sitting), None)
        gone = [each.process for each in self._elsewhere(record, sitting)] if sitting else []
        return tuple(each for each in record.processes if each.process not in gone)


def row_of(of: Slot | RungFinished) -> Row:
    """Returns the row of a slot, or that a rung is of."""
    return of.pipeline, of.environment, of.batch_size


def _with_more(rung: RungFinished) -> RungFinished:
    """Returns a decision without what does not hold once more of its row is measured."""
    return replace(rung, closed={cell: why for cell, why in rung.closed.items() if cell not in rung.until_more})


def _place(sitting: SittingRecord, environment: str) -> tuple[str | None, ...]:
    """What must be equal for two processes of a cell to count as one measurement."""
    started = sitting.started
    packages = next((each.packages for each in started.environments if each.name == environment), {})
    return (started.machine.device_name, *(packages.get(package) for package in MEASURED_WITH))
