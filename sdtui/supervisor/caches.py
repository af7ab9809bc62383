"""Where workers keep what torch.compile makes: a folder that lasts, or one for a cell that starts cold.

torch and Triton read the two variables whenever they compile; what several workers write at once they write under
temporary names and rename, or hold file locks for (``torch/_inductor/codecache.py``, ``triton/runtime/cache.py``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sdtui import settings
from sdtui.model.cell import Cell
from sdtui.model.events import CompileCache
from sdtui.model.machine import Interpreter, Machine

INDUCTOR = "TORCHINDUCTOR_CACHE_DIR"
TRITON = "TRITON_CACHE_DIR"
_BUILT_WITH = ("torch", "triton")


def root() -> Path:
    """Returns the folder of all caches that last; it need not exist."""
    return settings.cache_dir() / "compile"


def lasting(interpreter: Interpreter, machine: Machine) -> Path:
    """Returns the cache of an environment on a GPU model (or CPU); it need not exist.

    Another Python, torch, Triton or CUDA under the same name has another one.
    """
    packages = [interpreter.packages.get(package) for package in _BUILT_WITH]
    known = [interpreter.python, interpreter.python_version, *packages, interpreter.cuda]
    digest = hashlib.sha256(json.dumps(known).encode()).hexdigest()[:8]
    name = f"{interpreter.name}-torch-{packages[0]}-{digest}-{machine.device_name}"
    return root() / re.sub(r"[^\w.+-]+", "-", name)


def within(folder: Path) -> dict[str, str]:
    """Returns the variables that put both caches into a folder."""
    return {INDUCTOR: str(folder / "inductor"), TRITON: str(folder / "triton")}


def unless_named(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the variables that put both caches into a folder, but what a person has named elsewhere.

    Inductor takes Triton's cache into its own where that alone is named.
    """
    if environ.get(INDUCTOR):
        return {}
    return {name: path for name, path in within(folder).items() if not environ.get(name)}


def uses(cell: Cell) -> bool:
    """Whether the cell's mode compiles with Inductor."""
    return cell.mode.compile is not None and cell.mode.compile.backend == "inductor"


def found(cell: Cell, environ: Mapping[str, str]) -> CompileCache | None:
    """Returns what a worker with these variables finds; ``None`` where its cell asks no cache, or it is torch's own."""
    named = environ.get(INDUCTOR)
    if not named or not uses(cell):
        return None
    return CompileCache(named, not any(_holds_something(folder) for folder in (named, environ.get(TRITON)) if folder))


def refusal(environ: Mapping[str, str], room: int) -> str:
    """Makes the folders that a worker with these variables compiles into.

    Args:
        environ: Of the worker.
        room: What each folder must have free, in bytes.

    Returns:
        What keeps the worker from writing there, with the folder; empty where nothing does.
    """
    for folder in filter(None, map(environ.get, (INDUCTOR, TRITON))):
        try:
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"?")
            free = shutil.disk_usage(folder).free
        except OSError as error:
            return f"{folder}: {error.strerror}"
        if free < room:
            return f"{folder}: only {free >> 20} MiB free"
    return ""


def _holds_something(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            return any(entries)
    except FileNotFoundError:
        return False
