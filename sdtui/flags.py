"""Flags: what makes a cell's figures less sure, each with its evidence. The thresholds are here and nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sdtui import readings
from sdtui.check import Check
from sdtui.model.machine import Gpu
from sdtui.model.results import CellSummary, StageSummary, StepStatistics
from sdtui.records import CellRecord

Name = Literal["differs", "unstable", "drifting", "host-bound", "throttled", "contended", "low-clock"]

UNSTABLE_MAD = 0.05
"""Median absolute deviation of the steps, relative to their median."""

UNSTABLE_SPREAD = 0.05
"""Standard deviation of the processes' median steps, relative to the median of these."""

DRIFT = 0.02
"""Between the lowest and the highest median step of the measured calls, relative to the lowest."""

BUSY_PERCENT = 80.0
"""Mean GPU utilisation of the measured calls: below it a cell is host-bound, from it on a low clock matters."""

THROTTLED_SHARE = 0.05
"""Of the measured time."""

LOW_CLOCK = 0.9
"""Of the card's highest SM clock."""

SHORTEST_S = 1.0
"""Telemetry over less than this says nothing: NVML's utilisation is an average over up to a second (nvml.h)."""

BENIGN = ("gpu_idle", "applications_clocks_setting")
"""Clock event reasons that throttle nothing: the card had nothing to do, or somebody set its clocks."""


def _percent(share: float, decimals: int = 0) -> str:
    return f"{100 * share:.{decimals}f} %"


MEANINGS: dict[Name, str] = {
    "differs": "the output is not that of no-compile, by more than rounding explains: the figures are of other work",
    "unstable": f"the steps' MAD is over {_percent(UNSTABLE_MAD)} of their median, "
    f"or the standard deviation of several processes' medians over {_percent(UNSTABLE_SPREAD)}",
    "drifting": f"measured calls differ by over {_percent(DRIFT)} in their median step, and their intervals are apart",
    "host-bound": f"the GPU waits for the host: its utilisation in the measured calls is under {BUSY_PERCENT:.0f} %, "
    "and the host did not end the loop a step or more before it",
    "throttled": f"the driver held the clocks down for over {_percent(THROTTLED_SHARE)} of the measured time",
    "contended": "another compute process was on the GPU in the measured calls",
    "low-clock": f"the SM clock was under {_percent(LOW_CLOCK)} of the card's highest while the GPU was busy",
}
"""What each flag says, in the order in which flags are given."""


@dataclass(frozen=True)
class Flag:
    """One flag of one cell.

    Attributes:
        evidence: Half a sentence with the figures that raised it.
    """

    name: Name
    evidence: str

    def __str__(self) -> str:
        return f"{self.name}: {self.evidence}"


def flags(record: CellRecord, summary: CellSummary, gpu: Gpu | None, check: Check | None = None) -> tuple[Flag, ...]:
    """Judges the measured calls of a cell; what is not available raises no flag.

    Args:
        record: The cell's raw samples.
        summary: What `sdtui.statistics.summarise` made of them.
        gpu: The one it ran on; ``None`` without a GPU.
        check: Of its output; ``None`` where there is nothing to check it against.
    """
    evidence: tuple[tuple[Name, str], ...] = (
        ("differs", check.reason if check and check.verdict == "failed" else ""),
        ("unstable", _scatter(summary)),
        ("drifting", _drift(summary)),
        ("host-bound", _waiting(record, summary)),
        ("throttled", _throttling(record)),
        ("contended", _contention(record)),
        ("low-clock", _low_clock(record, gpu)),
    )
    return tuple(Flag(name, what) for name, what in evidence if what)


def apart(summary: CellSummary) -> str:
    """Returns the evidence that a cell's processes differ by more than `UNSTABLE_SPREAD`; empty where they do not."""

    def judge(stage: StageSummary) -> str:
        return _percent(stage.spread.sd, 1) if stage.spread and stage.spread.sd > UNSTABLE_SPREAD else ""

    found = _by_stage(summary, judge)
    return f"the standard deviation of the processes' median steps is {found} of their median" if found else ""


def _by_stage(summary: CellSummary, judge: Callable[[StageSummary], str]) -> str:
    """Joins what is found of each stage with a measured call: ``this in I, that in III``; plain for one stage."""
    found = ((stage.stage, judge(stage)) for stage in summary.stages if len(stage.calls) > 1)
    several = len(summary.stages) > 1
    return ", ".join(f"{what} in {name}" if several else what for name, what in found if what)


def _scatter(summary: CellSummary) -> str:
    def judge(stage: StageSummary) -> str:
        steps = stage.step_ms
        if steps is None or steps.median_interval_ms is None or steps.mad_ms <= UNSTABLE_MAD * steps.median_ms:
            return ""
        return _percent(steps.mad_ms / steps.median_ms, 1)

    found = _by_stage(summary, judge)
    return f"the steps' MAD is {found} of their median" if found else ""


