"""Saving the plan: the file measures exactly what was selected, and replaces nothing unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.draft import Draft, make_draft
from sdtui.tui.saving import plan_of, words_of
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.screens.home import Home
from sdtui.tui.screens.save import Save

CATALOG = load_catalog()


@pytest.fixture
def dashboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dashboard:
    monkeypatch.chdir(tmp_path)
    return Dashboard(Opening(tmp_path / "runs", CATALOG, gpu=True))


def _measured(path: Path) -> list[str]:
    """Ids of the cells that ``sdtui run FILE`` measures."""
    return [cell.id for cell in expand(resolve_plan(load_catalog(), str(path), {}, True), load_catalog())]


def _docs() -> Draft:
    return make_draft(CATALOG, "docs", {}, gpu=True)


def test_what_is_selected_is_saved_with_the_options() -> None:
    draft = _docs().with_options({"steps": 20, "modes": ["no-compile", "bf16"]})
    draft = draft.with_selection_of(list(draft.cells)[3:6])

    plan = plan_of(draft)
    assert [cell.id for cell in expand(plan, CATALOG)] == [draft.cells[slot].id for slot in draft.chosen]
    assert plan.steps == 20
    assert words_of(draft) == "3 selected cells, options of plan docs"


@pytest.mark.parametrize(
    ("overrides", "count"), [({}, 30), ({"modes": ["compile"]}, 15), ({"batch_sizes": "2"}, 10), ({"size": 768}, 24)]
)
def test_without_a_selection_it_is_the_plan_that_is_shown(overrides: dict[str, object], count: int) -> None:
    draft = _docs().with_options(overrides).with_selection_of(())

    assert len(expand(plan_of(draft), CATALOG)) == count == len(draft.planned)
    assert words_of(draft) == f"plan docs as it is, {count} cells; nothing is selected"


def test_a_plan_that_is_tuned_is_saved_as_it_is_and_a_selection_of_it_is_not_tuned(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('modes = ["no-compile", "compile"]\ntune = true\nprocesses = 3')
    draft = make_draft(CATALOG, str(path), {}, gpu=True)

    assert plan_of(draft).tune is False
    assert plan_of(draft.with_selection_of(())).tune is True


def test_a_plan_of_slots_is_saved_as_these_slots(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('slots = ["if.compile.current.b4", "sd-txt2img.no-compile.current.b1"]')
    draft = make_draft(CATALOG, str(path), {}, gpu=True)

    for each in (draft, draft.with_selection_of(())):
        assert sorted(str(cell.slot) for cell in expand(plan_of(each), CATALOG)) == [
            "if.compile.current.b4",
            "sd-txt2img.no-compile.current.b1",
        ]


async def test_saving_writes_the_file_and_says_what_runs_it(dashboard: Dashboard, tmp_path: Path) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("space", "down", "a", "w")
        selected = [dashboard.draft.cells[slot].id for slot in dashboard.draft.chosen]
        await pilot.press("enter")
        await dashboard.workers.wait_for_complete()
        await pilot.pause()

        path = tmp_path / "sdtui-plan.toml"
        assert _measured(path) == selected
        assert len(selected) == 3
        assert path.read_text().startswith("# Measure this again: sdtui run sdtui-plan.toml\n")
        assert [note.message for note in dashboard._notifications][-1] == f"{path}\nsdtui run sdtui-plan.toml"
        assert isinstance(dashboard.screen, Home)
        assert [each.name for each in tmp_path.iterdir()] == ["sdtui-plan.toml"]


async def test_a_file_that_is_there_is_replaced_only_when_asked(dashboard: Dashboard, tmp_path: Path) -> None:
    path = tmp_path / "sdtui-plan.toml"
    path.write_text("mine")
    async with dashboard.run_test(size=(80, 24)) as pilot:
        for answer, kept in (("enter", True), ("y", False)):
            await pilot.press("w", "enter")
            await dashboard.workers.wait_for_complete()
            await pilot.pause()
            assert isinstance(dashboard.screen, Confirm)
            await pilot.press(answer)
            await dashboard.workers.wait_for_complete()
            await pilot.pause()
            assert (path.read_text() == "mine") is kept
            if kept:
                assert isinstance(dashboard.screen, Save)
                await pilot.press("escape")

        assert len(_measured(path)) == 30


async def test_a_file_that_cannot_be_written_is_said_in_the_dialog(dashboard: Dashboard, tmp_path: Path) -> None:
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.press("w")
        screen = dashboard.screen
        for typed, said in ((" ", "name a file to write to"), (str(tmp_path), f"{tmp_path}: is a folder; name")):
            screen.query_one("#path").value = typed
            await pilot.press("enter")
            await pilot.pause()
            assert said in str(screen.query_one("#notice").render())
        screen.query_one("#path").value = "no/folder.toml"
        await pilot.press("enter")
        await dashboard.workers.wait_for_complete()
        await pilot.pause()

        assert dashboard.screen is screen
        assert "No such file or directory" in str(screen.query_one("#notice").render())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_saving_looks_as_recorded(dashboard: Dashboard, looks_as, size: tuple[int, int]) -> None:
    async with dashboard.run_test(size=size) as pilot:
        await pilot.pause()
        await dashboard.workers.wait_for_complete()
        await pilot.press("a", "w")
        await pilot.pause()

        looks_as(dashboard, f"save-{size[0]}")
