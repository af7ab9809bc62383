"""``python -m sdtui.worker.forkserver SOCKET_FD PARENT_PID HIDDEN CLASS…``: imports once, then forks workers for cells.

What takes longest in the life of a short cell is the import of torch and diffusers. A process that is forked from one
that has imported them, and has done nothing else, begins where a fresh one would be after its import: it has a process
group, a CUDA context, an allocator and compiled code of its own, none of which this process ever has.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import json
import os
import socket
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NoReturn

from sdtui.model.codec import decode
from sdtui.model.job import READY, Job
from sdtui.worker.lifeline import die_at_end_of_input, die_with_parent
from sdtui.worker.work import read_line, work

_REQUEST_BYTES = 64
_DRIVER = "libcuda.so.1"
_NOT_INITIALIZED = 3  # CUDA_ERROR_NOT_INITIALIZED (CUDA driver API, cudaError_enum)


def main() -> None:
    """Imports the classes, named as ``diffusers.UNet2DConditionModel``, then serves the supervisor.

    ``HIDDEN`` is a package that is not there for what is imported; empty where there is none.
    """
    descriptor, parent, hidden, *classes = sys.argv[1:]
    die_with_parent(int(parent))
    with socket.socket(fileno=int(descriptor)) as supervisor:
        supervisor.set_inheritable(False)
        serve(supervisor, functools.partial(work, imported=True), _import(classes, hidden))


def serve(supervisor: socket.socket, work: Callable[[Job, int], None], problem: str = "") -> None:
    """Says that it is ready, or why no worker can be forked, then does what the supervisor asks until that is gone.

    A message with descriptors (standard input, output, events, and where the worker asks whether to go on, control)
    forks a worker and is answered with its process id; a process id is answered with the exit status of that worker,
    which until then keeps its id and its group's.

    Args:
        supervisor: A socket that keeps messages apart.
        work: Does the job that comes with the environment variables as the first line of the worker's standard input.
        problem: Why no worker can be forked; empty where one can.
    """
    supervisor.send(problem.encode() if problem else READY)
    while not problem:
        request, descriptors, _, _ = socket.recv_fds(supervisor, _REQUEST_BYTES, 4)
        if not request:
            return
        if descriptors:
            answer = _fork(supervisor, descriptors, work)
        else:
            _, status = os.waitpid(int(request), 0)
            answer = os.waitstatus_to_exitcode(status)
        supervisor.send(str(answer).encode())


def _import(classes: Sequence[str], hidden: str = "") -> str:
    """Imports the classes, and what measures.

    Returns:
        Which import it was after which no forked process could use a GPU; empty where there was none.
    """
    importlib.import_module("torch")
    with _without(hidden):
        for name in classes:
            library, _, class_name = name.partition(".")
            getattr(importlib.import_module(library), class_name, None)  # one that is not there is its cells' to miss
            if _gpu_in_use():
                return f"importing {name} begins to use the GPU"
        importlib.import_module("sdtui.worker.measure")
        return "importing sdtui.worker.measure begins to use the GPU" if _gpu_in_use() else ""


@contextlib.contextmanager
def _without(package: str) -> Iterator[None]:
    """Has a package look as if it were not installed; who imports it afterwards finds it. Of none, an empty name."""
    if not package or package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]  # the import system takes that so
    try:
        yield
    finally:
        del sys.modules[package]


def _gpu_in_use() -> bool:
    """Says whether this process has initialised CUDA: a process that is forked from it then cannot.

    The driver itself tells, without beginning anything. That its files are open says nothing: NVML opens them too.
    """
    try:
        driver = ctypes.CDLL(_DRIVER, mode=os.RTLD_NOLOAD)
    except OSError:  # nothing has loaded it
        return False
    count = ctypes.c_int()
    return int(driver.cuDeviceGetCount(ctypes.byref(count))) != _NOT_INITIALIZED


def _fork(supervisor: socket.socket, descriptors: Sequence[int], work: Callable[[Job, int], None]) -> int:
    server = os.getpid()
    pid = os.fork()
    if pid == 0:
        supervisor.close()
        _be_a_worker(server, descriptors, work)
    os.setpgid(pid, pid)  # as the worker does: whoever comes first
    for descriptor in descriptors:
        os.close(descriptor)
    return pid


def _be_a_worker(server: int, descriptors: Sequence[int], work: Callable[[Job, int], None]) -> NoReturn:
    """Does the job and leaves at once, without the interpreter's own end, which takes torch long."""
    status = 1
    try:
        os.setpgid(0, 0)
        die_with_parent(server)
        stdin, output, events, *control = descriptors
        for ours, standard in ((stdin, 0), (output, 1), (output, 2)):
            os.dup2(ours, standard)
        os.close(stdin)
        os.close(output)
        handed = json.loads(read_line())
        os.environ.clear()
        os.environ.update(handed["environ"])
        die_at_end_of_input()
        work(replace(decode(Job, handed["job"]), control=control[0] if control else None), events)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
