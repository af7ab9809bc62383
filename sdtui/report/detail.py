"""What the docs layout leaves out of each cell, a table per theme, and the flags with their evidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sdtui.model.events import CallFinished, CompileCache, StageTrace
from sdtui.model.results import PHASES, Interval, StageSummary
from sdtui.records import CellRecord
from sdtui.report import precision, processes, text
from sdtui.report.cost import Price
from sdtui.report.merge import Result
from sdtui.report.tables import grouped

ALL_STAGES = "all"
_MOST_CALLS = 4  # whose medians are listed one by one
_TOP_KERNELS = 3
_KERNEL_CHARS = 60


def sections(results: Sequence[Result], run_marks: dict[Path, str], price: Price | None = None) -> list[str]:
    """Returns the Markdown lines of the per-cell part.

    Args:
        results: Merged.
        run_marks: Short name of each run by its folder; empty where there is one run only.
        price: Adds what 1,000 images cost.
    """
    lines = []
    for group, members in grouped(results).items():
        lines += [f"## Per cell: {text.inline(group.title)}", ""]
        tables = (
            ("Speed", _speed(members, run_marks, price)),
            ("Step times", _step_times(members)),
            ("Processes", processes.table(members)),
            ("Precision", precision.table(members)),
            ("Achieved rate", _rooflines(members)),
            ("Where an image's time goes", _split(members)),
            ("Memory and power" if members[0].on_gpu else "Memory and CPU", _resources(members)),
            ("Phases", _phases(members)),
            ("Output check", _checks(members)),
            ("What was compiled", _compilations(members)),
            ("Traced calls", _traces(members)),
        )
        for heading, (header, rows) in tables:
            if rows:
                lines += [f"### {heading}", "", *text.table_lines(header, rows), ""]
        lines += [*_causes(members), *_flags(members)]
    return lines


def ending(result: Result) -> str:
    """Says how a cell ended, and where if not well: ``oom in measure, call 2``."""
    finished = result.ending
    if finished is None:
        return "not run" if result.record.started is None else "not finished"
    if finished.status == "ok":
        return "ok"
    process = next((each for each in result.record.processes if each.process == finished.process), result.record)
    if process.started is None:
        return f"{finished.status} before it began"
    call = "" if finished.call is None else f", call {finished.call}"
    return f"{finished.status} in {finished.phase}{call}"


_Table = tuple[list[str], list[list[str]]]


def _speed(results: Sequence[Result], run_marks: dict[Path, str], price: Price | None) -> _Table:
    cost = [f"1,000 images at {price.text}"] if price else []
    header = ["Cell", "Ended", "Stage", "Steps / denoiser calls", "Loop it/s (device / host clock)"]
    header += ["95 % interval, it/s", "Denoiser calls/s", "Images/s", "First call s", *cost, "Flags"]

    def of_stage(stage: StageSummary) -> list[str]:
        return [
            f"{stage.steps} / {stage.forwards}",
            f"{text.rate(stage.loop_its)} / {text.rate(stage.host_loop_its)}",
            _interval(stage.loop_its_interval, text.rate),
            text.number(stage.forwards_per_second, 2),
            text.number(stage.images_per_second, 3),
            text.number(stage.first_call_s, 2),
        ]

    def of_cell(result: Result) -> list[str]:
        names = ", ".join(flag.name for flag in result.flags) or text.NONE
        each = price.of_thousand_images(result.summary.images_per_second) if price else None
        return [*([text.number(each, 3)] if price else []), names]

    rows = []
    for result in results:
        mark = [run_marks[result.run.path]] if run_marks else []
        head, stages = [result.spec.id, ending(result)], result.summary.stages
        blank = [text.NONE] * len(of_cell(result))
        if _single(result):
            rows.append([*head, stages[0].stage, *of_stage(stages[0]), *of_cell(result), *mark])
            continue
        rows += [[*head, stage.stage, *of_stage(stage), *blank, *mark] for stage in stages]
        whole = [text.NONE] * 4 + [text.number(result.summary.images_per_second, 3), text.NONE]
        rows.append([*head, ALL_STAGES if stages else text.NONE, *whole, *of_cell(result), *mark])
    return [*header, *(["Run"] if run_marks else [])], rows


def _step_times(results: Sequence[Result]) -> _Table:
    header = ["Cell", "Stage", "Steps timed", "Median ms", "95 % interval of the median", "Median it/s", "Mean ms"]
    header += ["p5 ms", "p95 ms", "p99 ms", "MAD ms", "Median of each measured call ms"]
    rows = []
    for result in results:
        for stage in result.summary.stages:
            if steps := stage.step_ms:
                figures = (steps.mean_ms, steps.p5_ms, steps.p95_ms, steps.p99_ms, steps.mad_ms)
                rows.append(
                    [
                        *(result.spec.id, stage.stage, str(steps.count), text.number(steps.median_ms, 2)),
                        _interval(steps.median_interval_ms, lambda ms: text.number(ms, 2)),
                        text.rate(1000 / steps.median_ms if steps.median_ms > 0 else 0.0),
                        *(text.number(figure, 2) for figure in figures),
                        _medians(stage),
                    ]
                )
    return header, rows


def _rooflines(results: Sequence[Result]) -> _Table:
    header = ["Cell", "Stage", "TFLOP per denoiser call", "Achieved TFLOP/s", "Measured matrix rate TFLOP/s"]
    header += ["Share of it %", "it/s at 100 %"]
    rows = []
    for result in results:
        for stage in result.roofline:
            measured, share, floor = text.NOT_MEASURED, text.NOT_MEASURED, text.NONE
            if stage.matrix_tflops is not None and stage.share is not None and stage.floor_its is not None:
                measured = f"{text.significant(stage.matrix_tflops, 4)} ({stage.precision})"
                share, floor = text.number(100 * stage.share), text.rate(stage.floor_its)
            rates = (text.significant(stage.flops / 1e12, 4), text.significant(stage.tflops, 4), measured, share, floor)
            rows.append([result.spec.id, stage.stage, *rates])
    return header, rows


def _medians(stage: StageSummary) -> str:
    medians = [call.step_ms.median_ms for call in stage.measured_calls if call.step_ms]
    if len(medians) > _MOST_CALLS:
        return f"{min(medians):.2f} to {max(medians):.2f} ({len(medians)} calls)"
    return ", ".join(text.number(median, 2) for median in medians) or text.NONE


def _split(results: Sequence[Result]) -> _Table:
    header = ["Cell", "Stage", "s/image", "Text encoding ms", "Denoising ms", "VAE ms", "Other ms"]
    rows = []
    for result in results:
        size = result.spec.slot.batch_size
        for stage in result.summary.stages:
            parts = (stage.text_encoding_ms, stage.denoising_ms, stage.vae_ms, stage.other_ms)
            each = [text.number(part / size) for part in parts]
            rows.append([result.spec.id, stage.stage, text.number(stage.seconds_per_image, 3), *each])
        if result.summary.stages and not _single(result):
            whole = text.number(result.summary.seconds_per_image, 3)
            rows.append([result.spec.id, ALL_STAGES, whole, *[text.NONE] * 4])
    return header, rows


def _resources(results: Sequence[Result]) -> _Table:
    if not results[0].on_gpu:
        rows = [
            [result.spec.id, text.number(result.summary.peak_rss_mib, 0), text.number(result.summary.cpu_percent)]
            for result in results
            if result.summary.peak_rss_mib is not None
        ]
        return ["Cell", "Peak RSS MiB", "Mean CPU % (100 is one core)"], rows
    header = ["Cell", "Stage", "Peak allocated / reserved MiB (torch)", "Peak device MiB (NVML)"]
    header += ["Mean GPU utilisation %", "Median SM clock MHz", "Mean power W", "J/image"]
    rows = []
    for result in results:
        stages = result.summary.stages
        if _single(result):
            rows.append([result.spec.id, stages[0].stage, _allocator(stages[0]), *_device_figures(result)])
        elif stages or result.summary.peak_vram_mib is not None:
            rows += [[result.spec.id, stage.stage, _allocator(stage), *[text.NONE] * 5] for stage in stages]
            rows.append([result.spec.id, ALL_STAGES if stages else text.NONE, text.NONE, *_device_figures(result)])
    return header, rows


def _allocator(stage: StageSummary) -> str:
    return f"{text.number(stage.peak_allocated_mib, 0)} / {text.number(stage.peak_reserved_mib, 0)}"


def _device_figures(result: Result) -> list[str]:
    summary, energy = result.summary, result.energy
    joules = text.NOT_AVAILABLE
    if energy:
        joules = text.number(energy.joules_per_image) + (" (from power)" if energy.source == "power" else "")
    return [
        text.number(summary.peak_vram_mib, 0),
        text.number(summary.gpu_utilisation_percent),
        text.number(result.sm_clock_mhz, 0),
        text.number(energy.mean_power_w if energy else None, 0),
        joules,
    ]


def _phases(results: Sequence[Result]) -> _Table:
    rows = [
        [result.spec.id, *(text.number(result.summary.phase_seconds.get(phase)) for phase in PHASES), _warmth(result)]
        for result in results
        if result.summary.phase_seconds
    ]
    header = ["Cell", *(f"{phase} s" for phase in PHASES), "Inductor's cache"]
    if any(_compile_caches(result) for result in results):
        return header, rows
    return header[:-1], [row[:-1] for row in rows]


def _compile_caches(result: Result) -> list[CompileCache]:
    return [each.record.compile_cache for each in result.processes if each.record.compile_cache]


def _warmth(result: Result) -> str:
    """Says how warm the cell's first calls compiled, of all stages and processes."""
    told = {
        call.compilation.warmth(record.compile_cache)
        for record, call in _calls(result)
        if call.call == 1 and call.compilation
    }
    if not told:
        return text.NONE
    if None in told:
        return text.NOT_AVAILABLE
    return "partly warm" if len(told) > 1 else str(told.pop())


