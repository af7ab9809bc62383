"""The order in which a sitting runs its cells; tables keep the plan's."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.check import BASE
from sdtui.model.cell import Cell, Slot, Stage

OPERATIONS_PER_PIXEL = 6e6
"""Of a denoiser evaluation that was not counted: what Stable Diffusion's UNet takes at 512×512 pixels with guidance."""


def ordered(cells: Sequence[Cell]) -> list[Cell]:
    """Returns a plan's cells as they run: the most telling first, wherever the run may end.

    Small batches come first, so that every pipeline has a figure before one has its second. What stands in one row of
    a table, a pipeline at a batch size, runs together, since speed-ups need both: ``no-compile`` first, which the
    outputs of the others are held against. Of rows of one batch size the one with the least work comes first. The rest
    is the plan's order. It is the same in every sitting: what was learned of how long cells take does not change it.
    """
    rows: dict[tuple[str, int], list[Cell]] = {}
    for cell in cells:
        rows.setdefault(row_of(cell.slot), []).append(cell)
    by_worth = sorted(rows.values(), key=lambda row: (row[0].slot.batch_size, work_of(row[0])))
    return [cell for row in by_worth for cell in sorted(row, key=lambda cell: cell.mode.name != BASE)]


def row_of(slot: Slot) -> tuple[str, int]:
    """Returns the pipeline and batch size, which name a row of a table."""
    return slot.pipeline, slot.batch_size


def work_of(cell: Cell) -> float:
    """Returns the floating-point operations of one call's denoising loops; of stages not counted, a guess by pixels."""
    return cell.slot.batch_size * sum(_evaluations(stage) * _operations(stage) for stage in cell.stages)


def _evaluations(stage: Stage) -> int:
    """Returns how many there are in a call: of an image that is changed only in part, a part of the steps."""
    return max(1, int(stage.steps * stage.arguments.get("strength", 1.0)))


def _operations(stage: Stage) -> float:
    return stage.flops_per_step or stage.width * stage.height * OPERATIONS_PER_PIXEL
