"""A worker dies with its supervisor, and so does whatever it started, by two independent means."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import NoReturn

_PR_SET_PDEATHSIG = 1
_DESCRIPTORS = 4096
_WATCH = """
import os, signal
while os.read(0, 4096):
    pass
os.killpg(0, signal.SIGKILL)
"""


def die_with_parent(parent_pid: int) -> None:
    """Asks the kernel to kill this process when its parent dies (``prctl(2)``), and checks that it has not yet.

    Args:
        parent_pid: Who launched this process, in this PID namespace.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        sys.exit("the supervisor is gone, or is not the parent: an interpreter that is a script must end in 'exec'")


def die_at_end_of_input() -> None:
    """Leaves a child process behind that kills this process group when standard input ends.

    A process and not a thread: it outlives this one, which the kernel kills first, to reach what this one started, and
    a library that keeps the GIL cannot hold it up. It is an interpreter anew, so that none of this one's memory counts
    in it. Call it while there is one thread. No other child inherits the input.
    """
    if os.fork() == 0:
        _watch_input()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _watch_input() -> NoReturn:
    try:
        os.closerange(1, _DESCRIPTORS)  # the supervisor must see the worker's own descriptors end
        os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", _WATCH])
    finally:
        os._exit(1)
