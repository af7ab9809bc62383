"""Cells that wait: their place, and how long each may take."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.catalog.load import load_catalog
from sdtui.model.cell import Cell
from sdtui.model.events import (
    CellFinished,
    CellQueued,
    CellStarted,
    Event,
    RunFinished,
    RunForecast,
    RunStarted,
    Stamped,
)
from sdtui.model.forecast import Forecast
from sdtui.model.machine import Machine
from sdtui.ordering import ordered
from sdtui.tui.board import make_board
from sdtui.tui.detail import describe
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.heading import ended_words
from sdtui.tui.views import RunReducer

STARTED = RunStarted("run", 1, "0.1.0", Machine("host", None, "Linux", "CPU", 1), (), "cuda:0", 1, budget_s=1200.0)


@pytest.fixture
def draft() -> Draft:
    return make_draft(load_catalog(), "docs", {"pipelines": ["sd-txt2img"]}, gpu=True)


def cells_of(draft: Draft) -> list[Cell]:
    """The cells in the order in which they run."""
    return ordered([draft.cells[slot] for slot in draft.chosen if slot.pipeline == "sd-txt2img"])


def reduced(draft: Draft, *more: Event) -> RunReducer:
    cells = cells_of(draft)
    queue = (Forecast(cell.id, 80.0, "similar" if cell.slot.batch_size > 1 else "measured") for cell in cells)
    reducer = RunReducer(Path("run"))
    for event in (STARTED, *(CellQueued(cell.id, cell) for cell in cells), RunForecast(1, tuple(queue)), *more):
        reducer.apply(Stamped(1.0, event))
    return reducer


def test_queued_cells_say_their_place(draft: Draft) -> None:
    first, *others = cells_of(draft)
    start, end = CellStarted(first.id, 1, 7), CellFinished(first.id, "ok", "measure", 3)

    def said(state: str, *more: Event) -> list[str]:
        cells = reduced(draft, *more).view(2.0, state).cells
        return [cells[cell.id].text for cell in (first, *others)]

    assert said("running") == [f"queued {n}" for n in range(1, 7)]
    assert said("running", start) == ["launch 1 s", *(f"queued {n}" for n in range(1, 6))]
    assert said("running", start, end)[1:] == [f"queued {n}" for n in range(1, 6)]
    assert set(said("interrupted")) == {"not run"}


def test_the_matrix_and_its_pane_show_it(draft: Draft) -> None:
    cells = reduced(draft).view(2.0, "running").cells
    board = make_board(draft, cells, {}, None)
    shown = [square.text for row in board.rows for square in row.squares if square.kind == "queued"]
    assert shown == [f"queued {n}" for n in range(1, 7)]
    one, *_, last = cells_of(draft)
    said = [describe(draft, cells, cell.slot, str).entries[0].text for cell in (one, last)]
    assert said == ["queued 1: it takes about 1 min 20 s", "queued 6: it takes at a guess 1 min 20 s"]


def test_what_a_budget_left_is_told_at_the_end(draft: Draft) -> None:
    first, second, *_ = cells_of(draft)
    why = "did not fit into the budget of 20m: it takes 1m20s; 3s was left"
    end = RunFinished(1, "incomplete", {"ok": 1, "not run": 1}, left={second.id: why})
    first_ended = (CellStarted(first.id, 1, 7), CellFinished(first.id, "ok", "measure", 3))
    view = reduced(draft, *first_ended, end).view(9.0, "incomplete")
    assert (view.cells[second.id].text, view.cells[second.id].reason) == ("not run", why)
    told = "run run on CPU is incomplete (1 cell did not fit into the budget of 20m): 1 ok, 5 not run in 0 s"
    assert ended_words(view) == told
