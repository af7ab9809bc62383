"""The home screen's keys for moving, selecting and filtering, and how it looks."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input

from sdtui.catalog.load import load_catalog
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.screens.home import Home

ROOT = Path(__file__).parents[2]
H100 = ROOT / "docs" / "results" / "2026-11-24-h100-docs-batch-1"
TINY = ROOT / "tests" / "fixtures" / "runs" / "20261124T231027Z-vm-epyc-fa50b5"


def _dashboard(tmp_path: Path, follow: Path | None = None) -> Dashboard:
    return Dashboard(Opening(tmp_path, load_catalog(), gpu=True, follow=follow))


async def _opened(dashboard: Dashboard, pilot: object) -> Home:
    await pilot.pause()
    await dashboard.workers.wait_for_complete()
    await pilot.pause()
    assert isinstance(dashboard.screen, Home)
    return dashboard.screen


async def test_arrows_move_the_cursor_also_where_columns_are_out_of_sight(tmp_path: Path) -> None:
    dashboard = _dashboard(tmp_path, TINY)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _opened(dashboard, pilot)
        header = screen.matrix.render_line(1).text
        assert header.rstrip().endswith("→")

        await pilot.press("right", "l", "right", "down", "j", "up", "k", "down")
        assert screen.matrix.cursor == (1, 3)
        header = screen.matrix.render_line(1).text
        assert "←" in header
        assert "→" not in header
        await pilot.press("left", "h")
        assert screen.matrix.cursor == (1, 1)


async def test_space_a_and_A_select_and_b_shows_the_next_batch_size(tmp_path: Path) -> None:
    dashboard = _dashboard(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _opened(dashboard, pilot)
        for keys, count in ((["space"], 1), (["a"], 2), (["A"], 7), (["A"], 1), (["b", "a"], 3), (["a"], 1)):
            await pilot.press(*keys)
            assert len(dashboard.draft.chosen) == count
        sizes = [screen.batch_size]
        for _ in range(3):
            await pilot.press("b")
            sizes.append(screen.batch_size)
        assert sizes == [4, 16, None, 1]


async def test_a_filter_is_typed_kept_by_enter_and_taken_away_by_escape(tmp_path: Path) -> None:
    dashboard = _dashboard(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _opened(dashboard, pilot)
        await pilot.press("slash", "i", "f", "enter")
        assert [row.label for row in screen.matrix.board.rows] == ["IF", "IF - cascade"]
        assert "/ if: 2 of 6 pipelines" in str(screen.query_one("#strip").render())
        assert not screen.query_one("#filter", Input).display

        await pilot.press("down", "space")
        assert [slot.pipeline for slot in dashboard.draft.chosen] == ["if-cascade"]
        await pilot.press("escape")
        assert len(screen.matrix.board.rows) == 6


async def test_a_filter_that_matches_nothing_says_so(tmp_path: Path) -> None:
    dashboard = _dashboard(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _opened(dashboard, pilot)
        await pilot.press("slash", "x", "y", "z")
        assert "matches nothing" in str(screen.query_one("#strip").render())
        assert screen.query_one("#detail").render_line(0).text.strip() == "Nothing matches."
        await pilot.press("enter", "space", "a", "A")
        assert not dashboard.draft.chosen

        await pilot.press("escape")
        assert len(screen.matrix.board.rows) == 6


async def test_a_first_start_explains_itself_and_tells_of_the_square(tmp_path: Path) -> None:
    dashboard = _dashboard(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        screen = await _opened(dashboard, pilot)
        detail = screen.query_one("#detail")
        lines = [detail.render_line(y).text.strip() for y in range(6)]
        assert lines[0] == "Nothing is measured yet."
        assert lines[1].startswith("space")
        assert lines[5] == "SD - txt2img · no compile · batch size 1"


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
async def test_home_looks_as_recorded(tmp_path: Path, looks_as, size: tuple[int, int]) -> None:
    dashboard = _dashboard(tmp_path, H100)
    async with dashboard.run_test(size=size) as pilot:
        await _opened(dashboard, pilot)
        await pilot.press("right", "down", "down", "down", "down")
        await pilot.pause()

        looks_as(dashboard, f"home-{size[0]}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_a_first_start_looks_as_recorded(tmp_path: Path, looks_as, size: tuple[int, int]) -> None:
    dashboard = _dashboard(tmp_path)
    async with dashboard.run_test(size=size) as pilot:
        await _opened(dashboard, pilot)

        looks_as(dashboard, f"first-start-{size[0]}")
