"""What the output check says of a cell."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from sdtui.check import LIMITS, Check, base_of, check_output, limits_for, too_far
from sdtui.model.cell import Cell, Dtype, Input, Mode, Slot, Stage
from sdtui.model.events import CallFinished, CellChecked, CellFinished
from sdtui.model.results import Distance, Status
from sdtui.records import CellRecord, RunRecord

RESULTS = Path(__file__).parents[2] / "docs" / "results"
NEAR = Distance(1e-6, None, 0)


def spec(mode: str = "no-compile", dtype: Dtype = "float16", **changes: object) -> Cell:
    stages = tuple(Stage(name, "P", (), {}, ("unet",), 2, 7.5, 64, 64, True, True) for name in ("I", "II"))
    slot = Slot("p", mode, "current", 1)
    cell = Cell(f"{slot}-0", slot, "P", Mode(mode, mode), "full", 2, dtype, "random", 0, "", stages)
    return dataclasses.replace(cell, **changes)  # type: ignore[arg-type]


def record(cell: Cell, status: Status | None = "ok", forwards: int = 3, **checked: object) -> CellRecord:
    told = CellRecord(cell)
    told.calls = [
        CallFinished(cell.id, call, stage.name, 2, forwards, 1, 1, 1, 0, 0, 0, 0)
        for call in (1, 2)
        for stage in cell.stages
    ]
    told.finished = CellFinished(cell.id, status, "measure") if status else None
    if checked:
        told.checked = CellChecked(cell.id, **{"against": "p.no-compile.current.b1-0", **checked})  # type: ignore[arg-type]
    return told


def judged(mine: CellRecord, *others: CellRecord) -> Check | None:
    run = RunRecord(Path(), cells={told.spec.id: told for told in (*others, mine)})
    return check_output(run, mine)


BASE = record(spec())


def test_what_is_near_passes_with_its_limits() -> None:
    mine = record(spec("m"), distance=NEAR)
    assert judged(mine, BASE) == Check("passed", "", BASE.spec.id, NEAR, LIMITS["float16"])


@pytest.mark.parametrize("dtype", LIMITS)
def test_each_limit_can_fail_alone(dtype: Dtype) -> None:
    limits = LIMITS[dtype]
    base = record(spec(dtype=dtype))

    def reason(relative_l2: float, psnr_db: float | None) -> str:
        told = judged(record(spec("m", dtype), distance=Distance(relative_l2, psnr_db, 9)), base)
        assert told is not None
        assert told.verdict == ("failed" if told.reason else "passed")
        return told.reason

    assert reason(limits.relative_l2, limits.psnr_db) == ""
    assert reason(1.01 * limits.relative_l2, None).startswith("relative L2 ")
    assert reason(0.0, limits.psnr_db - 0.1).startswith("PSNR ")
    assert reason(1.0, 10.0) == (
        f"relative L2 1 from no-compile's latents (at most {limits.relative_l2:g}), "
        f"PSNR 10.0 dB to no-compile's image (at least {limits.psnr_db:g} dB)"
    )


def test_a_missing_step_fails_by_its_count_whatever_the_output_is() -> None:
    told = judged(record(spec("m"), forwards=2, distance=NEAR), BASE)
    assert told is not None
    assert told.verdict == "failed"
    assert (
        told.reason == "2 denoiser evaluations in I, no-compile has 3; 2 denoiser evaluations in II, no-compile has 3"
    )
    uncompared = judged(record(spec("m"), forwards=2), BASE)
    assert uncompared is not None
    assert (uncompared.verdict, uncompared.distance) == ("failed", None)


def test_outputs_that_do_not_compare_fail() -> None:
    told = judged(record(spec("m"), distance=None, reason="the shapes differ"), BASE)
    assert told is not None
    assert (told.verdict, told.reason) == ("failed", "the shapes differ")


def test_outputs_that_cannot_be_read_are_not_checked() -> None:
    unread = {"distance": None, "reason": "x.png cannot be read", "readable": False}
    told = judged(record(spec("m"), **unread), BASE)
    assert told == Check("not checked", "x.png cannot be read", BASE.spec.id)
    short = judged(record(spec("m"), forwards=2, **unread), BASE)
    assert short is not None
    assert (short.verdict, short.reason.count("evaluations")) == ("failed", 2), "which is counted without the output"


@pytest.mark.parametrize("status", [None, "cancelled", "failed"])
def test_a_later_process_of_no_compile_takes_nothing_back(status: Status | None) -> None:
    later = BASE.begun(2, 1, 5.0, BASE.processes)
    later.finished = CellFinished(BASE.spec.id, status, "measure", process=2) if status else None
    passed = judged(record(spec("m"), distance=NEAR), later)
    assert passed == Check("passed", "", BASE.spec.id, NEAR, LIMITS["float16"])
    short = judged(record(spec("m"), forwards=2, distance=NEAR), later)
    assert short is not None
    assert short.verdict == "failed", "its count is held against the process that ended"
    uncompared = judged(record(spec("m")), later)
    assert uncompared is not None
    assert uncompared.reason == "its output and no-compile's were not both there to compare"


def test_a_recorded_distance_is_judged_also_while_no_compile_runs_again() -> None:
    again = record(spec(), None)
    assert judged(record(spec("m"), distance=NEAR), again) == Check("passed", "", BASE.spec.id, NEAR, LIMITS["float16"])


@pytest.mark.parametrize(
    ("others", "reason"),
    [
        ([], "the run has no no-compile beside it"),
        ([record(spec(seed=1))], "the run has no no-compile beside it"),
        ([record(spec(), "oom")], "no-compile did not end ok"),
        ([record(spec(), None)], "no-compile did not end ok"),
        ([BASE], "its output and no-compile's were not both there to compare"),
    ],
)
def test_why_a_cell_was_not_checked(others: list[CellRecord], reason: str) -> None:
    told = judged(record(spec("m")), *others)
    assert told is not None
    assert (told.verdict, told.reason, told.distance) == ("not checked", reason, None)


def test_a_distance_from_another_cell_says_nothing() -> None:
    told = judged(record(spec("m"), against="another", distance=Distance(1.0, 1.0, 255)), BASE)
    assert told is not None
    assert told.verdict == "not checked"


def test_nothing_is_asked_of_no_compile_nor_of_a_cell_without_output() -> None:
    assert judged(record(spec())) is None
    assert judged(record(spec("m"), "failed"), BASE) is None
    assert judged(record(spec("m"), None), BASE) is None


def test_the_cell_to_compare_with_makes_the_same_image() -> None:
    cells = {"base": BASE}
    assert base_of(cells, spec("m", "bfloat16")) is BASE, "whatever its dtype"
    assert base_of(cells, spec()) is BASE
    for changes in (
        {"slot": Slot("p", "m", "current", 4)},
        {"slot": Slot("p", "m", "nightly", 1)},
        {"slot": Slot("q", "m", "current", 1)},
        {"prompt": "another"},
        {"weights": "real"},
        {"stages": spec().stages[:1]},
    ):
        assert base_of(cells, spec("m", **changes)) is None, changes


def test_limits_are_those_of_the_coarsest_dtype_at_work() -> None:
    pairs: list[tuple[Dtype, Dtype, bool, Dtype]] = [
        ("float32", "float32", False, "float32"),
        ("float32", "float32", True, "float16"),
        ("bfloat16", "float16", True, "bfloat16"),
        ("float32", "bfloat16", False, "bfloat16"),
        ("float16", "float32", False, "float16"),
    ]
    for mine, base, on_gpu, coarsest in pairs:
        assert limits_for(spec("m", mine), spec(dtype=base), on_gpu) == LIMITS[coarsest], (mine, base)


@pytest.mark.parametrize(
    ("fed", "spread", "db_less"),
    [
        ({}, 1, 0),
        ({"II": "I"}, 1, 0),
        ({"II": "I", "III": "I"}, 3, 9.5),
        ({"II": "I", "III": "II"}, 9, 19.1),
    ],
    ids=["none", "not to the last", "once", "twice"],
)
def test_limits_widen_each_time_an_image_is_handed_on(fed: dict[str, str], spread: float, db_less: float) -> None:
    inputs = {name: {"image": Input("stage", stage=source)} for name, source in fed.items()}
    stages = tuple(
        dataclasses.replace(spec().stages[0], name=name, inputs=inputs.get(name, {})) for name in ("I", "II", "III")
    )
    found = limits_for(spec("m", stages=stages), spec(), on_gpu=True)
    assert found.relative_l2 == pytest.approx(spread * LIMITS["float16"].relative_l2)
    assert found.psnr_db == pytest.approx(LIMITS["float16"].psnr_db - db_less)


def test_limits_widen_where_pixels_are_compared() -> None:
    stage = dataclasses.replace(spec().stages[0], arguments={"output_type": "pt"})
    found = limits_for(spec("m", stages=(stage,)), spec(), on_gpu=True)
    assert found.relative_l2 == pytest.approx(3 * LIMITS["float16"].relative_l2)
    before_another = limits_for(spec("m", stages=(stage, spec().stages[0])), spec(), on_gpu=True)
    assert before_another == LIMITS["float16"], "only what the last stage gives is compared"


# Faults that no distance shows (see the methodology). A step's absence is found by its count all the same.
UNSEEN = {("last step missing", "float16"), ("last step missing", "bfloat16")}
UNSEEN_IN_CASCADE = UNSEEN | {
    (what, "bfloat16") for what in ("first step missing", "middle step missing", "weights rounded to fp8 (e4m3)")
}


@pytest.mark.parametrize("file", ["sd-txt2img", "channels-last", "sd-controlnet", "sd-controlnet-8-steps", "if"])
def test_the_limits_tell_modes_from_faults_in_what_was_measured_on_a_gpu(file: str) -> None:
    rows = json.loads((RESULTS / f"2026-11-25-h100-faults-{file}.json").read_text())["rows"]
    assert {_is_far(row) for row in rows if row["kind"] == "rightful"} == {False}
    unseen = {
        (row["pipeline"], row["what"], row["dtype"]) for row in rows if row["kind"] == "fault" and not _is_far(row)
    }
    for pipeline, *told in unseen:
        assert tuple(told) in (UNSEEN_IN_CASCADE if pipeline == "if-cascade" else UNSEEN), pipeline


def _is_far(row: dict[str, Any]) -> bool:
    if row["relative_l2"] is None:  # of no numbers, which the check finds first
        return True
    told = Distance(row["relative_l2"], row["psnr_db"], row["max_difference"])
    return bool(too_far(told, limits_for(_stages_of(row, "m", row["dtype"]), _stages_of(row), on_gpu=True)))


def _stages_of(row: dict[str, Any], *mode_and_dtype: str) -> Cell:
    """A cell whose stages hand images on as those of the row's pipeline do."""
    fed = {"if": {"III": "I"}, "if-cascade": {"II": "I", "III": "II"}}.get(row["pipeline"], {})
    inputs = {name: {"image": Input("stage", stage=source)} for name, source in fed.items()}
    names = ("I", "II", "III") if fed else ("main",)
    stage = spec().stages[0]
    stages = tuple(dataclasses.replace(stage, name=name, inputs=inputs.get(name, {})) for name in names)
    return spec(*mode_and_dtype, stages=stages)
