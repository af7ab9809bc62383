"""Presets and plan files: what is offered, and what taking one does."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.catalog.load import load_catalog
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.offers import Offer, plan_files, presets
from sdtui.tui.screens.home import Home
from sdtui.tui.screens.presets import Presets

PLAN = """pipelines = ["sd-txt2img", "if"]
modes = ["xformers"]
batch_sizes = [2]
steps = 20
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a plan and what is none."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(PLAN)
    (tmp_path / "wrong.toml").write_text("steps = 5\nmodes = ['compil']\n")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "torn.toml").write_text("steps = ")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    (tmp_path / "folder.toml").mkdir()
    return tmp_path


def _dashboard(folder: Path, gpu: bool = True) -> Dashboard:
    return Dashboard(Opening(folder / "runs", load_catalog(), gpu))


def test_presets_say_how_many_cells_they_have_docs_first() -> None:
    found = presets(load_catalog(), gpu=True)

    assert [(offer.source, offer.cells, offer.problem) for offer in found] == [
        ("docs", 30, ""),
        ("demo", 2, ""),
        ("smoke", 1, ""),
    ]


def test_a_preset_that_needs_a_gpu_says_so_where_there_is_none() -> None:
    docs, demo, smoke = presets(load_catalog(), gpu=False)

    assert "there is no usable GPU here" in docs.problem
    assert (docs.cells, demo.cells, smoke.cells) == (0, 5, 1)


def test_plan_files_are_those_with_a_key_of_a_plan(folder: Path) -> None:
    mine, torn, wrong = plan_files(Path(), load_catalog(), gpu=True)

    words = "sd-txt2img, if × xformers, batch size 2, full scale, cuda:0, steps 20"
    assert mine == Offer("mine.toml", words, 2)
    assert (torn.source, torn.cells) == ("torn.toml", 0)
    assert torn.problem.startswith("not TOML: ")
    assert wrong.cells == 0
    assert wrong.problem == "modes: unknown name 'compil'; did you mean 'compile'?"


async def test_enter_takes_a_plan_file_and_selects_its_cells(folder: Path) -> None:
    dashboard = _dashboard(folder)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        await dashboard.workers.wait_for_complete()
        await pilot.press("j", "j", "j", "enter")
        await pilot.pause()

        assert isinstance(dashboard.screen, Home)
        assert [str(slot) for slot in dashboard.draft.chosen] == [
            "sd-txt2img.xformers.current.b2",
            "if.xformers.current.b2",
        ]


async def test_the_plan_that_is_shown_is_under_the_cursor_and_escape_keeps_it(folder: Path) -> None:
    dashboard = _dashboard(folder, gpu=False)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        before = dashboard.draft
        await pilot.press("p")
        await dashboard.workers.wait_for_complete()
        listed = dashboard.screen.query_one("#presets")
        assert listed.highlighted_option.id == "demo"

        await pilot.press("down", "escape")
        assert dashboard.draft is before


async def test_what_a_plan_selects_is_under_the_cursor(folder: Path) -> None:
    dashboard = _dashboard(folder, gpu=False)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await dashboard.workers.wait_for_complete()
        await pilot.press("b", "down", "right", "p")
        await dashboard.workers.wait_for_complete()
        await pilot.press("down", "enter")
        await pilot.pause()
        home = dashboard.screen
        assert isinstance(home, Home)

        assert (home.batch_size, home.matrix.cursor) == (1, (0, 0))
        assert home.matrix.square is not None
        assert home.matrix.square.selected


async def test_a_plan_that_cannot_be_used_cannot_be_taken(folder: Path) -> None:
    dashboard = _dashboard(folder, gpu=False)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        await dashboard.workers.wait_for_complete()
        await pilot.press("up")  # round to the last that can be used: files that need a GPU are passed over

        assert dashboard.screen.query_one("#presets").highlighted_option.id == "smoke"


async def test_a_file_that_went_wrong_meanwhile_is_one_toast(folder: Path) -> None:
    dashboard = _dashboard(folder)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.press("p")
        await dashboard.workers.wait_for_complete()
        (folder / "mine.toml").write_text("steps = 0")
        await pilot.press("j", "j", "j", "enter")
        await pilot.pause()

        assert dashboard.draft.source == "docs"
        assert [note.message for note in dashboard._notifications] == [
            "mine.toml: steps: 0 is too small; the least is 1"
        ]


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_presets_look_as_recorded(folder: Path, looks_as, size: tuple[int, int]) -> None:
    dashboard = _dashboard(folder)
    async with dashboard.run_test(size=size) as pilot:
        await dashboard.workers.wait_for_complete()
        await pilot.press("p")
        await dashboard.workers.wait_for_complete()
        await pilot.pause()
        assert isinstance(dashboard.screen, Presets)
        dashboard.screen.query_one("#presets").focus()

        looks_as(dashboard, f"presets-{size[0]}")
