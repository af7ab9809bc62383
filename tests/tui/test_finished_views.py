"""What a view of a finished cell is made of, and what it does not take time for."""

from __future__ import annotations

from pathlib import Path

import pytest
from moments import read_view

from sdtui import runs, statistics
from sdtui.catalog.load import load_catalog
from sdtui.model.cell import Slot
from sdtui.model.events import CellFinished, CellQueued, CellStarted, RunStarted, Stamped
from sdtui.model.machine import Machine
from sdtui.report.merge import results_of
from sdtui.tui.draft import make_draft
from sdtui.tui.views import RunReducer

RECORDED = sorted(
    path.parent for path in (Path(__file__).parents[2] / "tests" / "fixtures" / "runs").glob("*/events.jsonl")
)

TRACE = Path(__file__).parents[2] / "docs" / "results" / "2026-11-25-h100-trace"


@pytest.mark.parametrize("run", [*RECORDED, TRACE], ids=lambda run: run.name[-6:])
def test_a_view_says_what_reports_say(run: Path) -> None:
    shown = read_view(run).cells
    for result in results_of(runs.read(run)):
        cell = shown[result.spec.id]
        assert (cell.status, cell.reason, cell.flags) == (result.status, result.reason, result.flags)
        assert cell.its == pytest.approx(result.its)


def test_figures_that_the_supervisor_has_stored_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(statistics, "summarise", refuse)
    assert any(cell.summary for cell in read_view(TRACE).cells.values())


def test_a_cell_that_an_out_of_memory_left_out_is_not_run_while_the_run_goes_on() -> None:
    cells = make_draft(load_catalog(), "docs", {}, gpu=True).cells
    four, sixteen = (cells[Slot("sd-txt2img", "compile", "current", size)] for size in (4, 16))
    flags = {"skip_larger_after_oom": True}
    told = [
        RunStarted("run", 1, "0.1.0", Machine("host", None, "Linux", "CPU", 1), (), "cuda:0", 1, flags),
        CellQueued(four.id, four),
        CellQueued(sixteen.id, sixteen),
        CellStarted(four.id, 1, 2),
    ]
    reducer = RunReducer(Path("run"))
    for event in told:
        reducer.apply(Stamped(1.0, event))
    assert reducer.view(2.0, "running").cells[sixteen.id].text == ""
    reducer.apply(Stamped(2.0, CellFinished(four.id, "oom", "measure", 2, "CUDA out of memory")))
    view = reducer.view(3.0, "running")
    left_out = view.cells[sixteen.id]
    assert (left_out.state, left_out.text) == ("queued", "not run")
    assert left_out.reason == "batch size 4 ran out of memory"
    assert (view.done, view.total) == (2, 2)


def test_the_cell_that_ran_when_its_supervisor_was_killed_was_interrupted() -> None:
    reducer = RunReducer(TRACE)
    for stamped in runs.Tail(TRACE).poll():
        if isinstance(stamped.event, CellFinished):
            break
        reducer.apply(stamped)
    began, waits = reducer.view(0.0, "interrupted").cells.values()
    assert (began.text, began.run) == ("interrupted", TRACE)
    assert (waits.text, waits.run) == ("not run", None)


def test_a_run_that_was_interrupted_lasted_until_its_last_event() -> None:
    interrupted = Path(__file__).parents[2] / "docs" / "results" / "2026-11-28-h200-docs-sd"
    reducer, stamps = RunReducer(interrupted), []
    for stamped in runs.Tail(interrupted).poll():
        stamps.append(stamped.t)
        reducer.apply(stamped)
    lasted = stamps[-1] - stamps[0]
    assert reducer.view(stamps[-1] + 3600, "interrupted").elapsed_s == pytest.approx(lasted)
    assert reducer.view(stamps[-1] + 3600, "running").elapsed_s == pytest.approx(lasted + 3600)
