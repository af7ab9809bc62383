"""What runs in threads beside the screens: following a run, starting one, looking at the machine and at earlier runs.

Each function takes ``post``, which hands a message to the app and may be called from any thread, and where it can last
``cancelled``, which it asks at least four times a second.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from textual.message import Message

from sdtui import runs
from sdtui.catalog.load import Catalog
from sdtui.model.errors import UserError
from sdtui.settings import Environment
from sdtui.tui.messages import (
    ChoicesFound,
    LaunchRefused,
    MachineSeen,
    PlansFound,
    ResultsFound,
    RunChanged,
    RunLaunched,
)
from sdtui.tui.offers import plan_files
from sdtui.tui.snapshot import CellView
from sdtui.tui.threads import Cancelled

if TYPE_CHECKING:
    from sdtui.tui.views import RunReducer

Post = Callable[[Message], object]

VIEWS_PER_S = 4
"""How often a followed run is shown anew."""
_POLL_S = 0.05
_LOCK_S = 0.5
_READING_S = 0.5
"""How often a run is shown anew whose journal takes so long to read."""
_IDLE_S = 1.0
"""How often a run is shown anew that has no new event: its clocks go on."""
LOOKED_AT = 40
"""How many of the latest runs are searched for results of the cells that are shown."""


def follow(folder: Path, post: Post, cancelled: Cancelled) -> None:
    """Posts views of a run until no supervisor holds it and all that was written is read.

    Raises:
        OSError: The folder cannot be read, or is gone; what was read of it was posted as ``unreadable`` then.
    """
    from sdtui.tui.views import RunReducer

    reducer = RunReducer(folder)
    try:
        _follow(folder, reducer, post, cancelled)
    except OSError:
        if reducer.record.sittings:
            post(RunChanged(reducer.view(time.time(), "unreadable")))
        raise


def _follow(folder: Path, reducer: RunReducer, post: Post, cancelled: Cancelled) -> None:
    tail = runs.Tail(folder)
    shown = asked = 0.0
    held, fresh = True, True
    while not cancelled():
        now = time.monotonic()
        if now - asked >= _LOCK_S or not held:
            asked, held = now, runs.lock_state(folder).held  # asked before the poll, which then reads the last lines
        for stamped in tail.poll():
            reducer.apply(stamped)
            fresh = True
            if cancelled():
                return
            if not shown and time.monotonic() - now >= _READING_S:
                now = time.monotonic()
                post(RunChanged(reducer.view(time.time(), runs.listed(folder).state, tail.share_read)))
        if not held:
            post(RunChanged(reducer.view(time.time(), runs.listed(folder).state)))
            return
        if now - shown >= (1 / VIEWS_PER_S if fresh else _IDLE_S):
            post(RunChanged(reducer.view(time.time(), runs.listed(folder).state)))
            shown, fresh = now, False
        time.sleep(_POLL_S)


def replay(folder: Path, speed: float, post: Post, cancelled: Cancelled) -> None:
    """Posts views of a recorded run as if it were live.

    Args:
        folder: Of the run.
        speed: How many times faster than it was.
        post: Hands over each view.
        cancelled: Whether to end.
    """
    from sdtui.replaying import Replay
    from sdtui.tui.views import RunReducer

    source, reducer = Replay(folder, speed), RunReducer(folder)
    while not cancelled():
        for stamped in source.poll():
            reducer.apply(stamped)
            if cancelled():
                return
        if source.ended:
            post(RunChanged(reducer.view(source.now, runs.listed(folder).state)))
            return
        post(RunChanged(reducer.view(source.now, "running")))
        time.sleep(1 / VIEWS_PER_S)


def launch(source: str, overrides: Mapping[str, Any], runs_dir: Path | None, post: Post) -> None:
    """Starts a run, detached from the dashboard; arguments as of `sdtui.starting.begin`."""
    from sdtui import starting

    try:
        folder = starting.begin(source, overrides, runs_dir)
        starting.start_detached(folder, [])
    except (UserError, starting.StartError) as error:
        post(LaunchRefused(str(error)))
    else:
        post(RunLaunched(folder))


def tune(pipeline: str, source: str, overrides: Mapping[str, Any], runs_dir: Path | None, post: Post) -> None:
    """Starts a run that looks for the fastest mode, detached; arguments as of `sdtui.starting.tuning` and `begin`."""
    from sdtui import starting

    try:
        flags, left_out = starting.tuning(pipeline, overrides, source)
        folder = starting.begin(source, flags, runs_dir)
        starting.start_detached(folder, [])
    except (UserError, starting.StartError) as error:
        post(LaunchRefused(str(error)))
    else:
        post(RunLaunched(folder, is_shown_whole=True, left_out=left_out))


def resume(folder: Path, retry: str | None, post: Post) -> None:
    """Starts a further sitting of a run; arguments as of `sdtui.starting.prepare_resume`."""
    from sdtui import starting

    try:
        arguments = starting.prepare_resume(folder, retry, force=False)
        if arguments is None:
            post(LaunchRefused(f"run {folder.name}: nothing is left to run"))
            return
        starting.start_detached(folder, arguments)
    except (UserError, starting.StartError) as error:
        post(LaunchRefused(str(error)))
    else:
        post(RunLaunched(folder))


def look(device: str, environments: Sequence[str], post: Post, cancelled: Cancelled) -> None:
    """Looks up the machine, the plan's device and its environments, which can take seconds."""
    from sdtui import environments as looking
    from sdtui import settings
    from sdtui.telemetry.machine import describe_machine
    from sdtui.telemetry.nvml import resolve_device

    try:
        gpu = resolve_device(device, os.environ).gpu
        interpreters = looking.resolve(environments, settings.load())
    except UserError as error:
        seen = MachineSeen(describe_machine(None), (), str(error))
    else:
        seen = MachineSeen(describe_machine(gpu), interpreters)
    if not cancelled():
        post(seen)


