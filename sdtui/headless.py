"""Starts, resumes and watches runs from the command line: a detached supervisor with a follower in front."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from sdtui import runs, settings
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.follow import follow
from sdtui.model.errors import UserError, nearest
from sdtui.model.results import STATUSES
from sdtui.report.markdown import tables_markdown
from sdtui.supervisor.control import request_cancel
from sdtui.supervisor.launch import start_supervisor
from sdtui.supervisor.limits import RESERVE_BYTES
from sdtui.supervisor.prepare import prepare, prepare_plan, refuse_differences
from sdtui.telemetry.nvml import resolve_device

INTERRUPTED = 130
_STARTUP_S = 60.0


def run(source: str | None, overrides: Mapping[str, Any], runs_dir: Path | None, detach: bool) -> int:
    """Makes a run of a plan and follows it.

    Args:
        source: Preset, plan file, or ``None``.
        overrides: Flags by plan key.
        runs_dir: ``--runs-dir``.
        detach: Return once the supervisor is started.

    Returns:
        The exit status.

    Raises:
        UserError: Something that was asked for is wrong; nothing was written.
    """
    where = settings.runs_dir(runs_dir)
    plan = resolve_plan(load_catalog(settings.config_dir()), source, overrides, _gpu_available())
    sitting = prepare_plan(plan)
    folder = runs.create(where, sitting.machine.device_name, sitting.machine.host, plan_to_toml(plan))
    return _start(folder, [], 1, detach)


def resume(name: str, retry: str | None, force: bool, runs_dir: Path | None, detach: bool) -> int:
    """Starts a further sitting of a run and follows it; as `run`.

    Raises:
        UserError: The run is running, was made on another machine or with other versions, or is not to be found.
    """
    folder = runs.find(settings.runs_dir(runs_dir), name)
    statuses = _statuses(retry)
    state = runs.lock_state(folder)
    if state.held and (state.evidence == "lock" or not force):
        how = f", by a heartbeat {state.age_s:.0f} s old; resume with --force" if state.age_s is not None else ""
        raise UserError(f"run {folder.name}: is running (held by {state.holder}{how}); follow it with 'sdtui watch'")
    record = runs.read(folder)
    sitting = prepare(folder / runs.PLAN)
    if not force:
        refuse_differences(record, sitting)
    arguments = ["--retry", ",".join(statuses)] if statuses else []
    return _start(folder, arguments, len(record.sittings) + 1, detach)


def watch(name: str, runs_dir: Path | None) -> int:
    """Follows a run until it ends; an interrupt leaves it going."""
    folder = runs.find(settings.runs_dir(runs_dir), name)
    sitting = len(runs.read(folder).sittings)
    try:
        return _follow(folder, lambda: runs.lock_state(folder).held, max(1, sitting))
    except KeyboardInterrupt:
        print(f"run {folder.name} goes on; end it with 'sdtui cancel {folder.name}'", file=sys.stderr)
        return INTERRUPTED


def _start(folder: Path, arguments: list[str], sitting: int, detach: bool) -> int:
    supervisor = start_supervisor(folder, arguments)
    if detach:
        return _leave(folder, supervisor)

    def alive() -> bool:
        return supervisor.poll() is None

    try:
        return _follow(folder, alive, sitting)
    except KeyboardInterrupt:
        return _interrupted(folder, supervisor, alive, sitting)


def _leave(folder: Path, supervisor: subprocess.Popen[bytes]) -> int:
    """Returns once the supervisor holds its run, so that whoever watches or cancels it next finds it running."""
    while supervisor.poll() is None and not runs.lock_state(folder).held:
        time.sleep(0.02)
    if supervisor.returncode not in (None, 0, 1):
        print(f"run {folder.name}: did not start; {_last_words(folder)}", file=sys.stderr)
        return 1
    print(folder)
    return 0


def _interrupted(folder: Path, supervisor: subprocess.Popen[bytes], alive: Callable[[], bool], sitting: int) -> int:
    print("cancelling the run …", file=sys.stderr)
    deadline = time.monotonic() + _STARTUP_S
    while alive() and not request_cancel(folder) and time.monotonic() < deadline:
        time.sleep(0.05)  # it has not taken its lock yet
    _follow(folder, alive, sitting)
    supervisor.wait()
    return INTERRUPTED


def _follow(folder: Path, alive: Callable[[], bool], sitting: int) -> int:
    console = Console(stderr=True, highlight=False)
    finished = follow(folder, console, alive, sitting)
    while alive():
        time.sleep(0.05)  # it writes the report
    sys.stdout.write(tables_markdown([runs.read(folder)]))
    sys.stdout.flush()
    if finished is None:
        console.print(f"run {folder.name}: its supervisor ended without a word; {_last_words(folder)}", soft_wrap=True)
        return 1
    if finished.reason:
        console.print(f"run {folder.name}: {finished.reason}", style="red", soft_wrap=True)
    console.print(f"run {folder.name}: {finished.status}; {folder / 'report.md'}", soft_wrap=True)
    return 0 if finished.status == "ok" else 1


def _last_words(folder: Path) -> str:
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        return f"there is no space left on its disk; free some, then 'sdtui resume {folder.name}'"
    log = folder / "logs" / "supervisor.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"{log} ends with: {lines[-1]}" if lines else f"'sdtui resume {folder.name}' goes on with it"


def _statuses(retry: str | None) -> list[str]:
    statuses = [part.strip() for part in retry.split(",") if part.strip()] if retry else []
    for status in statuses:
        if status not in STATUSES:
            raise UserError(f"--retry: unknown status '{status}'; {nearest(status, STATUSES)}")
    return statuses


def _gpu_available() -> bool:
    try:
        resolve_device("cuda", os.environ)
    except UserError:
        return False
    return True
