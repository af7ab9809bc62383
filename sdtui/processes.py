"""Several processes of one cell as one: figures, flags and energy, and how far the processes are apart."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sdtui.energy import Energy
from sdtui.flags import MEANINGS, Flag, apart
from sdtui.model.cell import Cell
from sdtui.model.results import CellSummary, ProcessSpread, ProcessSummary, StageSummary, StepStatistics
from sdtui.readings import measured_windows, seconds
from sdtui.records import CellRecord
from sdtui.statistics import highest, loop_interval, measured_steps, step_statistics

_CALL_FIGURES = (
    "loop_its",
    "host_loop_its",
    "images_per_second",
    "text_encoding_ms",
    "denoising_ms",
    "vae_ms",
    "other_ms",
    "first_call_s",
    "forwards_per_second",
)
"""What is one call's: of several processes, the median of what each says of its own."""

_PEAKS = ("peak_allocated_mib", "peak_reserved_mib")


@dataclass(frozen=True)
class Process:
    """One process of a cell, and its figures by itself."""

    record: CellRecord
    summary: CellSummary


def counted(processes: Sequence[Process]) -> tuple[Process, ...]:
    """Returns the processes that a cell's figures are of.

    They are those with measured calls (calls after the first); where none has, those with a call; where none has, all.
    Of several stages, a process counts that has such calls of no fewer stages than any other.

    Args:
        processes: Of one cell, by number.
    """
    reached = [_reached(process.record) for process in processes]
    return tuple(process for process, stages in zip(processes, reached, strict=True) if stages == max(reached))


def pool(spec: Cell, processes: Sequence[Process]) -> CellSummary:
    """Returns the figures of a cell that has several processes.

    Args:
        spec: The cell.
        processes: Those that count, by number: see `counted`.
    """
    stages = (_pool_stage(stage.name, processes) for stage in spec.stages)
    summaries = [process.summary for process in processes]
    images_per_second = _median(summary.images_per_second for summary in summaries)
    phases = dict.fromkeys(phase for summary in summaries for phase in summary.phase_seconds)
    return CellSummary(
        stages=tuple(stage for stage in stages if stage is not None),
        images_per_second=images_per_second,
        phase_seconds={
            phase: statistics.fmean(s.phase_seconds[phase] for s in summaries if phase in s.phase_seconds)
            for phase in phases
        },
        gpu_utilisation_percent=_over_time(processes, lambda summary: summary.gpu_utilisation_percent),
        cpu_percent=_over_time(processes, lambda summary: summary.cpu_percent),
        peak_vram_mib=highest(summary.peak_vram_mib for summary in summaries),
        peak_rss_mib=highest(summary.peak_rss_mib for summary in summaries),
        seconds_per_image=_inverse(images_per_second),
    )


def pool_flags(flags: Sequence[tuple[CellRecord, Sequence[Flag]]], summary: CellSummary) -> tuple[Flag, ...]:
    """Joins what was raised in each process: a flag has its evidence from the first that it was raised in.

    Processes that are far apart make a cell unstable too, each however steady by itself.

    Args:
        flags: Of each process that counts.
        summary: Of all of them: see `pool`.
    """
    pooled = []
    for name in MEANINGS:
        evidence = [apart(summary)] if name == "unstable" else []
        raised = [(record.process, flag) for record, found in flags for flag in found if flag.name == name]
        if raised:
            process, first = raised[0]
            others = f"; raised in {len(raised)} of {len(flags)} processes" if len(raised) > 1 else ""
            evidence.append(f"{first.evidence} (process {process}{others})")
        if told := ", and ".join(filter(None, evidence)):
            pooled.append(Flag(name, told))
    return tuple(pooled)


def pool_energy(energies: Iterable[Energy | None]) -> Energy | None:
    """Returns the energy per image over the measured calls of all processes; ``None`` where one has none.

    It is not available either where they do not know it from the same source.

    Args:
        energies: Of each process that counts.
    """
    known = list(energies)
    found = [energy for energy in known if energy is not None]
    if len(found) < len(known) or len({energy.source for energy in found}) != 1:
        return None
    if len(found) == 1:
        return found[0]
    joules = [energy.mean_power_w * energy.seconds for energy in found]
    images = sum(drawn / energy.joules_per_image for drawn, energy in zip(joules, found, strict=True))
    length = sum(energy.seconds for energy in found)
    readings = sum(energy.readings for energy in found)
    return Energy(sum(joules) / images, sum(joules) / length, found[0].source, length, readings)


