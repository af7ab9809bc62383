"""Recorded runs in a directory of a test's own, and the dashboard over them."""

from __future__ import annotations

import shutil
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from textual.app import App
from textual.pilot import Pilot

from sdtui import locks, runs, settings
from sdtui.catalog.load import load_catalog
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.screens.runs import Runs

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
    chosen = settings.load()
    return Dashboard(Opening(runs_dir, load_catalog(settings.config_dir()), gpu=True, follow=follow, settings=chosen))


async def until(pilot: Pilot[None], condition: Callable[[], object], otherwise: str) -> None:
    """Waits for what a thread does."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        await pilot.pause(0.01)


@asynccontextmanager
async def listed(runs_dir: Path, size: tuple[int, int] = (80, 24)) -> AsyncIterator[tuple[Pilot[None], Runs]]:
    """Opens the screen and waits until it has looked."""
    app = open_over(runs_dir)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        await pilot.press("R")
        screen = app.screen
        assert isinstance(screen, Runs)
        await until(pilot, lambda: screen.lines is not None, "no list came")
        await pilot.pause()
        yield pilot, screen


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Holds a run as its supervisor does, which the signal that comes with a request wakes."""
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    lock = locks.Lock(folder / runs.LOCK)
    assert lock.acquire("run")
    try:
        yield
    finally:
        lock.release()
        signal.signal(signal.SIGUSR1, before)


def said(app: App[object]) -> list[str]:
    """Returns what toasts say."""
    return [notification.message for notification in app._notifications]


def run_of(pilot: Pilot[None]) -> str:
    """Returns the name of the run that the matrix shows."""
    app = pilot.app
    assert isinstance(app, Dashboard)
    return app.run_view.folder.name if app.run_view else ""
