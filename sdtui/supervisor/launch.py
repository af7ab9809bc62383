"""Starts processes: a worker in the interpreter of its cell, and a supervisor detached from the terminal."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import site
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, Protocol

import sdtui
from sdtui import environments, runs, settings
from sdtui.model.cell import Cell
from sdtui.model.codec import encode
from sdtui.model.events import CompileCache
from sdtui.model.job import ENOUGH, MORE, Job
from sdtui.model.machine import Interpreter
from sdtui.supervisor import caches

_SEEN_BY_WORKERS = ("__init__.py", "model", "worker")
_TELLING = (
    "CUBLAS_WORKSPACE_CONFIG",
    "CUDA_DEVICE_MAX_CONNECTIONS",
    "CUDA_DEVICE_ORDER",
    "CUDA_LAUNCH_BLOCKING",
    "CUDA_MODULE_LOADING",
    "CUDA_VISIBLE_DEVICES",
    "DIFFUSERS_ATTN_BACKEND",
    "GOMP_CPU_AFFINITY",
    "HF_HUB_OFFLINE",
    "KMP_AFFINITY",
    "KMP_BLOCKTIME",
    "LD_PRELOAD",  # of another allocator
    "MKL_NUM_THREADS",
    "NVIDIA_TF32_OVERRIDE",
    "OMP_NUM_THREADS",
    "OMP_PROC_BIND",
    "OMP_WAIT_POLICY",
    "OPENBLAS_NUM_THREADS",
    "PYTORCH_ALLOC_CONF",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_NO_CUDA_MEMORY_CACHING",
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
    "TORCH_BLAS_PREFER_CUBLASLT",
    "TORCH_COMPILE_DISABLE",
    "TORCH_LOGS",
)
_TELLING_FAMILIES = ("CUDNN_", "TORCH_CUDNN_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "TRITON_")


class Process(Protocol):
    """What a supervisor needs of a worker's process, in the manner of `subprocess.Popen`."""

    pid: int
    stdin: IO[bytes] | None
    returncode: int | None

    def wait(self) -> int:
        """Waits for its end and returns its exit status; a signal that killed it, negative."""


@dataclass
class Worker:
    """A launched worker: its process (leader of its own group) and the two descriptors it speaks through.

    As a context manager it leaves nothing of the worker behind.

    Attributes:
        control: Where a worker that asks whether to go on is answered; ``None`` where it does not ask.
        compile_cache: What it found; ``None`` where its cell does not compile.
        forked: Whether it was forked from a process that had imported torch.
    """

    process: Process
    events: int
    output: int
    control: int | None = None
    compile_cache: CompileCache | None = None
    forked: bool = False

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        os.close(self.events)
        os.close(self.output)
        if self.control is not None:
            os.close(self.control)
        assert self.process.stdin is not None
        self.process.stdin.close()

    def answer(self, enough: bool) -> None:
        """Tells the worker, which waits for it, whether the calls it made are enough."""
        assert self.control is not None
        with contextlib.suppress(BrokenPipeError, BlockingIOError):  # it is gone, or never reads: its own end says so
            os.write(self.control, ENOUGH if enough else MORE)

    def hand_over(self, job: Any) -> None:
        """Writes what it is to do to its standard input, as a line of JSON."""
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it died before reading: its exit says so
            self.process.stdin.write(json.dumps(job).encode() + b"\n")

    def sweep(self) -> None:
        """Kills the worker and whatever it started in its process group."""
        if self.process.returncode is None:  # the group's id stays taken until its leader is waited for
            with contextlib.suppress(ProcessLookupError):  # but for one whose fork server is gone
                os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> int:
        """Sweeps the group and returns the exit status of the worker, as `subprocess` counts."""
        self.sweep()
        return self.process.wait()


class Channels:
    """The pipes between a supervisor and a worker, but for the worker's standard input."""

    def __init__(self, asks: bool) -> None:
        """Opens them.

        Args:
            asks: Whether the worker asks, after the cell's calls, if there is another one.
        """
        self.events_read, self.events_write = os.pipe()
        self.output_read, self.output_write = os.pipe()
        self.control_read: int | None = None
        self.control_write: int | None = None
        if asks:
            self.control_read, self.control_write = os.pipe()

    @property
    def of_worker(self) -> list[int]:
        """The worker's ends: of its output, its events and, where it asks, its control."""
        ends = (self.output_write, self.events_write, self.control_read)
        return [end for end in ends if end is not None]

    def keep(self, ours: bool) -> None:
        """Closes the worker's ends here, which it has by now, and, where there is no worker, ``ours``."""
        others = () if ours else (self.events_read, self.output_read, self.control_write)
        for end in (*self.of_worker, *others):
            if end is not None:
                os.close(end)

    def worker(self, process: Process, compile_cache: CompileCache | None, forked: bool = False) -> Worker:
        """Returns the worker at the other ends; arguments as of `Worker`."""
        for end in (self.events_read, self.output_read, self.control_write):
            if end is not None:
                os.set_blocking(end, False)
        return Worker(process, self.events_read, self.output_read, self.control_write, compile_cache, forked)


