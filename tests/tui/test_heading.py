"""The lines above the matrix."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sdtui.catalog.load import load_catalog
from sdtui.model.machine import Gpu, Interpreter, Machine
from sdtui.report.text import Torch
from sdtui.tui.board import make_board
from sdtui.tui.draft import make_draft
from sdtui.tui.heading import batch_strip, changed_words, filter_words, run_line, top_line
from sdtui.tui.messages import MachineSeen
from sdtui.tui.snapshot import CellView, RunView

CATALOG = load_catalog()
DOCS = make_draft(CATALOG, "docs", {}, gpu=True).with_selection_of(())
GPU = Gpu("NVIDIA H100 80GB HBM3", "GPU-1", driver="580.159.04")
MACHINE = Machine("vm", None, "Linux", "AMD EPYC", 26, gpu=GPU)
SEEN = MachineSeen(MACHINE, (Interpreter("current", "/python", "3.11", {"torch": "2.11.0+cu130"}),))


def test_the_top_line_says_gpu_driver_torch_and_plan() -> None:
    assert top_line(DOCS, SEEN, None, 80).plain == (
        " sdtui  H100 80GB HBM3 · driver 580.159.04 · torch 2.11.0+cu130 · plan docs"
    )


def test_options_that_differ_are_named_and_the_driver_goes_first() -> None:
    draft = DOCS.with_options({"steps": 20, "precision": "1%", "cold": True, "modes": ["bf16"]})

    assert changed_words(draft) == "steps 20, precision 1%, cold on"
    line = top_line(draft, SEEN, None, 80).plain
    assert line == " sdtui  H100 80GB HBM3 · torch 2.11.0+cu130 · plan docs with steps 20, precisio…"
    assert len(line) == 80
    assert "driver 580" in top_line(draft, SEEN, None, 120).plain
    assert top_line(draft, SEEN, None, 120).plain.endswith("plan docs with steps 20, precision 1%, cold on")


def test_a_run_that_is_shown_has_its_own_machine_and_torch() -> None:
    other = replace(MACHINE, gpu=replace(GPU, name="NVIDIA A100", driver="1"))
    run = RunView(Path("/runs/x"), "x", "ok", machine=other, torch={"current": Torch("current", "2.9.1")})

    assert top_line(DOCS, SEEN, run, 80).plain == " sdtui  A100 · driver 1 · torch 2.9.1 · plan docs"


def test_before_the_machine_was_looked_up_and_without_a_gpu() -> None:
    tiny = make_draft(CATALOG, "demo", {}, gpu=False)

    assert top_line(DOCS, None, None, 80).plain == " sdtui  looking at the machine … · plan docs"
    assert top_line(tiny, MachineSeen(replace(MACHINE, gpu=None), ()), None, 80).plain == (
        " sdtui  AMD EPYC · plan demo · tiny scale"
    )


def test_a_run_that_has_ended_says_how_many_cells_have_a_result() -> None:
    made = zip(DOCS.cells.values(), ("ok", "oom", "cancelled", None), strict=False)
    views = {cell.id: CellView(cell, "finished" if status else "queued", "", status) for cell, status in made}
    run = RunView(Path("/runs/x"), "x", "running", cells=views, done=3, total=4)

    assert " · 3/4 cells · " in run_line(run).plain
    assert " · 2/4 cells · " in run_line(replace(run, state="incomplete")).plain


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("plan.toml", "plan.toml"),
        ("some/mine.toml", "mine.toml"),
        ("r/20261124T230043Z-vm-h100-80gb-hbm3-6c1239/plan.toml", "run 6c1239"),
        ("results/2026-h100/plan.toml", "2026-h100"),
    ],
)
def test_a_plan_is_called_by_its_file_or_its_run(source: str, name: str) -> None:
    assert replace(DOCS, source=source).name == name


def test_the_strip_has_the_batch_size_that_is_shown_in_brackets() -> None:
    assert batch_strip(DOCS, 4).plain == " batch size  1 [4] 16  all "
    assert batch_strip(DOCS.toggled([*DOCS.cells][:3]), None).plain == " batch size  1  4  16 [all]   ● 3 selected"


@pytest.mark.parametrize(
    ("wanted", "rows", "columns", "words"),
    [
        ("", 6, 2, ""),
        ("  ", 6, 2, ""),
        ("IF", 2, 2, "   / IF: 2 of 6 pipelines"),
        ("no-comp", 6, 1, "   / no-comp: 1 of 2 columns"),
        ("2.11", 6, 2, "   / 2.11: matches all"),
        ("sd no", 4, 1, "   / sd no: 4 of 6 pipelines, 1 of 2 columns"),
        ("xyz", 0, 0, "   / xyz: matches nothing"),
        ("if xyz", 0, 0, "   / if xyz: matches nothing"),
    ],
)
def test_a_filter_leaves_what_matches_and_says_how_much(wanted: str, rows: int, columns: int, words: str) -> None:
    board = make_board(DOCS, {}, {"current": Torch("current", "2.11.0")}, 1, wanted)

    assert (len(board.rows), len(board.headers)) == (rows, columns)
    assert filter_words(DOCS, board, wanted) == words


def test_a_filter_finds_environments() -> None:
    draft = DOCS.with_options({"environments": ["current", "nightly"]})
    torch = {"current": Torch("current", "2.11.0"), "nightly": Torch("nightly", "2.13.0.dev1")}
    board = make_board(draft, {}, torch, 1, "nightly")

    assert board.headers == (("torch nightly", "no compile"), ("torch nightly", "compile"))
