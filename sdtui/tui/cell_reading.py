"""A cell as its run's folder has it, read in a thread and made ready to be drawn."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sdtui import readings, runs
from sdtui.model.errors import UserError
from sdtui.model.job import stem
from sdtui.model.machine import Machine
from sdtui.processes import Process
from sdtui.report import text
from sdtui.report.charts_telemetry import bands_of, duration_s
from sdtui.report.merge import Result, results_of, sitting_of
from sdtui.tui.bridge import Post
from sdtui.tui.cell_facts import Fact, Table, calls_of, compilations_of, facts_of
from sdtui.tui.messages import CellRead, Told
from sdtui.tui.meters import Meter, meters_of
from sdtui.tui.widgets.timeline import Band, Series
from sdtui.tui.widgets.trace import Graph

_LOG_BYTES = 65536
"""As much of a log's end is read."""
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
"""Escape sequences and other control characters, tabs and line ends left out."""


@dataclass(frozen=True)
class StageSteps:
    """Step times of one stage of one process.

    Attributes:
        stage: Its name.
        whose: Which calls they are of, in words.
        samples: Milliseconds of the steps that held one denoiser evaluation.
        marks: Percentiles by name, ascending.
        course: Milliseconds of all steps, in order.
    """

    stage: str
    whose: str
    samples: tuple[float, ...]
    marks: tuple[tuple[str, float], ...]
    course: tuple[float, ...]


@dataclass(frozen=True)
class ProcessReading:
    """One process of a cell.

    Attributes:
        number: Counted from 1.
        stages: Those with steps.
        series: Telemetry, in seconds since the process started.
        bands: Its phases, likewise.
        measured: From the first measured call's begin to the last one's end, likewise; ``None`` without one.
        log: The last lines of what it and the libraries printed; ``None`` where the folder has no log.
        image: The last image; ``None`` where the folder has none.
    """

    number: int
    stages: tuple[StageSteps, ...]
    series: tuple[Series, ...]
    bands: tuple[Band, ...]
    measured: tuple[float, float] | None
    log: tuple[str, ...] | None
    image: Path | None


@dataclass(frozen=True)
class CellReading:
    """A cell.

    Attributes:
        title: Its pipeline, mode and batch size.
        outcome: What the table prints, with its unit.
        processes: Those that were started, by number; one at least.
        script: That does what the cell does; ``None`` where ``script_problem`` says why there is none.
    """

    id: str
    title: str
    outcome: str
    facts: tuple[Fact, ...]
    calls: Table
    compilations: tuple[Fact, ...]
    processes: tuple[ProcessReading, ...]
    script: str | None
    script_problem: str = ""


def read_cell(folder: Path, cell: str, post: Post) -> None:
    """Posts a cell as its run's folder has it now, or why it cannot be read."""
    try:
        results = results_of(runs.read(folder, samples_of=cell))
    except UserError as error:
        post(Told(str(error), "error"))
        return
    found = next((result for result in results if result.spec.id == cell), None)
    if found is None:
        post(Told(f"run {folder.name}: has no cell '{cell}'", "error"))
    else:
        post(CellRead(reading_of(found)))


def reading_of(result: Result) -> CellReading:
    """Makes a cell ready to be drawn; its log, image and script are read from its run's folder."""
    spec = result.spec
    sitting = sitting_of(result.run, result.record)
    script, problem = _script(result)
    return CellReading(
        id=spec.id,
        title=f"{spec.pipeline_label} · {spec.mode.label} · batch size {spec.slot.batch_size}",
        outcome=_outcome(result),
        facts=facts_of(result),
        calls=calls_of(result),
        compilations=compilations_of(result),
        processes=tuple(
            _process(result, each, sitting.started.machine if sitting else None) for each in result.processes
        ),
        script=script,
        script_problem=problem,
    )


def _outcome(result: Result) -> str:
    """Writes what the table prints, and the figures of a cell that has some without having ended ok."""
    shown = text.outcome(result.status, result.call, result.its)
    if not result.its:
        return shown
    figures = f"{text.rates(result.its)} it/s"
    return figures if result.status == "ok" else f"{result.status or 'not finished'} · {figures}"


def _process(result: Result, process: Process, machine: Machine | None) -> ProcessReading:
    record = process.record
    began = record.started or 0.0
    windows = readings.measured_windows(record)
    name = stem(record.spec.id, record.process)
    image = result.run.path / "outputs" / f"{name}.png"
    return ProcessReading(
        number=record.process,
        stages=tuple(_steps(process)),
        series=tuple(_series(process, machine)) if machine else (),
        bands=tuple(Band(band.phase, band.begin, band.end) for band in bands_of(record)),
        measured=(windows[0][0] - began, windows[-1][1] - began) if windows else None,
        log=_log(result.run.path / "logs" / f"{name}.log"),
        image=image if image.is_file() else None,
    )


def _steps(process: Process) -> Iterator[StageSteps]:
    """Yields the steps that the figures are of: those of all calls but the first, or of the only one."""
    steps = process.record.steps
    for stage in process.record.spec.stages:
        mine = [step for step in steps if step.stage == stage.name]
        least = min(2, max((step.call for step in mine), default=1))
        mine = [step for step in mine if step.call >= least]
        if not mine:
            continue
        summary = next((each.step_ms for each in process.summary.stages if each.stage == stage.name), None)
        calls = sorted({step.call for step in mine})
        yield StageSteps(
            stage=stage.name,
            whose=f"call {calls[0]}" if len(calls) == 1 else f"calls {calls[0]} to {calls[-1]}",
            samples=tuple(step.ms for step in mine if step.forwards == 1),
            marks=(("p5", summary.p5_ms), ("median", summary.median_ms), ("p95", summary.p95_ms)) if summary else (),
            course=tuple(step.ms for step in mine),
        )


def _series(process: Process, machine: Machine) -> Iterator[Series]:
    record = process.record
    began, end = record.started or 0.0, duration_s(record)
    windows = readings.measured_windows(record)
    for meter in meters_of(machine):
        changes = readings.readings(record, meter.field)
        points = [(t - began, None if value is None else value / meter.per_unit) for t, value in changes]
        known = [figure for _, figure in points if figure is not None]
        if not known:
            continue
        mean = readings.mean(record, meter.field, windows)
        highest = readings.highest(record, meter.field, windows)
        words = f"highest {max(known):.{meter.decimals}f} {meter.unit}"
        if mean is not None and highest is not None:
            words = f"measured calls: mean {meter.written(mean)}, highest {meter.written(highest)} {meter.unit}"
        graph = Graph(meter.label, meter.unit, meter.end(machine), meter.filled, "load")
        yield Series(graph, (*points, (end, points[-1][1])), words, None if _is_rate(meter) else max)


def _is_rate(meter: Meter) -> bool:
    """Whether a mean says more of it than its highest, which is what counts of memory and temperature."""
    return meter.unit in ("%", "W", "MHz")


def _log(path: Path) -> tuple[str, ...] | None:
    """Reads the end of a log; of a line that was written over, as progress bars do, what was written last."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_BYTES))
            raw = file.read()
    except OSError:
        return None
    lines = raw.decode("utf-8", "replace").split("\n")
    if size > _LOG_BYTES:
        lines = lines[1:]
    return tuple(_ESCAPES.sub("", line.rstrip("\r").rsplit("\r", 1)[-1]).expandtabs() for line in lines)


def _script(result: Result) -> tuple[str | None, str]:
    from sdtui.script import script_of

    folder = result.run.path
    try:
        return script_of(result.spec.id, str(folder), result.spec.scale, "cpu", folder.parent), ""
    except UserError as error:
        return None, str(error)
