"""Several runs become one set of results: the newest of each cell on each GPU model and torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from sdtui import readings, statistics
from sdtui.check import Check, check_output
from sdtui.energy import Energy, energy
from sdtui.flags import Flag, flags
from sdtui.model.cell import Cell
from sdtui.model.events import CellFinished
from sdtui.model.machine import Gpu, Interpreter
from sdtui.model.probe import Probe
from sdtui.model.results import CellSummary, Status
from sdtui.processes import Process, counted, pool, pool_energy, pool_flags
from sdtui.records import CellRecord, RunRecord, SittingRecord
from sdtui.report.text import NOT_AVAILABLE, release
from sdtui.roofline import StageRoofline, roofline


@dataclass(frozen=True)
class Result:
    """What is known of one cell on one device, from the run that knows it best.

    Attributes:
        run: Where it comes from.
        record: Of the process that began last; `processes` has them all.
        device: GPU model, or the CPU's name.
        gpu: What the cell's sitting used; ``None`` for a CPU.
        torch: Full version: the worker's own word, else the sitting's environment; ``None`` where neither says.
        probe: The device's matrix rates, where they were known when the cell's sitting began.
    """

    run: RunRecord
    record: CellRecord
    device: str
    gpu: Gpu | None
    torch: str | None
    probe: Probe | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU was measured."""
        return self.gpu is not None

    @property
    def spec(self) -> Cell:
        """The cell."""
        return self.record.spec

    @property
    def ending(self) -> CellFinished | None:
        """How the cell ended; ``None`` where it has no result yet. Of several processes, see `RunRecord.ending_of`."""
        return self.run.ending_of(self.record)

    @property
    def status(self) -> Status | None:
        """How the cell ended; ``None`` where it has no result yet."""
        return self.ending.status if self.ending else None

    @property
    def call(self) -> int | None:
        """The call in which it ended."""
        return self.ending.call if self.ending else None

    @property
    def reason(self) -> str:
        """Why it did not end ok, or is not run; empty where there is nothing to say."""
        return self.ending.reason if self.ending else self.run.why_not_run(self.record)

    @cached_property
    def processes(self) -> tuple[Process, ...]:
        """The cell's processes by number; of a cell that never ran, the one that it has."""
        records = self.record.processes or (self.record,)
        return tuple(Process(record, _summary_of(record)) for record in records)

    @cached_property
    def counted(self) -> tuple[Process, ...]:
        """The processes that the figures are of: see `sdtui.processes.counted`."""
        return counted(self.processes)

    @property
    def counted_records(self) -> list[CellRecord]:
        """What is known of each of `counted`."""
        return [process.record for process in self.counted]

    @property
    def is_partial(self) -> bool:
        """Whether the cell has figures while a process of it, though no process failed, is pending or was cancelled."""
        complete = any(process.record.finished and process.record.finished.status == "ok" for process in self.processes)
        return complete and self.status in (None, "cancelled")

    @cached_property
    def summary(self) -> CellSummary:
        """The cell's figures, computed anew from its raw samples: an older sdtui's folder has the newest figures."""
        return pool(self.spec, self.counted) if len(self.processes) > 1 else self.processes[0].summary

    @cached_property
    def flags(self) -> tuple[Flag, ...]:
        """What makes the figures less sure."""
        found = [(each.record, self._flags_of(each)) for each in self.counted]
        return pool_flags(found, self.summary) if len(self.processes) > 1 else found[0][1]

    def _flags_of(self, process: Process) -> tuple[Flag, ...]:
        return flags(process.record, process.summary, self.gpu, check_output(self.run, process.record))

    @cached_property
    def check(self) -> Check | None:
        """How the output compares with that of ``no-compile`` in the same run; ``None`` where there is none.

        Of several processes, that of the last that counts.
        """
        return check_output(self.run, self.counted_records[-1])

    @cached_property
    def energy(self) -> Energy | None:
        """Energy per image; ``None`` where it is not available."""
        return pool_energy(energy(record) for record in self.counted_records)

    @cached_property
    def sm_clock_mhz(self) -> float | None:
        """Median SM clock over the measured calls (of several processes, the median of theirs)."""
        known_in = [(record, readings.measured_windows(record)) for record in self.counted_records]
        clocks = [readings.median(record, "sm_clock_mhz", windows) for record, windows in known_in]
        known = [clock for clock in clocks if clock is not None]
        return median(known) if known else None

    @cached_property
    def roofline(self) -> tuple[StageRoofline, ...]:
        """What each stage achieved of the device's matrix rate; stages that were not counted are missing."""
        return roofline(self.counted_records, self.summary, self.probe)

    @property
    def its(self) -> tuple[float, ...]:
        """Iterations per second of each stage that finished a call, in order."""
        return tuple(stage.loop_its for stage in self.summary.stages)

    @property
    def environment(self) -> tuple[str, str]:
        """What makes environments one column: the name and the torch release, without its build tag."""
        return self.spec.slot.environment, release(self.torch)

    @property
    def environment_label(self) -> str | None:
        """What the person wants columns to call the environment; ``None`` where nothing was said."""
        found = interpreter_of(self.run, self.record)
        return found.label if found else None


