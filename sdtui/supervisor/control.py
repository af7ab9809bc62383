"""Requests to a supervisor: files in the run's ``control/``, and a signal that only wakes it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from sdtui import locks, runs
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
    """Asks the run's supervisor to leave a cell out; as `request_cancel`."""
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
        _wake(state.holder)
    return True


def _wake(holder: locks.Holder) -> None:
    try:
        os.kill(holder.pid, signal.SIGUSR1)
    except (ProcessLookupError, PermissionError):
        return  # it polls the folder as well
