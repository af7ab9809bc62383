"""What a run knows: its state, reduced from its events; every reader uses this one reducer."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from sdtui.model.cell import Cell
from sdtui.model.events import (
    CallFinished,
    CellChecked,
    CellFinished,
    CellPhase,
    CellQueued,
    CellStarted,
    Event,
    Log,
    RunFinished,
    RunStarted,
    Stamped,
    Step,
    Telemetry,
)


@dataclass
class CellRecord:
    """All that the journal says of one process of a cell: of its latest attempt.

    ``call_times`` are when each of ``calls`` ended, in unix seconds. ``others`` are the cell's other processes by
    number, where there are some; this one began last.
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
    call_times: list[float] = field(default_factory=list)
    checked: CellChecked | None = None
    process: int = 1
    others: dict[int, CellRecord] = field(default_factory=dict)

    @property
    def processes(self) -> tuple[CellRecord, ...]:
        """Every process that was started or has an ending, by number."""
        known = {**self.others, self.process: self}
        return tuple(known[n] for n in sorted(known) if known[n].started is not None or known[n].finished is not None)

    @property
    def name(self) -> str:
        """The cell's id, and which process it is where it is not the first."""
        return self.spec.id if self.process == 1 else f"{self.spec.id}, process {self.process}"

    def begun(self, process: int, sitting: int, started: float | None) -> CellRecord:
        """Returns the record of a process that begins now, with all others beside it."""
        others = {each.process: replace(each, others={}) for each in self.processes if each.process != process}
        return CellRecord(self.spec, sitting, started, process=process, others=others)

    @property
    def versions(self) -> dict[str, str | None]:
        """Package versions as the worker's imported packages stated them."""
        return next((dict(phase.versions) for _, phase in self.phases if phase.versions), {})


@dataclass
class SittingRecord:
    """One stretch of a run: started once, resumed for each further one."""

    started_at: float
    started: RunStarted
    finished: RunFinished | None = None
    finished_at: float | None = None


@dataclass
class RunRecord:
    """The state of a run, reduced from its events; the one reducer that every reader uses."""

    path: Path
    sittings: list[SittingRecord] = field(default_factory=list)
    cells: dict[str, CellRecord] = field(default_factory=dict)
    logs: list[tuple[float, Log]] = field(default_factory=list)

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
        return endings[-1] if len(endings) >= self.processes else None

    def apply(self, stamped: Stamped) -> None:
        """Takes in the next event of the journal."""
        t, event = stamped.t, stamped.event
        if isinstance(event, RunStarted):
            self.sittings.append(SittingRecord(t, event))
        elif isinstance(event, RunFinished):
            if self.sittings and self.sittings[-1].started.sitting == event.sitting:
                self.sittings[-1].finished, self.sittings[-1].finished_at = event, t
        elif isinstance(event, CellQueued):
            self.cells.setdefault(event.cell, CellRecord(event.spec))
        elif isinstance(event, Log):
            self.logs.append((t, event))
        elif event.cell in self.cells:
            self._apply_to_cell(t, event)

    def _apply_to_cell(self, t: float, event: Event) -> None:
        assert not isinstance(event, (RunStarted, RunFinished, Log))
        record = self.cells[event.cell]
        if isinstance(event, CellStarted):
            self.cells[event.cell] = record.begun(event.process, event.sitting, t)
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
                record = self.cells[event.cell] = record.begun(event.process, record.sitting, None)
            record.finished, record.finished_at = event, t
        elif isinstance(event, CellChecked):
            record.checked = event
