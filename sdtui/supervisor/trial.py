"""Tries an environment: one tiny cell in it, as a run would measure it, of which nothing is kept."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sdtui import locks, settings
from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.events import CellFinished, CellPhase, Stamped
from sdtui.model.job import Job
from sdtui.model.machine import Gpu, Interpreter
from sdtui.model.results import Phase
from sdtui.supervisor import limits
from sdtui.supervisor.launch import start_worker, worker_path
from sdtui.supervisor.log import CellLog
from sdtui.supervisor.sampling import Sampling
from sdtui.supervisor.watch import Surroundings, Watch

PRESET = "smoke"
SILENCE_S: Mapping[Phase, float] = {**limits.SILENCE_S, **dict.fromkeys(("load", "warm-up", "measure"), 300.0)}
"""A tiny cell never takes as long as a run's may."""


@dataclass(frozen=True)
class Trial:
    """How a trial went.

    Attributes:
        cell: What was tried.
        ending: How it ended.
        seconds: From the worker's start to its end.
        versions: As the imported packages state them; empty where they were not imported.
    """

    cell: Cell
    ending: CellFinished
    seconds: float
    versions: Mapping[str, str | None]


def try_environment(interpreter: Interpreter, gpu: Gpu | None) -> Trial:
    """Runs the tiny cell of the preset ``smoke`` in an environment.

    Args:
        interpreter: Whose Python runs it.
        gpu: On which; ``None`` takes the CPU.

    Raises:
        UserError: A run has the device, or the interpreter cannot be started.
    """
    lock = locks.Lock(settings.device_lock(gpu), shared_by_users=True)
    if not lock.acquire("sdtui env check"):
        holder = locks.query(lock.path).holder or "another process"
        raise UserError(f"{gpu.name if gpu else 'the CPU'} is in use by {holder}; try it when that is over")
    try:
        with tempfile.TemporaryDirectory(prefix="sdtui-trial-") as folder:
            return _tried(interpreter, gpu, Path(folder))
    finally:
        lock.release()


def _tried(interpreter: Interpreter, gpu: Gpu | None, folder: Path) -> Trial:
    cell = _cell(interpreter, gpu)
    versions: dict[str, str | None] = {}

    def record(stamped: Stamped) -> None:
        if isinstance(stamped.event, CellPhase) and stamped.event.versions:
            versions.update(stamped.event.versions)

    started = time.monotonic()
    job = Job(cell, "cuda:0" if gpu else "cpu", str(folder))
    try:
        worker = start_worker(job, interpreter, gpu.uuid if gpu else None, worker_path(settings.cache_dir()))
    except OSError as error:
        raise UserError(f"{error.filename or interpreter.python}: {error.strerror}") from error
    with worker, CellLog(folder / "log") as log:
        around = Surroundings(record, lambda: None, None, SILENCE_S)
        ending = Watch(cell.id, worker, log, Sampling(None, None), around).run()
    return Trial(cell, ending, time.monotonic() - started, versions)


def _cell(interpreter: Interpreter, gpu: Gpu | None) -> Cell:
    catalog = load_catalog()
    plan = resolve_plan(catalog, PRESET, {"device": "cuda:0" if gpu else "cpu"}, gpu_available=gpu is not None)
    (cell,) = expand(plan, catalog)
    return replace(cell, slot=replace(cell.slot, environment=interpreter.name))
