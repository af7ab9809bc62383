"""Recorded runs in a directory of a test's own, and the dashboard over them."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from textual.pilot import Pilot

from sdtui import settings
from sdtui.catalog.load import load_catalog
from sdtui.tui.app import Dashboard, Opening

ROOT = Path(__file__).parents[2]
FIXTURES = ROOT / "tests" / "fixtures" / "runs"
RESULTS = ROOT / "docs" / "results"
SMOKE = "20261124T230016Z-vm-h100-80gb-hbm3-e6c54d"
DOCS = "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
TINY = "20261124T231027Z-vm-epyc-fa50b5"
CANCELLED = "20261125T025710Z-vm-h100-80gb-hbm3-d808e2"
DEADLINE_S = 20.0


def copy_runs(runs_dir: Path) -> Path:
    """Fills a directory with four recorded runs: two that ended ok, one incomplete, one cancelled."""
    for name in (SMOKE, DOCS, TINY):
        shutil.copytree(FIXTURES / name, runs_dir / name)
    shutil.copytree(RESULTS / "2026-11-25-h100-processes", runs_dir / CANCELLED)
    return runs_dir


def open_over(runs_dir: Path, follow: Path | None = None) -> Dashboard:
    """Makes a dashboard on a machine that has a GPU."""
    return Dashboard(Opening(runs_dir, load_catalog(settings.config_dir()), gpu=True, follow=follow))


async def until(pilot: Pilot[None], condition: Callable[[], object], otherwise: str) -> None:
    """Waits for what a thread does."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        await pilot.pause(0.01)
