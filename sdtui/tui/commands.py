"""What the command palette finds: what the keys of the screen in use do, every theme, every run."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.app import SystemCommand
from textual.command import Hit, Hits, Provider
from textual.screen import Screen

from sdtui import runs
from sdtui.model.errors import UserError
from sdtui.tui.active_keys import active_keys

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard

_NOT_IN_IT = ("palette", "move", "back")
"""First words of the ids of keys that make no sense there."""


def commands(app: Dashboard, screen: Screen[Any]) -> Iterator[SystemCommand]:
    """Yields what keys do on a screen, and the themes."""
    for row in active_keys(screen.active_bindings, app.get_key_display):
        if row.enabled and row.id.split(".")[0] not in _NOT_IN_IT:
            run = partial(app.run_action, row.action, row.node)
            yield SystemCommand(row.words[0].upper() + row.words[1:], f"key {row.keys}", run)
    for name in app.available_themes:
        yield SystemCommand(f"Theme {name}", "take this theme", partial(app.take_theme, name))


class Runs(Provider):
    """Finds runs by any part of their id; they are not listed before something is typed."""

    _folders: tuple[Path, ...] = ()

    async def startup(self) -> None:
        """Reads the names, beside the event loop: the directory may be on a slow disk."""
        self._folders = await asyncio.to_thread(_newest_first, cast("Dashboard", self.app).opening.runs_dir)

    async def search(self, query: str) -> Hits:
        """Yields the runs that match."""
        matcher = self.matcher(query)
        for folder in self._folders:
            name = f"Run {folder.name}"
            if (score := matcher.match(name)) > 0:
                open_run = partial(cast("Dashboard", self.app).show_run, folder)
                yield Hit(score, matcher.highlight(name), open_run, text=name, help="open this run in the matrix")


def _newest_first(runs_dir: Path) -> tuple[Path, ...]:
    try:
        return tuple(runs_dir / name for name in reversed(runs.names(runs_dir)))
    except UserError:  # the list of runs says what is wrong with the directory
        return ()
