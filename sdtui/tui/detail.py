"""The detail pane: what the square under the cursor is, why it failed, its figures, flags and reference figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from sdtui.catalog.reference import load_reference
from sdtui.model.cell import Cell, Slot
from sdtui.model.results import CellSummary
from sdtui.report import text
from sdtui.tui.board import speed_up
from sdtui.tui.draft import Draft
from sdtui.tui.snapshot import CellView

_PAGE_COLUMNS = {"no-compile": "torch 2.0 - no compile", "compile": "torch 2.0 - compile"}


def describe(draft: Draft, cells: Mapping[str, CellView], slot: Slot, compared: Sequence[str] = ()) -> Text:
    """Returns the pane's text for a square; ``compared`` is what a comparison says of it, line by line."""
    cell = draft.cells.get(slot)
    if cell is None:
        return Text(f" {slot}\n {draft.unfit.get(slot.pipeline, 'is not in this plan')}")
    view = cells.get(cell.id)
    shown = Text()
    shown.append(f" {cell.pipeline_label} · {cell.mode.label} · batch size {slot.batch_size}\n", style="bold")
    shown.append(f" {_work(cell)}\n", style="dim")
    if view is not None:
        _tell(shown, draft, cells, view, compared)
    reference = page_figures(cell)
    if reference:
        shown.append(f" docs page: {reference}\n", style="dim")
    shown.rstrip()
    return shown


def _work(cell: Cell) -> str:
    stages = " / ".join(f"{stage.steps} steps, {stage.width}×{stage.height}" for stage in cell.stages)
    return f"{cell.mode.description} · {cell.dtype} · {stages} · {cell.calls} calls"


def _tell(shown: Text, draft: Draft, cells: Mapping[str, CellView], view: CellView, compared: Sequence[str]) -> None:
    if view.state != "finished":
        shown.append(f" {view.text or 'queued'}\n")
        return
    if view.status != "ok":
        shown.append(f" {view.ended}: {view.reason}\n", style="bold")
    if view.its:
        ratio = speed_up(draft, cells, view)
        faster = f" · {ratio:.2f}× no-compile" if ratio else ""
        shown.append(f" {text.rates(view.its)} it/s{faster}{_figures(view.summary)}\n")
    for line in compared:
        shown.append(f" {line}\n", style="bold" if line is compared[0] else "dim")
    for flag in view.flags:
        shown.append(f" ⚑ {flag}\n", style="italic")


def _figures(summary: CellSummary | None) -> str:
    if summary is None:
        return ""
    found = []
    steps = [stage.median_step_ms for stage in summary.stages if stage.median_step_ms is not None]
    if steps:
        found.append("median step " + " / ".join(f"{ms:.2f}" for ms in steps) + " ms")
    if summary.images_per_second:
        found.append(f"{summary.images_per_second:.3f} images/s")
    if summary.gpu_utilisation_percent is not None:
        found.append(f"GPU {summary.gpu_utilisation_percent:.0f} %")
    if summary.peak_vram_mib is not None:
        found.append(f"peak {summary.peak_vram_mib / 1024:.1f} GiB")
    return "".join(f" · {each}" for each in found)


def page_figures(cell: Cell) -> str:
    """Returns the page's figures for the slot, GPU by GPU; empty where it has none."""
    column = _PAGE_COLUMNS.get(cell.mode.name)
    if column is None:
        return ""
    page = load_reference()
    found = [(gpu, page.cell(gpu, cell.slot.batch_size, cell.pipeline_label, column)) for gpu in page.gpus]
    return " · ".join(f"{gpu} {each.text}" for gpu, each in found if each)