def _checks(results: Sequence[Result]) -> _Table:
    header = ["Cell", "Relative L2 of the latents", "At most", "PSNR of the image dB", "At least"]
    rows = []
    for result in results:
        if told := result.check:
            distance, limits = told.distance, told.limits
            equal = distance is not None and distance.psnr_db is None
            verdict = told.verdict + (f": {text.inline(told.reason)}" if told.verdict == "not checked" else "")
            rows.append(
                [
                    result.spec.id,
                    f"{distance.relative_l2:.2g}" if distance else text.NONE,
                    f"{limits.relative_l2:.2g}" if limits else text.NONE,
                    "equal" if equal else text.number(distance.psnr_db if distance else None),
                    f"{limits.psnr_db:g}" if limits else text.NONE,
                    str(distance.max_difference) if distance else text.NONE,
                    verdict,
                ]
            )
    return [*header, "Largest difference of 255", "Verdict"], rows


def _compilations(results: Sequence[Result]) -> _Table:
    rows = []
    for result in results:
        for record, call in _calls(result):
            told = call.compilation
            if told is not None:
                counts = [str(told.graphs), str(len(told.recompiles)), str(sum(told.graph_breaks.values()))]
                warmth = told.warmth(record.compile_cache) or text.NOT_AVAILABLE
                rows.append([record.name, call.stage, str(call.call), text.number(told.seconds), warmth, *counts])
    header = ["Cell", "Stage", "Call", "In torch.compile s", "Inductor's cache", "Graphs", "Recompiles", "Graph breaks"]
    return header, rows


