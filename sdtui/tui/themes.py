"""Themes: the files that ship and a person's own, and which one to begin with.

A theme is a TOML file of colours. Textual makes more from them (``$text-muted``, ``$footer-background`` …); a file's
``[variables]`` may set any of those, and sdtui's own, which `VARIABLES` lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.console import Console
from textual.color import Color, ColorParseError
from textual.constants import COLOR_SYSTEM
from textual.css.constants import VALID_STYLE_FLAGS
from textual.theme import Theme

from sdtui.catalog.toml_files import read_toml
from sdtui.model.errors import UserError, nearest
from sdtui.settings import Settings

DARK = "sdtui-dark"
"""What the dashboard begins with."""
SIXTEEN = "ansi-16"
"""What it begins with where the terminal has 16 colours or none are wanted: the terminal's own palette."""

REQUIRED = ("primary", "foreground", "background")
OPTIONAL = ("secondary", "accent", "surface", "panel", "boost", "success", "warning", "error")
"""Colours that Textual makes from the others where a theme has none."""

VARIABLES = {
    **{f"speedup-{n}": f"ground of a finished cell, level {n} of 4 by speed-up over no-compile" for n in range(1, 5)},
    **{f"speedup-{n}-text": f"text on speedup-{n}" for n in range(1, 5)},
    "graph": "traces and bars",
    "graph-muted": "axes, marks and what of a graph is past",
    "running": "a cell that is running",
    "selected": "a cell that is selected",
}
"""sdtui's own variables; a theme that leaves one out has it made by `variable_defaults`."""

_LEFT_OUT_BY_TEXTUAL = {
    "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
    "foreground-disabled": "ansi_default",
    "surface-active": "ansi_default",
}
"""What stylesheets of Textual 8.2 name, and it makes for no theme, or not for one of the terminal's own palette."""

_SHARES = (0.14, 0.26, 0.4, 0.56)
"""How much of ``success`` is in the ground of each level of speed-up."""


@dataclass(frozen=True)
class Themes:
    """What there is to choose from.

    Attributes:
        themes: The shipped ones by name, then a person's own.
        chosen: Name of the one to begin with.
        problems: What is wrong with files, one line each.
    """

    themes: tuple[Theme, ...]
    chosen: str
    problems: tuple[str, ...]


def find_themes(settings: Settings, environ: Mapping[str, str]) -> Themes:
    """Reads all themes and chooses one; a mistake in a person's files is told, and the others are there.

    Raises:
        UserError: ``TEXTUAL_COLOR_SYSTEM`` is wrong.
    """
    own = settings.source.parent / "themes"
    themes, problems = load_themes([shipped_folder(), own])
    try:
        chosen = choose_theme(settings, environ, [theme.name for theme in themes])
    except UserError as error:
        chosen = terminal_theme(environ)
        if not (own / f"{settings.theme}.toml").is_file():  # else what is wrong with it has been told
            problems.append(str(error))
    return Themes(tuple(themes), chosen, tuple(problems))


def shipped_folder() -> Path:
    """Returns the folder of the themes that ship: in the package, in a checkout at the top."""
    package = Path(__file__).parents[1]
    packaged = package / "themes"
    return packaged if packaged.is_dir() else package.parent / "themes"


# ----------------------------------------------------------------------------------------------------- choosing one


def choose_theme(settings: Settings, environ: Mapping[str, str], names: Iterable[str]) -> str:
    """Returns the name of the theme to begin with: the settings file's, else `terminal_theme`.

    Raises:
        UserError: There is no theme of the name that the settings file has.
    """
    names = list(names)
    if settings.theme is None:
        return terminal_theme(environ)
    if settings.theme not in names:
        key = f"{settings.source}: dashboard.theme"
        raise UserError(f"{key}: there is no theme '{settings.theme}'; {nearest(settings.theme, names)}")
    return settings.theme


def terminal_theme(environ: Mapping[str, str]) -> str:
    """Returns the name of the theme that suits a terminal.

    Raises:
        UserError: ``TEXTUAL_COLOR_SYSTEM`` is wrong.
    """
    few = colours_of_terminal(environ) in (None, "standard")
    return SIXTEEN if "NO_COLOR" in environ or few else DARK


def colours_of_terminal(environ: Mapping[str, str]) -> str | None:
    """Returns how many colours a terminal has, in Rich's words, whether or not they are wanted.

    Raises:
        UserError: ``TEXTUAL_COLOR_SYSTEM`` is wrong.
    """
    without = {name: value for name, value in environ.items() if name != "NO_COLOR"}
    return Console(color_system=_color_system(), force_terminal=True, _environ=without).color_system


def _color_system() -> Any:
    known = ("auto", "standard", "256", "truecolor")
    if COLOR_SYSTEM not in known:
        raise UserError(f"TEXTUAL_COLOR_SYSTEM: '{COLOR_SYSTEM}' is unknown; {nearest(str(COLOR_SYSTEM), known)}")
    return COLOR_SYSTEM


# -------------------------------------------------------------------------------------------------------- the files


