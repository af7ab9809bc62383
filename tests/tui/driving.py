"""The dashboard over recorded runs, as a person drives it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from drawn import text_of
from textual.pilot import Pilot

from sdtui import settings
from sdtui.catalog.load import load_catalog
from sdtui.settings import Settings
from sdtui.tui.app import Dashboard, Opening
from sdtui.tui.widgets.drawing import Drawing

PROJECT = Path(__file__).parents[2]
RECORDED = PROJECT / "tests" / "fixtures" / "runs"
RESULTS = PROJECT / "docs" / "results"
DOCS = RECORDED / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
SMOKE = RECORDED / "20261124T230016Z-vm-h100-80gb-hbm3-e6c54d"
TINY = RECORDED / "20261124T231027Z-vm-epyc-fa50b5"
SIX_CELLS = RESULTS / "2026-11-24-h100-docs-batch-1"

DEADLINE_S = 60.0


def dashboard(follow: Path | None = DOCS, runs_dir: Path = Path("none"), notify: bool = True) -> Dashboard:
    """Opens a run, or none."""
    own = Settings(settings.config_dir() / settings.SETTINGS, notify=notify)
    return Dashboard(Opening(runs_dir, load_catalog(settings.config_dir()), gpu=True, follow=follow, settings=own))


async def until(pilot: Pilot[None], condition: Callable[[], object], otherwise: str) -> None:
    """Waits for something that a thread brings about."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        await pilot.pause(0.005)


async def opened(app: Dashboard, pilot: Pilot[None]) -> None:
    """Waits until the run is shown, or the results of earlier ones."""
    await until(pilot, lambda: app.run_view or app.results, "nothing is shown")
    await settle(app, pilot)


async def settle(app: Dashboard, pilot: Pilot[None], *keys: str) -> None:
    """Presses keys, each with what threads make of it."""
    for key in (None, *keys):
        if key:
            await pilot.press(key)
        for _ in range(2):  # what a thread posts may begin another
            await app.workers.wait_for_complete()
            read = asyncio.Event()
            app.call_later(read.set)
            await read.wait()
            await pilot.pause()


def notices(app: Dashboard) -> list[str]:
    """Returns what toasts say."""
    return [notice.message for notice in app._notifications]


def shown(app: Dashboard, selector: str) -> str:
    """Returns what a label or a block of lines says; of a drawing, as one paragraph."""
    widget = app.screen.query_one(selector)
    return " ".join(" ".join(text_of(widget)).split()) if isinstance(widget, Drawing) else str(widget.render())
