"""The detail pane: what the square under the cursor is, why it failed, its figures, flags and reference figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from sdtui import runs
from sdtui.catalog.reference import load_reference
from sdtui.check import Check
from sdtui.display import duration
from sdtui.model.cell import Cell, Slot, Stage
from sdtui.model.forecast import Forecast
from sdtui.model.results import CellSummary, StageSummary
from sdtui.model.sizes import allocator_limited
from sdtui.report import text
from sdtui.report.page import departure, page_columns
from sdtui.tui.board import FLAG, base_of, speed_up
from sdtui.tui.draft import Draft
from sdtui.tui.entries import Described, Entry, listed
from sdtui.tui.snapshot import CellView

_GAP = " · "


def describe(
    draft: Draft,
    cells: Mapping[str, CellView],
    slot: Slot,
    key: Callable[[str], str],
    compared: Sequence[str] = (),
    torch: Mapping[str, text.Torch] | None = None,
) -> Described:
    """Describes a square.

    Args:
        draft: That has it.
        cells: What is known of cells, by id.
        slot: The square's.
        key: Writes the key of an id of `sdtui.tui.keys`.
        compared: What a comparison says of it, line by line.
        torch: By environment, as far as it is known.
    """
    cell = draft.cells.get(slot)
    if cell is None:
        return Described(_title(draft, slot), tuple(_unfit(draft, slot, key)))
    view = cells.get(cell.id)
    found = (torch or {}).get(slot.environment)
    version = (view.torch if view else None) or (found.version if found else None)
    figures = page_figures(cell, version)
    entries = [
        *(_outcome(draft, cells, view, key, compared) if view else []),
        *_stages(cell, view.summary if view else None),
        *(_doubts(view) if view else []),
        *_work(cell, version),
        *([Entry("docs page", figures, "label", beside=True)] if figures else []),
        *([_origin(view.run, view.device)] if view and view.run and view.status else []),
    ]
    return Described(_title(draft, slot), tuple(entries))


def first_words(key: Callable[[str], str]) -> Described:
    """Returns what a first start says of itself; ``key`` writes the key of an id of `sdtui.tui.keys`."""
    row, column, size = (key(name) for name in ("select.row", "select.column", "batch.next"))
    others = "  ".join(key(name) for name in ("plan.preset", "plan.options", "help"))
    return Described(
        "Nothing is measured yet.",
        (
            Entry(
                key("select.cell"), f"selects this square, {row} its row, {column} its column; {size} the batch size"
            ),
            Entry(key("run.start"), "measures what is selected; random weights, no download, no login"),
            Entry(others, "a preset to begin with, the plan's options, every key"),
        ),
    )


def no_match(wanted: str, key: Callable[[str], str]) -> Described:
    """Returns what is said of a filter that leaves nothing."""
    words = f"no pipeline, mode or environment that is shown has '{wanted.strip()}' in its name"
    return Described("Nothing matches.", (Entry("filter", words), Entry(key("back"), "takes it away")))


def _title(draft: Draft, slot: Slot) -> str:
    mode = draft.catalog.modes[slot.mode].label
    where = f" in {slot.environment}" if len(draft.environments) > 1 else ""
    return f"{draft.catalog.pipelines[slot.pipeline].label}{_GAP}{mode}{where}{_GAP}batch size {slot.batch_size}"


def _unfit(draft: Draft, slot: Slot, key: Callable[[str], str]) -> Iterator[Entry]:
    yield Entry("cannot run", draft.unfit.get(slot.pipeline, "it is not in this plan"), "wrong")
    yield Entry("try", f"{key('plan.options')} changes the plan's options; the other rows can be measured as they are")


# --------------------------------------------------------------------------------------------------------- outcome


def _outcome(
    draft: Draft,
    cells: Mapping[str, CellView],
    view: CellView,
    key: Callable[[str], str],
    compared: Sequence[str],
) -> Iterator[Entry]:
    if view.state != "finished":
        takes = _forecast_words(view.forecast) if view.forecast else ""
        yield Entry("state", ": ".join(filter(None, (view.text or "queued", view.reason or takes))))
        yield from _tuning(view)
        return
    if view.status != "ok":
        yield Entry(view.status or "ended", _why(view), "wrong")
        yield Entry("try", _advice(draft, view, key))
    if view.its:
        ratio, base = speed_up(draft, cells, view), base_of(draft, cells, view.slot)
        faster = f"{ratio:.2f}× no-compile" if ratio else ""
        if ratio and base and base.run and base.run != view.run:
            faster += f" of run {runs.short(base.run)}"
        yield Entry("speed", listed([f"{text.rates(view.its)} it/s", faster, *_figures(view.summary)]))
    yield from _tuning(view)
    for line in compared:
        yield Entry("compared" if line is compared[0] else "", line, "value" if line is compared[0] else "label")


def _tuning(view: CellView) -> Iterator[Entry]:
    if view.tuning:
        yield Entry("tuning", view.tuning)


def _forecast_words(forecast: Forecast) -> str:
    return f"it takes {'about' if forecast.is_sure else 'at a guess'} {duration(forecast.seconds)}"


def _why(view: CellView) -> str:
    where = view.ended.removeprefix(f"{view.status} ")
    return f"{where}: {view.reason}" if view.reason else where


def _figures(summary: CellSummary | None) -> Iterator[str]:
    if summary is None:
        return
    if summary.images_per_second:
        yield f"{text.significant(summary.images_per_second, 3)} images/s"
    if summary.gpu_utilisation_percent is not None:
        yield f"GPU {summary.gpu_utilisation_percent:.0f} %"
    if summary.cpu_percent is not None:
        yield f"CPU {summary.cpu_percent:.0f} %"
    if summary.peak_vram_mib is not None:
        yield f"peak {summary.peak_vram_mib / 1024:.1f} GiB"


def _advice(draft: Draft, view: CellView, key: Callable[[str], str]) -> str:
    """Says what may help a cell that did not end ok."""
    slot, options, log = view.slot, key("plan.options"), f"{key('cell.open')} shows the log's end"
    if view.status == "oom":
        smaller = [size for size in draft.batch_sizes if size < slot.batch_size]
        found = [f"batch size {smaller[-1]} ({key('batch.next')})" if smaller else f"a smaller size ({options})"]
        if view.spec.dtype == "float32" and draft.plan.device != "cpu":
            found.append(f"float16 ({options})")
        if any(flag.name == "contended" for flag in view.flags):
            found.append("the GPU without the other processes on it")
        return ", or ".join(found)
    if view.status == "unsupported":
        return f"another mode, or an environment that has what is missing ({options})"
    if view.status == "timeout":
        return f"[timeouts] in a plan file ({key('plan.save')}) allows longer silences; {log}"
    if view.status == "cancelled":
        return f"{key('run.start')} measures it once it is selected"
    return log


# ------------------------------------------------------------------------------------------------------------ work


def _stages(cell: Cell, summary: CellSummary | None) -> Iterator[Entry]:
    """Yields a line per stage: what it does and, where it was measured, how fast; columns stand below each other."""
    measured = {stage.stage: stage for stage in summary.stages} if summary else {}
    lines = [_stage(cell, stage, measured.get(stage.name)) for stage in cell.stages]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for stage, line in zip(cell.stages, lines, strict=True):
        shown = [words.ljust(width) for words, width in zip(line, widths, strict=True) if width]
        yield Entry(f"stage {stage.name}" if len(lines) > 1 else "steps", "  ".join(shown).rstrip())


def _stage(cell: Cell, stage: Stage, measured: StageSummary | None) -> list[str]:
    tflop = stage.flops_per_step and stage.flops_per_step * cell.slot.batch_size / 1e12
    rate = measured.forwards_per_second if measured else None
    median = measured.median_step_ms if measured else None
    steps = f"{stage.steps} {'step' if stage.steps == 1 else 'steps'}"
    return [
        f"{steps} of {median:.2f} ms" if median is not None else steps,
        f"{stage.width}×{stage.height}",
        f"{text.significant(tflop, 3)} TFLOP a step" if tflop else "",
        f"{text.significant(tflop * rate, 3)} TFLOP/s" if tflop and rate else "",
    ]


def _work(cell: Cell, torch: str | None) -> Iterator[Entry]:
    yield Entry("mode", cell.mode.description or cell.mode.label, "label")
    weights = "random weights" if cell.weights == "random" else f"weights {cell.weights}"
    calls = f"{cell.calls} {'call' if cell.calls == 1 else 'calls'}"
    scale = "" if cell.scale == "full" else "tiny scale: says nothing about speed"
    guidance = "guidance " + " / ".join(f"{stage.guidance:g}" for stage in cell.stages)
    limit = allocator_limited(cell.vram_limit_bytes)
    words = [calls, guidance, cell.dtype, weights, f"torch {torch}" if torch else "", limit, scale]
    yield Entry("work", listed(words), "label")


# ---------------------------------------------------------------------------------------------- doubts and evidence


def _doubts(view: CellView) -> Iterator[Entry]:
    for flag in view.flags:
        yield Entry(f"{FLAG} {flag.name}", flag.evidence, "warning", beside=True)
    if view.check is not None and view.check.verdict != "failed":  # which is a flag
        yield Entry("output", _check_words(view.check), "label", beside=True)


def _check_words(check: Check) -> str:
    if check.verdict == "not checked":
        return f"not checked: {check.reason}"
    found = []
    if check.distance and check.limits:
        found.append(f"relative L2 {check.distance.relative_l2:.2g}, at most {check.limits.relative_l2:.2g}")
        psnr = check.distance.psnr_db
        equal = "images are equal"
        found.append(equal if psnr is None else f"PSNR {psnr:.1f} dB, at least {check.limits.psnr_db:g}")
    return f"as that of no-compile ({'; '.join(found)})" if found else "as that of no-compile"


def page_figures(cell: Cell, torch: str | None = None) -> str:
    """Returns the page's figures for the slot, GPU by GPU, by the nearer of the page's two torches; empty without any.

    Args:
        cell: Whose slot it is; what departs from the docs protocol has no figures there.
        torch: Full version that it is measured with.
    """
    page = load_reference()
    columns = [page.columns[index] for index in page_columns(cell.mode.name, page.columns)]
    if not columns:
        return ""
    column = columns[0] if (torch or "").startswith("2.0.") else columns[-1]
    found = [(gpu, page.cell(gpu, cell.slot.batch_size, cell.pipeline_label, column)) for gpu in page.gpus]
    figures = listed(f"{gpu} {each.text.replace(' ', '')}" for gpu, each in found if each)
    why_not = departure(cell.scale, cell.variant)
    if not figures or why_not:
        return f"not of this work: {why_not}" if figures else ""
    return f"{column.partition(' - ')[0]} of 2023: {figures}"


def _origin(folder: Path, device: str) -> Entry:
    return Entry("measured", f"on {device} in run {runs.short(folder)}", "label", beside=True)