def load_themes(folders: Iterable[Path]) -> tuple[list[Theme], list[str]]:
    """Reads every theme of some folders, those of a folder by name; a folder need not exist.

    Returns:
        The themes, and one line for each file that is wrong.
    """
    themes: dict[str, Theme] = {}
    problems = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                theme = read_theme(path)
                if theme.name in themes:
                    raise UserError(f"{path}: name: there is a theme '{theme.name}' already; choose another name")
            except UserError as error:
                problems.append(str(error))
            else:
                themes[theme.name] = theme
    return list(themes.values()), problems


def read_theme(path: Path) -> Theme:
    """Reads a theme.

    Raises:
        UserError: The file cannot be read, is not TOML, or holds a key or value that is wrong.
    """
    table = read_toml(path)
    known = ("name", "dark", "ansi", "variables", *REQUIRED, *OPTIONAL)
    for key in table:
        if key not in known:
            raise UserError(f"{path}: {key}: unknown key; {nearest(key, known)}")
    for key in ("name", "dark", *REQUIRED):
        if key not in table:
            raise UserError(f"{path}: {key}: is missing")
    if not isinstance(table["name"], str) or not re.fullmatch(r"[\w.+-]+", table["name"]):
        raise UserError(f"{path}: name: a name is letters, digits and . _ + -, such as 'my-theme'")
    for key in ("dark", "ansi"):
        if not isinstance(table.get(key, False), bool):
            raise UserError(f"{path}: {key}: is neither true nor false")
    if not isinstance(table.get("variables", {}), dict):
        raise UserError(f"{path}: variables: is no table")
    for key, value in table.items():
        if key in REQUIRED or key in OPTIONAL:
            _check_colour(f"{path}: {key}", value, table.get("ansi", False))
    for key, value in table.get("variables", {}).items():
        _check_variable(path, key, value, table.get("ansi", False))
    return Theme(**table)


def _check_variable(path: Path, key: str, value: Any, ansi: bool) -> None:
    where = f"{path}: variables.{key}"
    if key not in VARIABLES and key not in _textual_variables():
        raise UserError(f"{where}: unknown key; {nearest(key, _textual_variables() | VARIABLES.keys())}")
    if "-style" not in key:
        colour = re.fullmatch(r"(.+?)( \d{1,3}%)?", value) if isinstance(value, str) else None
        if not (colour and colour[1] == "auto" and colour[2]):
            _check_colour(where, colour[1] if colour else value, ansi)
    elif not isinstance(value, str) or not value or (wrong := set(value.split()) - VALID_STYLE_FLAGS):
        word = min(wrong) if isinstance(value, str) and value else ""
        raise UserError(f"{where}: '{value}' is no text style; {nearest(word, VALID_STYLE_FLAGS)}")


def _check_colour(where: str, value: Any, ansi: bool) -> None:
    forms = "write it as '#7aa2f7', 'rgb(122, 162, 247)', or a name such as 'steelblue' or 'ansi_blue'"
    try:
        colour = Color.parse(value) if isinstance(value, str) else None
    except ColorParseError as error:
        close = f"did you mean '{error.suggested_color}'?" if error.suggested_color else forms
        raise UserError(f"{where}: '{value}' is no colour; {close}") from error
    if colour is None:
        raise UserError(f"{where}: {value} is no colour; {forms}")
    if colour.ansi is not None and not ansi:
        raise UserError(f"{where}: '{value}' is a colour of the terminal's palette; it needs ansi = true")


@cache
def _textual_variables() -> frozenset[str]:
    """Returns what Textual makes from a theme, without the lighter and darker shades."""
    made = Theme("any", primary="#000000").to_color_system().generate()
    return frozenset(name for name in made if not re.search(r"-(lighten|darken)-\d$", name))


# ------------------------------------------------------------------------------------------------------- variables


def variable_defaults(theme: Theme) -> dict[str, str]:
    """Returns variables as they are where a theme does not say: for `App.get_theme_variable_defaults`."""
    return dict(_ansi_defaults() if theme.ansi else _colour_defaults(theme))


def _colour_defaults(theme: Theme) -> Iterator[tuple[str, str]]:
    made = theme.to_color_system().generate()
    ground, success = Color.parse(made["background"]), Color.parse(made["success"])
    for level, share in enumerate(_SHARES, start=1):
        shade = ground.blend(success, share)
        yield f"speedup-{level}", shade.hex
        yield f"speedup-{level}-text", shade.get_contrast_text(1).hex
    yield "graph", made["primary"]
    yield "graph-muted", made["foreground-muted"]
    yield "running", made["accent"]
    yield "selected", made["primary"]


def _ansi_defaults() -> Iterator[tuple[str, str]]:
    for level, ground in enumerate(("ansi_white", "ansi_yellow", "ansi_cyan", "ansi_green"), start=1):
        yield f"speedup-{level}", ground
        yield f"speedup-{level}-text", "ansi_black"
    yield "graph", "ansi_cyan"
    yield "graph-muted", "ansi_default"
    yield "running", "ansi_cyan"
    yield "selected", "ansi_magenta"
    yield from _LEFT_OUT_BY_TEXTUAL.items()
