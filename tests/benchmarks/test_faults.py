"""What goes wrong on purpose fails the output check in every dtype, and what goes right passes it."""

import faults as program
import pytest

EAGER = ("no-compile", "channels-last", "sdpa-attention", "vanilla-attention", "bf16")
STEPS = 8
SIZE = 64


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    """Every mode and every fault of the pipeline that all faults are possible in."""
    cells = program.cells("sd-controlnet", EAGER, "tiny", "cpu", SIZE, 0)
    return list(program.Table(cells, "cpu", [STEPS], tmp_path_factory.mktemp("outputs")).eager())


def test_every_mode_as_it_should_be_passes(rows):
    rightful = [row for row in rows if row.kind == "rightful"]
    assert {row.what.split(",")[0] for row in rightful} == set(EAGER)
    assert [(row.what, row.verdict) for row in rightful if row.verdict != "passed"] == []


def test_every_fault_fails_in_every_dtype(rows):
    made = {(row.what, row.dtype): row.verdict for row in rows if row.kind == "fault"}
    expected = {(name, dtype) for name in program.FAULTS for dtype in ("float32", "bfloat16")}
    assert set(made) >= expected
    assert {what for what, _ in made} - set(program.FAULTS) == {
        "weights rounded to fp8 (e4m3)",
        "float16 in place of float32",
    }
    assert [key for key, verdict in made.items() if not verdict.startswith("failed: ")] == []


def test_other_noise_is_not_taken_for_the_same_output(rows):
    (row,) = [row for row in rows if row.kind == "scale"]
    assert row.verdict.startswith("failed: relative L2 ")


def test_a_missing_step_is_counted_too(rows):
    missing = [row for row in rows if row.what.endswith("step missing")]
    assert len(missing) == 6
    assert all(row.verdict.startswith("failed: -1 denoiser evaluations") for row in missing)
