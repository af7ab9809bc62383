"""The notes of a report: what its figures are, what they are not, and how to make them again."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sdtui.energy import SHORTEST_S
from sdtui.flags import MEANINGS
from sdtui.model.cell import Cell, Stage
from sdtui.model.errors import UserError
from sdtui.records import RunRecord
from sdtui.report import precision, processes, text
from sdtui.report.merge import Result
from sdtui.runs import PLAN, short

_PAGE = (
    'The page is the old Diffusers page "Accelerated PyTorch 2.0 support in Diffusers", whose tables these follow and '
    "whose figures were measured in 2023."
)
_FIGURE = (
    "The figure is the denoising loop's steps ÷ loop time in the last call of the pipeline, by device events (by the "
    "host's clock without a GPU), in iterations per second; below 1 it/s it is seconds per iteration, with an `s`. "
    "Several stages read `I / II / III`."
)
_APART = (
    "The first call, with compilation and warm-up in it, is reported apart: step times are over the steps of the later "
    "calls (of the only one, where there is one). A step that held more than one denoiser evaluation counts in it/s "
    "and stays out of the step times."
)
_INTERVALS = (
    "Intervals are 95 % bootstrap intervals, calls drawn first and then stretches of consecutive steps: of the median "
    "step, and of the it/s that a call comes to. They say how sure a figure is within its process, not what another "
    "process, host or day would give."
)
_INTERVALS_OF_SEVERAL = (
    "Intervals are 95 % bootstrap intervals, of the median step and of the it/s that a call comes to: of several "
    "processes, processes are drawn first; then calls, then stretches of consecutive steps. No interval says what "
    "another host or day would give, and that of a cell with one process not what another process would."
)
_ENERGY = (
    "J/image is the GPU's, idle draw included, over the calls after the first: by NVML's energy counter where they "
    f"last {SHORTEST_S['counter']:g} s, else by its power readings where there is no counter and they last "
    f"{SHORTEST_S['power']:g} s; over less it is not available."
)
_CHECK = (
    "The output check holds each mode's last output against that of no-compile in the same run: the final latents of "
    "the batch, and the first image. The limits are those of the coarser dtype of the two. A figure whose output lies "
    "beyond them is marked `differs`."
)
_RANDOM = (
    "Weights are random: same architecture, same kernels, no download; the images are noise. Pipelines with random "
    "weights have no safety checker, unlike the page's."
)
_IF = (
    "`if` follows the page to the letter: embeddings of shape (1, 2, 4096), no text encoder, stage III fed with stage "
    "I's 64-pixel image; batch size 1 runs three stages, larger ones stage I alone."
)
_CASCADE = "`if-cascade` is the three-stage cascade with embeddings of shape (1, 77, 4096)."
_TINY = (
    "What is marked `tiny` ran the same classes with a few channels: it shows that things work, and nothing in it is "
    "comparable with full scale."
)
_VARIANT = (
    "A table whose heading names a difference departs from the docs protocol in it: compare it with its like only."
)
_WARMTH = (
    "Compiling was `cold` where the compile cache was empty when the cell started, `warm` where every graph was found "
    "compiled, else `partly warm`: kernels, autotuning results and checks of the compiler may have been found though a "
    "graph was not."
)
_LIMITED = (
    "`allocator limited to …` caps what torch's allocator takes of the GPU's memory, and beyond it torch runs out of "
    "memory as on a full GPU. What CUDA takes for itself comes on top: a GPU with so much memory holds less."
)
_OUTCOMES = (
    "`OOM` is out of memory while loading or in the first call, `OOM after warmup` in the second, `OOM after 2nd "
    "iteration` in the third; `❌` is a mode that the pipeline cannot run there; `–` is not run, cancelled, or in no "
    "run here."
)


def sections(runs: Sequence[RunRecord], results: Sequence[Result], remarks: Sequence[str]) -> list[str]:
    """Returns the Markdown lines of ``## Notes``, what ran, and the plans.

    Args:
        runs: In the order of `merge.ordered`.
        results: Merged.
        remarks: Further notes, of the comparison.
    """
    notes = [
        *_general(results),
        *remarks,
        *filter(None, map(processes.cards, results)),
        *_merged(runs),
        *(note for run in runs for note in _of_run(run)),
    ]
    lines = ["## Notes", "", *(f"- {note}" for note in notes), "", "### What ran", "", *_what_ran(results), ""]
    return lines + [line for run in runs for line in _reproduce(run)]


def plan_text(run: RunRecord) -> str | None:
    """Returns the run's plan as its folder holds it; ``None`` where it has none.

    Raises:
        UserError: It is there and cannot be read.
    """
    try:
        return (run.path / PLAN).read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"run {run.path}: cannot read {PLAN}: {error.strerror}") from error


def _general(results: Sequence[Result]) -> list[str]:
    specs = [result.spec for result in results]
    pipelines = {spec.slot.pipeline for spec in specs}
    calls = ", ".join(str(count) for count in sorted({spec.calls for spec in specs}))
    several = any(len(result.processes) > 1 for result in results)
    asked = any(precision.reached(result) for result in results)
    optional = [
        (any(spec.weights == "random" for spec in specs), _RANDOM),
        ("if" in pipelines, _IF),
        ("if-cascade" in pipelines, _CASCADE),
        (any(spec.scale == "tiny" for spec in specs), _TINY),
        (any(spec.variant for spec in specs), _VARIANT),
        (any(spec.vram_limit_bytes is not None for spec in specs), _LIMITED),
        (several, processes.NOTE),
        (asked, precision.NOTE),
        (any(precision.pooled(result) for result in results), precision.SEVERAL),
        (any(result.summary.stages for result in results), _INTERVALS_OF_SEVERAL if several else _INTERVALS),
        (any(result.on_gpu and result.summary.stages for result in results), _ENERGY),
        (any(result.check for result in results), _CHECK),
        (any(each.record.compile_cache for result in results for each in result.processes), _WARMTH),
    ]
    raised = {flag.name for result in results for flag in result.flags}
    flags = [f"Flag `{name}`: {meaning}." for name, meaning in MEANINGS.items() if name in raised]
    whose = "Each process of a cell" if several else "Each cell is a process of its own that"
    protocol = f"{whose} calls its pipeline {'at least ' if asked else ''}{calls} times. {_APART}"
    return [
        _PAGE,
        _FIGURE,
        protocol,
        _OUTCOMES,
        *(note for applies, note in optional if applies),
        *flags,
        *_modes(specs),
    ]


def _modes(specs: Sequence[Cell]) -> list[str]:
    descriptions = {spec.mode.name: spec.mode.description for spec in specs}
    return [f"Mode `{name}`: {text.inline(what)}" for name, what in descriptions.items() if what]


def _merged(runs: Sequence[RunRecord]) -> list[str]:
    if len(runs) < 2:
        return []
    return [
        f"Merged from {len(runs)} runs: of each cell, GPU model and torch release the newest result; the per-cell "
        "tables say which run it came from."
    ]


def _of_run(run: RunRecord) -> list[str]:
    notes = []
    if len(run.sittings) > 1:
        notes.append(f"Run {run.id} was resumed: it has {len(run.sittings)} sittings.")
    if run.unreadable:
        notes.append(f"Run {run.id}: {text.unreadable(run)}: what was told there is missing here.")
    last = run.sittings[-1] if run.sittings else None
    if last is None or last.finished is None:
        notes.append(f"Run {run.id} has no ending: it was still running or was interrupted; this is what it had.")
    elif last.finished.status == "cancelled":
        notes.append(f"Run {run.id} was cancelled.")
    elif last.finished.status == "failed":
        notes.append(f"Run {run.id} failed: {text.inline(last.finished.reason)}")
    elif left := text.beyond_budget(last):
        notes.append(f"Run {run.id}: {left}; `sdtui resume {short(run.path)}` runs what is left.")
    notes += [f"Run {run.id}, {log.level}: {text.inline(log.message)}" for _, log in run.logs if log.level != "info"]
    return notes


def _what_ran(results: Sequence[Result]) -> list[str]:
    header = ["Pipeline", "Stage", "Class", "Steps", "Size", "Guidance", "dtype", "Weights", "Calls", "Scale"]
    rows = dict.fromkeys(_ran(result.spec, stage) for result in results for stage in result.spec.stages)
    return text.table_lines(header, list(rows))


def _ran(spec: Cell, stage: Stage) -> tuple[str, ...]:
    return (
        text.inline(spec.slot.pipeline),
        text.inline(stage.name),
        stage.pipeline_class,
        str(stage.steps),
        f"{stage.width}×{stage.height}",
        f"{stage.guidance:g}",
        spec.dtype,
        text.inline(spec.weights),
        str(spec.calls),
        spec.scale,
    )


def _reproduce(run: RunRecord) -> list[str]:
    plan = plan_text(run)
    lines = [f"### Run {run.id} again", ""]
    if plan is None:
        return [*lines, f"`sdtui run {PLAN}` with the plan in the run's folder.", ""]
    fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", plan))])
    return [*lines, f"`sdtui run {PLAN}`, with this plan:", "", f"{fence}toml", *plan.strip().splitlines(), fence, ""]
