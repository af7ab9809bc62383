"""A full disk ends the run with a clear message and a readable folder."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from supervised import Lab, events, lock_is_free, patched, statuses

from sdtui import headless, runs
from sdtui.supervisor import log
from sdtui.supervisor import run as run_module

MESSAGE = "No space left on device; free some space, then 'sdtui resume RUN'"


def message(folder: Path) -> str:
    return MESSAGE.replace("RUN", runs.short(folder))


class FullDisk:
    """A journal's file on a disk that fills up within the nth append."""

    def __init__(self, file: Any, nth: int, has_room: Callable[[], bool]) -> None:
        self._file = file
        self._left = nth
        self._has_room = has_room

    def write(self, data: bytes) -> int:
        self._left -= 1
        if self._left == 0:
            written: int = self._file.write(data[: len(data) // 2])
            return written
        if self._left == -1 or (self._left < 0 and not self._has_room()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._file.write(data)  # type: ignore[no-any-return]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _full_at(nth: int, has_room: Callable[[], bool]) -> Callable[[], None]:
    def open_journal(path: Path, *args: Any, **kwargs: Any) -> Any:
        file = open(path, *args, **kwargs)
        return FullDisk(file, nth, has_room) if args[0] == "ab" else file

    return patched(runs, open=open_journal)


# Appends of an undisturbed run: run.started, 2 cell.queued, then per cell about 14, with telemetry in between.
@pytest.mark.parametrize("nth", [1, 2, 4, 5, 9, 14])
def test_a_full_disk_ends_the_run_and_says_so(lab: Lab, nth: int) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder, before=_full_at(nth, lambda: not (folder / ".reserve").exists())) == 1
    read = events(folder)  # every line is whole
    assert (folder / runs.JOURNAL).read_bytes().endswith(b"\n")
    last = read[-1].event
    assert last.KIND == "run.finished"
    assert (last.status, last.reason) == ("failed", f"{folder}: {message(folder)}")  # type: ignore[union-attr]
    assert runs.listed(folder).state == "failed"
    assert last.reason in (folder / "logs" / "supervisor.log").read_text()  # type: ignore[union-attr]
    assert (folder / "report.md").exists()
    assert not (folder / ".reserve").exists()
    assert lock_is_free(folder)
    lab.await_silence()
    done = statuses(folder).count("ok")
    assert lab.run(folder) == 0
    assert statuses(folder) == ["ok", "ok"]
    assert len([s for s in events(folder) if s.event.KIND == "cell.finished"]) == 2, f"{done} were done before"


def test_a_full_disk_in_the_log_ends_the_run(lab: Lab) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    folder = lab.create("ok")
    assert lab.run(folder, before=patched(log.CellLog, write=full)) == 1
    assert events(folder)[-1].event.reason == f"{folder}: {message(folder)}"  # type: ignore[union-attr]
    lab.await_silence()


def test_a_disk_that_stays_full_ends_the_run_all_the_same(lab: Lab) -> None:
    folder = lab.create("ok", "ok")
    assert lab.run(folder, before=_full_at(6, lambda: False)) == 1
    assert len(events(folder)) == 5
    assert runs.listed(folder).state == "interrupted"
    assert (folder / "logs" / "supervisor.log").read_text() == f"{folder}: {message(folder)}\n"
    assert (folder / "report.md").exists()
    assert lab.run(folder) == 0


def test_a_failure_of_the_supervisor_itself_is_recorded(lab: Lab) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("a bug")

    folder = lab.create("ok", "ok")
    assert lab.run(folder, before=patched(run_module, CellLog=broken)) == 1
    last = events(folder)[-1].event
    assert (last.status, last.reason) == ("failed", "the supervisor failed: ZeroDivisionError: a bug")  # type: ignore[union-attr]
    assert "Traceback" in (folder / "logs" / "supervisor.log").read_text()
    assert (folder / "report.md").exists()


# -------------------------------------------------------------------------------------------------- a real small disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(disk: Path, leave: int) -> Path:
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    filler.write_bytes(bytes(free - leave))
    return filler


def test_a_run_on_a_full_file_system_can_be_resumed_there(
    lab: Lab, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = lab.create("ok", "measure:flood-events", runs_dir=small_disk)
    filler = _fill(small_disk, 150 << 10)
    assert headless.resume(str(folder), None, False, None, False) == 1
    printed = capfd.readouterr()
    assert f"{folder}: {message(folder)}" in printed.err
    assert events(folder)[-1].event.reason == f"{folder}: {message(folder)}"  # type: ignore[union-attr]
    assert statuses(folder) == ["ok", None]
    assert "| SD - txt2img |" in (folder / "report.md").read_text()
    filler.unlink()
    lab.behave("ok", "ok")
    assert headless.resume(str(folder), None, False, None, False) == 0
    assert statuses(folder) == ["ok", "ok"]


def test_a_run_on_a_disk_without_any_room_says_so(
    lab: Lab, small_disk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = lab.create("ok", runs_dir=small_disk)
    _fill(small_disk, 0)
    assert headless.resume(str(folder), None, False, None, False) == 1
    said = f"run {folder.name}: its supervisor ended without a word; there is no space left on its disk; free some, "
    assert said in capfd.readouterr().err
    assert events(folder) == []
    assert lock_is_free(folder)
