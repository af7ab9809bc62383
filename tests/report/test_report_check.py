"""How a report shows the output check."""

from __future__ import annotations

import json

import pytest

from sdtui.model.events import CellChecked
from sdtui.model.results import Distance
from sdtui.report.json_report import json_report
from sdtui.report.markdown import markdown, tables_markdown
from sdtui.report.show import show_json, show_text

BASE, COMPILE, BF16 = (f"sd-txt2img.{mode}.current.b1-00000000" for mode in ("no-compile", "compile", "bf16"))
NEAR = Distance(0.00012, 75.25, 1)
FAR = Distance(0.75, 13.3, 255)
REASON = "relative L2 0.75 from no-compile's latents"


def failed(tell, cell_spec):
    """A run whose compiled cell failed the check, not yet finished."""
    told = tell().sit().measure(cell_spec(), 20.0).measure(cell_spec(mode="compile"), 60.0)
    return told.tell(CellChecked(COMPILE, BASE, FAR))


@pytest.fixture
def checked(tell, cell_spec):
    """A run whose compiled cell failed the check, and whose bfloat16 cell passed it."""
    told = failed(tell, cell_spec)
    return told.measure(cell_spec(mode="bf16", dtype="bfloat16"), 21.0).tell(CellChecked(BF16, BASE, NEAR)).finish().run


def test_the_figure_of_what_failed_is_marked_and_no_other(checked):
    lines = tables_markdown([checked]).splitlines()
    (row,) = [line for line in lines if line.startswith("| SD - txt2img")]
    assert row == "| SD - txt2img | 20.00 | 60.00[^1] | 21.00 |"
    (note,) = [line for line in lines if line.startswith("[^1]: ")]
    assert note.startswith(f"[^1]: differs: {REASON} (at most ")


def test_the_detail_has_every_figure_and_verdict(checked):
    lines = markdown([checked]).splitlines()
    rows = [line.split(" | ") for line in lines[lines.index("### Output check") :][2:6]]
    assert rows[0][0] == "| Cell"
    (compiled, bf16) = rows[2:]
    assert (compiled[0], compiled[1], compiled[3], compiled[5:]) == (
        f"| {COMPILE}",
        "0.75",
        "13.3",
        ["255", "failed |"],
    )
    assert (bf16[0], bf16[1], bf16[3], bf16[5:]) == (f"| {BF16}", "0.00012", "75.2", ["1", "passed |"])
    assert any(line.startswith(f"- {COMPILE}: differs: {REASON}") for line in lines)
    assert any(line.startswith("- Flag `differs`: ") for line in lines)
    assert any(line.startswith("- The output check holds ") for line in lines)


def test_equal_images_have_no_figure_in_db(tell, cell_spec):
    equal = Distance(0.0, None, 0)
    told = (
        tell()
        .sit()
        .measure(cell_spec(), 20.0)
        .measure(cell_spec(mode="compile"), 60.0)
        .tell(CellChecked(COMPILE, BASE, equal))
    )
    assert f"| {COMPILE} | 0 | 0.005 | equal | " in markdown([told.run])


def test_what_was_not_checked_says_why(tell, cell_spec):
    run = tell().sit().measure(cell_spec(mode="compile"), 60.0).finish().run
    assert f"| {COMPILE} | – | – | – | – | – | not checked: the run has no no-compile beside it |" in markdown([run])
    assert "[^1]" not in tables_markdown([run])


def test_a_cell_that_runs_again_is_not_checked_any_more(tell, cell_spec):
    run = failed(tell, cell_spec).measure(cell_spec(mode="compile"), 61.0).finish().run
    assert "differs" not in tables_markdown([run])


def test_no_compile_alone_has_no_such_part(tell, cell_spec):
    assert "utput check" not in markdown([tell().sit().measure(cell_spec(), 20.0).finish().run])


def test_show_names_it(checked):
    lines = [line.split("  ", 1) for line in show_text(checked, "ok").splitlines()]
    assert [line[1].strip().startswith(f"differs: {REASON}") for line in lines if line[0] == COMPILE] == [
        False,
        True,
    ]
    cells = json.loads(show_json(checked, "ok"))["cells"]
    assert [cell["check"] and cell["check"]["verdict"] for cell in cells] == [None, "failed", "passed"]


def test_json_has_event_and_verdict(checked):
    document = json.loads(json_report([checked]))
    assert [cell["checked"] and cell["checked"]["against"] for cell in document["runs"][0]["cells"]] == [
        None,
        BASE,
        BASE,
    ]
    compiled = document["results"][1]["check"]
    assert compiled["distance"] == {"relative_l2": 0.75, "psnr_db": 13.3, "max_difference": 255}
    assert compiled["reason"].startswith(REASON)
