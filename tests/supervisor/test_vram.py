"""What a cell is said to need of the GPU's memory before it starts."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from supervised import CATALOG, Lab, statuses

from sdtui import runs
from sdtui.catalog.expand import expand
from sdtui.catalog.plans import resolve_plan
from sdtui.durations import Duration
from sdtui.model.cell import Cell
from sdtui.model.vram import VramNeed
from sdtui.report.merge import merge
from sdtui.supervisor.sampling import Sampling
from sdtui.supervisor.vram import CUDA_MIB, estimate_mib, need

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def cell_of(pipeline: str = "sd-txt2img", mode: str = "no-compile", batch_size: int = 1, **flags: Any) -> Cell:
    keys = {"pipelines": [pipeline], "modes": [mode], "batch_sizes": [batch_size], **flags}
    (cell,) = expand(resolve_plan(CATALOG, None, keys, gpu_available=True), CATALOG)
    return cell


def estimated(cell: Cell) -> float:
    found = estimate_mib(cell, CATALOG.counts)
    assert found is not None
    return found


def test_the_estimate_is_near_every_peak_that_is_recorded() -> None:
    folders = [journal.parent for journal in RESULTS.glob("*/events.jsonl")]
    on_gpu = [result for result in merge(map(runs.read, folders)) if result.device.startswith("NVIDIA")]
    there_is_none = ("fp8", "int8")
    ended = [result for result in on_gpu if result.status == "ok" and result.spec.mode.name not in there_is_none]
    assert {result.spec.slot.batch_size for result in ended} == {1, 4, 16}
    for result in ended:
        peak = max(stage.peak_allocated_mib or 0.0 for stage in result.summary.stages)
        assert estimated(result.spec) == pytest.approx(peak, rel=0.07), result.spec.id


def test_activations_grow_with_the_batch_the_pixels_and_the_dtype_and_weights_with_the_dtype_alone() -> None:
    one, four, sixteen = (estimated(cell_of(batch_size=size)) for size in (1, 4, 16))
    image = (four - one) / 3
    assert sixteen - one == pytest.approx(15 * image)
    weights = 2 * (859_520_964 + 83_653_863 + 123_060_480) / 2**20
    activations = one - weights
    assert activations > image > 0
    assert estimated(cell_of(size=1024)) == pytest.approx(weights + 4 * activations)
    assert estimated(cell_of(dtype="float32")) == pytest.approx(2 * one)
    assert estimated(cell_of(mode="bf16")) == pytest.approx(one)


@pytest.mark.parametrize("pipeline", sorted(CATALOG.pipelines))
def test_every_shipped_pipeline_has_an_estimate(pipeline: str) -> None:
    assert estimated(cell_of(pipeline, batch_size=4)) > 500


def test_there_is_none_where_nothing_tells() -> None:
    modes = [cell_of(mode=mode) for mode in ("vanilla-attention", "fp8", "int8")]
    own = cell_of()
    changes = ({"vae_slicing": True}, {"vae_tiling": True}, {"step_graphs": True}, {"compile_vae": True})
    modes += [dataclasses.replace(own, mode=dataclasses.replace(own.mode, **change)) for change in changes]
    pipelines = [dataclasses.replace(own, slot=dataclasses.replace(own.slot, pipeline="mine"))]
    pipelines += [cell_of(pipeline, mode="fast") for pipeline in ("sd-img2img", "sd-inpaint")]
    unlike = [cell_of(scale="tiny"), *modes, *pipelines]
    assert [estimate_mib(cell, CATALOG.counts) for cell in unlike] == [None] * 11
    assert need(own, None, None, 80_000.0) is None


def test_what_a_cell_took_before_counts_more_than_an_estimate() -> None:
    assert need(cell_of(), 2689.0, 2700.0, None) == VramNeed(2700.0 + CUDA_MIB, None, True)
    assert need(cell_of(), 2689.0, None, 80_000.0) == VramNeed(2689.0 + CUDA_MIB, 80_000.0, False)


def test_a_limit_leaves_no_more_than_that_and_what_cuda_takes() -> None:
    limited = cell_of(vram_limit="3GiB")
    free = [need(limited, 2689.0, None, free_mib) for free_mib in (80_000.0, 2000.0, None)]
    assert [each and each.free_mib for each in free] == [3 * 1024 + CUDA_MIB, 2000.0, None]
    assert [each and each.is_short for each in free] == [False, True, False]


def test_a_cell_runs_however_much_it_is_said_to_need(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    first, _ = lab.sitting(folder).cells
    sitting = lab.sitting(folder, estimated_mib={first.id: 5000.0})

    def fill() -> None:
        Sampling.free_mib = lambda _: 4000.0  # type: ignore[method-assign]

    assert lab.run(folder, sitting, fill) == 0
    assert statuses(folder) == ["ok", "ok"]
    needs = [cell.need for cell in runs.read(folder).cells.values()]
    assert needs == [VramNeed(5000.0 + CUDA_MIB, 4000.0, False), None]


def test_what_was_measured_on_such_a_device_before_takes_the_estimates_place(lab: Lab) -> None:
    folder = lab.create("ok", "ok", processes=2)
    first, second = lab.sitting(folder).cells
    took = Duration(first.id, "sd-txt2img", "no-compile", "tiny", "float32", 0, 1e9, None, False, False, 1.0, 1.0, 1.0)
    told = {"2.1": 4000.0, "2.2": 3000.0, "2.3": None}
    durations = tuple(dataclasses.replace(took, torch=torch, peak_mib=mib) for torch, mib in told.items())
    estimates = {first.id: 5000.0, second.id: 6000.0}
    assert lab.run(folder, lab.sitting(folder, estimated_mib=estimates, durations=durations)) == 0
    one, two = runs.read(folder).cells.values()
    assert {each.need for each in one.processes} == {VramNeed(3000.0 + CUDA_MIB, None, True)}, "the newest that tells"
    assert {each.need for each in two.processes} == {VramNeed(6000.0 + CUDA_MIB, None, False)}


def test_on_a_cpu_nothing_is_said(lab: Lab) -> None:
    folder = lab.create("ok")
    assert lab.sitting(folder).estimated_mib == {}
    assert lab.run(folder) == 0
    assert [cell.need for cell in runs.read(folder).cells.values()] == [None]
