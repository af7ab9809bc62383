"""What a finished cell says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Status = Literal["ok", "oom", "unsupported", "failed", "timeout", "cancelled"]
Phase = Literal["import", "load", "compile", "warm-up", "measure"]

STATUSES: tuple[Status, ...] = ("ok", "oom", "unsupported", "failed", "timeout", "cancelled")
PHASES: tuple[Phase, ...] = ("import", "load", "compile", "warm-up", "measure")


@dataclass(frozen=True)
class Interval:
    """A 95 % bootstrap interval, in the unit of the figure it belongs to."""

    low: float
    high: float


@dataclass(frozen=True)
class StepStatistics:
    """How long the steps took that held one denoiser evaluation.

    Attributes:
        count: How many samples. Of several processes each process weighs alike, however many of them are its own.
        mad_ms: Median absolute deviation from the median, unscaled.
        median_interval_ms: Of the median; ``None`` where the samples are too few to have one.
    """

    count: int
    median_ms: float
    mean_ms: float
    p5_ms: float
    p95_ms: float
    p99_ms: float
    mad_ms: float
    median_interval_ms: Interval | None = None


@dataclass(frozen=True)
class Distance:
    """Between an output and the one that it is held against.

    Attributes:
        relative_l2: Of the final latents of the whole batch (the pixels, where a pipeline has no latents): the norm of
            the difference over the norm of what it is held against.
        psnr_db: Peak signal-to-noise ratio of the first image, over its 8-bit values; ``None`` where the two images
            are equal and it has no bound.
        max_difference: Largest difference between two 8-bit values of the first image, 0 to 255.
    """

    relative_l2: float
    psnr_db: float | None
    max_difference: int


@dataclass(frozen=True)
class ProcessSummary:
    """Figures of one process of a cell, of one stage.

    Attributes:
        process: Counted from 1.
        calls: That it finished, the first included.
        loop_its: As of `StageSummary`, in this process.
        first_call_s: As of `StageSummary`, in this process.
        step_ms: Over its measured calls; ``None`` where it has none.
    """

    process: int
    calls: int
    loop_its: float
    first_call_s: float
    step_ms: StepStatistics | None


@dataclass(frozen=True)
class ProcessSpread:
    """How far processes of one cell are apart in their median step, beside how sure each is of its own.

    Attributes:
        count: Processes that it is of.
        median_ms: Of the processes' medians.
        sd: Their standard deviation (of a sample), as a share of their median.
        range: From the lowest to the highest, as a share of their median.
        within: Half the width of a process's own 95 % interval, as a share of its median: the processes' median of it;
            ``None`` where they have no interval.
    """

    count: int
    median_ms: float
    sd: float
    range: float
    within: float | None


@dataclass(frozen=True)
class CallSummary:
    """Figures of one call of one stage.

    Attributes:
        call: Counted from 1; the first compiles or warms up.
        loop_its: Steps per second of the loop, by device events.
        wall_s: The whole call by the host's clock.
        step_ms: Of this call alone; ``None`` where no step held a single denoiser evaluation.
        process: Whose call it is, counted from 1.
    """

    call: int
    loop_its: float
    wall_s: float
    step_ms: StepStatistics | None = None
    process: int = 1


@dataclass(frozen=True)
class StageSummary:
    """Figures of one stage of one cell.

    Of a cell of several processes, rates and times of a call are the median of the processes' own figures (seconds per
    image: one over the images per second), step times are pooled over processes, each weighing alike, and intervals
    hold what processes differ by. Processes that do not count (see `sdtui.processes.counted`) enter no figure.

    Attributes:
        stage: Its name.
        steps: Iterations of the denoising loop in one call, as the progress bar counts them.
        forwards: Denoiser evaluations in one call (51 for 50 steps with PNDM).
        loop_its: Steps per second of the loop in the last call, by device events: the figure of the tables.
        host_loop_its: The same by the host's clock, as tqdm prints it.
        median_step_ms: Over the steps of all calls but the first (of the only one, where there is one) that held one
            denoiser evaluation.
        p95_step_ms: 95th percentile of the same samples.
        images_per_second: Batch size over the last call's wall time.
        text_encoding_ms: Of the last call.
        denoising_ms: Of the last call.
        vae_ms: Of the last call, encoding and decoding.
        other_ms: Of the last call, what remains.
        first_call_s: Wall time of the first call: compilation and warm-up are in it.
        peak_allocated_mib: Of torch's allocator, over the stage's calls; ``None`` without a GPU.
        peak_reserved_mib: Of torch's allocator, over the stage's calls; ``None`` without a GPU.
        loop_its_interval: Where the loop's steps per second of a call lie, given how the measured calls and the steps
            within them vary; ``None`` where the samples are too few.
        forwards_per_second: Denoiser evaluations per second of the loop in the last call.
        seconds_per_image: Wall time of the last call over the batch size.
        step_ms: The samples of ``median_step_ms`` in full: pooled over the measured calls.
        calls: Every call that the stage finished, the first included.
        processes: Each process's own figures; empty where there is one process.
        spread: Between the processes; ``None`` where fewer than two have measured calls.
    """

    stage: str
    steps: int
    forwards: int
    loop_its: float
    host_loop_its: float
    median_step_ms: float | None
    p95_step_ms: float | None
    images_per_second: float
    text_encoding_ms: float
    denoising_ms: float
    vae_ms: float
    other_ms: float
    first_call_s: float
    peak_allocated_mib: float | None = None
    peak_reserved_mib: float | None = None
    loop_its_interval: Interval | None = None
    forwards_per_second: float | None = None
    seconds_per_image: float | None = None
    step_ms: StepStatistics | None = None
    calls: tuple[CallSummary, ...] = ()
    processes: tuple[ProcessSummary, ...] = ()
    spread: ProcessSpread | None = None

    @property
    def measured_calls(self) -> tuple[CallSummary, ...]:
        """All but each process's first."""
        return tuple(call for call in self.calls if call.call > 1)


@dataclass(frozen=True)
class CellSummary:
    """Figures of one cell, computed from its raw samples when it ends.

    Attributes:
        stages: In the order they ran; stages that finished no call are missing.
        images_per_second: Batch size over the wall time of the last call's stages together.
        phase_seconds: How long each phase took; of several processes, the mean.
        gpu_utilisation_percent: Mean over the measured calls; ``None`` without a GPU.
        cpu_percent: Mean of the worker's CPU use over the measured calls (100 is one core); ``None`` with a GPU.
        peak_vram_mib: Highest use of the device's memory that NVML saw while the cell ran.
        peak_rss_mib: Highest resident memory of the worker; ``None`` with a GPU.
        seconds_per_image: Wall time of the last call's stages together over the batch size.
    """

    stages: tuple[StageSummary, ...] = ()
    images_per_second: float | None = None
    phase_seconds: Mapping[str, float] = field(default_factory=dict)
    gpu_utilisation_percent: float | None = None
    cpu_percent: float | None = None
    peak_vram_mib: float | None = None
    peak_rss_mib: float | None = None
    seconds_per_image: float | None = None