def ordered(records: Iterable[RunRecord]) -> list[RunRecord]:
    """Returns the runs by the time they first started, each folder once: the order they were named in is no matter."""
    once = {record.path: record for record in records}
    return sorted(once.values(), key=lambda run: (run.sittings[0].started_at if run.sittings else 0.0, run.id))


def merge(records: Iterable[RunRecord]) -> tuple[Result, ...]:
    """Merges runs: of each cell id, GPU model and torch release the newest result.

    A result beats a cancelled cell, and that one without an ending, whatever their times.

    Returns:
        In plan order: cells as the first run that has them queued them.
    """
    best: dict[tuple[str, str, str], Result] = {}
    for run in ordered(records):
        for result in results_of(run):
            key = (result.spec.id, result.device, release(result.torch))
            if key not in best or _worth(result) > _worth(best[key]):
                best[key] = result
    return tuple(best.values())


def results_of(run: RunRecord) -> tuple[Result, ...]:
    """Returns the cells of one run, in plan order."""
    return tuple(_result(run, record) for record in run.cells.values())


def sitting_of(run: RunRecord, record: CellRecord) -> SittingRecord | None:
    """Returns the sitting a cell ran in; for one that never ran, the run's last."""
    return run.sitting_of(record) or (run.sittings[-1] if run.sittings else None)


def interpreter_of(run: RunRecord, record: CellRecord) -> Interpreter | None:
    """Returns a cell's environment as its sitting describes it; ``None`` where it does not."""
    sitting = sitting_of(run, record)
    environments = sitting.started.environments if sitting else ()
    return next((e for e in environments if e.name == record.spec.slot.environment), None)


def package(run: RunRecord, record: CellRecord, name: str) -> str | None:
    """Returns a package's version: the worker's own word, else the sitting's environment's, else ``None``."""
    found = interpreter_of(run, record)
    return record.versions.get(name) or (found.packages.get(name) if found else None)


def _result(run: RunRecord, record: CellRecord) -> Result:
    sitting = sitting_of(run, record)
    machine = sitting.started.machine if sitting else None
    return Result(
        run=run,
        record=record,
        device=machine.device_name if machine else NOT_AVAILABLE,
        gpu=machine.gpu if machine else None,
        torch=package(run, record, "torch"),
        probe=sitting.started.probe if sitting else None,
    )


def _worth(result: Result) -> tuple[int, float]:
    if result.status is None:
        return 0, result.record.started or 0.0
    return (1 if result.status == "cancelled" else 2), result.record.finished_at or 0.0


def _summary_of(record: CellRecord) -> CellSummary:
    """Takes from the cell's ending what no raw sample of this record tells."""
    stored = (record.finished.summary if record.finished else None) or CellSummary()
    if record.started is None or not (record.calls or record.phases):
        return stored
    times = [record.started, *(t for t, _ in record.phases), *(t for t, _ in record.telemetry)]
    return statistics.summarise(
        record.spec,
        record.steps,
        record.calls,
        record.phases,
        record.started,
        record.finished_at or max(times),
        gpu_utilisation_percent=_mean(record, "gpu_utilisation_percent", stored.gpu_utilisation_percent),
        cpu_percent=_mean(record, "cpu_percent", stored.cpu_percent),
        peak_vram_mib=stored.peak_vram_mib,
        peak_rss_mib=stored.peak_rss_mib,
    )


def _mean(record: CellRecord, field: str, stored: float | None) -> float | None:
    """Over the measured calls, where the record has the readings."""
    if not readings.readings(record, field):
        return stored
    return readings.mean(record, field, readings.measured_windows(record))
