"""Each screen without colours, at 80×24: glyphs and words say all."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import dashboard, opened, settle
from moments import BATCH_1, view_at
from recorded import RESULTS, copy_runs, listed, until
from rich.text import Text
from textual.app import App

from sdtui.tui.messages import RunChanged
from sdtui.tui.screens.cell import TABS, CellScreen
from sdtui.tui.widgets.lines import Lines

Check = Callable[[App[object], str], None]
SIZE = (80, 24)
MEASURING = 28.0
STAGED = "if.compile.current.b1-b1261010"


@pytest.fixture(autouse=True)
def _no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


async def test_live(looks_as: Check) -> None:
    app = dashboard(BATCH_1)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        app.on_run_changed(RunChanged(view_at(BATCH_1, MEASURING)))
        await pilot.press("down", "space")
        await pilot.pause()
        looks_as(app, "no-color-live")


async def test_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks_as: Check) -> None:
    monkeypatch.chdir(tmp_path)
    async with listed(copy_runs(Path("runs")), SIZE) as (pilot, _):
        await pilot.press("down", "space", "down")
        await pilot.pause()
        looks_as(pilot.app, "no-color-runs")


async def test_cell(monkeypatch: pytest.MonkeyPatch, looks_as: Check) -> None:
    monkeypatch.chdir(RESULTS.parents[1])
    app = dashboard(None)
    async with app.run_test(size=SIZE) as pilot:
        screen = CellScreen(BATCH_1.relative_to(Path.cwd()), STAGED)
        await app.push_screen(screen)
        await until(pilot, lambda: screen.reading, "the cell was not read")
        for tab in TABS[:4]:
            await pilot.pause()
            assert screen.tab == tab
            looks_as(app, f"no-color-cell-{tab}")
            await pilot.press("right")


async def test_export(monkeypatch: pytest.MonkeyPatch, looks_as: Check) -> None:
    monkeypatch.setattr(time, "strftime", lambda form, *_: "2026-11-25" if form == "%Y-%m-%d" else form)
    app = dashboard(BATCH_1)
    async with app.run_test(size=SIZE) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "down", "down")
        app.screen.query_one("#notice", Lines).show(Text("in ~/bench"))
        looks_as(app, "no-color-export")
