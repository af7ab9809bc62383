"""What the docs layout leaves out of each cell: step times, memory, utilisation, phases, and where a call went."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sdtui.model.results import PHASES, CellSummary, StageSummary
from sdtui.report import text
from sdtui.report.merge import Result
from sdtui.report.tables import grouped

_BASE = (
    "Cell",
    "Ended",
    "Stage",
    "Steps",
    "Denoiser calls",
    "Loop it/s (device / host clock)",
    "Median step ms",
    "p95 step ms",
    "First call s",
    "Images/s",
)
_LAST_CALL = ("Text encoding ms", "Denoising ms", "VAE ms", "Other ms")
_GPU = ("Peak allocated / reserved MiB (torch)", "Peak device MiB (NVML)", "Mean GPU utilisation %")
_CPU = ("Peak RSS MiB", "Mean CPU % (100 is one core)")
ALL_STAGES = "all"


def sections(results: Sequence[Result], run_marks: dict[Path, str]) -> list[str]:
    """Returns the Markdown lines of the per-cell part.

    Args:
        results: Merged.
        run_marks: Short name of each run by its folder; empty where there is one run only.
    """
    lines = []
    for group, members in grouped(results).items():
        lines += [f"## Per cell: {text.inline(group.title)}", "", *_figures(members, run_marks), ""]
        lines += [f"## Phases: {text.inline(group.title)}", "", *_phases(members), ""]
    return lines


def ending(result: Result) -> str:
    """Says how a cell ended, and where if not well: ``oom in measure, call 2``."""
    finished = result.record.finished
    if finished is None:
        return "not run" if result.record.started is None else "not finished"
    if finished.status == "ok":
        return "ok"
    call = "" if finished.call is None else f", call {finished.call}"
    return f"{finished.status} in {finished.phase}{call}"


def _figures(results: Sequence[Result], run_marks: dict[Path, str]) -> list[str]:
    on_gpu = results[0].on_gpu
    header = [*_BASE, *(_GPU if on_gpu else _CPU), *_LAST_CALL, *(["Run"] if run_marks else [])]
    rows = []
    for result in results:
        for row in _rows(result, on_gpu):
            rows.append([*row, *([run_marks[result.run.path]] if run_marks else [])])
    return text.table_lines(header, rows)


def _rows(result: Result, on_gpu: bool) -> list[list[str]]:
    head, summary = [result.spec.id, ending(result)], result.summary
    blank = CellSummary()
    if len(summary.stages) == 1 and len(result.spec.stages) == 1:
        return [head + _stage_row(summary.stages[0], summary, on_gpu)]
    rows = [head + _stage_row(stage, blank, on_gpu) for stage in summary.stages]
    return [*rows, head + _whole_row(summary, on_gpu)]


def _stage_row(stage: StageSummary, cell: CellSummary, on_gpu: bool) -> list[str]:
    memory = f"{text.number(stage.peak_allocated_mib, 0)} / {text.number(stage.peak_reserved_mib, 0)}"
    return [
        stage.stage,
        str(stage.steps),
        str(stage.forwards),
        f"{text.rate(stage.loop_its)} / {text.rate(stage.host_loop_its)}",
        text.number(stage.median_step_ms, 2),
        text.number(stage.p95_step_ms, 2),
        text.number(stage.first_call_s, 2),
        text.number(stage.images_per_second, 3),
        *([memory] if on_gpu else []),
        *_cell_figures(cell, on_gpu),
        text.number(stage.text_encoding_ms),
        text.number(stage.denoising_ms),
        text.number(stage.vae_ms),
        text.number(stage.other_ms),
    ]


def _whole_row(cell: CellSummary, on_gpu: bool) -> list[str]:
    """The cell as a whole: what stages have each for themselves stays empty."""
    return [
        ALL_STAGES if cell.stages else text.NONE,
        *[text.NONE] * 6,
        text.number(cell.images_per_second, 3),
        *([text.NONE] if on_gpu else []),
        *_cell_figures(cell, on_gpu),
        *[text.NONE] * 4,
    ]


def _cell_figures(cell: CellSummary, on_gpu: bool) -> list[str]:
    if on_gpu:
        return [text.number(cell.peak_vram_mib, 0), text.number(cell.gpu_utilisation_percent)]
    return [text.number(cell.peak_rss_mib, 0), text.number(cell.cpu_percent)]


def _phases(results: Sequence[Result]) -> list[str]:
    rows = [
        [result.spec.id, *(text.number(result.summary.phase_seconds.get(phase)) for phase in PHASES)]
        for result in results
    ]
    return text.table_lines(["Cell", *(f"{phase} s" for phase in PHASES)], rows)
