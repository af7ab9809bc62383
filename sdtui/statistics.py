"""Summaries over a cell's raw samples."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sdtui import bootstrap
from sdtui.model.cell import Cell
from sdtui.model.events import CallFinished, CellPhase, Step
from sdtui.model.results import CallSummary, CellSummary, Interval, StageSummary, StepStatistics

_ROUNDING = 1e-9  # of a sum of weights, as a share: far less than any sample weighs


def percentile(samples: Iterable[float], percent: float) -> float:
    """Returns a percentile by linear interpolation between closest ranks (Hyndman and Fan's type 7).

    Args:
        samples: At least one value, in any order.
        percent: From 0 (the minimum) to 100 (the maximum); 50 is the median.

    Raises:
        ValueError: There is no sample, or ``percent`` is out of range.
    """
    values = np.fromiter(samples, float)
    if not len(values):
        raise ValueError("a percentile needs at least one sample")
    if not 0 <= percent <= 100:
        raise ValueError(f"percent must lie in 0..100, got {percent}")
    return float(np.percentile(values, percent))


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
    wall_ms = _last_wall_ms(spec, calls)
    return CellSummary(
        stages=tuple(stages),
        images_per_second=_per_second(spec.slot.batch_size, wall_ms) if wall_ms else None,
        phase_seconds=phase_seconds(phases, started, finished),
        gpu_utilisation_percent=gpu_utilisation_percent,
        cpu_percent=cpu_percent,
        peak_vram_mib=peak_vram_mib,
        peak_rss_mib=peak_rss_mib,
        seconds_per_image=wall_ms / 1000 / spec.slot.batch_size if wall_ms else None,
    )


def measured_steps(calls: Sequence[CallFinished], steps: Iterable[Step]) -> tuple[tuple[float, ...], ...]:
    """Returns the step times that statistics are taken over, in milliseconds, call by call.

    They are those of every finished call but the first (of the only one, where there is one), without intervals
    that held more than one denoiser evaluation. Calls that have none are left out.

    Args:
        calls: Finished calls of one stage.
        steps: Of the same stage.
    """
    by_call = _single_ms(steps)
    ordered = sorted(call.call for call in calls)
    return tuple(tuple(by_call[call]) for call in ordered[1:] or ordered if by_call[call])


def step_statistics(calls: Sequence[Sequence[float]], processes: Sequence[int] = ()) -> StepStatistics | None:
    """Returns statistics of step times pooled over calls; ``None`` where there is none.

    Percentiles are as `percentile`. Processes weigh alike, as they do in the interval: a process of more samples
    than another has in each of them as much less weight.

    Args:
        calls: Samples of each call, in the order they were taken, in milliseconds.
        processes: Which process each call is of; empty where all are of one. Calls then hold a sample each.
    """
    if not any(calls):
        return None
    samples = np.concatenate([samples for samples in calls if samples])
    weights = _weights(calls, processes)
    p5, median, p95, p99 = _percentiles(samples, weights, (5, 50, 95, 99))
    (mad,) = _percentiles(np.abs(samples - median), weights, (50,))
    return StepStatistics(
        count=len(samples),
        median_ms=median,
        mean_ms=math.fsum(samples * weights) / math.fsum(weights),
        p5_ms=p5,
        p95_ms=p95,
        p99_ms=p99,
        mad_ms=mad,
        median_interval_ms=bootstrap.median_interval([samples for samples in calls if samples], processes),
    )


def _weights(calls: Sequence[Sequence[float]], processes: Sequence[int]) -> Any:
    """Returns of each sample what it weighs: 1 in a process of the most samples, more in one of fewer."""
    of: Any = np.repeat(processes or [0] * len(calls), [len(samples) for samples in calls])
    _, process, counts = np.unique(of, return_inverse=True, return_counts=True)
    return counts.max() / counts[process]


def _percentiles(samples: Any, weights: Any, percents: Sequence[float]) -> list[float]:
    """Returns percentiles: as `percentile` where all samples weigh the same.

    Else the lowest sample that, with those below it, has the share of the weight, or the middle between it and the next
    where they have it exactly (type 2 of Hyndman and Fan): of two processes that are apart the median lies midway,
    whichever has more samples.

    Args:
        samples: In any order.
        weights: Of each sample.
        percents: Above 0 and below 100.
    """
    if np.all(weights == 1):
        return [float(value) for value in np.percentile(samples, percents)]
    order = np.argsort(samples, kind="stable")
    ordered, shares = samples[order], np.divide(percents, 100)
    reached = np.cumsum(weights[order]) / np.sum(weights)
    low, high = (np.searchsorted(reached, shares + rounding) for rounding in (-_ROUNDING, _ROUNDING))
    return [float(value) for value in (ordered[low] + ordered[high]) / 2]


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
    single = _single_ms(steps)
    pooled = step_statistics(measured_steps(calls, steps))
    return StageSummary(
        stage=last.stage,
        steps=last.steps,
        forwards=last.forwards,
        loop_its=_per_second(last.steps, last.loop_ms),
        host_loop_its=_per_second(last.steps, last.host_loop_ms),
        median_step_ms=pooled.median_ms if pooled else None,
        p95_step_ms=pooled.p95_ms if pooled else None,
        images_per_second=_per_second(batch_size, last.wall_ms),
        text_encoding_ms=last.text_encoding_ms,
        denoising_ms=last.denoising_ms,
        vae_ms=last.vae_ms,
        other_ms=last.other_ms,
        first_call_s=first.wall_ms / 1000,
        peak_allocated_mib=highest(call.peak_allocated_mib for call in calls),
        peak_reserved_mib=highest(call.peak_reserved_mib for call in calls),
        loop_its_interval=loop_interval([(calls, steps)]),
        forwards_per_second=_per_second(last.forwards, last.loop_ms),
        seconds_per_image=last.wall_ms / 1000 / batch_size,
        step_ms=pooled,
        calls=tuple(_summarise_call(call, single[call.call]) for call in calls),
    )


def _summarise_call(call: CallFinished, single_ms: Sequence[float]) -> CallSummary:
    its = _per_second(call.steps, call.loop_ms)
    return CallSummary(call.call, its, call.wall_ms / 1000, step_statistics([single_ms]))


def _single_ms(steps: Iterable[Step]) -> dict[int, list[float]]:
    """Returns, by call, the intervals that held one denoiser evaluation."""
    by_call: dict[int, list[float]] = defaultdict(list)
    for step in steps:
        if step.forwards <= 1:
            by_call[step.call].append(step.ms)
    return by_call


def loop_interval(processes: Iterable[tuple[Sequence[CallFinished], Iterable[Step]]]) -> Interval | None:
    """Returns where a call's loop it/s lies: a call after the first is drawn, then its steps but the first.

    What of its loop is no single evaluation stays as it was, and so does its first step, which does what no other does,
    unless it is the only one.

    Args:
        processes: Of each the calls of one stage, in order, and the steps of that stage.
    """
    measured, samples, of = list[CallFinished](), list[list[float]](), list[int]()
    for number, (calls, steps) in enumerate(processes):
        taken = tuple(steps)
        single_ms = _single_ms([step for step in taken if step.step > 1] or taken)
        found = [call for call in calls[1:] if single_ms[call.call] and call.loop_ms > 0]
        measured += found
        samples += [single_ms[call.call] for call in found]
        of += [number] * len(found)
    fixed = [max(0.0, call.loop_ms - sum(ms)) for call, ms in zip(measured, samples, strict=True)]
    loop_ms = bootstrap.sum_interval(samples, fixed, of)
    if loop_ms is None or loop_ms.low <= 0:
        return None
    count = measured[-1].steps
    return Interval(_per_second(count, loop_ms.high), _per_second(count, loop_ms.low))


def _last_wall_ms(spec: Cell, calls: Sequence[CallFinished]) -> float | None:
    """Of the last call that every stage finished, its stages together; ``None`` where there was none."""
    by_call: dict[int, dict[str, float]] = defaultdict(dict)
    for call in calls:
        by_call[call.call][call.stage] = call.wall_ms
    whole = [number for number, walls in by_call.items() if all(stage.name in walls for stage in spec.stages)]
    return sum(by_call[max(whole)].values()) if whole else None


def _per_second(count: int, ms: float) -> float:
    """A rate; 0 where the clock saw no time pass, since JSON has no infinity."""
    return count * 1000 / ms if ms > 0 else 0.0


def highest(values: Iterable[float | None]) -> float | None:
    """Returns the highest of the values that there are; ``None`` where there is none."""
    return max((value for value in values if value is not None), default=None)