def find_plans(folder: Path, catalog: Catalog, gpu: bool, post: Post, cancelled: Cancelled) -> None:
    """Posts the plan files of a folder."""
    found = []
    for offer in plan_files(folder, catalog, gpu):
        if cancelled():
            return
        found.append(offer)
    post(PlansFound(tuple(found)))


def find_choices(post: Post, cancelled: Cancelled) -> None:  # noqa: ARG001, nobody waits for it
    """Looks for GPUs that can be used, and for the environments that the settings name."""
    from sdtui import settings
    from sdtui.telemetry.devices import visible
    from sdtui.telemetry.nvml import open_nvml

    nvml = open_nvml()
    gpus = visible(nvml.boards(), os.environ) if nvml else []
    devices = {f"cuda:{index}": gpu.name for index, gpu in enumerate(gpus)}
    environments, problem = {settings.CURRENT: "that sdtui runs in"}, ""
    try:
        environments.update((name, _words(own)) for name, own in settings.load().environments.items())
    except UserError as error:
        problem = str(error)
    post(ChoicesFound(devices, environments, problem))


def _words(environment: Environment) -> str:
    return ", ".join(filter(None, (environment.label, str(environment.python))))


def find_results(runs_dir: Path, post: Post, cancelled: Cancelled) -> None:
    """Posts how the cells of the latest runs ended."""
    found: list[CellView] = []
    for run in runs.list_runs(runs_dir)[-LOOKED_AT:]:
        if cancelled():
            return
        if run.state not in ("unreadable", "empty"):
            found += _endings(run.path)
    if not cancelled():  # by a run's deletion, after which it is asked anew
        post(ResultsFound(tuple(found)))


def _endings(folder: Path) -> list[CellView]:
    """Reads how a run's cells ended; samples are not read."""
    from sdtui.records import RunRecord
    from sdtui.tui.views import finished_view

    record = RunRecord(folder)
    for stamped in runs.Tail(folder, without=runs.SAMPLES).poll():
        record.apply(stamped)
    if record.processes > 1:
        return []
    return [finished_view(record, cell, judged=False) for cell in record.cells.values() if cell.finished]
