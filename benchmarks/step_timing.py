"""sdtui's step intervals against a kernel-level trace of the very same call.

    python benchmarks/step_timing.py --mode no-compile --mode compile -o step-timing.json
    python benchmarks/step_timing.py --scale tiny --device cpu --mode no-compile

A call runs under sdtui's timing while torch.profiler records every kernel and copy on the GPU, with its times from the
GPU's own records (CUPTI), and the host's launch of each. sdtui's marks are CUDA events in the same stream: a mark lies
after the last kernel that the host had launched before it and before the first that it launched after it, and nothing
else is known of it from the trace. So, with the kernels of step k running from s(k) to e(k):

- the loop by the trace runs from s(1) to e(N): the sum of sdtui's intervals must be within 1 % of that;
- step k by the trace runs from e(k-1) to e(k), the first from s(1);
- an interval can be right only within its bracket: no shorter than e(k) - s(k), no longer than s(k+1) - e(k-1).

Each kernel belongs to the step within which the host launched it (kernels of a CUDA graph: its replay). Annotations
around sdtui's marks say in the trace where they stand in the host's order. Calls without the profiler, before the first
trace and between traces, say what tracing does to a call. On a CPU torch's operators stand for kernels. Exits with 1
where a call is beyond 1 %.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pipelines
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from sdtui.model.cell import Cell

MARK = "sdtui: mark "
WITHIN = 0.01
CLOCKS_APART_US = 5.0
"""What an interval may lie outside its bracket: CUDA events resolve 0.5 us, and their clock is not the trace's."""

_ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
_LAUNCHES = ("cuda_runtime", "cuda_driver")


class Activity(NamedTuple):
    """What ran on the device; microseconds of the trace's clock.

    ``launched`` is when the host asked for it; ``None`` where the trace does not say.
    """

    launched: float | None
    start: float
    end: float


@dataclass(frozen=True)
class TracedStep:
    """One step by both clocks, in milliseconds.

    Attributes:
        ms: sdtui's interval.
        kernels_ms: The step by the trace.
        low_ms: The shortest that the interval can be, from the step's first kernel's start to its last one's end.
        high_ms: The longest: up to the next step's first kernel, from the previous step's last.
    """

    ms: float
    kernels_ms: float
    low_ms: float
    high_ms: float

    @property
    def deviation(self) -> float:
        """By how much sdtui's interval is longer, relative to the trace's."""
        return self.ms / self.kernels_ms - 1

    @property
    def inside(self) -> bool:
        """Whether the interval lies in its bracket, but for what the two clocks may differ by."""
        slack = CLOCKS_APART_US / 1e3
        return self.low_ms - slack <= self.ms <= self.high_ms + slack


def activities(events: Sequence[Mapping[str, Any]], on_gpu: bool) -> list[Activity]:
    """Reads what ran from the events of a Chrome trace, in order of start.

    Raises:
        SystemExit: On a GPU, the trace holds no kernel.
    """
    if not on_gpu:
        ran = [Activity(e["ts"], e["ts"], e["ts"] + e["dur"]) for e in events if e.get("cat") == "cpu_op"]
        return sorted(ran, key=lambda a: a.start)
    launches: dict[int, float] = {}
    for event in events:
        if event.get("cat") in _LAUNCHES and "correlation" in event.get("args", {}):
            key = event["args"]["correlation"]
            launches[key] = min(event["ts"], launches.get(key, event["ts"]))
    ran = [
        Activity(launches.get(e["args"].get("correlation")), e["ts"], e["ts"] + e["dur"])
        for e in events
        if e.get("cat") in _ON_GPU
    ]
    if not ran:
        raise SystemExit("the trace holds no kernel: torch.profiler cannot trace this GPU (CUPTI)")
    return sorted(ran, key=lambda a: a.start)


