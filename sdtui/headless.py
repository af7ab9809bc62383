"""Runs, resumes and watches from the command line: a detached supervisor with a follower in front."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from sdtui import runs, settings
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import FLAGS, origin, resolve_plan
from sdtui.follow import Narrator
from sdtui.model.errors import UserError, nearest
from sdtui.model.events import RunFinished
from sdtui.model.results import STATUSES, Status
from sdtui.records import RunRecord
from sdtui.report.markdown import tables_markdown
from sdtui.supervisor.control import Control, request_cancel
from sdtui.supervisor.launch import start_supervisor
from sdtui.supervisor.limits import RESERVE_BYTES
from sdtui.supervisor.prepare import prepare, prepare_plan, refuse_differences
from sdtui.telemetry.nvml import resolve_device

INTERRUPTED = 130
_POLL_S = 0.05


def run(source: str | None, overrides: Mapping[str, Any], runs_dir: Path | None, detach: bool) -> int:
    """Makes a run of a plan and follows it.

    Args:
        source: Preset, plan file, or ``None``.
        overrides: Flags by plan key.
        runs_dir: ``--runs-dir``.
        detach: Return once the supervisor holds the run.

    Returns:
        The exit status.

    Raises:
        UserError: Something that was asked for is wrong; nothing was written.
    """
    where = settings.runs_dir(runs_dir)
    plan = resolve_plan(load_catalog(settings.config_dir()), source, overrides, _gpu_available())
    try:
        sitting = prepare_plan(plan)
    except UserError as error:  # begins with the key of the plan, where one is to blame
        key, _, problem = str(error).partition(": ")
        raise UserError(f"{origin(key, source, overrides)}: {problem}" if key in FLAGS else str(error)) from error
    settings.locks_dir()  # a wrong one is refused here, before anything is written
    folder = runs.create(where, sitting.machine.device_name, sitting.machine.host, plan_to_toml(plan))
    return _start(folder, [], detach)


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
    try:
        sitting = prepare(folder / runs.PLAN)
    except UserError as error:
        raise UserError(f"run {folder.name}: {error}") from error
    if not force:
        refuse_differences(record, sitting)
    endings = _endings(record)
    if endings and not {None, "cancelled", *statuses} & {*endings}:
        return _nothing_left(folder, record, endings)
    arguments = ["--retry", ",".join(statuses)] if statuses else []
    return _start(folder, [*arguments, "--force"] if force else arguments, detach)


def _endings(record: RunRecord) -> list[Status | None]:
    """Returns how each cell ended; ``None`` where it has no result, or not of every process."""
    endings = [record.ending_of(cell) for cell in record.cells.values()]
    return [ending.status if ending else None for ending in endings]


def _nothing_left(folder: Path, record: RunRecord, endings: Sequence[str | None]) -> int:
    last = record.sittings[-1].finished
    console, status = _console(), last.status if last else "interrupted"
    console.print(f"run {folder.name}: nothing left to run; it is {status}", soft_wrap=True)
    _say_hint(Narrator(folder, console), folder, endings)
    return 0 if set(endings) == {"ok"} else 1


def watch(name: str, runs_dir: Path | None) -> int:
    """Follows a run until it ends, and returns its exit status; an interrupt leaves it going."""
    folder = runs.find(settings.runs_dir(runs_dir), name)
    narrator = Narrator(folder, _console())

    def alive() -> bool:
        return runs.lock_state(folder).held

    with Interrupts() as interrupts:
        narrator.catch_up()
        if alive():
            narrator.say_position()
            with narrator:
                narrator.follow(alive, lambda: interrupts.count > 0)
    if interrupts.count:
        narrator.say(f"run {folder.name} goes on; end it with 'sdtui cancel {runs.short(folder)}'")
        return INTERRUPTED
    sittings = narrator.record.sittings
    return _conclude(narrator, folder, sittings[-1].finished if sittings else None)


class Interrupts:
    """Counts Ctrl-C instead of raising: nothing is left half done; a context manager."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _take(self, *_: object) -> None:
        self.count += 1


def _start(folder: Path, arguments: list[str], detach: bool) -> int:
    if detach:
        return _detach(folder, start_supervisor(folder, arguments))
    narrator = Narrator(folder, _console())
    with Interrupts() as interrupts:
        narrator.catch_up()
        before = len(narrator.record.sittings)
        supervisor = start_supervisor(folder, arguments)

        def alive() -> bool:
            return supervisor.poll() is None

        with narrator:
            narrator.follow(alive, _Cancelling(folder, narrator, interrupts, alive))
    if interrupts.count and alive():
        narrator.say(f"run {folder.name} is still ending; see 'sdtui show {runs.short(folder)}'")
        return INTERRUPTED
    sittings = narrator.record.sittings[before:]
    status = _conclude(narrator, folder, sittings[-1].finished if sittings else None)
    return INTERRUPTED if interrupts.count else status


class _Cancelling:
    """What Ctrl-C does to a run in the foreground: the first cancels it, the second does not wait for that."""

    def __init__(self, folder: Path, narrator: Narrator, interrupts: Interrupts, alive: Callable[[], bool]) -> None:
        self._folder = folder
        self._narrator = narrator
        self._interrupts = interrupts
        self._alive = alive
        self._said = False

    def __call__(self) -> bool:
        """Returns whether to leave; the request is made again until it stands: a supervisor clears old ones."""
        if not self._interrupts.count:
            return False
        if not self._said:
            self._narrator.say("cancelling the run …")
            self._said = True
        asked = Control(self._folder).cancelled() or request_cancel(self._folder, force=True)
        return self._interrupts.count > 1 and (asked or not self._alive())


def _detach(folder: Path, supervisor: subprocess.Popen[bytes]) -> int:
    """Waits until the supervisor holds the run, so that whatever comes next finds it running."""
    while supervisor.poll() is None and not runs.lock_state(folder).held:
        time.sleep(_POLL_S)
    if supervisor.poll() is not None and not runs.read(folder).sittings:
        print(f"run {folder.name}: {_last_words(folder)}", file=sys.stderr)
        return 1
    print(folder)
    return 0


def _conclude(narrator: Narrator, folder: Path, finished: RunFinished | None) -> int:
    sys.stdout.write(tables_markdown([narrator.record]))
    sys.stdout.flush()
    if finished is None:
        narrator.say(f"run {folder.name}: its supervisor ended without a word; {_last_words(folder)}", "red")
        return 1
    if finished.reason:
        narrator.say(f"run {folder.name}: {finished.reason}", "red")
    narrator.say(f"run {folder.name}: {finished.status}")
    narrator.say(str(folder / "report.md"))
    if finished.status != "ok":
        _say_hint(narrator, folder, _endings(narrator.record))
    return 0 if finished.status == "ok" else 1


def _say_hint(narrator: Narrator, folder: Path, endings: Sequence[str | None]) -> None:
    """Says how to run what is left, and what may end otherwise the next time."""
    again = ",".join(status for status in ("failed", "oom", "timeout") if status in endings)
    if None in endings or "cancelled" in endings:
        narrator.say(f"run what is left with 'sdtui resume {runs.short(folder)}'")
    if again:
        narrator.say(f"run cells again that did not end ok with 'sdtui resume {runs.short(folder)} --retry {again}'")


def _console() -> Console:
    return Console(stderr=True, highlight=False)


def _last_words(folder: Path) -> str:
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        return f"there is no space left on its disk; free some, then 'sdtui resume {runs.short(folder)}'"
    log = folder / "logs" / "supervisor.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"{log} ends with: {lines[-1]}" if lines else f"'sdtui resume {runs.short(folder)}' goes on with it"


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
