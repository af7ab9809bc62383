"""Every key of the dashboard: what it is called in the settings file, what it does and where."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from string import punctuation
from typing import Literal, get_args

from textual.binding import Binding, BindingType
from textual.keys import KEY_ALIASES, Keys

from sdtui.model.errors import UserError, near, nearest
from sdtui.settings import Settings

Where = Literal[
    "everywhere",
    "home",
    "runs",
    "comparison",
    "report",
    "cell",
    "presets",
    "options",
    "save",
    "compare",
    "export",
    "themes",
    "confirm",
    "choice",
    "help",
]
"""A screen; ``everywhere`` is what the app itself binds, on all but dialogs."""

SCREENS: tuple[Where, ...] = tuple(each for each in get_args(Where) if each != "everywhere")
_WHOLE = ("home", "runs", "comparison", "report", "cell")
DIALOGS: tuple[Where, ...] = tuple(each for each in SCREENS if each not in _WHOLE)
"""Screens over another one, where of the app's keys only those with priority count."""
LISTS: tuple[Where, ...] = (
    "runs",
    "comparison",
    "presets",
    "options",
    "compare",
    "themes",
    "choice",
    "help",
)
LONG_LISTS: tuple[Where, ...] = ("runs", "comparison", "help")


@dataclass(frozen=True)
class Key:
    """What a key does on some screens.

    Attributes:
        id: Its name in the settings file's ``[keys]``; one id has one key, whatever it does on several screens.
        key: By default: names of Textual's, comma-joined.
        action: Of the screen, or of the app where it counts everywhere.
        words: What the help says of it.
        where: The screens that have it.
        label: What the footer calls it; empty leaves it out.
        priority: Whether it comes before what has the focus.
    """

    id: str
    key: str
    action: str
    words: str
    where: tuple[Where, ...]
    label: str = ""
    priority: bool = False


