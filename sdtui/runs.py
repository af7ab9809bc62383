"""Run folders: create, append, read, follow, list and find them."""

from __future__ import annotations

import math
import os
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from sdtui import locks
from sdtui.model.codec import DecodeError
from sdtui.model.errors import UserError, nearest
from sdtui.model.events import (
    WAITING,
    CallFinished,
    Event,
    Log,
    OtherSchemaError,
    RunFinished,
    Stamped,
    Step,
    Telemetry,
    from_line,
    to_line,
)
from sdtui.records import RunRecord

JOURNAL = "events.jsonl"
PLAN = "plan.toml"
LOCK = "lock"
REPORT = "report.md"
RESERVE = ".reserve"
COMPILE_CACHE = ".compile-cache"
CHUNK_BYTES = 1 << 18
"""How much of a journal is in memory at once while it is read."""
SAMPLES = (Step, CallFinished, Telemetry)
"""The kinds of events that most of a journal is; how cells stand is told by the others."""
_TAIL_BYTES = 16384
PARTS = ("logs", "outputs", "control")
_HEAD_BYTES = 80
"""Of a line of a journal: its schema, time and kind lie within."""


# ------------------------------------------------------------------------------------------- creating and writing


def create(runs_dir: Path, device_name: str, host: str, plan_toml: str) -> Path:
    """Makes a new run folder with its plan.

    Args:
        runs_dir: Where runs live; made if missing.
        device_name: GPU or CPU name, for the folder's name.
        host: Host name, likewise.
        plan_toml: The resolved plan.

    Raises:
        UserError: The directory cannot be written, or its name is not UTF-8; nothing of the run is left there.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = f"{stamp}-{slug(host)}-{slug(device_name)}-{os.urandom(3).hex()}"
    folder, elsewhere = runs_dir / name, "choose another with --runs-dir or SDTUI_RUNS_DIR"
    try:
        str(folder).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"runs directory {runs_dir}: its name is not UTF-8; {elsewhere}") from error
    try:
        complete(folder)
        write_atomically(folder / PLAN, plan_toml)
        (folder / JOURNAL).touch()
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)  # half a run is none
        raise UserError(f"runs directory {runs_dir}: {error.strerror}; {elsewhere}") from error
    return folder


def complete(folder: Path) -> None:
    """Makes the folders of a run that are missing: git and some copies leave out what is empty or large."""
    for part in PARTS:
        (folder / part).mkdir(parents=True, exist_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file under a temporary name, then renames it into place; one that was there keeps its permissions.

    Raises:
        OSError: It cannot be written; what was there before still is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        if path.exists():
            shutil.copymode(path, temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


class Journal:
    """Appends events to a run's journal; the supervisor alone makes one."""

    def __init__(self, folder: Path) -> None:
        self._file = open(folder / JOURNAL, "ab", buffering=0)
        self._size = self._end_torn_line(folder / JOURNAL)

    def append(self, event: Event, t: float | None = None) -> None:
        """Appends one event, stamped now unless ``t`` says otherwise.

        Raises:
            OSError: The disk is full or gone. What was half written is taken back, so that the journal stays whole.
        """
        line = to_line(Stamped(time.time() if t is None else t, event)).encode()
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:]) or 0
        except OSError:
            self._file.truncate(self._size)
            raise
        self._size += len(line)

    def sync(self) -> None:
        """Makes what was appended survive a power cut."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _end_torn_line(self, path: Path) -> int:
        """Cuts off a line that an earlier sitting left half written; returns the size."""
        size = path.stat().st_size
        whole = size
        with open(path, "rb") as file:
            while whole:
                begin = max(0, whole - _TAIL_BYTES)
                file.seek(begin)
                newline = file.read(whole - begin).rfind(b"\n")
                if newline >= 0:
                    whole = begin + newline + 1
                    break
                whole = begin
        if whole < size:
            self._file.truncate(whole)
        return whole


# -------------------------------------------------------------------------------------------------------- reading


class Tail:
    """Reads a growing journal: each `poll` returns the events of the lines completed since the last.

    Args:
        folder: Of the run.
        without: Kinds of events that are left out, and cost next to nothing.
        but_of: Id of a cell of which none is left out.
    """

    def __init__(self, folder: Path, without: Sequence[type[Event]] = (), but_of: str | None = None) -> None:
        self._path = folder / JOURNAL
        self._offset = self._end = 0
        self.unreadable = 0
        self._left_out = tuple(f'"kind":"{kind.KIND}"'.encode() for kind in without)
        self._kept = b"" if but_of is None else f'"cell":"{but_of}"'.encode()

    @property
    def share_read(self) -> float:
        """How much has been read of what there was when `poll` was last called, 0 to 1."""
        return self._offset / self._end if self._end else 1.0

    def poll(self) -> Iterator[Stamped]:
        """Yields the events that are new when it is called, and reads little ahead of them.

        A torn last line waits (a further sitting may cut it off); another schema's is skipped, and so is what is no
        event, which ``unreadable`` counts. What is left when the caller stops is yielded by the next poll.
        """
        with open(self._path, "rb") as file:
            self._end = file.seek(0, os.SEEK_END)
            left = self._end - self._offset
            file.seek(self._offset)
            torn = b""
            while left > 0 and (chunk := file.read(min(left, CHUNK_BYTES))):
                left -= len(chunk)
                *lines, torn = (torn + chunk).split(b"\n")
                for line in lines:
                    self._offset += len(line) + 1
                    if self._leaves_out(line):
                        continue
                    try:
                        yield from_line(line)
                    except OtherSchemaError:
                        continue
                    except DecodeError:
                        if line.strip():
                            self.unreadable += 1

    def _leaves_out(self, line: bytes) -> bool:
        if not any(kind in line[:_HEAD_BYTES] for kind in self._left_out):
            return False
        return not (self._kept and self._kept in line)


class ReadCancelledError(Exception):
    """A run is no longer wanted by whoever had it read."""


def read(folder: Path, cancelled: Callable[[], bool] = lambda: False, samples_of: str | None = None) -> RunRecord:
    """Reads a whole run.

    Args:
        folder: Of the run.
        cancelled: Whether it is no longer wanted; asked at each event.
        samples_of: Id of the only cell whose steps and telemetry are read; ``None`` is all cells.

    Raises:
        UserError: The folder holds no readable journal.
        ReadCancelledError: It is no longer wanted.
    """
    record = RunRecord(folder)
    tail = Tail(folder) if samples_of is None else Tail(folder, (Step, Telemetry), samples_of)
    try:
        for stamped in tail.poll():
            record.apply(stamped)
            if cancelled():
                raise ReadCancelledError
    except OSError as error:
        raise UserError(f"run {folder}: cannot read {JOURNAL}: {error.strerror}") from error
    record.unreadable = tail.unreadable
    return record


def lock_state(folder: Path) -> locks.LockState:
    """Says whether a supervisor holds the run."""
    return locks.query(folder / LOCK)


# ----------------------------------------------------------------------------------------------- listing, finding


@dataclass(frozen=True)
class Listed:
    """One line of a listing: what the folder's name and its journal's tail tell.

    Attributes:
        state: ``running``, ``waiting`` (for its device), ``interrupted`` (no supervisor and no ending), ``empty``,
            ``unreadable``, or the status it finished with.
        counts: Cells by status, of a run that finished.
        planned: Cells of its plan, of one that did not; ``None`` where the plan does not say.
    """

    name: str
    path: Path
    state: str
    counts: dict[str, int]
    heartbeat_age_s: float | None = None
    planned: int | None = None


def names(runs_dir: Path) -> list[str]:
    """Returns the ids of a directory's runs, oldest first.

    Raises:
        UserError: The directory cannot be read.
    """
    return [entry.name for entry in _entries(runs_dir)]


def list_runs(runs_dir: Path) -> list[Listed]:
    """Lists the runs of a directory, oldest first; reads names, journal tails and locks only."""
    return [listed(Path(entry.path)) for entry in _entries(runs_dir)]


def find(runs_dir: Path, name: str) -> Path:
    """Returns the folder of the run that a person named.

    Args:
        runs_dir: Where runs live.
        name: An id, a unique prefix of one (or of its last six hex digits), a folder, or ``last``.

    Raises:
        UserError: There is no such run, or more than one.
    """
    if not name:
        raise UserError("run: must not be empty; write an id, a folder, or 'last'")
    folder = os.path.abspath(name)
    if os.path.isfile(os.path.join(folder, JOURNAL)):
        return Path(folder)
    names = [entry.name for entry in _entries(runs_dir)]
    if name == "last":
        if not names:
            raise UserError(f"runs directory {runs_dir}: there is no run yet; start one with 'sdtui run smoke'")
        return runs_dir / names[-1]
    found = [n for n in names if n == name] or [
        n for n in names if (n.startswith(name) or n.rsplit("-", 1)[-1].startswith(name))
    ]
    if len(found) == 1:
        return runs_dir / found[0]
    if found:
        raise UserError(f"run '{name}' is ambiguous: {', '.join(found[:5])}{' …' if len(found) > 5 else ''}")
    if os.path.isdir(folder):
        raise UserError(f"{name}: no run there ({JOURNAL} is missing)")
    if not names:
        raise UserError(f"run '{name}': runs directory {runs_dir} holds no run")
    hint = nearest(name, names) if len(names) <= 5 else "list them with 'sdtui ls'"
    raise UserError(f"run '{name}': no such run in {runs_dir}; {hint}")


def _entries(runs_dir: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(runs_dir) as entries:
            found = [entry for entry in entries if os.path.isfile(os.path.join(entry.path, JOURNAL))]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise UserError(f"runs directory {runs_dir}: {error.strerror}") from error
    return sorted(found, key=lambda entry: entry.name)


def short(folder: Path) -> str:
    """Returns the end of a run's id, which commands take as well; of a folder that was named otherwise, its name."""
    end = folder.name.rpartition("-")[2]
    return end if re.fullmatch("[0-9a-f]{6}", end) else folder.name


