"""Measures one cell: load, call, time, check; every ending is an event."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from sdtui.model.cell import Stage
from sdtui.model.events import CallFinished, CellFinished, CellPhase, Log, StageTrace, Step
from sdtui.model.job import Job
from sdtui.model.results import Phase
from sdtui.worker import options, outputs
from sdtui.worker.allocator import limit_allocator
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.call import check as check_arguments
from sdtui.worker.clock import Clock, clock_for
from sdtui.worker.control import Control
from sdtui.worker.emitter import Emitter
from sdtui.worker.flops import Evaluations
from sdtui.worker.outcome import classify
from sdtui.worker.reasons import one_line
from sdtui.worker.timing import PipelineTimer, StepTime, Timing
from sdtui.worker.tracing import trace

if TYPE_CHECKING:
    from sdtui.worker.compilation import CompilationMeter

_MIB = 1024 * 1024


@dataclass
class Progress:
    """Where the cell is, for the event that says where it ended."""

    phase: Phase = "load"
    call: int | None = None


@dataclass
class LoadedStage:
    """A stage, built and instrumented."""

    stage: Stage
    call: Callable[..., Any]
    timer: PipelineTimer
    evaluations: Evaluations
    images: Any = None


def measure(job: Job, emitter: Emitter) -> None:
    """Runs the cell to its end, whatever that is, and emits ``cell.finished``."""
    progress = Progress()
    try:
        traces, flops = _Measurement(job, emitter, progress).run()
    except Exception as error:
        traceback.print_exc()
        status, reason = classify(error, progress.phase)
        emitter.emit(CellFinished(job.cell.id, status, progress.phase, progress.call, reason))
    else:
        emitter.emit(CellFinished(job.cell.id, "ok", progress.phase, progress.call, traces=traces, flops=flops))
    emitter.flush()


def _compilation_meter() -> CompilationMeter:
    from sdtui.worker.compilation import CompilationMeter  # imports torch._dynamo, which an eager cell does without

    return CompilationMeter()


class _Measurement:
    def __init__(self, job: Job, emitter: Emitter, progress: Progress) -> None:
        self._job = job
        self._cell = job.cell
        self._emitter = emitter
        self._progress = progress
        self._dtype: torch.dtype = getattr(torch, job.cell.dtype)
        self._clock: Clock = clock_for(job.device)
        self._on_gpu = job.device.startswith("cuda")
        self._compilations = _compilation_meter() if job.cell.mode.compile else None
        self._control = Control(job.control)

    def run(self) -> tuple[tuple[StageTrace, ...], dict[str, float]]:
        options.apply_global(self._cell.mode, self._job.device)
        if self._cell.vram_limit_bytes is not None:
            limit_allocator(self._cell.vram_limit_bytes, self._job.device)
        stages = [self._load(stage) for stage in self._cell.stages]
        call = 0
        while call < self._cell.calls or self._control.more():
            call += 1
            self._enter(call)
            for loaded in stages:
                self._call(loaded, call, stages)
            self._emitter.flush()
        self._check(stages)
        return self._traces(stages) if self._job.trace else (), self._flops(stages)

    def _load(self, stage: Stage) -> LoadedStage:
        pipe = build(stage, self._cell.seed, self._job.device, self._dtype)
        check_arguments(stage, pipe)
        applied = options.apply(self._cell.mode, stage, pipe)
        for option, reason in applied.left_out.items():
            self._emitter.emit(Log(f"{option} left out: {reason}", "info", self._cell.id))
        timer = PipelineTimer(pipe, stage.denoisers[0], self._clock)
        return LoadedStage(stage, applied.call, timer, Evaluations(pipe, stage.denoisers))

    def _enter(self, call: int) -> None:
        """Enters the call's phase: the first compiles or warms up, the others are measured."""
        self._progress.call = call
        first: Phase = "compile" if self._cell.mode.compile else "warm-up"
        phase: Phase = first if call == 1 else "measure"
        if phase != self._progress.phase:
            self._progress.phase = phase
            self._emitter.emit(CellPhase(self._cell.id, phase, call))

    def _call(self, loaded: LoadedStage, call: int, stages: list[LoadedStage]) -> None:
        stage = loaded.stage
        kwargs = self._arguments(stage, stages)

        def on_steps(completed: Sequence[StepTime]) -> None:
            self._emitter.emit(
                *(
                    Step(self._cell.id, call, stage.name, step, steps, round(ms, 4), forwards)
                    for step, steps, ms, forwards in completed
                )
            )

        if self._on_gpu:
            torch.cuda.reset_peak_memory_stats()
        output, timing = loaded.timer.time(lambda: loaded.call(**kwargs), on_steps)
        loaded.images = output.images
        self._emitter.emit(self._call_finished(call, stage, timing))

    def _arguments(self, stage: Stage, stages: list[LoadedStage]) -> dict[str, Any]:
        earlier = {other.stage.name: other.images for other in stages}
        return arguments(self._cell, stage, self._job.device, self._dtype, earlier)

    def _traces(self, stages: list[LoadedStage]) -> tuple[StageTrace, ...]:
        """Traces every stage; a trace that fails (the profiler takes memory) is said, and costs the cell nothing."""
        try:
            return tuple(self._trace(loaded, stages) for loaded in stages)
        except Exception as error:
            traceback.print_exc()
            _, reason = classify(error, self._progress.phase)
            self._emitter.emit(Log(f"no trace: {reason}", "warning", self._cell.id))
            return ()

    def _trace(self, loaded: LoadedStage, stages: list[LoadedStage]) -> StageTrace:
        kwargs = self._arguments(loaded.stage, stages)
        name = self._job.stem if len(stages) == 1 else f"{self._job.stem}.{loaded.stage.name}"
        folder = Path(self._job.outputs)
        return trace(loaded.stage.name, lambda: loaded.call(**kwargs), loaded.timer, folder, name)

    def _flops(self, stages: list[LoadedStage]) -> dict[str, float]:
        """Counts every stage's operations; a count that fails (a model that takes no meta tensors) is said."""
        counted = {}
        for loaded in stages:
            try:
                counted[loaded.stage.name] = loaded.evaluations.flops()
            except Exception as error:
                traceback.print_exc()
                reason = one_line(f"{type(error).__name__}: {error}")
                self._emitter.emit(Log(f"operations not counted: {reason}", "warning", self._cell.id))
        return counted

    def _call_finished(self, call: int, stage: Stage, timing: Timing) -> CallFinished:
        allocated = torch.cuda.max_memory_allocated() / _MIB if self._on_gpu else None
        reserved = torch.cuda.max_memory_reserved() / _MIB if self._on_gpu else None
        return CallFinished(
            cell=self._cell.id,
            call=call,
            stage=stage.name,
            steps=timing.steps,
            forwards=timing.forwards,
            loop_ms=timing.loop_ms,
            host_loop_ms=timing.host_loop_ms,
            wall_ms=timing.wall_ms,
            text_encoding_ms=timing.text_encoding_ms,
            denoising_ms=timing.denoising_ms,
            vae_ms=timing.vae_ms,
            other_ms=timing.other_ms,
            peak_allocated_mib=allocated,
            peak_reserved_mib=reserved,
            compilation=self._compilations.take() if self._compilations else None,
        )

    def _check(self, stages: list[LoadedStage]) -> None:
        """Keeps the last stage's output; checks every stage's, since a later one need not be fed with it."""
        last = stages[-1]
        outputs.save(last.images, last.timer.final_latents, Path(self._job.outputs), self._job.stem)
        for loaded in stages:
            outputs.check(loaded.images, loaded.timer.final_latents, loaded.stage.name)
