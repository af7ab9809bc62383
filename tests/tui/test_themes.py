"""Reading themes, and choosing one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from recorded import open_over

from sdtui.model.errors import UserError
from sdtui.settings import Settings
from sdtui.tui.screens.runs import Runs
from sdtui.tui.themes import (
    DARK,
    SIXTEEN,
    VARIABLES,
    choose_theme,
    find_themes,
    load_themes,
    shipped_folder,
    terminal_theme,
    variable_defaults,
)

LEAST = 'name = "mine"\ndark = true\nprimary = "#7aa2f7"\nforeground = "white"\nbackground = "rgb(20, 22, 29)"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "themes"
    folder.mkdir()
    return folder


def test_the_least_that_a_theme_says(folder: Path) -> None:
    (folder / "any.toml").write_text(LEAST)
    (theme,), problems = load_themes([folder])
    assert (theme.name, theme.dark, theme.ansi, problems) == ("mine", True, False, [])
    assert set(variable_defaults(theme)) == set(VARIABLES)
    assert set(variable_defaults(replace(theme, ansi=True))) > set(VARIABLES)


def test_the_document_s_example_is_one(folder: Path) -> None:
    document = Path(__file__).parents[2] / "docs" / "dashboard.md"
    (example,) = re.findall(r"```toml\n(name = .*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    (folder / "mine.toml").write_text(example)
    (theme,), problems = load_themes([folder])
    assert (theme.variables, problems) == ({"running": "#e0af68"}, [])


def test_no_folder_is_an_empty_one(tmp_path: Path) -> None:
    assert load_themes([tmp_path / "none"]) == ([], [])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = mine", "not TOML: Invalid value (at line 1, column 8)"),
        (LEAST + 'primry = "red"', "primry: unknown key; did you mean 'primary'?"),
        (LEAST.replace("primary", "secondary"), "primary: is missing"),
        (LEAST.replace("dark = true\n", ""), "dark: is missing"),
        (LEAST.replace("true", '"yes"'), "dark: is neither true nor false"),
        (LEAST.replace("mine", "my own"), "name: a name is letters, digits and . _ + -, such as 'my-theme'"),
        (LEAST.replace("mine", DARK), f"name: there is a theme '{DARK}' already; choose another name"),
        (LEAST.replace("white", "whit"), "foreground: 'whit' is no colour; did you mean 'white'?"),
        (
            LEAST.replace('"white"', "7"),
            "foreground: 7 is no colour; write it as '#7aa2f7', 'rgb(122, 162, 247)', or a name such as 'steelblue' or "
            "'ansi_blue'",
        ),
        (
            LEAST.replace("white", "ansi_white"),
            "foreground: 'ansi_white' is a colour of the terminal's palette; it needs ansi = true",
        ),
        (LEAST + "variables = 3", "variables: is no table"),
        (LEAST + '[variables]\nspeedup-5 = "red"', "variables.speedup-5: unknown key; did you mean 'speedup-4'?"),
        (
            LEAST + '[variables]\nborder-blured = "red"',
            "variables.border-blured: unknown key; did you mean 'border-blurred'?",
        ),
        (LEAST + '[variables]\ngraph = "gren"', "variables.graph: 'gren' is no colour; did you mean 'green'?"),
        (
            LEAST + '[variables]\nlink-style = "bld"',
            "variables.link-style: 'bld' is no text style; did you mean 'bold'?",
        ),
    ],
)
def test_a_mistake_is_one_line_and_the_others_are_there(folder: Path, text: str, words: str) -> None:
    path = folder / "a.toml"
    path.write_text(text)
    (folder / "b.toml").write_text(LEAST.replace("mine", "other"))

    themes, problems = load_themes([shipped_folder(), folder])

    assert problems == [f"{path}: {words}"]
    assert themes[-1].name == "other"


@pytest.mark.parametrize("value", ["auto 87%", "steelblue 30%", "#7aa2f74d", "transparent"])
def test_variables_may_be_mixed(folder: Path, value: str) -> None:
    (folder / "a.toml").write_text(f'{LEAST}[variables]\ntext-muted = "{value}"\nlink-style = "bold not italic"')
    assert load_themes([folder])[1] == []


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({"TERM": "xterm-256color"}, DARK),
        ({"TERM": "tmux-256color"}, DARK),
        ({"TERM": "screen", "COLORTERM": "truecolor"}, DARK),
        ({"TERM": "screen"}, SIXTEEN),
        ({"TERM": "linux"}, SIXTEEN),
        ({"TERM": "dumb"}, SIXTEEN),
        ({"TERM": "xterm-256color", "NO_COLOR": ""}, SIXTEEN),
    ],
)
def test_the_terminal_decides_where_nothing_is_set(environ: dict[str, str], name: str) -> None:
    assert terminal_theme(environ) == name
    assert choose_theme(Settings(Path("s")), environ, [DARK, SIXTEEN]) == name


def test_the_settings_decide_else() -> None:
    assert choose_theme(Settings(Path("s"), theme="x"), {"TERM": "dumb"}, ["x", DARK]) == "x"
    with pytest.raises(
        UserError, match=r"^s: dashboard\.theme: there is no theme 'sdtui-drak'; did you mean 'sdtui-dark'\?$"
    ):
        choose_theme(Settings(Path("s"), theme="sdtui-drak"), {}, [DARK, SIXTEEN])


@pytest.mark.parametrize(("chosen", "keys"), [("mine", ["foreground"]), ("mime", ["foreground", "dashboard.theme"])])
def test_a_theme_that_is_not_there_is_told_once(folder: Path, chosen: str, keys: list[str]) -> None:
    (folder / "mine.toml").write_text(LEAST.replace("white", "whit"))
    settings = Settings(folder.parent / "settings.toml", theme=chosen)
    found = find_themes(settings, {"TERM": "xterm-256color"})
    assert found.chosen == DARK
    assert [problem.split(": ")[1] for problem in found.problems] == keys


async def test_a_terminal_of_16_colours_opens_screens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("COLORTERM", raising=False)
    dashboard = open_over(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        assert dashboard.theme == SIXTEEN
        await pilot.press("R")
        await pilot.pause()
        assert isinstance(dashboard.screen, Runs)
