"""One call under torch.profiler: how much of the denoising loop the GPU was busy, and with what."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from sdtui.model.events import KernelTime, StageTrace
from sdtui.worker.timing import PipelineTimer

LOOP = "sdtui: denoising loop"
_TOP_KERNELS = 10


class Activity(NamedTuple):
    """Something that ran on the GPU; nanoseconds of the profiler's clock."""

    name: str
    start: int
    end: int


def trace(stage: str, call: Callable[[], Any], timer: PipelineTimer, folder: Path, name: str) -> StageTrace:
    """Makes one call under the profiler and keeps its trace.

    Args:
        stage: Whose call it is.
        call: Calls the pipeline.
        timer: Of the pipeline; its loop is what is looked at.
        folder: Where the trace file goes.
        name: Of the file, without its ending.
    """
    on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    with profile(activities=activities) as profiler, timer.around_loop(lambda: record_function(LOOP)):
        timer.time(call, lambda _: None)
    file = folder / f"{name}.trace.json.gz"
    profiler.export_chrome_trace(str(file))
    events = profiler.profiler.kineto_results.events()
    loops = [e for e in events if e.name() == LOOP]
    on_device = [e for e in loops if _is_cuda(e)] or loops
    start, end = min(e.start_ns() for e in on_device), max(e.start_ns() + e.duration_ns() for e in on_device)
    ran = [
        Activity(e.name(), e.start_ns(), e.start_ns() + e.duration_ns())
        for e in events
        if _is_cuda(e) and not e.is_user_annotation()
    ]
    within = [a for a in ran if a.start < end and a.end > start]
    return StageTrace(
        stage=stage,
        loop_ms=(end - start) / 1e6,
        busy_ms=busy_ns(within, start, end) / 1e6 if on_gpu else None,
        launches=len(within),
        kernels=top_kernels(within),
        file=file.name,
    )


def busy_ns(activities: Iterable[Activity], start: int, end: int) -> int:
    """Returns how many nanoseconds from ``start`` to ``end`` at least one activity covers."""
    busy, reached = 0, start
    for activity in sorted(activities, key=lambda a: a.start):
        upto = min(activity.end, end)
        if upto > reached:
            busy += upto - max(activity.start, reached)
            reached = upto
    return busy


def top_kernels(activities: Iterable[Activity]) -> tuple[KernelTime, ...]:
    """Returns the activities that took longest by name, with their launches."""
    spent: dict[str, list[int]] = {}
    for activity in activities:
        spent.setdefault(activity.name, []).append(activity.end - activity.start)
    ranked = sorted(spent.items(), key=lambda item: (-sum(item[1]), item[0]))
    return tuple(KernelTime(name, sum(times) / 1e6, len(times)) for name, times in ranked[:_TOP_KERNELS])


def _is_cuda(event: Any) -> bool:
    return bool(event.device_type() == torch.autograd.DeviceType.CUDA)
