"""Help, the command palette and the list of themes, all of which follow what is bound and set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from driving import shown
from recorded import DOCS, copy_runs, said, until
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Footer, OptionList, Static

from sdtui.catalog.load import load_catalog
from sdtui.settings import Settings
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.keys import KEYS
from sdtui.tui.screens.help import Help
from sdtui.tui.screens.home import Home
from sdtui.tui.screens.runs import Runs
from sdtui.tui.screens.theme_list import ThemeList
from sdtui.tui.themes import DARK

CATALOG = load_catalog()
SOURCE = Path("/home/me/.config/sdtui/settings.toml")


@asynccontextmanager
async def opened(
    runs_dir: Path, size: tuple[int, int] = (80, 24), **chosen: object
) -> AsyncIterator[tuple[Pilot[None], Dashboard]]:
    settings = Settings(SOURCE, **chosen)
    app = Dashboard(Opening(runs_dir, CATALOG, gpu=True, settings=settings))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield pilot, app


def text(screen: Help) -> str:
    return "\n".join(str(each.content) for each in screen.query(Static))


async def test_help_lists_every_key_of_the_screen(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("question_mark")
        assert isinstance(app.screen, Help)
        shown = text(app.screen)
        for key in KEYS:
            if "home" in key.where or "everywhere" in key.where:
                assert key.words in shown
        assert "↑ k  move up" in shown
        assert "resume it" not in shown, "that is a key of another screen"


async def test_help_of_another_screen_lists_that_one_s(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("R")
        assert isinstance(app.screen, Runs)
        await pilot.press("question_mark")
        assert "show only runs that hold a text" in text(app.screen)
        assert "show only rows or columns" not in text(app.screen)


async def test_a_key_of_one_s_own_works_and_is_what_help_and_footer_say(tmp_path: Path) -> None:
    async with opened(tmp_path, keys={"help": "f1,ctrl+g", "plan.preset": "P", "back": "Z"}) as (pilot, app):
        footer = {each.key_display: each.description for each in app.screen.query_one(Footer).query("FooterKey")}
        assert (footer["f1"], footer["P"]) == ("help", "preset")
        await pilot.press("question_mark")
        assert isinstance(app.screen, Home)
        await pilot.press("f1")
        assert "f1 ^g  list the keys of this screen" in text(app.screen)
        assert "P  take a preset" in text(app.screen)
        assert app.screen.query_one("#box").border_subtitle == "Z closes"
        await pilot.press("Z")
        assert isinstance(app.screen, Home)


async def test_keys_are_in_ascii_where_there_is_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("question_mark")
        assert "up k  move up" in text(app.screen)
        assert "enter  open this cell" in text(app.screen)


async def test_what_screens_say_of_keys_follows(tmp_path: Path) -> None:
    async with opened(tmp_path, keys={"run.start": "f5", "run.skip": "ctrl+s", "back": "f12"}) as (pilot, app):
        assert "f5 measures what is selected" in shown(app, "#detail")
        await pilot.press("p")
        assert app.screen.query_one("#presets").border_subtitle == "enter takes it · f12 leaves"


@pytest.mark.parametrize("key", ["escape", "question_mark", "q"])
async def test_help_closes(tmp_path: Path, key: str) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("question_mark", key)
        assert isinstance(app.screen, Home)


async def test_help_scrolls_where_it_does_not_fit(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("question_mark", "j", "j", "down", "k")
        assert app.screen.query_one("#box").scroll_offset.y == 2
        await pilot.press("g", "pagedown")
        assert app.screen.query_one("#box").scroll_offset.y > 2
        await pilot.press("G")
        await pilot.pause()
        assert app.screen.query_one("#hint").region.bottom < 24


# ---------------------------------------------------------------------------------------------------------- themes


async def test_a_theme_is_seen_while_it_is_highlighted_and_left_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("t", "up")
        assert isinstance(app.screen, ThemeList)
        assert app.theme == "high-contrast"
        assert app.screen.styles.background.a == 0, "the matrix is seen behind it"
        await pilot.press("escape")
        assert app.theme == DARK
        assert said(app) == []


async def test_a_theme_that_is_taken_says_how_to_keep_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("t", "t", "enter")
        assert isinstance(app.screen, Home)
        assert app.theme == "sdtui-light"
        assert said(app) == [f'to keep it, write into {SOURCE}\n[dashboard]\ntheme = "sdtui-light"']


async def test_the_theme_of_the_settings_says_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path, theme="sepia") as (pilot, app):
        assert app.theme == "sepia"
        await pilot.press("t", "enter")
        assert said(app) == []


async def test_without_colours_a_theme_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("t", "down", "enter")
        assert said(app) == ["NO_COLOR is set: no theme has colours"]


async def test_a_theme_file_that_is_wrong_is_one_toast(tmp_path: Path) -> None:
    (tmp_path / "themes").mkdir()
    (tmp_path / "themes" / "mine.toml").write_text("primary = 3")
    app = Dashboard(Opening(tmp_path, CATALOG, gpu=True, settings=Settings(tmp_path / "settings.toml")))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert f"{tmp_path}/themes/mine.toml: name: is missing" in said(app)


# --------------------------------------------------------------------------------------------------------- palette


async def test_the_palette_reaches_every_action_and_theme(tmp_path: Path) -> None:
    async with opened(tmp_path) as (_, app):
        offered = {command.title: command for command in app.get_system_commands(app.screen)}
        for key in KEYS:
            if {"home", "everywhere"} & set(key.where) and not key.id.startswith(("move.", "palette", "back")):
                assert key.words.capitalize()[0] + key.words[1:] in offered
        assert {f"Theme {name}" for name in app.available_themes} <= set(offered)

        await offered["Select its row: the pipeline in all modes"].callback()
        assert len(app.draft.selected) == 2
        offered["Theme darkroom"].callback()
        assert app.theme == "darkroom"


async def test_the_palette_lists_actions_and_runs_what_was_typed(tmp_path: Path) -> None:
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("ctrl+p")
        found = app.screen.query_one(OptionList)
        await until(pilot, lambda: found.option_count > 10, "nothing is listed")
        assert "Maximize" not in " ".join(str(option.prompt) for option in found.options), "that is Textual's own"
        await pilot.press(*"select its row")
        await until(pilot, lambda: found.option_count == 1 and not found.options[0].disabled, "not found")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(app.draft.selected) == 2, "not run")


async def test_the_palette_opens_a_run(tmp_path: Path) -> None:
    copy_runs(tmp_path)
    async with opened(tmp_path) as (pilot, app):
        await pilot.press("R", "ctrl+p")
        assert isinstance(app.screen, CommandPalette)
        await pilot.press(*DOCS[-6:])
        found = app.screen.query_one(OptionList)
        await until(
            pilot, lambda: found.option_count == 1 and not found.get_option_at_index(0).disabled, "no run found"
        )
        await pilot.press("down", "enter")
        await until(pilot, lambda: app.run_view is not None, "no run was opened")
        assert isinstance(app.screen, Home)
        assert app.run_view.folder.name == DOCS


# ------------------------------------------------------------------------------------------------------------ looks


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 48)])
async def test_help_looks_as_recorded(tmp_path: Path, looks_as, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as (pilot, app):
        await pilot.press("question_mark")
        await pilot.pause()
        looks_as(app, f"help-{size[0]}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_list_of_themes_looks_as_recorded(tmp_path: Path, looks_as, size: tuple[int, int]) -> None:
    async with opened(tmp_path, size) as (pilot, app):
        await pilot.press("t")
        await pilot.pause()
        looks_as(app, f"themes-{size[0]}")
