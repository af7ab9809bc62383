"""Opens the dashboard from the command line."""

from __future__ import annotations

import errno
import gc
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sdtui import runs, settings
from sdtui.model.errors import UserError
from sdtui.telemetry.nvml import gpu_available

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard


def open_dashboard(runs_dir: Path | None, mouse: bool = True) -> int:
    """Opens the matrix, and returns the exit status.

    Args:
        runs_dir: ``--runs-dir``.
        mouse: Whether the mouse is taken; without it the terminal selects text.

    Raises:
        UserError: There is no terminal, or a file of the person's is wrong.
    """
    _need_terminal()
    return _open(runs_dir, None, None, mouse)


def attach(name: str | None, runs_dir: Path | None, mouse: bool) -> int:
    """Opens the dashboard on a run; as `open_dashboard`, but also where a mode or pipeline of the person's is wrong.

    Args:
        name: Of the run; ``None`` is the latest that goes on, or where none does the latest.
        runs_dir: ``--runs-dir``.
        mouse: Whether the mouse is taken.

    Raises:
        UserError: There is no terminal, no such run, or none at all.
    """
    _need_terminal()
    where = settings.runs_dir(runs_dir)
    return _open(runs_dir, runs.find(where, name) if name is not None else _latest(where), None, mouse)


def replay(name: str, speed: float, runs_dir: Path | None, mouse: bool) -> int:
    """Opens the dashboard on a run that is played as if it were live; as `attach`.

    Args:
        name: Of the run.
        speed: How many times faster than it was.
        runs_dir: ``--runs-dir``.
        mouse: Whether the mouse is taken.

    Raises:
        UserError: There is no terminal, or no such run.
    """
    _need_terminal()
    return _open(runs_dir, runs.find(settings.runs_dir(runs_dir), name), speed, mouse)


def _need_terminal() -> None:
    """Refuses to draw where nobody would see it, or where nobody could type."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stderr)):
        raise UserError("the dashboard needs a terminal; without one, 'sdtui run' measures and 'sdtui watch' follows")


def _latest(where: Path) -> Path:
    from sdtui.tui.run_list import RunList

    live = RunList(where).look_at_live()
    return live[0].folder if live else runs.find(where, "last")


def _open(runs_dir: Path | None, run: Path | None, replay_speed: float | None, mouse: bool) -> int:
    chosen = settings.load()
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the start, and of the end
    app = _make(settings.runs_dir(runs_dir, chosen), chosen, run, replay_speed)
    gc.freeze()
    gc.enable()
    try:
        app.run(mouse=mouse and chosen.mouse)
        _say_what_goes_on(app, f" --runs-dir {shlex.quote(str(runs_dir))}" if runs_dir else "")
    except OSError as error:
        if error.errno != errno.EIO:  # the terminal is gone
            raise
    return app.return_code or 0


def _make(where: Path, chosen: settings.Settings, run: Path | None, replay_speed: float | None) -> Dashboard:
    from sdtui.catalog.load import load_catalog
    from sdtui.tui.app import Dashboard, Opening
    from sdtui.tui.protocols import image_widget

    problem = ""
    try:
        catalog = load_catalog(settings.config_dir())
    except UserError as error:
        if run is None:
            raise
        catalog, problem = load_catalog(), str(error)
    images = image_widget(chosen, os.environ)
    return Dashboard(Opening(where, catalog, gpu_available(os.environ), run, replay_speed, chosen, images, problem))


def _say_what_goes_on(app: Dashboard, where: str) -> None:
    """Says how to come back to the runs that this dashboard started or followed and that go on without it."""
    for folder in app.followed:
        if runs.lock_state(folder).held:
            name = runs.short(folder)
            lines = (
                f"run {name} goes on:",
                f"  sdtui attach {name}{where}    comes back to it",
                f"  sdtui cancel {name}{where}    ends it",
            )
            sys.stderr.writelines(f"{line}\n" for line in lines)
