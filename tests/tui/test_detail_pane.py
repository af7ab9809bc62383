"""What the detail pane tells of a square, and how it is laid out."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.catalog.load import load_catalog
from sdtui.model.cell import Slot
from sdtui.report.text import Torch
from sdtui.tui.detail import describe, first_words, no_match
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.entries import Described, Entry, lay_out, listed
from sdtui.tui.keys import KEYS
from sdtui.tui.snapshot import CellView, RunView
from sdtui.tui.views import RunReducer

ROOT = Path(__file__).parents[2]
H100 = ROOT / "docs" / "results" / "2026-11-24-h100-docs-batch-1"
TRACE = ROOT / "docs" / "results" / "2026-11-25-h100-trace"
CATALOG = load_catalog()
KEY_OF = {each.id: each.key.split(",")[0] for each in KEYS}.__getitem__
DOCS = make_draft(CATALOG, "docs", {}, gpu=True)


@cache
def _view(folder: Path) -> RunView:
    reducer = RunReducer(folder)
    for stamped in runs.Tail(folder).poll():
        reducer.apply(stamped)
    return reducer.view(0.0, "ok")


def _told(draft: Draft, slot: Slot, cells: dict[str, CellView] | None = None) -> dict[str, str]:
    entries = describe(draft, cells or {}, slot, KEY_OF, torch={"current": Torch("current", "2.11.0")}).entries
    return {entry.label: entry.text.replace("\u00a0", " ") for entry in entries}


def _ended(slot: Slot, **values: object) -> dict[str, CellView]:
    cell = DOCS.cells[slot]
    return {cell.id: replace(CellView(cell, "finished", ""), **values)}


def test_what_is_kept_together_is_broken_between_words_where_it_is_longer_than_a_line() -> None:
    work = Entry("work", listed(["3 calls", "tiny scale: says nothing about speed", "cpu"]))
    rows = lay_out([Described("", (work,))], 40, 20)

    assert ["".join(text for text, _ in row[2:]) for row in rows] == [
        "3 calls · tiny scale:",
        "says nothing about",
        "speed · cpu",
    ]


def test_a_square_that_was_not_measured_says_what_it_would_measure() -> None:
    assert _told(DOCS, Slot("sd-txt2img", "compile", "current", 4)) == {
        "steps": "50 steps  512×512  6.43 TFLOP a step",
        "mode": "The page's recipe: every denoiser through torch.compile, CUDA graphs, no graph break",
        "work": "3 calls · guidance 7.5 · float16 · random weights · torch 2.11.0",
        "docs page": "torch nightly of 2023: A100 17.27 · V100 6.86 · T4 1.99 · RTX 3090 7.3 · RTX 4090 15.59",
    }


def test_a_limit_of_the_allocator_and_why_a_square_is_not_run_are_told() -> None:
    limited = DOCS.with_options({"vram_limit": "15GiB"})
    slot = Slot("sd-txt2img", "compile", "current", 16)
    view = CellView(limited.cells[slot], "queued", "not run", reason="batch size 4 ran out of memory")
    told = _told(limited, slot, {view.id: view})
    assert "torch 2.11.0 · allocator limited to 15 GiB" in told["work"]
    assert told["state"] == "not run: batch size 4 ran out of memory"
    assert view.id not in {cell.id for cell in DOCS.cells.values()}


def test_if_has_three_stages_and_at_larger_batch_sizes_one() -> None:
    told = _told(DOCS, Slot("if", "no-compile", "current", 1))
    assert [told[f"stage {name}"] for name in ("I", "II", "III")] == [
        "100 steps  64×64    0.439 TFLOP a step",
        "50 steps   256×256  3.38 TFLOP a step",
        "75 steps   256×256  0.573 TFLOP a step",
    ]
    assert _told(DOCS, Slot("if", "no-compile", "current", 16))["steps"] == "100 steps  64×64  7.03 TFLOP a step"


def test_a_measured_square_has_figures_flags_and_evidence() -> None:
    draft = make_draft(CATALOG, str(H100 / runs.PLAN), {}, gpu=True)
    told = _told(draft, Slot("if", "compile", "current", 1), dict(_view(H100).cells))

    assert told["speed"] == (
        "102.11 / 51.83 / 124.20 it/s · 3.35× no-compile · 0.378 images/s · GPU 52 % · peak 5.7 GiB"
    )
    assert told["stage II"] == "50 steps of 18.31 ms  256×256  3.38 TFLOP a step   175 TFLOP/s"
    assert "the GPU idles some 5.6 of a step's 9.5 ms" in told["⚑ host-bound"]
    assert told["output"].startswith("not checked: ")
    assert told["measured"] == f"on NVIDIA H100 80GB HBM3 in run {H100.name}"
    assert "A100 97.34/27.23/111.66" in told["docs page"]


def test_a_speed_up_over_another_run_says_so() -> None:
    draft = make_draft(CATALOG, str(H100 / runs.PLAN), {}, gpu=True)
    cells = dict(_view(H100).cells)
    base = cells[draft.cells[Slot("if", "no-compile", "current", 1)].id]
    cells[base.id] = replace(base, run=TRACE)

    told = _told(draft, Slot("if", "compile", "current", 1), cells)
    assert f" · 3.35× no-compile of run {TRACE.name} · " in told["speed"]


def test_a_square_that_is_being_measured_was_not_measured_yet() -> None:
    slot = Slot("sd-txt2img", "compile", "current", 4)
    view = CellView(DOCS.cells[slot], "running", "compile 24 s", run=H100)
    told = _told(DOCS, slot, {view.id: view})
    assert told["state"] == "compile 24 s"
    assert "measured" not in told


def test_an_output_check_tells_its_distance() -> None:
    draft = make_draft(CATALOG, str(TRACE / runs.PLAN), {}, gpu=True)
    told = _told(draft, Slot("sd-txt2img", "compile", "current", 1), dict(_view(TRACE).cells))

    assert told["output"] == "as that of no-compile (relative L2 0.002, at most 0.005; PSNR 55.8 dB, at least 50)"


@pytest.mark.parametrize(
    ("batch_size", "values", "wrong", "help_"),
    [
        (
            16,
            {"status": "oom", "ended": "oom in measure, call 2", "reason": "CUDA out of memory"},
            "in measure, call 2: CUDA out of memory",
            "batch size 4 (b)",
        ),
        (1, {"status": "oom", "ended": "oom in load", "reason": ""}, "in load", "a smaller size (o)"),
        (1, {"status": "unsupported", "ended": "unsupported in load", "reason": "no"}, "in load: no", "another mode"),
        (1, {"status": "timeout", "ended": "timeout in measure", "reason": "x"}, "in measure: x", "[timeouts] in a"),
        (1, {"status": "failed", "ended": "failed in compile", "reason": "x"}, "in compile: x", "enter shows the log"),
        (1, {"status": "cancelled", "ended": "cancelled in load", "reason": ""}, "in load", "r measures it"),
    ],
)
def test_a_failure_says_why_and_what_may_help(
    batch_size: int, values: dict[str, object], wrong: str, help_: str
) -> None:
    slot = Slot("sd-txt2img", "no-compile", "current", batch_size)
    told = _told(DOCS, slot, _ended(slot, **values))

    assert told[str(values["status"])] == wrong
    assert told["try"].startswith(help_)


def test_the_page_is_not_quoted_for_other_work_nor_for_modes_that_it_has_not() -> None:
    slot = Slot("sd-txt2img", "no-compile", "current", 1)
    shorter = DOCS.with_options({"steps": 20, "modes": ["no-compile", "bf16"]})

    assert _told(shorter, slot)["docs page"] == "not of this work: it departs from the docs protocol"
    assert "docs page" not in _told(shorter, replace(slot, mode="bf16"))


def test_the_pages_torch_is_the_one_that_is_nearer() -> None:
    slot = Slot("sd-txt2img", "compile", "current", 1)
    entries = describe(DOCS, {}, slot, KEY_OF, torch={"current": Torch("current", "2.0.1+cu117")}).entries

    assert next(entry.text for entry in entries if entry.label == "docs page").startswith("torch 2.0 of 2023: A100")


def test_a_square_that_does_not_fit_says_why() -> None:
    draft = DOCS.with_options({"size": 768})
    told = _told(draft, Slot("if", "no-compile", "current", 1))

    assert told["cannot run"].startswith("size: pipeline 'if' has a fixed size")
    assert "o changes" in told["try"]


# ----------------------------------------------------------------------------------------------------------- layout


def _text(described: Described, width: int, height: int = 40) -> list[str]:
    return ["".join(text for text, _ in row).rstrip() for row in lay_out([described], width, height)]


LONG = Described(
    "A title",
    (
        Entry("speed", listed(["12.3 it/s", "", "1.23× no-compile", "0.5 images/s", "peak 5.7 GiB"])),
        Entry("⚑ drifting", "some words of evidence that take more than one row", "warning", beside=True),
    ),
)


def test_texts_are_wrapped_by_words_under_their_own_column() -> None:
    assert _text(LONG, 60) == [
        " A title",
        " speed        12.3 it/s · 1.23× no-compile · 0.5 images/s ·",
        "              peak 5.7 GiB",
        " ⚑ drifting   some words of evidence that take more than",
        "              one row",
    ]


def test_on_a_wide_screen_evidence_stands_beside() -> None:
    title, first, *_ = _text(LONG, 160)

    assert title == " A title"
    assert "peak 5.7 GiB" in first
    assert "⚑ drifting" in first


def test_what_does_not_fit_is_left_out_from_the_end_and_said_so() -> None:
    assert [line.strip() for line in _text(LONG, 60, 3)] == ["A title", _text(LONG, 60)[1].strip(), "…"]


@pytest.mark.parametrize("width", [60, 80, 120, 160])
def test_nothing_is_wider_than_the_pane(width: int) -> None:
    draft = make_draft(CATALOG, str(H100 / runs.PLAN), {}, gpu=True)
    cells = dict(_view(H100).cells)
    for slot in draft.cells:
        rows = lay_out(
            [first_words(KEY_OF), describe(draft, cells, slot, KEY_OF), no_match("x" * 30, KEY_OF)], width, 100
        )
        assert max(len("".join(text for text, _ in row).rstrip()) for row in rows) <= width
