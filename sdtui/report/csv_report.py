"""A report as CSV: one row per cell, process, call and stage."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from typing import Any

from sdtui.model.codec import encode
from sdtui.model.events import CallFinished
from sdtui.records import RunRecord
from sdtui.report.merge import Result, merge, package
from sdtui.roofline import flops_of, matrix_tflops

CELL_COLUMNS = (
    "run",
    "device",
    "gpu_uuid",
    "scale",
    "variant",
    "cell",
    "pipeline",
    "mode",
    "environment",
    "batch_size",
    "torch",
    "diffusers",
    "dtype",
    "weights",
    "seed",
    "status",
    "ended_phase",
    "ended_call",
    "reason",
    "gpu_utilisation_percent",
    "cpu_percent",
    "peak_vram_mib",
    "peak_rss_mib",
)
"""What a row repeats of its cell; the last four are the cell's as a whole (see `CellSummary`)."""

CALL_COLUMNS = (
    "process",
    "call",
    "stage",
    "steps",
    "forwards",
    "loop_ms",
    "host_loop_ms",
    "wall_ms",
    "text_encoding_ms",
    "denoising_ms",
    "vae_ms",
    "other_ms",
    "peak_allocated_mib",
    "peak_reserved_mib",
)
"""One call of one stage, as `CallFinished` says it, and which of the cell's processes made it."""

RATE_COLUMNS = ("loop_its", "host_loop_its", "loop_tflops", "matrix_tflops")
"""Steps of this call's loop per second, by device events and by the host's clock; the denoisers' operations per second
over the same loop, by device events; and the device's measured matrix rate in the cell's precision."""

_NO_CALL: list[Any] = [None] * (len(CALL_COLUMNS) + len(RATE_COLUMNS))


def csv_report(records: Iterable[RunRecord]) -> str:
    """Writes the merged results; a cell that finished no call has one row with empty call columns.

    Measured numbers have six significant digits, which is more than clocks tell (JSON has them in full); what is not
    available is empty. Lines end in a newline alone.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*CELL_COLUMNS, *CALL_COLUMNS, *RATE_COLUMNS])
    for result in merge(records):
        cell = _cell_values(result)
        made = [(each.record.process, call) for each in result.processes for call in each.record.calls]
        rows = [_call_values(result, process, call) for process, call in made]
        writer.writerows([_rounded(value) for value in (*cell, *row)] for row in rows or [_NO_CALL])
    return file.getvalue()


def _rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _cell_values(result: Result) -> list[Any]:
    spec, slot, finished, summary = result.spec, result.spec.slot, result.ending, result.summary
    return [
        result.run.id,
        result.device,
        result.gpu.uuid if result.gpu else None,
        spec.scale,
        spec.variant,
        spec.id,
        slot.pipeline,
        slot.mode,
        slot.environment,
        slot.batch_size,
        result.torch,
        package(result.run, result.record, "diffusers"),
        spec.dtype,
        spec.weights,
        spec.seed,
        finished.status if finished else None,
        finished.phase if finished else None,
        finished.call if finished else None,
        result.reason,
        summary.gpu_utilisation_percent,
        summary.cpu_percent,
        summary.peak_vram_mib,
        summary.peak_rss_mib,
    ]


def _call_values(result: Result, process: int, call: CallFinished) -> list[Any]:
    values = {"process": process, **encode(call)}
    stage = next(stage for stage in result.spec.stages if stage.name == call.stage)
    flops = flops_of(result.counted_records, stage)
    loops = (call.loop_ms, call.host_loop_ms)
    return [
        *(values[column] for column in CALL_COLUMNS),
        *(call.steps * 1000 / loop_ms if loop_ms > 0 else None for loop_ms in loops),
        flops * call.forwards / call.loop_ms / 1e9 if flops and call.loop_ms > 0 else None,
        matrix_tflops(result.spec, result.probe),
    ]
