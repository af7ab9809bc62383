"""How many operations per second a stage achieved, and how near that comes to the device's measured matrix rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sdtui.model.cell import Cell, Stage
from sdtui.model.probe import MatrixPrecision, Probe
from sdtui.model.results import CellSummary, StageSummary
from sdtui.records import CellRecord


@dataclass(frozen=True)
class StageRoofline:
    """Of one stage's denoising loop.

    Attributes:
        flops: Floating-point operations of one denoiser evaluation, the whole batch and guidance included.
        tflops: Achieved in the median step, in 10¹² operations per second.
        precision: Of the matrix rate that it is held against; ``None`` where none was measured, as are those below.
        matrix_tflops: The device's measured rate.
        share: Achieved over measured.
        floor_its: Steps per second of the loop if every operation ran at the measured rate and nothing else took time.
    """

    stage: str
    flops: float
    tflops: float
    precision: MatrixPrecision | None = None
    matrix_tflops: float | None = None
    share: float | None = None
    floor_its: float | None = None


def roofline(records: Sequence[CellRecord], summary: CellSummary, probe: Probe | None) -> tuple[StageRoofline, ...]:
    """Returns what each stage achieved; stages whose operations were not counted, or took no time, are missing.

    Args:
        records: Of the cell's processes that count.
        summary: Of the same cell.
        probe: As it was known when the cell's sitting began.
    """
    specs = {stage.name: stage for stage in records[0].spec.stages}
    rows = (_of_stage(records, specs[stage.stage], stage, probe) for stage in summary.stages)
    return tuple(row for row in rows if row is not None)


def flops_of(records: Sequence[CellRecord], stage: Stage) -> float | None:
    """Returns the operations of one denoiser evaluation: as a worker counted them, else as the catalog did.

    Args:
        records: Of the cell's processes that count; all make the same evaluations.
        stage: One of the cell's.
    """
    counted = (record.finished.flops.get(stage.name) for record in records if record.finished)
    found = next((flops for flops in counted if flops is not None), None)
    if found is None and stage.flops_per_step is not None:
        return stage.flops_per_step * records[0].spec.slot.batch_size
    return found


def matrix_precision(cell: Cell, on_gpu: bool) -> MatrixPrecision:
    """Returns the precision whose matrix rate bounds a cell.

    By torch's defaults float32 convolutions run in TF32 and float32 products do not: such a cell is bounded by TF32.
    """
    return "tf32" if cell.dtype == "float32" and on_gpu and cell.mode.tf32 is not False else cell.dtype


def matrix_tflops(cell: Cell, probe: Probe | None) -> float | None:
    """Returns the measured rate that bounds a cell; ``None`` where it was not measured."""
    rate = probe.found.of(matrix_precision(cell, probe.uuid is not None)) if probe else None
    return rate.tflops if rate else None


def _of_stage(
    records: Sequence[CellRecord], spec: Stage, stage: StageSummary, probe: Probe | None
) -> StageRoofline | None:
    flops, cell = flops_of(records, spec), records[0].spec
    per_second = 1000 / stage.median_step_ms if stage.median_step_ms else stage.forwards_per_second
    if not flops or not per_second:
        return None
    tflops, rate = flops * per_second / 1e12, matrix_tflops(cell, probe)
    if probe is None or not rate:
        return StageRoofline(stage.stage, flops, tflops)
    return StageRoofline(
        stage=stage.stage,
        flops=flops,
        tflops=tflops,
        precision=matrix_precision(cell, probe.uuid is not None),
        matrix_tflops=rate,
        share=tflops / rate,
        floor_its=rate * 1e12 / flops * stage.steps / stage.forwards if stage.forwards else None,
    )
