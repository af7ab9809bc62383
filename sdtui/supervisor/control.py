"""Requests to a supervisor: files in the run's ``control/``, and a signal that only wakes it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from sdtui import runs
from sdtui.model.errors import UserError

_CANCEL = "cancel"
_SKIP = "skip-"


class Control:
    """The supervisor's view of the requests."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "control"

    def clear(self, since_ns: int) -> None:
        """Removes what was asked of an earlier sitting.

        Args:
            since_ns: When this one took the run's lock, by that file's modification time: what was asked later stays.
        """
        self._folder.mkdir(exist_ok=True)
        for path in self._folder.iterdir():
            if path.stat().st_mtime_ns < since_ns:
                path.unlink()

    def cancelled(self) -> bool:
        """Says whether the run is to end."""
        return (self._folder / _CANCEL).exists()

    def skipped(self) -> Iterator[str]:
        """Yields the ids of the cells to leave out."""
        for name in os.listdir(self._folder):
            if name.startswith(_SKIP):
                yield name.removeprefix(_SKIP)


def request_cancel(folder: Path, force: bool = False) -> bool:
    """Asks the run's supervisor to end the run.

    Args:
        folder: Of the run.
        force: Ask even where only a heartbeat says that a supervisor lives.

    Returns:
        Whether there is a supervisor to ask.

    Raises:
        UserError: Only a heartbeat says so, and ``force`` is off.
    """
    return _request(folder, _CANCEL, force)


def request_skip(folder: Path, cell: str, force: bool = False) -> bool:
    """Asks the run's supervisor to leave a cell out, as the dashboard will; as `request_cancel`."""
    return _request(folder, _SKIP + cell, force)


def _request(folder: Path, name: str, force: bool) -> bool:
    state = runs.lock_state(folder)
    if not state.held:
        return False
    if state.evidence == "heartbeat" and not force:
        raise UserError(
            f"run {folder.name}: judged alive by a heartbeat {state.age_s:.0f} s old, held by {state.holder}; "
            "ask there, or use --force"
        )
    (folder / "control").mkdir(exist_ok=True)
    (folder / "control" / name).touch()
    if state.holder is not None and state.evidence == "lock":
        _wake(state.holder.pid, folder / runs.LOCK)
    return True


def _wake(pid: int, lock: Path) -> None:
    """Signals the process that holds the lock; a supervisor that it does not reach polls the folder.

    The number may be of another PID namespace, where it is another process here, which the signal would end: only a
    process that has the lock's file open is signalled.
    """
    try:
        process = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if _has_open(pid, lock):
            signal.pidfd_send_signal(process, signal.SIGUSR1)
    except OSError:  # gone, or another user's
        return
    finally:
        os.close(process)


def _has_open(pid: int, path: Path) -> bool:
    wanted = path.stat()
    with os.scandir(f"/proc/{pid}/fd") as descriptors:
        for descriptor in descriptors:
            try:
                if os.path.samestat(descriptor.stat(), wanted):
                    return True
            except FileNotFoundError:  # closed meanwhile
                continue
    return False
