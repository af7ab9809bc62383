"""Summaries over a cell's raw samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sdtui.model.cell import Cell
from sdtui.model.events import CallFinished, CellPhase, Step
from sdtui.model.results import CellSummary, StageSummary


def percentile(samples: Iterable[float], percent: float) -> float:
    """Returns a percentile by linear interpolation between closest ranks (numpy's default; Hyndman and Fan's type 7).

    Args:
        samples: At least one value, in any order.
        percent: From 0 (the minimum) to 100 (the maximum); 50 is the median.

    Raises:
        ValueError: There is no sample, or ``percent`` is out of range.
    """
    ordered = sorted(samples)
    if not ordered:
        raise ValueError("a percentile needs at least one sample")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must lie in 0..100, got {percent}")
    rank = (len(ordered) - 1) * percent / 100
    below = math.floor(rank)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (rank - below)


def summarise(
    spec: Cell,
    steps: Sequence[Step],
    calls: Sequence[CallFinished],
    phases: Sequence[tuple[float, CellPhase]],
    started: float,
    finished: float,
    *,
    gpu_utilisation_percent: float | None,
    cpu_percent: float | None,
    peak_vram_mib: float | None,
    peak_rss_mib: float | None,
) -> CellSummary:
    """Computes a cell's figures from its raw samples; whatever it lived to finish counts.

    Args:
        spec: The cell; gives the batch size and the order of stages.
        steps: Of the cell's latest attempt. Those of a call that never finished enter no figure.
        calls: One per call and stage that finished.
        phases: With the time each was entered, in unix seconds.
        started: When the worker was launched, in unix seconds.
        finished: When the cell ended, in unix seconds.
        gpu_utilisation_percent: Passed through, as are the three below; `CellSummary` says what they mean.
        cpu_percent: See `CellSummary`.
        peak_vram_mib: See `CellSummary`.
        peak_rss_mib: See `CellSummary`.
    """
    stages = []
    for stage in spec.stages:
        stage_calls = sorted((call for call in calls if call.stage == stage.name), key=lambda call: call.call)
        if stage_calls:
            stage_steps = [step for step in steps if step.stage == stage.name]
            stages.append(_summarise_stage(stage_calls, stage_steps, spec.slot.batch_size))
    return CellSummary(
        stages=tuple(stages),
        images_per_second=_images_per_second(spec, calls),
        phase_seconds=phase_seconds(phases, started, finished),
        gpu_utilisation_percent=gpu_utilisation_percent,
        cpu_percent=cpu_percent,
        peak_vram_mib=peak_vram_mib,
        peak_rss_mib=peak_rss_mib,
    )


def steady_step_ms(calls: Sequence[CallFinished], steps: Sequence[Step]) -> list[float]:
    """Returns the step times that percentiles are taken over, in milliseconds.

    They are those of every finished call but the first (of the only one, where there is one), without intervals
    that held more than one denoiser evaluation.

    Args:
        calls: Finished calls of one stage.
        steps: Of the same stage.
    """
    numbers = sorted({call.call for call in calls})
    steady = set(numbers[1:] or numbers)
    return [step.ms for step in steps if step.call in steady and step.forwards <= 1]


def phase_seconds(phases: Sequence[tuple[float, CellPhase]], started: float, finished: float) -> dict[str, float]:
    """Returns how long each phase took, in seconds; together they make up the cell's whole time.

    A phase lasts until the next is entered. What passed before the first (the interpreter's start) is ``import``.
    """
    entered = [(started, "import"), *((t, phase.phase) for t, phase in phases)]
    left = [t for t, _ in entered[1:]] + [finished]
    seconds: dict[str, float] = defaultdict(float)
    for (begin, name), end in zip(entered, left, strict=True):
        seconds[name] += max(0.0, end - begin)
    return dict(seconds)


def _summarise_stage(calls: Sequence[CallFinished], steps: Sequence[Step], batch_size: int) -> StageSummary:
    first, last = calls[0], calls[-1]
    samples = steady_step_ms(calls, steps)
    return StageSummary(
        stage=last.stage,
        steps=last.steps,
        forwards=last.forwards,
        loop_its=_per_second(last.steps, last.loop_ms),
        host_loop_its=_per_second(last.steps, last.host_loop_ms),
        median_step_ms=percentile(samples, 50) if samples else None,
        p95_step_ms=percentile(samples, 95) if samples else None,
        images_per_second=_per_second(batch_size, last.wall_ms),
        text_encoding_ms=last.text_encoding_ms,
        denoising_ms=last.denoising_ms,
        vae_ms=last.vae_ms,
        other_ms=last.other_ms,
        first_call_s=first.wall_ms / 1000,
        peak_allocated_mib=_highest(call.peak_allocated_mib for call in calls),
        peak_reserved_mib=_highest(call.peak_reserved_mib for call in calls),
    )


def _images_per_second(spec: Cell, calls: Sequence[CallFinished]) -> float | None:
    """Over the last call that every stage finished; ``None`` where there was none."""
    by_call: dict[int, dict[str, float]] = defaultdict(dict)
    for call in calls:
        by_call[call.call][call.stage] = call.wall_ms
    whole = [number for number, walls in by_call.items() if all(stage.name in walls for stage in spec.stages)]
    return _per_second(spec.slot.batch_size, sum(by_call[max(whole)].values())) if whole else None


def _per_second(count: int, ms: float) -> float:
    """A rate; 0 where the clock saw no time pass, since JSON has no infinity."""
    return count * 1000 / ms if ms > 0 else 0.0


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