KEYS = (
    Key("move.up", "up,k", "move(-1, 0)", "move up", ("home",)),
    Key("move.up", "up,k", "move(-1)", "move up", LISTS),
    Key("move.down", "down,j", "move(1, 0)", "move down", ("home",)),
    Key("move.down", "down,j", "move(1)", "move down", LISTS),
    Key("move.left", "left,h", "move(0, -1)", "move left", ("home",)),
    Key("move.left", "left,h", "step(-1)", "take the value before", ("options",)),
    Key("move.left", "left,h", "app.focus_previous", "to the other answer", ("confirm",)),
    Key("move.right", "right,l", "move(0, 1)", "move right", ("home",)),
    Key("move.right", "right,l", "step(1)", "take the next value", ("options",)),
    Key("move.right", "right,l", "app.focus_next", "to the other answer", ("confirm",)),
    Key("move.page-up", "pageup", "page(-1)", "move up a page", LONG_LISTS),
    Key("move.page-down", "pagedown", "page(1)", "move down a page", LONG_LISTS),
    Key("move.first", "home,g", "move(-1000000)", "move to the first", LONG_LISTS),
    Key("move.last", "end,G", "move(1000000)", "move to the last", LONG_LISTS),
    Key("move.up", "up,k", "scroll(0, -1)", "scroll up", ("report",)),
    Key("move.down", "down,j", "scroll(0, 1)", "scroll down", ("report",), "scroll"),
    Key("move.left", "left,h", "scroll(-8, 0)", "scroll to the left", ("report",)),
    Key("move.right", "right,l", "scroll(8, 0)", "scroll to the right: tables are wide", ("report",), "sideways"),
    Key("move.page-up", "pageup", "page(-1)", "scroll up a page", ("report",)),
    Key("move.page-down", "pagedown", "page(1)", "scroll down a page", ("report",)),
    Key("move.up", "up,k", "scroll(-1)", "scroll up", ("cell",)),
    Key("move.down", "down,j", "scroll(1)", "scroll down", ("cell",)),
    Key("move.page-up", "pageup", "page(-1)", "scroll up a page", ("cell",)),
    Key("move.page-down", "pagedown", "page(1)", "scroll down a page", ("cell",)),
    Key("move.first", "home,g", "scroll(-1000000)", "scroll to the top", ("cell",)),
    Key("move.last", "end,G", "scroll(1000000)", "scroll to the end", ("cell",)),
    Key("move.first", "home,g", "scroll(-1000000, -1000000)", "scroll to the top", ("report",)),
    Key("move.last", "end,G", "scroll(0, 1000000)", "scroll to the end", ("report",)),
    Key("select.cell", "space", "select('cell')", "select this cell, or no longer", ("home",), "select"),
    Key("select.cell", "space", "step(1)", "tick this, or take the next value", ("options",)),
    Key("select.row", "a", "select('row')", "select its row: the pipeline in all modes", ("home",)),
    Key("select.column", "A", "select('column')", "select its column: the mode for all pipelines", ("home",)),
    Key("batch.next", "b", "batch", "show the next batch size; after the last one all", ("home",)),
    Key("plan.preset", "p", "presets", "take a preset or a plan file", ("home",), "preset"),
    Key("plan.options", "o", "options", "set the plan's options: scale, device, steps, calls …", ("home",), "options"),
    Key("plan.save", "w", "save_plan", "save the selection as a plan file", ("home",)),
    Key("options.take", "enter", "take", "take these options", ("options",), "take", True),
    Key("options.reset", "ctrl+r", "reset", "take the plan's own values again", ("options",), "plan's own values"),
    Key("options.next", "tab", "move(1)", "move down", ("options",)),
    Key("options.previous", "shift+tab", "move(-1)", "move up", ("options",)),
    Key("run.start", "r", "run", "measure what is selected, else this cell", ("home",), "run"),
    Key("run.tune", "T", "tune", "find the fastest mode for this pipeline at this batch size, after asking", ("home",)),
    Key("run.skip", "s", "skip", "skip this cell, or else the one that is running", ("home",)),
    Key("run.cancel", "x", "cancel", "cancel the run, after asking", ("home",)),
    Key("live.toggle", "f,tab", "live", "show or hide the live panel", ("home",)),
    Key("cell.open", "enter", "open_cell", "open this cell: calls, steps, telemetry, log, image", ("home",)),
    Key("compare", "c", "compare", "compare with a reference GPU or another run", ("home",), "compare"),
    Key("compare", "c", "back", "go back to the runs", ("comparison",)),
    Key("swap", "s", "swap", "compare the other way round", ("comparison",), "swap A and B"),
    Key("export", "e", "export", "export the report, or copy its tables", ("home",), "export"),
    Key("runs.open", "R", "runs", "list all runs", ("home",), "runs"),
    Key("runs.open", "R", "back", "go back to the matrix", ("runs",)),
    Key("run.open", "enter", "open", "open this run in the matrix", ("runs",), "open"),
    Key("run.follow", "f", "follow", "follow this run while it goes on", ("runs",)),
    Key("run.resume", "u", "resume", "resume it: measure the cells that are not done", ("runs",), "resume"),
    Key("run.mark", "space", "mark", "mark it, for comparing two", ("runs",), "mark"),
    Key("compare", "c", "compare", "compare the two marked runs", ("runs",), "compare"),
    Key("run.report", "v", "report", "preview its report", ("runs",), "report"),
    Key("run.cancel", "x", "cancel", "cancel this run, after asking", ("runs",)),
    Key("run.delete", "d,delete", "delete", "delete it, after asking", ("runs",)),
    Key("run.report", "v", "back", "go back to the runs", ("report",)),
    Key("filter", "slash", "filter", "show only rows or columns that hold a text", ("home",)),
    Key("filter", "slash", "filter", "show only runs that hold a text", ("runs",)),
    Key("tab.next", "right,l,tab", "tab(1)", "show the next tab", ("cell",), "next tab"),
    Key("tab.previous", "left,h,shift+tab", "tab(-1)", "show the previous tab", ("cell",)),
    Key("cell.zoom", "z", "zoom", "telemetry of the measured calls alone, or of the whole cell", ("cell",), "zoom"),
    Key("cell.stage", "s", "stage", "steps of the next stage", ("cell",)),
    Key("cell.process", "p", "process", "samples of the next process", ("cell",)),
    Key("cell.reload", "r", "reload", "read the cell again", ("cell",), "read again"),
    Key("copy", "y", "copy_script", "copy the cell's script", ("cell",), "copy script"),
    Key("copy", "y", "copy", "copy the tables to the terminal's clipboard", ("export",), "copy tables"),
    Key("answer.yes", "y", "answer(True)", "yes", ("confirm",), "yes"),
    Key("answer.no", "n", "answer(False)", "no", ("confirm",), "no"),
    Key("back", "escape", "back", "take the filter away", ("home",)),
    Key("back", "escape", "back", "go back", ("runs", "comparison", "report", "cell", *DIALOGS), "back"),
    Key("theme.next", "t", "themes", "choose a theme", ("everywhere",)),
    Key("theme.next", "t", "move(1)", "show the next theme", ("themes",)),
    Key("palette", "ctrl+p", "command_palette", "find an action, theme or run by name", ("everywhere",), "", True),
    Key("help", "question_mark", "help", "list the keys of this screen", ("everywhere",), "help"),
    Key("help", "question_mark", "back", "go back", ("help",)),
    Key("quit", "q", "quit", "leave; a run goes on", ("everywhere",), "quit"),
    Key("quit", "q", "back", "go back", DIALOGS),
)
"""In the order in which the help and the footer list them."""

