"""The themes that ship are ones that Textual takes, and that can be read."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.color import Color
from textual.theme import Theme

COLOURS = (
    "primary",
    "secondary",
    "accent",
    "foreground",
    "background",
    "surface",
    "panel",
    "success",
    "warning",
    "error",
    "boost",
)
SHIPPED = sorted((Path(__file__).parents[2] / "themes").glob("*.toml"))


@pytest.fixture(params=SHIPPED, ids=lambda path: path.stem)
def theme(request: pytest.FixtureRequest) -> dict[str, Any]:
    table = tomllib.loads(request.param.read_text())
    assert table["name"] == request.param.stem
    return table


def test_one_is_dark_and_one_is_light() -> None:
    assert {tomllib.loads(path.read_text())["dark"] for path in SHIPPED} == {True, False}


def test_has_the_keys_of_a_theme(theme: dict[str, Any]) -> None:
    assert set(theme) == {"name", "dark", "variables", *COLOURS}
    for key in COLOURS:
        Color.parse(theme[key])
    for value in theme["variables"].values():
        Color.parse(value)


def test_textual_takes_it(theme: dict[str, Any]) -> None:
    app = App[None]()
    app.register_theme(Theme(**theme))
    app.theme = theme["name"]

    variables = app.get_css_variables()
    assert Color.parse(variables["primary"]) == Color.parse(theme["primary"])
    assert set(theme["variables"]) <= set(variables)


@pytest.mark.parametrize("ground", ["background", "surface", "panel"])
def test_text_stands_out(theme: dict[str, Any], ground: str) -> None:
    """WCAG 2 asks for 4.5 between text and ground, 3 for marks."""
    below = Color.parse(theme[ground])

    assert _contrast(Color.parse(theme["foreground"]), below) >= 7
    for mark in ("primary", "accent", "success", "warning", "error"):
        assert _contrast(Color.parse(theme[mark]), below) >= 3, mark


def _contrast(one: Color, other: Color) -> float:
    high, low = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: Color) -> float:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
