from __future__ import annotations

import pytest

from sdtui.catalog.reference import load_reference
from sdtui.model.errors import UserError
from sdtui.report import text
from sdtui.report.render import render

# What the page typed by hand: one decimal, or a stray comma.
TYPED = {
    *("1.4", "1.7", "1.9", "2.3", "2.7", "3.2", "3.6", "3.9", "6.4", "6.7", "6.9", "7.3", "9.1", "9.2"),
    *("11.6", "15.3", "24.1", "40.5", "49.8", "12,.79"),
}


def page_cells():
    return [cell for table in load_reference().tables for row in table.rows for cell in row.cells]


def test_our_figures_read_as_the_page_s_do() -> None:
    figures = [cell for cell in page_cells() if cell.status == "ok"]
    assert len(figures) == 277
    differ = {cell.text for cell in figures if text.rates(cell.its) != cell.text}
    assert differ == TYPED
    seconds = [cell.text for cell in figures if cell.text.endswith("s")]
    assert len(seconds) == 9
    for typed in TYPED - {"12,.79"}:
        assert text.rates((float(typed),)) == f"{typed}0"


def test_our_failures_read_as_the_page_s_do() -> None:
    ours = {text.outcome("oom", call, ()) for call in (1, 2, 3)} | {text.outcome("unsupported", None, ())}
    theirs = {cell.text for cell in page_cells() if cell.status != "ok"}
    assert theirs <= ours
    assert theirs == {"OOM after warmup", "OOM after 2nd iteration", "❌"}


def section(report: str, heading: str) -> list[list[str]]:
    lines = report.partition(f"### {heading}\n\n")[2].partition("\n\n")[0].splitlines()
    return [line.strip("| ").split(" | ") for line in lines]


def test_ratios_are_ours_over_the_page_s(docs_run) -> None:
    report = render([docs_run], reference="a100")
    header, _, *rows = section(report, "Against the page: A100 (batch size: 1)")
    assert header == [
        "Pipeline",
        "page: torch 2.0 - no compile",
        "page: torch nightly - no compile",
        "torch 2.11 - no compile",
        "torch 2.11 - no compile ÷ torch 2.0",
        "torch 2.11 - no compile ÷ torch nightly",
        "page: torch 2.0 - compile",
        "page: torch nightly - compile",
        "torch 2.11 - compile",
        "torch 2.11 - compile ÷ torch 2.0",
        "torch 2.11 - compile ÷ torch nightly",
    ]
    assert rows == [
        ["SD - txt2img", "21.66", "23.13", "28.10", "1.30×", "1.21×", "44.03", "49.74", "91.40", "2.08×", "1.84×"],
        ["SD - img2img", "21.81", "22.40", "27.50", "1.26×", "1.23×", "43.92", "46.32", "OOM", "–", "–"],
        [
            *("IF", "20.21 / 13.84 / 24.00", "20.12 / 13.70 / 24.03", "40.00 / 20.50 / 10.25"),
            *("1.98× / 1.48× / 0.43×", "1.99× / 1.50× / 0.43×"),
            *("❌", "97.34 / 27.23 / 111.66", "❌", "–", "–"),
        ],
    ]
    (slow, _) = section(report, "Against the page: A100 (batch size: 4)")[2:]
    assert slow[:5] == ["SD - txt2img", "11.6", "13.12", "2.34s", "0.037×"]


def test_tiny_and_variants_are_not_compared_and_the_notes_say_so(tell, cell_spec) -> None:
    told = tell().sit().measure(cell_spec(scale="tiny"), 10.0).measure(cell_spec(variant="20 steps"), 10.0)
    told.measure(cell_spec(batch_size=2), 10.0)
    report = render([told.run], reference="T4")
    assert "### Against" not in report
    name = "NVIDIA H100 80GB HBM3"
    assert f"{name} · tiny (batch size: 1) is not compared with the page: tiny scale" in report
    assert f"{name} · 20 steps (batch size: 1) is not compared with the page: it departs" in report
    assert f"{name} (batch size: 2) is not compared with the page: the page has none" in report


def test_stages_that_differ_have_no_ratio(tell, cell_spec) -> None:
    spec = cell_spec("if")
    alone = cell_spec("if", stages=spec.stages[:1])
    report = render([tell().sit().measure(alone, 40.0).run], reference="A100")
    assert section(report, "Against the page: A100 (batch size: 1)")[2][3:] == ["40.00", "–", "–"]


def test_modes_that_the_page_lacks_are_named(tell, cell_spec) -> None:
    told = tell().sit().measure(cell_spec(), 40.0).measure(cell_spec(mode="compile"), 50.0)
    assert "no counterpart" not in render([told.run], reference="A100")
    told.measure(cell_spec(mode="bf16"), 60.0)
    report = render([told.run], reference="A100")
    assert "The page has no counterpart of these modes: bf16." in report
    assert len(section(report, "Against the page: A100 (batch size: 1)")[0]) == 11


def test_an_unknown_gpu_is_named(docs_run) -> None:
    with pytest.raises(UserError, match=r"--reference: .*'A10'; choose from: A100, "):
        render([docs_run], reference="A10")
