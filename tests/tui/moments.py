"""Recorded runs as they stood at some moment."""

from __future__ import annotations

import time
from functools import cache
from pathlib import Path

import recorded
from recorded import FIXTURES, RESULTS

from sdtui import runs
from sdtui.tui.snapshot import RunView
from sdtui.tui.views import RunReducer

DOCS = FIXTURES / recorded.DOCS
TINY = FIXTURES / recorded.TINY
BATCH_1 = RESULTS / "2026-11-24-h100-docs-batch-1"

_EVERY_S = 0.5


@cache
def view_at(folder: Path, seconds: float) -> RunView:
    """Returns a run so many seconds after it began, having been watched since, twice a second."""
    reducer = RunReducer(folder)
    began = watched = 0.0
    for stamped in runs.Tail(folder).poll():
        began = began or stamped.t
        watched = watched or began
        if stamped.t - began > seconds:
            break
        while stamped.t > watched:
            reducer.view(watched, "running")
            watched += _EVERY_S
        reducer.apply(stamped)
    return reducer.view(began + seconds, "running")


def read_view(folder: Path) -> RunView:
    """Returns a run as it ended."""
    reducer = RunReducer(folder)
    for stamped in runs.Tail(folder).poll():
        reducer.apply(stamped)
    return reducer.view(time.time(), runs.listed(folder).state)
