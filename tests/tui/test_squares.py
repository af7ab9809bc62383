"""The matrix's squares: what each state reads, and how it is marked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sdtui.catalog.load import load_catalog
from sdtui.flags import Flag
from sdtui.model.cell import Slot
from sdtui.tui.board import Square, level_of, make_board
from sdtui.tui.draft import make_draft
from sdtui.tui.snapshot import CellView

DOCS = make_draft(load_catalog(), "docs", {}, gpu=True).with_selection_of(())
BASE = Slot("sd-txt2img", "no-compile", "current", 1)
FASTER = replace(BASE, mode="compile")


def _view(slot: Slot, state: str, text: str, **values: object) -> CellView:
    return replace(CellView(DOCS.cells[slot], state, text), **values)  # type: ignore[arg-type]


def _square(slot: Slot, *views: CellView, selected: bool = False) -> Square:
    draft = DOCS.with_selection_of([slot] if selected else [])
    board = make_board(draft, {view.id: view for view in views}, {}, slot.batch_size)
    return next(square for row in board.rows for square in row.squares if square.slot == slot)


@pytest.mark.parametrize(
    ("state", "text", "status", "kind", "shown"),
    [
        ("queued", "", None, "queued", "queued"),
        ("running", "measure 2/3 62 %", None, "running", "measure 2/3 62 %"),
        ("finished", "36.68", "ok", "ok", "36.68"),
        ("finished", "OOM after warmup", "oom", "ended", "OOM after warmup"),
        ("finished", "❌", "unsupported", "ended", "❌"),
        ("finished", "–", "cancelled", "ended", "cancelled"),
    ],
)
def test_a_square_reads_as_its_cell_is(state: str, text: str, status: str | None, kind: str, shown: str) -> None:
    square = _square(BASE, _view(BASE, state, text, status=status))

    assert (square.kind, square.text, square.note, square.level) == (kind, shown, "", 0)


def test_what_was_not_measured_is_empty_or_selected() -> None:
    assert _square(BASE) == Square(BASE, "empty")
    assert _square(BASE, selected=True) == Square(BASE, "empty", "selected", selected=True)


def test_what_the_options_do_not_fit_says_so() -> None:
    board = make_board(DOCS.with_options({"size": 768}), {}, {}, 1)

    assert {row.pipeline: row.squares[0].kind for row in board.rows} == {
        **dict.fromkeys(("sd-txt2img", "sd-img2img", "sd-inpaint", "sd-controlnet"), "empty"),
        "if": "unfit",
        "if-cascade": "unfit",
    }


def test_a_faster_mode_has_its_ratio_a_flag_and_a_shade() -> None:
    flag = Flag("unstable", "evidence")
    base = _view(BASE, "finished", "36.68", status="ok", its=(36.68,), loop_s=2.0)
    faster = _view(FASTER, "finished", "96.14", status="ok", its=(96.14,), loop_s=0.8, flags=(flag,))

    square = _square(FASTER, base, faster)
    assert (square.note, square.level) == ("2.50× ⚑", 4)
    assert _square(BASE, base, faster).note == ""
    assert _square(FASTER, faster).note == "⚑"
    assert _square(FASTER, replace(base, loop_s=None), faster).level == 0


@pytest.mark.parametrize(("ratio", "level"), [(0.5, 0), (1.04, 0), (1.05, 1), (1.25, 2), (1.5, 3), (2.0, 4), (9.0, 4)])
def test_shades_darken_with_the_ratio(ratio: float, level: int) -> None:
    assert level_of(ratio) == level


def test_all_batch_sizes_have_a_row_each_with_the_size_as_its_mark() -> None:
    board = make_board(DOCS, {}, {}, None)

    assert [(row.label, row.mark) for row in board.rows[:3]] == [("SD - txt2img", size) for size in ("1", "4", "16")]
    assert [row.mark for row in make_board(DOCS, {}, {}, 4).rows] == [""] * 6
