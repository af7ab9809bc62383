"""Looking for the fastest mode from the matrix: what is started, how it is followed, and what is said at its end."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from recorded import open_over, said, until
from textual.widgets import Static

from sdtui import runs, starting
from sdtui.catalog.load import load_catalog
from sdtui.model.cell import Cell
from sdtui.model.events import (
    CellFinished,
    CellQueued,
    CellStarted,
    Event,
    RunFinished,
    RungFinished,
    RunStarted,
    Stamped,
)
from sdtui.model.machine import Machine
from sdtui.tui import bridge
from sdtui.tui.detail import describe
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.heading import ended_words, run_line
from sdtui.tui.messages import LaunchRefused, RunLaunched
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.views import RunReducer

STARTED = RunStarted(
    "run", 1, "0.1.0", Machine("host", None, "Linux", "CPU", 1), (), "cuda:0", 1, flags={"tune": True}, processes=3
)
OUT = "out after rung 1: 0.50 times as fast as compile (0.49 to 0.51)"


@pytest.fixture
def draft() -> Draft:
    return make_draft(load_catalog(), "docs", {"modes": ["no-compile", "compile", "bf16"]}, gpu=True)


def cells_of(draft: Draft) -> list[Cell]:
    return [cell for slot, cell in draft.cells.items() if slot.pipeline == "sd-txt2img" and slot.batch_size == 4]


def measured(cell: Cell, process: int) -> tuple[Event, Event]:
    return CellStarted(cell.id, 1, 7, process), CellFinished(cell.id, "ok", "measure", 3, process=process)


def reduced(cells: list[Cell], *more: Event) -> RunReducer:
    reducer = RunReducer(Path("run"))
    for event in (STARTED, *(CellQueued(cell.id, cell) for cell in cells), *more):
        reducer.apply(Stamped(1.0, event))
    return reducer


def test_the_rung_and_what_is_left_of_it_are_shown(draft: Draft) -> None:
    cells = cells_of(draft)
    base, compiled, bf16 = cells
    first = [event for cell in cells for event in measured(cell, 1)]
    assert "0/3 cells in rung 1 of 3" in run_line(reduced(cells).view(2.0, "running")).plain
    assert "2/3 cells in rung 1 of 3" in run_line(reduced(cells, *first[:4]).view(2.0, "running")).plain
    rung = RungFinished(1, 1, "sd-txt2img", "current", 4, {base.id: OUT}, (compiled.id, bf16.id))
    view = reduced(cells, *first, rung).view(2.0, "running")
    assert "0/2 cells in rung 2 of 3" in run_line(view).plain
    assert [view.cells[cell.id].state for cell in cells] == ["finished", "queued", "queued"]


def test_what_the_tuner_says_of_a_cell_stands_in_its_pane_and_at_the_end(draft: Draft) -> None:
    cells = cells_of(draft)
    base, compiled, bf16 = cells
    first = [event for cell in cells for event in measured(cell, 1)]
    rung = RungFinished(1, 1, "sd-txt2img", "current", 4, {base.id: OUT}, (compiled.id, bf16.id))
    alone = "no other mode is left to be told apart from it"
    last = RungFinished(1, 2, "sd-txt2img", "current", 4, {bf16.id: "slower", compiled.id: alone}, (compiled.id,))
    second = [event for cell in (compiled, bf16) for event in measured(cell, 2)]

    def told(*more: Event) -> list[str]:
        found = reduced(cells, *first, *more).view(2.0, "running").cells
        panes = [describe(draft, found, cell.slot, str).entries for cell in cells]
        return [next((each.text for each in pane if each.label == "tuning"), "") for pane in panes]

    fastest = "the fastest within the output check, as far as it was measured"
    assert told() == ["", "", ""]
    assert told(rung, *second) == [OUT, fastest, "not told apart from compile, which leads"]
    assert told(rung, *second, last) == [OUT, fastest, "slower"]
    ended = reduced(cells, *first, rung, RunFinished(1, "cancelled", {})).view(9.0, "cancelled")
    assert ended_words(ended).endswith("; fastest: compile, not told apart from bf16")
    view = reduced(cells, *first, rung, *second, last, RunFinished(1, "ok", {})).view(9.0, "ok")
    assert ended_words(view) == "run run on CPU is ok: 3 ok in 0 s; fastest: compile"


async def test_a_key_tunes_the_row_under_the_cursor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Any, ...]] = []
    monkeypatch.setattr(bridge, "tune", lambda *arguments: asked.append(arguments[:-1]))
    app = open_over(tmp_path)
    async with app.run_test(size=(100, 30)) as pilot:
        app.take_draft(app.draft.with_options({"steps": 20, "modes": ["compile"]}))
        await pilot.press("b", "down", "T")
        assert isinstance(app.screen, Confirm)
        assert "No budget ends it: o sets one." in str(app.screen.query_one("#more", Static).content)
        await pilot.press("n", "T")
        assert not asked
        await pilot.press("y")
        await until(pilot, lambda: asked, "nothing was asked for")
        flags = {"steps": 20, "batch_sizes": [4], "environments": ["current"]}
        assert asked == [("sd-img2img", "docs", flags, tmp_path)]
        assert said(app) == ["looking for the fastest mode for sd-img2img at batch size 4 …"]


def test_what_is_started_tunes_every_mode_and_is_shown_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "start_detached", lambda folder, arguments: None)
    plan = tmp_path / "plan.toml"
    plan.write_text('pipelines = ["if"]\nmodes = ["compile"]\nbatch_sizes = [1]\nslots = ["if.compile.current.b1"]\n')
    posted: list[Any] = []
    flags = {"device": "cpu", "scale": "tiny", "batch_sizes": [4], "environments": ["current"]}
    bridge.tune("sd-txt2img", str(plan), flags, tmp_path / "runs", posted.append)
    (launched,) = posted
    assert isinstance(launched, RunLaunched)
    assert launched.is_shown_whole
    made = tomllib.loads((launched.folder / runs.PLAN).read_text())
    assert (made["tune"], made["processes"], made["batch_sizes"]) == (True, 3, [4])
    assert made["modes"][:2] == ["no-compile", "compile-channels-last"]
    assert launched.left_out["fast"] == "step_graphs needs a CUDA device"
    assert made["slots"] == [f"sd-txt2img.{mode}.current.b4" for mode in made["modes"]]

    shown = make_draft(load_catalog(), str(launched.folder / runs.PLAN), {}, gpu=True)
    assert set(shown.modes) == {*made["modes"]}
    again = shown.to_run([slot for slot in shown.cells if slot.mode == "compile" and slot.batch_size == 4][:1])
    assert again["tune"] is False, "what is chosen on the matrix is measured"


def test_modes_and_pipelines_of_the_plan_file_are_tried_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "start_detached", lambda folder, arguments: None)
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'pipelines = ["mine"]\nmodes = ["no-compile", "quick"]\nbatch_sizes = [1]\n'
        '[mode.quick]\nvae_slicing = true\n[pipeline.mine]\nextends = "sd-txt2img"\n'
    )
    for pipeline in ("sd-txt2img", "mine"):
        posted: list[Any] = []
        bridge.tune(pipeline, str(plan), {"device": "cpu", "scale": "tiny"}, tmp_path / "runs", posted.append)
        (launched,) = posted
        assert isinstance(launched, RunLaunched), vars(launched)
        made = tomllib.loads((launched.folder / runs.PLAN).read_text())
        assert (made["pipelines"], made["modes"][:2]) == ([pipeline], ["no-compile", "quick"])


async def test_what_is_not_tried_out_is_said_with_the_reason(tmp_path: Path) -> None:
    app = open_over(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        differs = "its output differs"
        left_out = {"fp8": differs, "fast": "step_graphs needs a CUDA device", "int8": differs}
        app.post_message(RunLaunched(tmp_path / "run", left_out=left_out))
        await until(pilot, lambda: said(app), "nothing was said")
        assert said(app)[0] == "fp8, int8: its output differs\nfast: step_graphs needs a CUDA device"


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    posted: list[Any] = []
    bridge.tune("sd-txt2img", "docs", {"device": "cpu"}, tmp_path, posted.append)
    (refused,) = posted
    assert isinstance(refused, LaunchRefused)
    assert "full scale needs a GPU" in refused.reason
