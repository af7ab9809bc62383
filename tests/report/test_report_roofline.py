"""What each stage achieved of the device's measured matrix rate, in every format."""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.model.cell import Cell, Mode
from sdtui.model.machine import Machine
from sdtui.model.probe import MatrixRate, MatrixRates, Probe
from sdtui.records import RunRecord
from sdtui.report.merge import results_of
from sdtui.report.render import render
from sdtui.report.show import show_text
from sdtui.roofline import StageRoofline, matrix_precision

RESULTS = Path(__file__).parents[2] / "docs" / "results" / "2026-11-24-h100-docs-batch-1"
RATES = tuple(
    MatrixRate(precision, 8192, tflops, 0.25, 90)  # type: ignore[arg-type]
    for precision, tflops in (("float16", 500.0), ("float32", 50.0), ("tf32", 250.0))
)
FLOPS = 2e12


@pytest.fixture
def told(tell: Callable[..., object], cell_spec: Callable[..., Cell]) -> Callable[..., RunRecord]:
    """A cell of batch size 4 at 10 it/s: two steps a call, the first of two evaluations; counted as ``flops`` says."""

    numbers = itertools.count()

    def run(probed: bool = True, machine: Machine | None = None, flops: float | None = FLOPS, **changes: object):
        began = tell(name=str(next(numbers)), **({"machine": machine} if machine else {})).sit()  # type: ignore[attr-defined]
        cell = cell_spec(batch_size=4, **changes)
        record = began.measure(cell, 10.0).finish().run
        (sitting,) = record.sittings
        here = sitting.started.machine
        probe = Probe(
            here.device_name,
            here.gpu.uuid if here.gpu else None,
            here.host,
            here.gpu.driver if here.gpu else None,
            1_795_400_000.0,
            MatrixRates("2.11.0+cu130", RATES),
        )
        sitting.started = dataclasses.replace(sitting.started, probe=probe if probed else None)
        measured = record.cells[cell.id]
        assert measured.finished is not None
        counted = {} if flops is None else {stage.name: flops for stage in cell.stages}
        measured.finished = dataclasses.replace(measured.finished, flops=counted)
        return record

    return run


def rooflines(record: RunRecord) -> tuple[StageRoofline, ...]:
    (result,) = results_of(record)
    return result.roofline


def test_the_median_step_s_operations_are_held_against_the_precision_s_rate(told: Callable[..., RunRecord]) -> None:
    (stage,) = rooflines(told())
    assert (stage.stage, stage.flops, stage.precision, stage.matrix_tflops) == ("main", FLOPS, "float16", 500.0)
    assert stage.tflops == pytest.approx(2 * 10)  # one evaluation in 100 ms
    assert stage.share == pytest.approx(20 / 500)
    assert stage.floor_its == pytest.approx(500 / 2 * 2 / 3), "3 evaluations for 2 steps"


def test_without_a_probe_the_rate_alone_is_known(told: Callable[..., RunRecord]) -> None:
    (stage,) = rooflines(told(probed=False))
    assert stage == StageRoofline("main", FLOPS, pytest.approx(20))


def test_the_catalog_s_count_stands_in_at_the_cell_s_batch_size(
    told: Callable[..., RunRecord], cell_spec: Callable[..., Cell]
) -> None:
    stages = tuple(dataclasses.replace(stage, flops_per_step=3e11) for stage in cell_spec().stages)
    assert rooflines(told(flops=None, stages=stages))[0].flops == 4 * 3e11
    assert rooflines(told(stages=stages))[0].flops == FLOPS, "what the worker counted is what ran"
    assert rooflines(told(flops=None)) == ()


def test_where_every_step_evaluates_twice_the_loop_counts(told: Callable[..., RunRecord]) -> None:
    record = told()
    (cell,) = record.cells.values()
    cell.steps = [dataclasses.replace(step, forwards=2) for step in cell.steps]
    cell.calls = [dataclasses.replace(call, forwards=4) for call in cell.calls]
    (stage,) = rooflines(record)
    assert stage.tflops == pytest.approx(2 * 4 / 0.2)  # 4 evaluations in 200 ms
    assert stage.floor_its == pytest.approx(500 / 2 / 2)