def worker_path(cache_dir: Path) -> Path:
    """Returns a directory that holds only what a worker may see: ``sdtui/__init__.py``, ``model`` and ``worker``.

    It is made of links to this installation, so that a foreign interpreter never sees our site-packages.
    """
    package = Path(sdtui.__file__).parent
    digest = hashlib.sha256(str(package).encode()).hexdigest()[:12]
    root = cache_dir / f"worker-{digest}"
    (root / "sdtui").mkdir(parents=True, exist_ok=True)
    for name in _SEEN_BY_WORKERS:
        try:
            (root / "sdtui" / name).symlink_to(package / name)
        except FileExistsError:
            continue
    return root


def start_worker(
    job: Job,
    interpreter: Interpreter,
    gpu_uuid: str | None,
    path: Path,
    cache: Mapping[str, str] | None = None,
    asks: bool = False,
) -> Worker:
    """Starts a worker and hands it its job.

    Args:
        job: What it is to measure.
        interpreter: Whose Python runs it.
        gpu_uuid: The one GPU it may see; ``None`` hides all.
        path: From `worker_path`.
        cache: Variables that say where Inductor and Triton keep what they compile; ``None`` leaves them to their own.
        asks: Whether it asks, after the cell's calls, if there is another one.

    Raises:
        OSError: The interpreter cannot be started.
    """
    environ = worker_environ(os.environ, job.cell, interpreter, gpu_uuid, cache)
    found = caches.found(job.cell, environ)
    channels = Channels(asks)
    command = [interpreter.python, "-u", "-m", "sdtui.worker", str(channels.events_write), str(os.getpid())]
    process: Process | None = None
    try:
        process = subprocess.Popen(
            command,
            bufsize=0,
            cwd=path,
            env=environ,
            stdin=subprocess.PIPE,
            stdout=channels.output_write,
            stderr=channels.output_write,
            pass_fds=channels.of_worker[1:],
            process_group=0,
        )
    finally:
        channels.keep(ours=process is not None)
    worker = channels.worker(process, found)
    worker.hand_over(encode(replace(job, control=channels.control_read)))
    return worker


def start_supervisor(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
    """Starts the supervisor of a run folder in a session of its own: it outlives the terminal."""
    runs.complete(folder)
    command = [sys.executable, "-P", "-m", "sdtui.supervisor"]  # -P: no file of the working directory is a module
    with open(folder / "logs" / "supervisor.log", "ab") as log:
        return subprocess.Popen(
            [*command, str(folder.resolve()), *arguments],
            env=_supervisor_environ(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _supervisor_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Sees to it that the supervisor finds this sdtui, be it installed or a checkout, and the folders that we mean.

    Relative ones of locks and compile caches are made absolute: the supervisor leaves our working directory.
    """
    ours = dict(environ)
    for variable in (settings.LOCKS_DIR, caches.INDUCTOR, caches.TRITON):
        if named := environ.get(variable):
            ours[variable] = os.path.abspath(named)
    root = str(Path(sdtui.__file__).parents[1])
    if root not in site.getsitepackages():
        ours["PYTHONPATH"] = os.pathsep.join(filter(None, (root, environ.get("PYTHONPATH"))))
    return ours


def worker_environ(
    environ: Mapping[str, str],
    cell: Cell,
    interpreter: Interpreter,
    gpu_uuid: str | None,
    cache: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Returns the environment variables of a worker, made from ours; arguments as of `start_worker`."""
    ours = device_environ(environ, interpreter, gpu_uuid)
    ours["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if cell.weights == "random":
        ours["HF_HUB_OFFLINE"] = "1"
    return ours | dict(cache or {})


def device_environ(environ: Mapping[str, str], interpreter: Interpreter, gpu_uuid: str | None) -> dict[str, str]:
    """Returns the environment variables of a process that sees one device; arguments as of `start_worker`."""
    ours = environments.variables(interpreter.name, environ)
    ours.pop("PYTHONSAFEPATH", None)  # the worker is found in its working directory
    ours["CUDA_VISIBLE_DEVICES"] = gpu_uuid or ""
    if gpu_uuid is None:
        ours.setdefault("OMP_WAIT_POLICY", "passive")  # on a shared CPU, threads that spin starve one another
    return ours


def telling(environ: Mapping[str, str]) -> list[str]:
    """Returns, as ``NAME=value``, the variables that can change a worker's figures; of others not even the name."""
    return sorted(
        f"{name}={value}" for name, value in environ.items() if name in _TELLING or name.startswith(_TELLING_FAMILIES)
    )
