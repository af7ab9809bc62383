"""A worker dies with its supervisor, by two independent means."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent_pid: int) -> None:
    """Asks the kernel to kill this process when its parent dies (``prctl(2)``), and checks that it has not yet.

    Args:
        parent_pid: Who launched this process, in this PID namespace.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def die_at_end_of_input() -> None:
    """Kills this process group when standard input ends.

    Standard input is moved to a descriptor that no child inherits. The watching thread sleeps in ``read(2)``: it takes
    no GIL while a cell is measured.
    """
    lifeline = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    threading.Thread(target=_watch, args=(lifeline,), name="lifeline", daemon=True).start()


def _watch(lifeline: int) -> None:
    while os.read(lifeline, 4096):
        pass
    os.killpg(0, signal.SIGKILL)