def step_samples(records: Sequence[CellRecord], stage: str) -> tuple[list[tuple[float, ...]], list[int]]:
    """Returns the step times that a stage's statistics are taken over, call by call, and which process each call is of.

    Args:
        records: Of the processes that count.
        stage: Its name.
    """
    samples, processes = list[tuple[float, ...]](), list[int]()
    for record in records:
        calls = [call for call in record.calls if call.stage == stage]
        found = measured_steps(calls, (step for step in record.steps if step.stage == stage))
        samples += found
        processes += [record.process] * len(found)
    return samples, processes


def spread(processes: Sequence[StepStatistics]) -> ProcessSpread | None:
    """Returns how far processes are apart beside how sure each is of its own median; ``None`` of fewer than two.

    Args:
        processes: Of each the steps of its measured calls.
    """
    steps = [each for each in processes if each.median_ms > 0]
    if len(steps) < 2:
        return None
    medians = [each.median_ms for each in steps]
    middle = statistics.median(medians)
    within = [
        (each.median_interval_ms.high - each.median_interval_ms.low) / 2 / each.median_ms
        for each in steps
        if each.median_interval_ms
    ]
    return ProcessSpread(
        count=len(medians),
        median_ms=middle,
        sd=statistics.stdev(medians) / middle,
        range=(max(medians) - min(medians)) / middle,
        within=statistics.median(within) if within else None,
    )


def _reached(record: CellRecord) -> tuple[int, int]:
    """Returns how many stages finished a measured call, and how many any call."""
    measured = {call.stage for call in record.calls if call.call > 1}
    return len(measured), len({call.stage for call in record.calls})


def _pool_stage(name: str, processes: Sequence[Process]) -> StageSummary | None:
    found = [(p.record, stage) for p in processes for stage in p.summary.stages if stage.stage == name]
    if not found:
        return None
    stages = [stage for _, stage in found]
    figures: dict[str, Any] = {key: _median(getattr(stage, key) for stage in stages) for key in _CALL_FIGURES}
    figures["seconds_per_image"] = _inverse(figures["images_per_second"])
    figures |= {key: highest(getattr(stage, key) for stage in stages) for key in _PEAKS}
    steps = step_statistics(*step_samples([record for record, _ in found], name))
    measured = any(call.call > 1 for stage in stages for call in stage.calls)
    own = tuple(_own(record, stage) for record, stage in found)
    return replace(
        stages[-1],
        **figures,
        median_step_ms=steps.median_ms if steps else None,
        p95_step_ms=steps.p95_ms if steps else None,
        loop_its_interval=loop_interval([_of_stage(record, name) for record, _ in found]),
        step_ms=steps,
        calls=tuple(replace(call, process=record.process) for record, stage in found for call in stage.calls),
        processes=own,
        spread=spread([process.step_ms for process in own if process.step_ms]) if measured else None,
    )


def _own(record: CellRecord, stage: StageSummary) -> ProcessSummary:
    return ProcessSummary(record.process, len(stage.calls), stage.loop_its, stage.first_call_s, stage.step_ms)


def _of_stage(record: CellRecord, stage: str) -> tuple[list[Any], list[Any]]:
    calls = sorted((call for call in record.calls if call.stage == stage), key=lambda call: call.call)
    return calls, [step for step in record.steps if step.stage == stage]


def _over_time(processes: Sequence[Process], figure: Callable[[CellSummary], float | None]) -> float | None:
    """The mean over the measured calls of all processes, each by how long its own were."""
    known = [(figure(process.summary), seconds(measured_windows(process.record))) for process in processes]
    weighed = [(value, length) for value, length in known if value is not None and length > 0]
    total = sum(length for _, length in weighed)
    return sum(value * length for value, length in weighed) / total if total else None


def _median(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return statistics.median(found) if found else None


def _inverse(rate: float | None) -> float | None:
    """What one takes at a rate; 0 at a rate of 0, where the clock saw no time pass."""
    return 1 / rate if rate else rate
