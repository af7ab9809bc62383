"""What runs in threads for the runs: listing them, asking their supervisors, deleting.

Each function takes ``post`` and ``cancelled`` as those of `sdtui.tui.bridge` do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from rich.style import Style

from sdtui.model.errors import UserError
from sdtui.tui.bridge import Post
from sdtui.tui.messages import LiveRunsFound, PageLaidOut, ReportRead, RunDeleted, RunsCompared, RunsListed, Told
from sdtui.tui.run_list import RunList
from sdtui.tui.threads import Cancelled

LOOK_S = 2.0
"""How often the list is looked at again."""
_POLL_S = 0.1


def watch_list(runs_dir: Path, post: Post, cancelled: Cancelled) -> None:
    """Posts the runs of a directory, and again whenever one has changed."""
    runs, shown = RunList(runs_dir), None
    while not cancelled():
        try:
            lines = runs.look()
        except UserError as error:
            post(Told(str(error), "error"))
            return
        if lines != shown:
            post(RunsListed(lines))
            shown = lines
        due = time.monotonic() + LOOK_S
        while time.monotonic() < due and not cancelled():
            time.sleep(_POLL_S)


def find_live(runs_dir: Path, post: Post) -> None:
    """Posts the runs that go on, where there are some."""
    try:
        lines = RunList(runs_dir).look_at_live()
    except UserError as error:
        post(Told(str(error), "error"))
        return
    if lines:
        post(LiveRunsFound(lines))


def cancel(folder: Path, post: Post) -> None:
    """Asks a run's supervisor to end it."""
    from sdtui.supervisor.control import request_cancel

    try:
        asked = request_cancel(folder)
    except UserError as error:
        post(Told(str(error), "error"))
    else:
        post(Told(f"run {folder.name}: asked to end" if asked else f"run {folder.name}: is not running"))


def skip(folder: Path, cell: str, slot: str, post: Post) -> None:
    """Asks a run's supervisor to leave a cell out, which ``slot`` names for a person."""
    from sdtui.supervisor.control import request_skip

    try:
        asked = request_skip(folder, cell)
    except UserError as error:
        post(Told(str(error), "error"))
    else:
        post(Told(f"{slot} will be skipped" if asked else f"run {folder.name}: is not running"))


def delete(folder: Path, post: Post) -> None:
    """Deletes a run."""
    from sdtui import deleting

    try:
        deleting.delete(folder)
    except UserError as error:
        post(Told(str(error), "error"))
    except OSError as error:
        post(Told(f"run {folder.name}: {error.filename}: {error.strerror}", "error"))
    else:
        post(RunDeleted(folder))


def read_report(folder: Path, post: Post, cancelled: Cancelled) -> None:
    """Writes a run's report as it is now, for the screen."""
    from sdtui import runs
    from sdtui.report.markdown import markdown

    try:
        written = markdown([runs.read(folder, cancelled)])
    except runs.ReadCancelledError:
        return
    except UserError as error:
        post(Told(str(error), "error"))
    else:
        post(ReportRead(written))


def lay_out_page(markdown: str, width: int, styles: Mapping[str, Style], unicode: bool, post: Post) -> None:
    """Lays a document out; arguments as of `sdtui.tui.pages.lay_out`."""
    from sdtui.tui.pages import lay_out

    post(PageLaidOut(lay_out(markdown, width, styles, unicode)))


def compare(a: Path, b: Path, post: Post, cancelled: Cancelled) -> None:
    """Compares two runs."""
    from sdtui import runs
    from sdtui.report.compare import compare_runs

    try:
        comparison = compare_runs(runs.read(a, cancelled), runs.read(b, cancelled))
    except runs.ReadCancelledError:
        return
    except UserError as error:
        post(Told(str(error), "error"))
    else:
        post(RunsCompared(comparison))
