"""What a worker does with its job, once its process stands: imports, and measures."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import sys
import traceback
from types import ModuleType

from sdtui.model.errors import near
from sdtui.model.events import CellFinished, CellPhase
from sdtui.model.job import Job
from sdtui.worker.emitter import Emitter
from sdtui.worker.reasons import one_line

_PACKAGES = ("torch", "diffusers", "transformers", "accelerate", "xformers", "triton", "torchao")


def read_line() -> bytes:
    """Reads one line from descriptor 0 without buffering what follows."""
    line = bytearray()
    while not line.endswith(b"\n"):
        chunk = os.read(0, 65536)
        if not chunk:
            sys.exit("no job on standard input")
        line += chunk
    return bytes(line)


def work(job: Job, events: int, imported: bool = False) -> None:
    """Measures the cell of the job and sends its events to the descriptor.

    Args:
        job: To be done.
        events: The descriptor.
        imported: Whether this process began with everything imported: it has no phase ``import``.
    """
    emitter = Emitter(events)
    if not imported:
        emitter.emit(CellPhase(job.cell.id, "import"))
    try:
        versions = _import_libraries(job)
    except Exception as error:
        traceback.print_exc()
        reason = one_line(f"{type(error).__name__}: {error}")
        emitter.emit(CellFinished(job.cell.id, "failed", "import", None, reason))
        emitter.flush()
        return
    emitter.emit(CellPhase(job.cell.id, "load", versions=versions))
    importlib.import_module("sdtui.worker.measure").measure(job, emitter)


def _import_libraries(job: Job) -> dict[str, str | None]:
    """Imports what every cell needs; returns the versions that the imported packages state.

    Raises:
        RuntimeError: The device is CUDA and this torch cannot use it.
    """
    torch = importlib.import_module("torch")
    diffusers = importlib.import_module("diffusers")
    transformers = importlib.import_module("transformers")
    for stage in job.cell.stages:
        _resolve(diffusers, stage.pipeline_class)
        for component in stage.components:
            _resolve(diffusers if component.library == "diffusers" else transformers, component.class_name)
    importlib.import_module("sdtui.worker.measure")
    versions: dict[str, str | None] = {name: _installed(name) for name in _PACKAGES}
    versions |= {
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
        "cuda": torch.version.cuda,
        "cudnn": str(torch.backends.cudnn.version()) if torch.backends.cudnn.is_available() else None,
    }
    if job.device.startswith("cuda") and not torch.cuda.is_available():
        raise RuntimeError(f"torch {torch.__version__} cannot use a CUDA device here; 'sdtui doctor' says why")
    return versions


def _resolve(library: ModuleType, name: str) -> None:
    """Does the lazy import of a class: its cost belongs to this phase.

    Raises:
        AttributeError: The library has no such class.
    """
    if name not in (known := dir(library)):
        hint = f"; did you mean '{close}'?" if (close := near(name, known)) else ""
        raise AttributeError(f"{library.__name__} has no class '{name}'{hint}")
    getattr(library, name)


def _installed(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
