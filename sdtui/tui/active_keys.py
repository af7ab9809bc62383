"""What keys do on the screen in use, as they are bound now: for the help and the command palette."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from textual.app import App
from textual.binding import ActiveBinding, Binding
from textual.dom import DOMNode
from textual.screen import Screen

from sdtui.tui.keys import KEYS

_ORDER = {(key.id, key.action): place for place, key in enumerate(KEYS)}
_LEFT_OUT = ("app.focus_next", "app.focus_previous")
"""What Textual binds on every screen and ours have no use for."""


@dataclass(frozen=True)
class ActiveKeys:
    """What some keys do now.

    Attributes:
        id: As in the settings file; empty where Textual binds it.
        keys: As they are written on a keyboard, with spaces between.
        words: What they do.
        action: Run on ``node``.
        node: The screen, or the app.
        enabled: Whether they do it now.
    """

    id: str
    keys: str
    words: str
    action: str
    node: DOMNode
    enabled: bool


def active_keys(active: Mapping[str, ActiveBinding], written: Callable[[Binding], str]) -> list[ActiveKeys]:
    """Returns what is bound, each action once, in the order of `sdtui.tui.keys.KEYS`; Textual's own come last.

    Args:
        active: `textual.screen.Screen.active_bindings`.
        written: `textual.app.App.get_key_display`.
    """
    found: dict[tuple[str, str], ActiveKeys] = {}
    for each in active.values():
        binding = each.binding
        place = (binding.id or "", binding.action)
        if place not in _ORDER and (not isinstance(each.node, (App, Screen)) or binding.action in _LEFT_OUT):
            continue  # a widget's own, such as those that edit text
        keys, words = written(binding), binding.tooltip if place in _ORDER else binding.description.lower()
        if place not in found and words:
            found[place] = ActiveKeys(place[0], keys, words, binding.action, each.node, each.enabled)
        elif place in _ORDER:
            found[place] = replace(found[place], keys=f"{found[place].keys} {keys}")
    return sorted(found.values(), key=lambda each: _ORDER.get((each.id, each.action), len(KEYS)))


_GROUPS = {
    "Move": ("move", "tab"),
    "Choose": ("select", "batch", "plan", "options", "filter", "swap", "answer"),
    "Run": ("run", "live"),
    "Look": ("cell", "compare", "export", "runs", "copy"),
    "Everywhere": ("theme", "palette", "help", "back", "quit", ""),
}
"""Groups of the help, by the first word of ids."""


def grouped(rows: Iterable[ActiveKeys]) -> dict[str, list[ActiveKeys]]:
    """Returns keys by the title of their group, without groups that are empty."""
    titles = {word: title for title, words in _GROUPS.items() for word in words}
    found: dict[str, list[ActiveKeys]] = {title: [] for title in _GROUPS}
    for row in rows:
        found[titles[row.id.split(".")[0]]].append(row)
    return {title: rows for title, rows in found.items() if rows}
