"""The order in which cells run."""

from __future__ import annotations

from typing import Any

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.ordering import ordered, work_of

CATALOG = load_catalog()


def cells(**overrides: Any) -> list[Cell]:
    return list(expand(resolve_plan(CATALOG, None, overrides, gpu_available=True), CATALOG))


def test_the_page_runs_small_batches_and_little_work_first_and_rows_whole() -> None:
    of_one_stage = ["sd-img2img", "sd-txt2img", "sd-inpaint", "sd-controlnet"]  # at strength 0.8, 40 of 50 steps
    of_many = ["if", *of_one_stage]  # beyond batch size 1 the page runs its first stage alone
    rows = [(name, size) for size in (1, 4, 16) for name in ([*of_one_stage, "if"] if size == 1 else of_many)]
    expected = [(*row, mode) for row in rows for mode in ("no-compile", "compile")]
    found = [cell.slot for cell in ordered(cells())]
    assert [(slot.pipeline, slot.batch_size, slot.mode) for slot in found] == expected


def test_no_compile_comes_first_in_its_row_and_the_rest_keeps_the_plans_order() -> None:
    plan = cells(pipelines=["sd-txt2img"], modes=["compile", "xformers", "no-compile", "bf16"], batch_sizes=[1])
    assert [cell.slot.mode for cell in ordered(plan)] == ["no-compile", "compile", "xformers", "bf16"]


def test_of_equal_rows_the_plans_order_decides() -> None:
    names = ["sd-inpaint", "sd-txt2img"]
    plan = [cell for name in names for cell in cells(pipelines=[name], batch_sizes=[4], scale="tiny")]
    assert ordered(plan) == plan
    assert ordered(plan[2:] + plan[:2]) == plan[2:] + plan[:2]
    assert ordered(ordered(cells())) == ordered(cells())


def test_work_grows_with_batch_steps_and_stages() -> None:
    one, four = (cells(pipelines=["sd-txt2img"], modes=["no-compile"], batch_sizes=[size])[0] for size in (1, 4))
    assert work_of(four) == 4 * work_of(one)
    assert work_of(one) == 50 * 1606546882560.0
    (changed,) = cells(pipelines=["sd-img2img"], modes=["no-compile"], batch_sizes=[1])
    assert work_of(changed) == 40 * 1606546882560.0, "of 50 steps at strength 0.8"
    (short,) = cells(pipelines=["sd-txt2img"], modes=["no-compile"], batch_sizes=[1], steps=5)
    assert work_of(short) == work_of(one) / 10
    (small,) = cells(pipelines=["sd-txt2img"], modes=["no-compile"], batch_sizes=[1], size=256)
    assert 0 < work_of(small) < work_of(one), "which nobody counted"
