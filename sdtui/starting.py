"""Makes and resumes runs without following them: what the command line and the dashboard both begin with."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sdtui import environments, runs, settings
from sdtui.catalog.candidates import RUNGS, Candidates, candidates
from sdtui.catalog.expand import default_dtype
from sdtui.catalog.load import Catalog, load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import FLAGS, origin, read_flags, resolve_plan
from sdtui.check import BASE
from sdtui.model.cell import Slot
from sdtui.model.errors import UserError, nearest
from sdtui.model.results import STATUSES, Status
from sdtui.records import RunRecord, SittingRecord
from sdtui.supervisor.launch import start_supervisor, worker_path
from sdtui.supervisor.limits import RESERVE_BYTES
from sdtui.supervisor.prepare import NO_BUDGET, prepare, prepare_plan, refuse_differences
from sdtui.telemetry.nvml import gpu_available

_POLL_S = 0.05


class StartError(Exception):
    """A supervisor ended before it held its run; the message is its last words."""


def begin(source: str | None, overrides: Mapping[str, Any], runs_dir: Path | None) -> Path:
    """Makes a run of a plan, which no supervisor holds yet.

    Args:
        source: Preset, plan file, or ``None``.
        overrides: Flags by plan key.
        runs_dir: ``--runs-dir``.

    Returns:
        Its folder.

    Raises:
        UserError: Something that was asked for is wrong; nothing was written.
    """
    where = settings.runs_dir(runs_dir)
    plan = resolve_plan(load_catalog(settings.config_dir()), source, overrides, gpu_available(os.environ))
    with _blaming(source, overrides):
        sitting = prepare_plan(plan)
    _check_folders()  # before anything is written
    return runs.create(where, sitting.machine.device_name, sitting.machine.host, plan_to_toml(plan))


def tuning(
    pipeline: str, overrides: Mapping[str, Any], source: str | None = None
) -> tuple[dict[str, Any], Mapping[str, str]]:
    """Chooses what is tried out to find the fastest mode for a pipeline.

    Args:
        pipeline: Its name.
        overrides: Flags by plan key, with one batch size and one environment; modes, where they are to be these.
        source: Preset or plan file that the other keys come from.

    Returns:
        The flags of a run that does it, and by name why modes are not tried out.

    Raises:
        UserError: Something that was asked for is wrong.
    """
    catalog = load_catalog(settings.config_dir())
    lists = {key: overrides.get(key) for key in ("batch_sizes", "environments")}
    options = {key: value for key, value in overrides.items() if key not in lists}
    flags = read_flags(lists).values
    for key, values in flags.items():
        if len(values) > 1:
            raise UserError(f"{FLAGS[key]}: the fastest mode is looked for at one of them; name one")
    if source is None:
        _check_pipeline(pipeline, catalog)  # before a GPU is missed
    plan = resolve_plan(catalog, source, options, gpu_available(os.environ))
    catalog = catalog.with_own(plan.mode_definitions, plan.pipeline_definitions, source or "plan", Path())
    _check_pipeline(pipeline, catalog)
    asked = {**{key: getattr(plan, key)[:1] for key in lists}, **flags}
    with _blaming(source, overrides):
        (environment,) = environments.resolve(asked["environments"], settings.load())
    dtype = plan.dtype or default_dtype(plan.device)
    found = candidates(catalog, pipeline, plan.device != "cpu", environment, dtype)
    if named := overrides.get("modes"):
        found = Candidates((BASE, *(mode for mode in named if mode != BASE)))
    wanted = {**overrides, **asked, "pipelines": [pipeline], "modes": list(found.modes), "tune": True}
    if plan.processes == 1 and overrides.get("processes") is None:
        wanted["processes"] = RUNGS
    if plan.slots:
        (batch_size,) = asked["batch_sizes"]
        wanted["slots"] = [str(Slot(pipeline, mode, environment.name, batch_size)) for mode in found.modes]
    return wanted, found.left_out


def _check_pipeline(name: str, catalog: Catalog) -> None:
    if name not in catalog.pipelines:
        raise UserError(f"pipeline '{name}': unknown; {nearest(name, catalog.pipelines)}")


def prepare_resume(folder: Path, retry: str | None, force: bool, budget: str | None = None) -> list[str] | None:
    """Looks whether a run can have a further sitting.

    Args:
        folder: Of the run.
        retry: Statuses, separated by commas, with which cells run again.
        force: Resume on another GPU or torch, or where another host seems to run it.
        budget: Instead of the plan's, such as ``20m``, or ``none``.

    Returns:
        The supervisor's arguments; ``None`` where nothing is left to run.

    Raises:
        UserError: The run is running, or was made on another machine or with other versions, or an argument is wrong.
    """
    statuses = _statuses(retry)
    _check_budget(budget)
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
    ended = endings(record, sitting.skip_larger_after_oom)
    if ended and not {None, "cancelled", *statuses} & {*ended}:
        return None
    _check_folders()
    arguments = ["--retry", ",".join(statuses)] if statuses else []
    arguments += [f"--budget={budget}"] if budget is not None else []
    return [*arguments, "--force"] if force else arguments


def finishing_with(command: str | None) -> list[str]:
    """Returns the supervisor's arguments that make it run a shell command when the run has ended.

    Raises:
        UserError: The command is blank.
    """
    if command is not None and not command.strip():
        raise UserError("--on-finish: must not be empty")
    return [f"--on-finish={command}"] if command is not None else []


def start_detached(folder: Path, arguments: Sequence[str]) -> None:
    """Starts a run's supervisor and waits until it holds the run, so that whatever comes next finds it running.

    Raises:
        StartError: It ended before that, as where another has the run.
    """
    supervisor = start_supervisor(folder, list(arguments))
    while supervisor.poll() is None and not _holds(supervisor.pid, folder):
        time.sleep(_POLL_S)
    if supervisor.poll() is not None and sitting_by(supervisor.pid, runs.read(folder, samples_of="").sittings) is None:
        raise StartError(f"run {folder.name}: {last_words(folder)}")


def _holds(pid: int, folder: Path) -> bool:
    state = runs.lock_state(folder)
    return state.held and state.holder is not None and state.holder.pid == pid


def sitting_by(pid: int, sittings: Sequence[SittingRecord]) -> SittingRecord | None:
    """Returns the latest sitting of a supervisor; ``None`` where it has begun none."""
    return next((each for each in reversed(sittings) if each.started.pid == pid), None)


def endings(record: RunRecord, leave_out: bool | None = None) -> list[Status | None]:
    """Returns how each cell ended; ``None`` where it has no result, or not of every process.

    Cells without a result that are not to be run count for nothing; ``leave_out`` as of `RunRecord.why_left_out`.
    """
    found = [(cell, record.ending_of(cell)) for cell in record.cells.values()]
    statuses = [(cell, ending.status if ending else None) for cell, ending in found]
    open_ = (None, "cancelled")
    return [status for cell, status in statuses if status not in open_ or not record.why_left_out(cell, leave_out)]


def last_words(folder: Path) -> str:
    """Says why a supervisor ended without an ending, as far as its log or the disk tell."""
    if shutil.disk_usage(folder).free < RESERVE_BYTES:
        return f"there is no space left on its disk; free some, then 'sdtui resume {runs.short(folder)}'"
    log = folder / "logs" / "supervisor.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return f"{log} ends with: {lines[-1]}" if lines else f"'sdtui resume {runs.short(folder)}' goes on with it"


@contextlib.contextmanager
def _blaming(source: str | None, overrides: Mapping[str, Any]) -> Iterator[None]:
    """Has a mistake, whose message begins with the key of the plan where one is to blame, name what was written."""
    try:
        yield
    except UserError as error:
        key, _, problem = str(error).partition(": ")
        raise UserError(f"{origin(key, source, overrides)}: {problem}" if key in FLAGS else str(error)) from error


def _check_budget(budget: str | None) -> None:
    if budget not in (None, NO_BUDGET):
        try:
            read_flags({"budget": budget})
        except UserError as error:
            raise UserError(f"{error}, or {NO_BUDGET}") from error


def _check_folders() -> None:
    """Refuses a locks directory or a cache that no worker could be started with."""
    settings.locks_dir()
    cache = settings.cache_dir()
    try:
        worker_path(cache)
    except OSError as error:
        raise UserError(f"cache directory {cache}: {error.strerror}; choose another with XDG_CACHE_HOME") from error


def _statuses(retry: str | None) -> list[str]:
    statuses = [part.strip() for part in retry.split(",")] if retry is not None else []
    for status in statuses:
        if not status:
            raise UserError("--retry: must not be empty")
        if status not in STATUSES:
            raise UserError(f"--retry: unknown status '{status}'; {nearest(status, STATUSES)}")
    return statuses