RESERVED = {"ctrl+c": "copies, or asks how to leave", "ctrl+q": "always leaves"}
"""What Textual itself binds everywhere, and what for."""

_MODIFIERS = ("alt", "ctrl", "hyper", "meta", "shift", "super")
"""In the order in which Textual names them."""
_MARKS = {mark: each.key for mark in punctuation if mark != "," for each in Binding.make_bindings([(mark, "")])}
"""Names of the keys that write punctuation."""
_NAMES = frozenset(key.value for key in Keys if key.value.isalnum()) - {"return"} | {"comma", *_MARKS.values()}
"""Of all keys that are not letters or digits."""


def bindings(where: Where) -> list[BindingType]:
    """Returns what a screen, or with ``everywhere`` the app, binds: its ``BINDINGS``; tooltips are what help says."""
    return [
        Binding(
            key.key,
            key.action,
            key.label or key.words,
            show=bool(key.label),
            priority=key.priority,
            tooltip=key.words,
            id=key.id,
        )
        for key in KEYS
        if where in key.where
    ]


def checked_keymap(settings: Settings) -> dict[str, str]:
    """Returns the keys that a person chose, by id, for `textual.app.App.set_keymap`.

    Raises:
        UserError: Ids that are unknown, keys that are none, and keys that do two things on one screen; all of them.
    """
    problems, keymap = [], {}
    for name, text in settings.keys.items():
        if name not in {each.id for each in KEYS}:
            problems.append(f"keys.{name}: unknown key; {nearest(name, {each.id for each in KEYS})}")
            continue
        names = [part.strip() for part in text.split(",")]
        wrong = [f"keys.{name}: {words}" for part in names if (words := _mistake(part))]
        problems += wrong
        if not wrong:
            keymap[name] = ",".join(names)
    problems += _clashes(keymap)
    if problems:
        raise UserError(f"{settings.source}: " + "; ".join(problems))
    return keymap


def _mistake(key: str) -> str:
    """Says what is wrong with a key; nothing where it is one."""
    if not key:
        return "must not be empty; a key is one such as 'x', 'f5' or 'ctrl+r', and the comma is 'comma'"
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    lower = {each.lower() for each in modifiers}
    if unknown := sorted(lower.difference(_MODIFIERS)):
        return f"'{key}' is no key: nothing is called '{unknown[0]}+'; {nearest(unknown[0], _MODIFIERS)}"
    if last not in _NAMES and not (len(last) == 1 and last.isprintable()):
        close = near(last.lower(), _NAMES)
        return f"'{key}' is no key; " + (
            f"did you mean '{close}'?" if close else "a key is one such as 'f5' or 'ctrl+r'"
        )
    if lower == {"shift"} and len(last) == 1:
        arrives = last.upper()
    elif lower:
        shift = {"shift"} if len(last) == 1 and last.isupper() else set()
        arrives = "+".join([*sorted(lower | shift), _MARKS.get(last, last.lower())])
    else:
        arrives = last
    return "" if key == arrives else f"'{key}' never arrives as such; write '{arrives}'"


def _clashes(keymap: Mapping[str, str]) -> list[str]:
    """Says of each key that a person chose what else it does on the same screen."""
    reserved: dict[str, str] = {}
    also: dict[tuple[str, str], dict[str, Where]] = {}
    for screen in SCREENS:
        taken: dict[str, str] = {}
        for each in (each for each in KEYS if _counts(each, screen)):
            for key in _arriving(keymap.get(each.id, each.key)):
                if key in RESERVED:
                    reserved[each.id] = f"keys.{each.id}: '{key}' {RESERVED[key]}"
                other = taken.setdefault(key, each.id)
                if other != each.id:
                    chosen, had = (each.id, other) if each.id in keymap else (other, each.id)
                    also.setdefault((chosen, key), {}).setdefault(had, screen)
    return [*reserved.values(), *(_clash(chosen, key, had) for (chosen, key), had in also.items())]


def _clash(chosen: str, key: str, had: Mapping[str, Where]) -> str:
    names = ", ".join(f"{name} on the {screen} screen" for name, screen in had.items())
    return f"keys.{chosen}: '{key}' is also {names}; give {'that' if len(had) == 1 else 'each of them'} another key too"


def _counts(key: Key, screen: Where) -> bool:
    return screen in key.where or ("everywhere" in key.where and (key.priority or screen not in DIALOGS))


def _arriving(keys: str) -> Iterator[str]:
    """Yields one name for each key: a terminal sends the same for ``tab`` and ``ctrl+i``, and ``?`` has a name."""
    same = {alias: key for key, aliases in KEY_ALIASES.items() for alias in aliases}
    for binding in Binding.make_bindings([(keys, "")]):
        yield same.get(binding.key, binding.key)
