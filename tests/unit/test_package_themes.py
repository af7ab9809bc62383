"""The themes that ship are ones that Textual takes, and that can be read with all colours and with 256."""

from __future__ import annotations

import pytest
from textual.app import App
from textual.color import Color
from textual.theme import Theme

from sdtui.tui.themes import DARK, OPTIONAL, REQUIRED, SIXTEEN, VARIABLES, read_theme, shipped_folder

FILES = sorted(shipped_folder().glob("*.toml"))
SHIPPED = [read_theme(path) for path in FILES]
MEASURED = [theme for theme in SHIPPED if not theme.ansi]
"""Of a theme of the terminal's own palette nobody knows what its colours look like."""

GROUNDS = ("background", "surface", "panel")
LEVELS = tuple(f"speedup-{n}" for n in range(1, 5))


def variables(theme: Theme) -> dict[str, Color]:
    """What a stylesheet gets of a theme, without styles and automatic colours, laid on its background."""
    made = {**theme.to_color_system().generate(), **theme.variables}
    ground = Color.parse(made["background"])
    return {name: ground + Color.parse(text) for name, text in made.items() if text[0] in "#a" and text[:4] != "auto"}


each_theme = pytest.mark.parametrize("theme", SHIPPED, ids=lambda theme: theme.name)
each_measured = pytest.mark.parametrize("theme", MEASURED, ids=lambda theme: theme.name)


def test_what_ships() -> None:
    assert [theme.name for theme in SHIPPED] == [path.stem for path in FILES]
    assert {theme.dark for theme in SHIPPED} == {True, False}
    assert {DARK, SIXTEEN} <= {theme.name for theme in SHIPPED}
    assert [theme.name for theme in SHIPPED if theme.ansi] == [SIXTEEN]


@each_theme
def test_leaves_nothing_out(theme: Theme) -> None:
    assert all(getattr(theme, key) for key in (*REQUIRED, *OPTIONAL))
    assert set(VARIABLES) <= set(theme.variables)


@each_theme
def test_textual_takes_it(theme: Theme) -> None:
    app = App[None]()
    app.register_theme(theme)
    app.theme = theme.name

    taken = app.get_css_variables()
    assert Color.parse(taken["primary"]) == Color.parse(theme.primary)
    assert set(theme.variables) <= set(taken)


@each_measured
@pytest.mark.parametrize("ground", GROUNDS)
def test_text_stands_out(theme: Theme, ground: str) -> None:
    """WCAG 2 asks for 4.5 between text and ground, 3 for marks."""
    made = variables(theme)

    assert contrast(made["foreground"], made[ground]) >= 7
    for mark in ("primary", "accent", "success", "warning", "error", "running", "selected"):
        assert contrast(made[mark], made[ground]) >= 3, mark


def contrast(one: Color, other: Color) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
