"""The themes that ship are ones that Textual takes, and that can be read with all colours and with 256."""

from __future__ import annotations

from itertools import pairwise

import pytest
from rich.color import Color as RichColor
from rich.color import ColorSystem
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
    assert len(SHIPPED) == 7
    assert {theme.dark for theme in SHIPPED} == {True, False}
    assert DARK in {theme.name for theme in SHIPPED}
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
    shades = zip(Color.parse(taken["primary"]).rgb, Color.parse(theme.primary).rgb, strict=True)
    assert all(abs(one - other) <= 1 for one, other in shades), "Textual rounds down"
    assert set(theme.variables) <= set(taken)


MARKS = ("primary", "accent", "success", "warning", "error", "running", "selected")


@each_measured
@pytest.mark.parametrize("ground", GROUNDS)
def test_text_stands_out(theme: Theme, ground: str) -> None:
    """WCAG 2 asks for 4.5 between text and ground, 7 to be good at it, 3 for marks."""
    made = variables(theme)
    least = {"foreground": 7.0, **dict.fromkeys(MARKS, 4.0)}
    assert weaker(made, ground, least) == {}
    assert weaker(in_256(made), ground, {"foreground": 4.5, **dict.fromkeys(MARKS, 3.0)}) == {}


@each_measured
def test_levels_of_speed_up_are_told_apart_and_read(theme: Theme) -> None:
    made = variables(theme)
    ladder = ("background", *LEVELS)
    for colours in (made, in_256(made)):
        assert len({colours[name] for name in ladder}) == 5
        assert all(contrast(colours[level], colours[f"{level}-text"]) >= 4.5 for level in LEVELS)
    lightness = [_luminance(made[name]) for name in ladder]
    assert lightness == sorted(lightness, reverse=not theme.dark), "each is further from the ground"
    assert all(contrast(made[one], made[other]) >= 1.15 for one, other in pairwise(ladder))


@each_measured
def test_lines_and_bars_are_seen_with_256_colours(theme: Theme) -> None:
    made = in_256(variables(theme))
    for name in ("panel", "border", "border-blurred", "graph", "graph-muted"):
        assert made[name] != made["background"], name


def test_high_contrast_is_that() -> None:
    made = variables(next(theme for theme in SHIPPED if theme.name == "high-contrast"))
    for ground in GROUNDS:
        assert weaker(made, ground, dict.fromkeys(("foreground", *MARKS), 7.0)) == {}
    assert all(contrast(made[level], made[f"{level}-text"]) >= 7 for level in LEVELS)
    assert contrast(made["border-blurred"], made["background"]) >= 4.5


def test_the_terminal_s_own_palette_is_all_there_is() -> None:
    """What its colours look like only the terminal knows. Bright ones are greys in some palettes, or the ground."""
    theme = next(theme for theme in SHIPPED if theme.ansi)
    colours = [getattr(theme, key) for key in (*REQUIRED, *OPTIONAL)] + list(theme.variables.values())
    assert all(Color.parse(colour).ansi in range(-1, 8) for colour in colours)
    assert len({theme.variables[level] for level in LEVELS}) == 4
    assert {theme.variables[f"{level}-text"] for level in LEVELS} == {"ansi_black"}


def weaker(colours: dict[str, Color], ground: str, least: dict[str, float]) -> dict[str, float]:
    found = {name: contrast(colours[name], colours[ground]) for name in least}
    return {name: value for name, value in found.items() if value < least[name]}


def in_256(colours: dict[str, Color]) -> dict[str, Color]:
    """What a terminal with 256 colours gets of them, which over SSH is the usual case."""
    found = {}
    for name, colour in colours.items():
        nearest = RichColor.from_rgb(*colour.rgb).downgrade(ColorSystem.EIGHT_BIT)
        found[name] = Color(*nearest.get_truecolor())
    return found


def contrast(one: Color, other: Color) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