def listed(folder: Path) -> Listed:
    """Returns one run's line of the listing."""
    try:
        state = lock_state(folder)  # asked before the journal is, which then has the ending of one that just ended
        last = _last_event(folder)
        ending = _last_event(folder, besides=Log) if isinstance(last, Log) else last
    except OSError:  # another user's, or removed meanwhile
        return Listed(folder.name, folder, "unreadable", {})
    if state.held:
        waiting = isinstance(last, Log) and last.message.startswith(WAITING)
        cells = _planned(folder)
        return Listed(folder.name, folder, "waiting" if waiting else "running", {}, state.age_s, cells)
    if isinstance(ending, RunFinished):
        return Listed(folder.name, folder, ending.status, dict(ending.counts))
    return Listed(folder.name, folder, "interrupted" if last else "empty", {}, planned=_planned(folder))


def _planned(folder: Path) -> int | None:
    try:
        plan = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
        if "slots" in plan:
            return len(plan["slots"])
        return math.prod(len(plan[key]) for key in ("pipelines", "modes", "environments", "batch_sizes"))
    except (OSError, ValueError, KeyError, TypeError):  # a person may have written to it
        return None


def _last_event(folder: Path, besides: type[Event] | None = None) -> Event | None:
    with open(folder / JOURNAL, "rb") as file:
        size, taken = file.seek(0, os.SEEK_END), 0
        while taken < size:
            taken = min(size, 4 * taken or _TAIL_BYTES)
            file.seek(size - taken)
            for line in reversed(file.read(taken).split(b"\n")[:-1]):
                try:
                    event = from_line(line).event
                except DecodeError:
                    continue
                if besides is None or not isinstance(event, besides):
                    return event
    return None


def slug(text: str) -> str:
    """Returns a name as paths hold it: lower case, without makers, at most 24 characters."""
    cleaned = re.sub(r"\b(NVIDIA|GeForce|Tesla|AMD|Intel|CPU|Processor)\b|\(R\)|\(TM\)|@.*", " ", text)
    words = re.sub(r"[^A-Za-z0-9]+", "-", cleaned).strip("-").lower()
    return words[:24].rstrip("-") or "device"