def _causes(results: Sequence[Result]) -> list[str]:
    """Names every recompile and graph break."""
    lines = []
    for result in results:
        for record, call in _calls(result):
            if call.compilation is not None:
                where = f"{record.name}, stage {call.stage}, call {call.call}"
                lines += [f"- {where}: recompiled: {text.inline(reason)}" for reason in call.compilation.recompiles]
                breaks = call.compilation.graph_breaks.items()
                lines += [f"- {where}: graph break ({count}×): {text.inline(reason)}" for reason, count in breaks]
    return ["### Recompiles and graph breaks", "", *lines, ""] if lines else []


def _traces(results: Sequence[Result]) -> _Table:
    header = ["Cell", "Stage", "Traced loop ms", "GPU busy ms", "Kernels and copies", "Longest", "Trace in outputs/"]
    rows = []
    for result in results:
        for name, trace in _traced(result):
            longest = "; ".join(
                f"{kernel.ms:.1f} ms {_shortened(kernel.name)}" for kernel in trace.kernels[:_TOP_KERNELS]
            )
            rows.append(
                [
                    name,
                    trace.stage,
                    text.number(trace.loop_ms),
                    text.NOT_AVAILABLE if trace.busy_ms is None else text.number(trace.busy_ms),
                    str(trace.launches),
                    text.inline(longest) or text.NONE,
                    text.inline(trace.file),
                ]
            )
    return header, rows


def _calls(result: Result) -> Iterator[tuple[CellRecord, CallFinished]]:
    """Yields the calls of every process, each with the process."""
    for process in result.processes:
        for call in process.record.calls:
            yield process.record, call


def _traced(result: Result) -> Iterator[tuple[str, StageTrace]]:
    for process in result.processes:
        for trace in process.record.finished.traces if process.record.finished else ():
            yield process.record.name, trace


def _shortened(kernel: str) -> str:
    return kernel if len(kernel) <= _KERNEL_CHARS else kernel[: _KERNEL_CHARS - 1] + "…"


def _flags(results: Sequence[Result]) -> list[str]:
    lines = [f"- {result.spec.id}: {text.inline(str(flag))}" for result in results for flag in result.flags]
    return ["### Flags", "", *lines, ""] if lines else []


def _interval(interval: Interval | None, write: Callable[[float], str]) -> str:
    return f"{write(interval.low)} to {write(interval.high)}" if interval else text.NONE


def _single(result: Result) -> bool:
    return len(result.summary.stages) == 1 and len(result.spec.stages) == 1
