"""Opens the dashboard from the command line."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from sdtui import runs, settings
from sdtui.catalog.load import load_catalog
from sdtui.telemetry.nvml import gpu_available
from sdtui.tui.app import Dashboard, Opening


def open_dashboard(
    runs_dir: Path | None, run: str | None = None, replay_speed: float | None = None, mouse: bool = True
) -> int:
    """Opens the dashboard and returns the exit status.

    Args:
        runs_dir: ``--runs-dir``.
        run: To open at once; ``None`` opens the matrix.
        replay_speed: Plays that run, so many times faster than it was.
        mouse: Whether the mouse is taken; without it the terminal selects text.

    Raises:
        UserError: A file of the person's, or the run's name, is wrong.
    """
    chosen = settings.load()
    where = settings.runs_dir(runs_dir, chosen)
    folder = runs.find(where, run) if run is not None else None
    opening = Opening(
        where, load_catalog(settings.config_dir()), gpu_available(os.environ), folder, replay_speed, chosen
    )
    app = Dashboard(opening)
    try:
        app.run(mouse=mouse and chosen.mouse)
    except OSError as error:
        if error.errno != errno.EIO:  # the terminal is gone
            raise
    return app.return_code or 0
