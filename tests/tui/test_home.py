"""The home screen over recorded runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from moments import read_view, view_at

from sdtui import settings
from sdtui.catalog.load import load_catalog
from sdtui.model.errors import UserError
from sdtui.tui import bridge, opening
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.messages import ResultsFound
from sdtui.tui.screens.home import Home

RECORDED = Path(__file__).parents[1] / "fixtures" / "runs" / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"


@pytest.fixture
def dashboard(tmp_path: Path) -> Dashboard:
    return Dashboard(Opening(tmp_path, load_catalog(settings.config_dir()), gpu=True, follow=RECORDED))


async def test_a_recorded_run_fills_the_matrix(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        while dashboard.run_view is None:
            await pilot.pause()
        await pilot.pause()
        screen = dashboard.screen
        assert isinstance(screen, Home)
        txt2img = screen.matrix.board.rows[0]

        assert [square.kind for square in txt2img.squares] == ["ok", "ok"]
        assert txt2img.squares[1].note == "4.27× ⚑"


async def test_a_run_can_be_attached_to_where_a_mode_of_ones_own_is_wrong(tmp_path: Path) -> None:
    own = settings.config_dir() / "modes"
    own.mkdir(parents=True)
    (own / "half-written.toml").write_text('extends = "fst"\n')
    with pytest.raises(UserError, match="unknown name 'fst'"):
        opening._make(tmp_path, settings.load(), None, None)
    app = opening._make(tmp_path, settings.load(), RECORDED, None)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        while app.run_view is None:
            await pilot.pause()
        (told,) = app._notifications
        assert told.title == "without modes and pipelines of your own"
        assert told.message == f"{own / 'half-written.toml'}: extends: unknown name 'fst'; did you mean 'fast'?"


def test_figures_of_earlier_runs_are_read_without_their_samples() -> None:
    posted: list[ResultsFound] = []
    bridge.find_results(RECORDED.parent, posted.append, lambda: False)
    (message,) = posted
    whole = read_view(RECORDED).cells

    read = {view.id: view for view in message.views if view.run == RECORDED}
    assert {cell: read[cell].text for cell in whole} == {cell: view.text for cell, view in whole.items()}
    assert {cell: read[cell].loop_s for cell in whole} == {cell: view.loop_s for cell, view in whole.items()}


@pytest.mark.parametrize("key", ["f", "tab"])
async def test_the_live_panel_is_hidden_and_shown_again(dashboard: Dashboard, key: str) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        while dashboard.run_view is None:
            await pilot.pause()
        dashboard.run_view = view_at(RECORDED, 60)
        dashboard.screen.show()
        panel = dashboard.screen.query_one("#live")
        await pilot.pause()
        assert panel.display
        await pilot.press(key)
        dashboard.screen.show()
        assert not panel.display
        await pilot.press(key)
        assert panel.display


async def test_a_terminal_that_is_too_small_says_so_and_recovers(dashboard: Dashboard) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.resize_terminal(40, 12)
        await pilot.pause()
        small = dashboard.screen.query_one("#small")
        assert small.display
        assert "needs 60×16" in str(small.render())
        assert not dashboard.screen.query_one("#body").display

        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not small.display
        assert dashboard.screen.query_one("#body").display


async def test_a_run_that_is_gone_is_said_to_be_and_the_dashboard_goes_on(tmp_path: Path) -> None:
    gone = tmp_path / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
    app = Dashboard(Opening(tmp_path, load_catalog(settings.config_dir()), gpu=True, follow=gone))
    async with app.run_test(size=(80, 24)) as pilot:
        while not any("events.jsonl" in notice.message for notice in app._notifications):
            await pilot.pause()
        assert isinstance(app.screen, Home)
