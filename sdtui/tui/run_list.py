"""Run folders as a list shows them: a line each, from names, plans and the ends of journals; samples are not read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sdtui import runs
from sdtui.model.codec import DecodeError
from sdtui.model.events import RunStarted, from_line
from sdtui.progress import progress_of
from sdtui.records import RunRecord
from sdtui.report.listing import plan_in_short

LIVE = ("running", "waiting")
_WITHOUT_RESULT = ("cancelled", "not run")


@dataclass(frozen=True)
class RunLine:
    """One run of the list.

    Attributes:
        state: As `sdtui.runs.Listed` words it.
        started_at: When its first sitting began, in unix seconds; ``None`` before.
        device: GPU model, or the CPU's name; empty before the first sitting.
        plan: Its plan in short; empty where the file cannot be read.
        done: Cells, or processes of cells, that have a result; ``None`` where nothing tells.
        total: Cells of the run, or processes; ``None`` where nothing tells.
        unit: What is counted: ``cells``, ``processes`` or ``cells in rung 2 of 3``.
        counts: Cells that have a result, by status.
        size_bytes: Of its files.
        heartbeat_age_s: Of a run that is judged alive by a heartbeat.
    """

    folder: Path
    state: str
    started_at: float | None = None
    device: str = ""
    plan: str = ""
    done: int | None = None
    total: int | None = None
    unit: str = "cells"
    counts: Mapping[str, int] = field(default_factory=dict)
    size_bytes: int = 0
    heartbeat_age_s: float | None = None

    @property
    def short(self) -> str:
        """The end of its id, which commands take as well."""
        return runs.short(self.folder)

    @property
    def is_live(self) -> bool:
        """Whether a supervisor holds it."""
        return self.state in LIVE

    def holds(self, wanted: str) -> bool:
        """Whether its name, state, device or plan holds a text, in any case."""
        return wanted.lower() in " ".join((self.folder.name, self.state, self.device, self.plan)).lower()


class RunList:
    """The runs of a directory, newest first; a further look reads only what may have changed."""

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._readers: dict[str, _Reader] = {}

    def look(self) -> tuple[RunLine, ...]:
        """Returns a line for each run as it is now.

        Raises:
            UserError: The directory cannot be read.
        """
        return tuple(reader.line() for reader in self._look())

    def look_at_live(self) -> tuple[RunLine, ...]:
        """Returns a line for each run that a supervisor holds; the others are not read.

        Raises:
            UserError: The directory cannot be read.
        """
        return tuple(reader.line() for reader in self._look() if reader.is_held())

    def _look(self) -> list[_Reader]:
        names = runs.names(self._runs_dir)
        self._readers = {name: self._readers.get(name) or _Reader(self._runs_dir / name) for name in names}
        return list(reversed(self._readers.values()))


class _Reader:
    """Reads one run: keeps its line, and what of its journal was read."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._line: RunLine | None = None
        self._written: tuple[int, int] | None = None
        self._tail = runs.Tail(folder, without=runs.SAMPLES)
        self._record = RunRecord(folder)

    def is_held(self) -> bool:
        try:
            return runs.lock_state(self._folder).held
        except OSError:  # another user's, or removed meanwhile
            return False

    def line(self) -> RunLine:
        written = _written(self._folder)
        if self._line is None or written != self._written or self._line.is_live != self.is_held():
            try:
                self._line, self._written = self._read(), written
            except OSError:  # removed meanwhile
                return RunLine(self._folder, "unreadable")
        return self._line

    def _read(self) -> RunLine:
        listed = runs.listed(self._folder)
        if listed.state == "unreadable":
            return RunLine(self._folder, listed.state)
        started_at, device = _first_start(self._folder)
        done, total, unit, counts = self._progress(listed)
        return RunLine(
            folder=self._folder,
            state=listed.state,
            started_at=started_at,
            device=device,
            plan=plan_in_short(self._folder),
            done=done,
            total=total,
            unit=unit,
            counts=counts,
            size_bytes=_size(self._folder),
            heartbeat_age_s=listed.heartbeat_age_s,
        )

    def _progress(self, listed: runs.Listed) -> tuple[int | None, int | None, str, dict[str, int]]:
        """Returns results, cells, their unit and results by status: as an ending states them, else from the journal."""
        if listed.counts:
            counts = _with_result(listed.counts)
            return sum(counts.values()), sum(listed.counts.values()), "cells", counts
        for stamped in self._tail.poll():
            self._record.apply(stamped)
        endings = [self._record.ending_of(cell) for cell in self._record.cells.values()]
        counts = _with_result(Counter(ending.status for ending in endings if ending))
        if not endings:
            return (0 if listed.planned else None), listed.planned or None, "cells", counts
        progress = progress_of(self._record, 0.0)
        return progress.done, progress.total, progress.unit, counts


def _with_result(counts: Mapping[str, int]) -> dict[str, int]:
    return {status: count for status, count in counts.items() if status not in _WITHOUT_RESULT}


def _written(folder: Path) -> tuple[int, int] | None:
    try:
        journal = os.stat(folder / runs.JOURNAL)
    except OSError:
        return None
    return journal.st_size, journal.st_mtime_ns


def _first_start(folder: Path) -> tuple[float | None, str]:
    """Returns when the first sitting began, and on which device."""
    with open(folder / runs.JOURNAL, "rb") as journal:
        line = journal.readline()
    try:
        stamped = from_line(line)
    except DecodeError:
        return None, ""
    started = stamped.event
    return (stamped.t, started.machine.device_name) if isinstance(started, RunStarted) else (None, "")


def _size(folder: Path) -> int:
    """Returns the bytes of a run's files; those that vanish meanwhile count for nothing."""
    total, folders = 0, [os.fspath(folder)]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        total += entry.stat(follow_symlinks=False).st_size
        except OSError:
            continue
    return total


def size_in_words(size_bytes: int) -> str:
    """Writes ``132 KiB`` or ``2.2 MiB``."""
    size, unit = size_bytes / 1024, "KiB"
    for larger in ("MiB", "GiB"):
        if size >= 1000:
            size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "KiB" or size >= 100 else f"{size:.1f} {unit}"
