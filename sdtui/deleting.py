"""Deletes run folders, and nothing that sdtui did not make."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from sdtui import locks, runs
from sdtui.model.errors import UserError

_TEMPORARY = re.compile(r"\.(.+)\.\d+")  # of `sdtui.runs.write_atomically`


def delete(folder: Path) -> None:
    """Removes a run: its folder and all that sdtui made there. Links go, and what they point to stays.

    Raises:
        UserError: As `check`; nothing was removed.
        OSError: Something cannot be removed. The journal goes last: until then the run is listed, and can be deleted.
    """
    check(folder)
    lock = locks.Lock(folder / runs.LOCK)
    if not lock.acquire(f"deleting run {folder.name}"):
        raise _running(folder)
    try:
        for entry in list(os.scandir(folder)):
            if entry.name not in (runs.LOCK, runs.JOURNAL):
                _remove(entry)
    finally:
        lock.release()
    for name in (runs.LOCK, runs.JOURNAL):
        (folder / name).unlink()
    folder.rmdir()


def check(folder: Path) -> None:
    """Refuses what `delete` would not remove.

    Raises:
        UserError: It is no run, a link to one, or running, or it holds something that sdtui did not make.
    """
    if folder.is_symlink():
        raise UserError(f"run {folder.name}: is a link to {folder.resolve()}; delete the run there")
    if not (folder / runs.JOURNAL).is_file():
        raise UserError(f"{folder}: no run there ({runs.JOURNAL} is missing)")
    if runs.lock_state(folder).held:
        raise _running(folder)
    foreign = next(_foreign(folder), None)
    if foreign is not None:
        hint = "move it elsewhere, or delete the folder by hand"
        raise UserError(f"run {folder.name}: holds {foreign}, which sdtui did not make; {hint}")


def _running(folder: Path) -> UserError:
    holder = runs.lock_state(folder).holder
    return UserError(
        f"run {folder.name}: is running{f' (held by {holder})' if holder else ''}; end it with "
        f"'sdtui cancel {runs.short(folder)}'"
    )


def _foreign(folder: Path) -> Iterator[str]:
    """Yields what of a run's folder is not of sdtui's making, by its path there."""
    for entry in os.scandir(folder):
        is_folder = entry.is_dir(follow_symlinks=False)
        if is_folder and entry.name in runs.PARTS:
            yield from (f"{entry.name}/{each.name}" for each in os.scandir(entry) if each.is_dir(follow_symlinks=False))
        elif is_folder:
            if entry.name != runs.COMPILE_CACHE:
                yield entry.name
        elif entry.name not in (*runs.PARTS, runs.JOURNAL, runs.LOCK, runs.RESERVE) and _replaced(entry.name) not in (
            runs.PLAN,
            runs.REPORT,
        ):
            yield entry.name


def _replaced(name: str) -> str:
    """Returns which file a temporary one was to replace; of any other its own name."""
    temporary = _TEMPORARY.fullmatch(name)
    return temporary[1] if temporary else name


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        os.unlink(entry.path)