def _drift(summary: CellSummary) -> str:
    def judge(stage: StageSummary) -> str:
        medians = {call.call: call.step_ms for call in stage.calls[1:] if call.step_ms}
        if len(medians) < 2:
            return ""
        ordered = sorted(medians, key=lambda call: medians[call].median_ms)
        fast, slow = medians[ordered[0]], medians[ordered[-1]]
        if slow.median_ms <= (1 + DRIFT) * fast.median_ms or not _apart(fast, slow):
            return ""
        return " and ".join(f"{medians[call].median_ms:.2f} ms in call {call}" for call in (ordered[0], ordered[-1]))

    found = _by_stage(summary, judge)
    return f"the median step is {found}" if found else ""


def _apart(fast: StepStatistics, slow: StepStatistics) -> bool:
    below, above = fast.median_interval_ms, slow.median_interval_ms
    return below is not None and above is not None and below.high < above.low


def _waiting(record: CellRecord, summary: CellSummary) -> str:
    """By the trace where there is one, else by NVML."""
    traces = {trace.stage: trace for trace in record.finished.traces} if record.finished else {}
    traced = [stage.stage for stage in summary.stages if stage.stage in traces and traces[stage.stage].busy_ms]
    if len(traced) < len(summary.stages) or not traced:
        return _waiting_by_nvml(record, summary)

    def judge(stage: StageSummary) -> str:
        loop_ms, busy_ms = 1000 * stage.steps / stage.loop_its, traces[stage.stage].busy_ms or 0.0
        if 100 * busy_ms >= BUSY_PERCENT * loop_ms:
            return ""
        return f"{busy_ms:.0f} of the loop's {loop_ms:.0f} ms"

    found = _by_stage(summary, judge)
    return f"by the trace, a kernel or copy ran on the GPU for {found}" if found else ""


def _waiting_by_nvml(record: CellRecord, summary: CellSummary) -> str:
    """By NVML's utilisation alone, which says whether a kernel ran and not how much of the GPU it filled.

    It counts what is around the loop too, so that it says nothing where the host ended the loop a step before the GPU.
    """

    def judge(stage: StageSummary) -> str:
        windows = readings.measured_windows(record, stage.stage)
        busy = readings.mean(record, "gpu_utilisation_percent", windows)
        step = stage.median_step_ms
        if busy is None or step is None or busy >= BUSY_PERCENT or readings.seconds(windows) < SHORTEST_S:
            return ""
        if _lead_ms(stage) >= step:  # the last step was there before the GPU began it
            return ""
        return f"{step * (1 - busy / 100):.1f} of a step's {step:.1f} ms ({busy:.1f} % busy)"

    found = _by_stage(summary, judge)
    return f"by NVML alone, weak evidence, the GPU idles some {found}" if found else ""


def _lead_ms(stage: StageSummary) -> float:
    """By how much the last call's loop was shorter by the host's clock than by the GPU's.

    So far ahead the host was at the loop's end, at least: the GPU may have begun it later too.
    """
    if not stage.loop_its or not stage.host_loop_its:  # a clock that saw no time pass
        return 0.0
    return 1000 * stage.steps * (1 / stage.loop_its - 1 / stage.host_loop_its)


def _throttling(record: CellRecord) -> str:
    held = readings.shares(record, "clock_event_reasons", readings.measured_windows(record))
    guilty = {name: share for name, share in held.items() if name not in BENIGN and share > THROTTLED_SHARE}
    return ", ".join(
        f"{name} in {_percent(share)} of the time" for name, share in sorted(guilty.items(), key=_most_first)
    )


def _most_first(named: tuple[str, float]) -> tuple[float, str]:
    return -named[1], named[0]


def _contention(record: CellRecord) -> str:
    others = readings.highest(record, "other_processes", readings.measured_windows(record)) or 0
    return f"{others} other compute process{'es' if others > 1 else ''} on the GPU" if others else ""


def _low_clock(record: CellRecord, gpu: Gpu | None) -> str:
    windows = readings.measured_windows(record)
    busy = readings.mean(record, "gpu_utilisation_percent", windows)
    clock = readings.median(record, "sm_clock_mhz", windows)
    highest = gpu.max_sm_clock_mhz if gpu else None
    if busy is None or clock is None or not highest or readings.seconds(windows) < SHORTEST_S:
        return ""
    if busy < BUSY_PERCENT or clock >= LOW_CLOCK * highest:
        return ""
    return f"median SM clock {clock:.0f} of {highest} MHz at {busy:.0f} % utilisation"