@pytest.mark.parametrize(
    ("dtype", "tf32", "on_gpu", "precision"),
    [
        ("float16", None, True, "float16"),
        ("bfloat16", True, True, "bfloat16"),
        ("float32", None, True, "tf32"),
        ("float32", True, True, "tf32"),
        ("float32", False, True, "float32"),
        ("float32", None, False, "float32"),
    ],
)
def test_which_rate_bounds_a_cell(
    cell_spec: Callable[..., Cell], dtype: str, tf32: bool | None, on_gpu: bool, precision: str
) -> None:
    cell = dataclasses.replace(cell_spec(dtype=dtype), mode=Mode("m", "m", tf32=tf32))
    assert matrix_precision(cell, on_gpu) == precision


def test_a_precision_that_was_not_probed_has_no_share(told: Callable[..., RunRecord], cpu: Machine) -> None:
    assert rooflines(told(dtype="bfloat16"))[0].share is None
    assert rooflines(told(dtype="float32"))[0].matrix_tflops == 250
    assert rooflines(told(dtype="float32", machine=cpu))[0].matrix_tflops == 50


def test_markdown(told: Callable[..., RunRecord]) -> None:
    written = render([told()])
    assert (
        "### Achieved rate\n\n| Cell | Stage | TFLOP per denoiser call | Achieved TFLOP/s | "
        "Measured matrix rate TFLOP/s | Share of it % | it/s at 100 % |\n"
    ) in written
    assert "-00000000 | main | 2.000 | 20.00 | 500.0 (float16) | 4.0 | 166.67 |\n" in written
    assert (
        "- matrix rate, tf32: 250.0 TFLOP/s (median of 90 products of 8192 × 8192, MAD 0.25), measured "
        "2026-11-23 02:13:20 UTC with torch 2.11.0+cu130, driver 580.1\n"
    ) in written


def test_markdown_of_a_run_without_a_probe(told: Callable[..., RunRecord]) -> None:
    written = render([told(probed=False)])
    assert "-00000000 | main | 2.000 | 20.00 | not measured | not measured | – |\n" in written
    assert "- matrix rate: not measured\n" in written


def test_nothing_counted_no_table(told: Callable[..., RunRecord]) -> None:
    assert "### Achieved rate" not in render([told(flops=None)])


def test_json(told: Callable[..., RunRecord]) -> None:
    (result,) = json.loads(render([told()], "json"))["results"]
    (stage,) = result["roofline"]
    assert set(stage) == {"stage", "flops", "tflops", "precision", "matrix_tflops", "share", "floor_its"}
    assert stage["share"] == pytest.approx(0.04)


def test_csv_has_each_call_s_own(told: Callable[..., RunRecord]) -> None:
    record = told()
    rows = list(csv.DictReader(io.StringIO(render([record], "csv"))))
    (cell,) = record.cells.values()
    for row, call in zip(rows, cell.calls, strict=True):
        assert float(row["loop_tflops"]) == pytest.approx(3 * 2 / (call.loop_ms / 1000))
        assert float(row["matrix_tflops"]) == 500


def test_csv_where_nothing_is_known(told: Callable[..., RunRecord]) -> None:
    row = next(csv.DictReader(io.StringIO(render([told(probed=False, flops=None)], "csv"))))
    assert (row["loop_tflops"], row["matrix_tflops"]) == ("", "")


def test_show(told: Callable[..., RunRecord]) -> None:
    assert "10.00 it/s  20.0 TFLOP/s in the median step (4 % of the matrix rate)\n" in show_text(told(), "ok")


def test_stages_of_a_recorded_cascade() -> None:
    """Two tokens and 64 pixels for stage III: what `if` really runs, not the cascade's 9.06 TFLOP."""
    results = {r.spec.id.split(".current")[0]: r for r in results_of(runs.read(RESULTS))}
    stages = results["if.no-compile"].roofline
    assert [round(stage.flops / 1e12, 3) for stage in stages] == [0.439, 3.383, 0.573]
    medians = [stage.median_step_ms for stage in results["if.no-compile"].summary.stages]
    for stage, median in zip(stages, medians, strict=True):
        assert median is not None
        assert stage.tflops == pytest.approx(stage.flops / 1e12 / (median / 1000))