def marks(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Returns when the host came to each mark, in microseconds of the trace's clock, in order."""
    found = [e for e in events if e.get("cat") == "user_annotation" and e["name"].startswith(MARK)]
    return [e["ts"] for e in sorted(found, key=lambda e: int(e["name"].removeprefix(MARK)))]


def by_step(ran: Sequence[Activity], marked: Sequence[float]) -> list[tuple[float, float] | None]:
    """Returns from when to when the activities between neighbouring marks ran, in microseconds.

    One whose launch is not known goes with the one that started before it: a stream runs in order.

    Args:
        ran: In order of start.
        marked: When the host came to each mark.

    Returns:
        One for what was launched before the first mark, one for each step, one for what came after the last mark;
        ``None`` where nothing ran.
    """
    spans: list[tuple[float, float] | None] = [None] * (len(marked) + 1)
    place = 0
    for activity in ran:
        if activity.launched is not None:
            place = bisect_right(marked, activity.launched)
        span = spans[place] or (activity.start, activity.end)
        spans[place] = min(span[0], activity.start), max(span[1], activity.end)
    return spans


def compare(intervals_ms: Sequence[float], spans: Sequence[tuple[float, float] | None]) -> list[TracedStep]:
    """Sets each interval beside the same step of the trace, and as a last item the whole loop.

    Args:
        intervals_ms: sdtui's, in order.
        spans: As `by_step` returns them.

    Raises:
        SystemExit: The trace has another number of steps, or nothing ran in one, before the first or after the last.
    """
    there = [span for span in spans if span is not None]
    if len(there) != len(intervals_ms) + 2:
        empty = [number for number, span in enumerate(spans) if span is None]
        raise SystemExit(f"{len(intervals_ms)} steps timed, {len(spans) - 2} traced, nothing ran in those of {empty}")
    ends, starts = [end for _, end in there[:-1]], [start for start, _ in there[1:]]

    def traced(ms: float, first: int, last: int) -> TracedStep:
        low = (ends[last + 1] - starts[first]) / 1e3
        whole = low if first == 0 else (ends[last + 1] - ends[first]) / 1e3
        return TracedStep(ms, whole, low, (starts[last + 1] - ends[first]) / 1e3)

    each = [traced(ms, number, number) for number, ms in enumerate(intervals_ms)]
    return [*each, traced(sum(intervals_ms), 0, len(intervals_ms) - 1)]


def annotate_marks(timer: Any) -> Callable[[], None]:
    """Puts an annotation around each mark of the loop; returns what begins the count anew."""
    count = [0]

    def annotated(function: Callable[..., None]) -> Callable[..., None]:
        def called(*args: Any) -> None:
            with record_function(f"{MARK}{count[0]}"):
                function(*args)
            count[0] += 1

        return called

    timer.begin_loop, timer.end_step = annotated(timer.begin_loop), annotated(timer.end_step)
    return lambda: count.__setitem__(0, 0)


def trace_call(loaded: pipelines.Loaded, on_gpu: bool) -> tuple[list[float], list[dict[str, Any]]]:
    """Makes one call under sdtui's timing and the profiler; returns sdtui's intervals and the trace's events."""
    recorded = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    intervals: list[float] = []
    with profile(activities=recorded) as profiler:
        loaded.timer.time(loaded.call, lambda steps: intervals.extend(step.ms for step in steps))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        return intervals, json.loads(path.read_bytes())["traceEvents"]


@pipelines.in_own_process
def measure(cell: Cell, device: str, calls: int) -> Iterator[dict[str, Any]]:
    """Alternates calls with and without the profiler; yields the state after each pair."""
    on_gpu = device.startswith("cuda")
    loaded = pipelines.load(cell, device)
    restart = annotate_marks(loaded.timer)

    def untraced_ms() -> float:
        return float(loaded.timer.time(loaded.call, lambda _: None)[1].loop_ms)

    for _ in range(3):
        untraced_ms()
    before = [untraced_ms() for _ in range(calls)]
    restart()
    trace_call(loaded, on_gpu)
    between: list[float] = []
    traced: list[dict[str, Any]] = []
    for _ in range(calls):
        between.append(untraced_ms())
        restart()
        intervals, events = trace_call(loaded, on_gpu)
        traced.append(traced_call(intervals, events, on_gpu))
        yield {"cell": cell.id, **state(traced, before, between)}


def traced_call(intervals: Sequence[float], events: Sequence[Mapping[str, Any]], on_gpu: bool) -> dict[str, Any]:
    """Returns what a traced call's intervals are beside its trace."""
    ran = activities(events, on_gpu)
    *steps, loop = compare(intervals, by_step(ran, marks(events)))
    return {
        "loop_ms": loop.ms,
        "loop_by_trace_ms": loop.kernels_ms,
        "deviation": loop.deviation,
        "inside": loop.inside,
        "activities": len(ran),
        "without_launch": sum(activity.launched is None for activity in ran),
        "steps_inside": sum(step.inside for step in steps),
        "steps": [{**vars(step), "deviation": step.deviation} for step in steps],
    }


def state(traced: Sequence[Mapping[str, Any]], before: list[float], between: list[float]) -> dict[str, Any]:
    """Returns what calls showed so far.

    Args:
        traced: Each traced call, as `traced_call` tells it.
        before: Loops in milliseconds, before anything was traced.
        between: Of calls without the profiler between traced ones.
    """
    deviations = [abs(step["deviation"]) for call in traced for step in call["steps"]]
    loop_ms, plain_ms = statistics.median(call["loop_ms"] for call in traced), statistics.median(before)
    return {
        "worst_deviation": max((call["deviation"] for call in traced), key=abs),
        "within_1_percent": all(abs(call["deviation"]) <= WITHIN for call in traced),
        "step_deviation_median": statistics.median(deviations),
        "step_deviation_max": max(deviations),
        "steps": len(deviations),
        "steps_within_1_percent": sum(deviation <= WITHIN for deviation in deviations),
        "steps_inside": sum(call["steps_inside"] for call in traced),
        "traced_loop_ms": loop_ms,
        "untraced_loop_ms": plain_ms,
        "traced_over_untraced": loop_ms / plain_ms,
        "untraced_loops_before_any_trace_ms": before,
        "untraced_loops_between_traces_ms": between,
        "calls": traced,
    }


def line(told: Mapping[str, Any]) -> str:
    """Returns what a mode's calls showed."""
    return (
        f"{told['cell']} on {told['device']}, torch {told['torch']}, {len(told['calls'])} traced calls: "
        f"sum of intervals over the loop by the trace {told['worst_deviation']:+.3%} at worst, "
        f"{'within' if told['within_1_percent'] else 'NOT within'} 1 %; "
        f"steps {told['step_deviation_median']:.3%} apart in the median, {told['step_deviation_max']:.3%} at most, "
        f"{told['steps_within_1_percent']} of {told['steps']} within 1 %, "
        f"{told['steps_inside']} inside their brackets; "
        f"loop {told['traced_loop_ms']:.2f} ms traced, {told['untraced_loop_ms']:.2f} ms not: "
        f"{told['traced_over_untraced']:.3f} times as long; {told['calls'][-1]['activities']} activities in a call"
    )


def main() -> int:
    """Traces each mode, prints a line for it, and says whether every loop is within 1 %."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pipelines.add_arguments(parser, steps=20, batch_size=1)
    parser.add_argument("--calls", type=int, default=3, help="traced ones, per mode; default 3")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    results: list[dict[str, Any]] = []
    for cell in pipelines.cells(chosen):
        results.append({})
        for found in measure(cell, chosen.device, chosen.calls):
            told = {"device": pipelines.device_name(chosen.device), "torch": torch.__version__, **found}
            results[-1] = told
            if chosen.output:  # at each look, so that a run cut short still says what it found
                chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(line(results[-1]), flush=True)
    return 0 if all(result["within_1_percent"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
