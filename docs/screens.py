"""Draws the README's screens from a run that was recorded on a real GPU: docs/screens/*.svg.

    python docs/screens.py

The run is docs/results/2026-11-28-h200-docs-sd: the Stable Diffusion pipelines of the page on an H200.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.pop("NO_COLOR", None)
os.environ["TERM"] = "xterm-256color"  # which textual and the choice of theme read
os.environ["TZ"] = "UTC"
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from sdtui.catalog.load import load_catalog  # noqa: E402
from sdtui.replaying import Replay  # noqa: E402
from sdtui.tui.app import Dashboard, Opening  # noqa: E402
from sdtui.tui.bridge import VIEWS_PER_S  # noqa: E402
from sdtui.tui.messages import RunChanged  # noqa: E402
from sdtui.tui.snapshot import RunView  # noqa: E402
from sdtui.tui.views import RunReducer  # noqa: E402

RESULTS = ROOT / "docs" / "results"
RUN = RESULTS / "2026-11-28-h200-docs-sd"
OUT = ROOT / "docs" / "screens"
_BRAILLE = re.compile("(?<=>)[^<]*[\u2801-\u28ff][^<]*")


def view_at(folder: Path, seconds: float) -> RunView:
    """Returns a run as a dashboard shows it that has replayed so many seconds of it."""
    clock = 0.0
    replay, reducer = Replay(folder, clock=lambda: clock), RunReducer(folder)
    while True:
        for stamped in replay.poll():
            reducer.apply(stamped)
        view = reducer.view(replay.now, "running")
        if clock >= seconds:
            return view
        clock += 1 / VIEWS_PER_S


async def draw(name: str, size: tuple[int, int], keys: Sequence[str] = (), seconds: float | None = None) -> None:
    """Draws one screen.

    Args:
        name: Of the file.
        size: Columns and rows.
        keys: Pressed before.
        seconds: How far the run is; ``None`` shows it as it ended.
    """
    app = Dashboard(Opening(RESULTS, load_catalog(), gpu=True, follow=RUN))
    async with app.run_test(size=size) as pilot:
        while app.run_view is None:
            await pilot.pause(0.05)
        if seconds is not None:
            app.post_message(RunChanged(view_at(RUN, seconds)))
        for key in keys:
            await pilot.press(key)
            await app.workers.wait_for_complete()
        await pilot.pause()
        OUT.mkdir(exist_ok=True)
        (OUT / f"{name}.svg").write_text(_BRAILLE.sub(_spaced, app.export_screenshot()), encoding="utf-8")
        print(OUT / f"{name}.svg")


def _spaced(found: re.Match[str]) -> str:
    """Makes spaces between braille as wide as braille is, whatever font has the one and lacks the other."""
    return found[0].replace("&#160;", "\N{BRAILLE PATTERN BLANK}")


async def main() -> None:
    """Draws all of them."""
    await draw("live", (120, 36), ["right"], seconds=281.3)
    await draw("matrix", (100, 26), ["right"])
    await draw("cell", (100, 32), ["right", "enter", "tab", "tab", "tab"])
    await draw("compare", (100, 26), ["right", "c", "down", "enter"])


if __name__ == "__main__":
    asyncio.run(main())
