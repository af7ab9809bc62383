"""Run folders: create, append, read, follow, list and find them."""

from __future__ import annotations

import math
import os
import re
import secrets
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdtui import locks
from sdtui.model.cell import Cell
from sdtui.model.codec import DecodeError
from sdtui.model.errors import UserError, nearest
from sdtui.model.events import (
    WAITING,
    CallFinished,
    CellChecked,
    CellFinished,
    CellPhase,
    CellQueued,
    CellStarted,
    Event,
    Log,
    RunFinished,
    RunStarted,
    Stamped,
    Step,
    Telemetry,
    from_line,
    to_line,
)

JOURNAL = "events.jsonl"
PLAN = "plan.toml"
LOCK = "lock"
_TAIL_BYTES = 16384


# ---------------------------------------------------------------------------------------------- what a run knows


@dataclass
class CellRecord:
    """All that the journal says of one process of a cell: of its latest attempt.

    ``call_times`` are when each of ``calls`` ended, in unix seconds. ``others`` are the cell's other processes by
    number, where there are some; this one began last.
    """

    spec: Cell
    sitting: int = 0
    started: float | None = None
    phases: list[tuple[float, CellPhase]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    calls: list[CallFinished] = field(default_factory=list)
    telemetry: list[tuple[float, Telemetry]] = field(default_factory=list)
    finished: CellFinished | None = None
    finished_at: float | None = None
    call_times: list[float] = field(default_factory=list)
    checked: CellChecked | None = None
    process: int = 1
    others: dict[int, CellRecord] = field(default_factory=dict)

    @property
    def processes(self) -> tuple[CellRecord, ...]:
        """Every process that was started or has an ending, by number."""
        known = {**self.others, self.process: self}
        return tuple(known[n] for n in sorted(known) if known[n].started is not None or known[n].finished is not None)

    @property
    def name(self) -> str:
        """The cell's id, and which process it is where it is not the first."""
        return self.spec.id if self.process == 1 else f"{self.spec.id}, process {self.process}"

    def begun(self, process: int, sitting: int, started: float | None) -> CellRecord:
        """Returns the record of a process that begins now, with all others beside it."""
        others = {each.process: replace(each, others={}) for each in self.processes if each.process != process}
        return CellRecord(self.spec, sitting, started, process=process, others=others)

    @property
    def versions(self) -> dict[str, str | None]:
        """Package versions as the worker's imported packages stated them."""
        return next((dict(phase.versions) for _, phase in self.phases if phase.versions), {})


@dataclass
class SittingRecord:
    """One stretch of a run: started once, resumed for each further one."""

    started_at: float
    started: RunStarted
    finished: RunFinished | None = None
    finished_at: float | None = None


@dataclass
class RunRecord:
    """The state of a run, reduced from its events; the one reducer that every reader uses."""

    path: Path
    sittings: list[SittingRecord] = field(default_factory=list)
    cells: dict[str, CellRecord] = field(default_factory=dict)
    logs: list[tuple[float, Log]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """The run's id: its folder's name when it was made."""
        return self.sittings[0].started.run if self.sittings else self.path.name

    def sitting_of(self, record: CellRecord) -> SittingRecord | None:
        """Returns the sitting in which the cell last ran."""
        return next((s for s in reversed(self.sittings) if s.started.sitting == record.sitting), None)

    @property
    def processes(self) -> int:
        """How many processes each cell is measured in."""
        return self.sittings[-1].started.processes if self.sittings else 1

    def ending_of(self, cell: CellRecord) -> CellFinished | None:
        """Returns how a cell ended: as the first of its processes that did not end ok, named in the reason.

        ``None`` while a process has no ending. A process that was cancelled counts where no other ended worse.
        """
        if self.processes == 1 and not cell.others:
            return cell.finished
        endings = [process.finished for process in cell.processes if process.finished]
        worse = [ending for ending in endings if ending.status != "ok"]
        if worse:
            worst = min(worse, key=lambda ending: ending.status == "cancelled")
            return replace(worst, reason=f"process {worst.process}: {worst.reason}")
        return endings[-1] if len(endings) >= self.processes else None

    def apply(self, stamped: Stamped) -> None:
        """Takes in the next event of the journal."""
        t, event = stamped.t, stamped.event
        if isinstance(event, RunStarted):
            self.sittings.append(SittingRecord(t, event))
        elif isinstance(event, RunFinished):
            if self.sittings and self.sittings[-1].started.sitting == event.sitting:
                self.sittings[-1].finished, self.sittings[-1].finished_at = event, t
        elif isinstance(event, CellQueued):
            self.cells.setdefault(event.cell, CellRecord(event.spec))
        elif isinstance(event, Log):
            self.logs.append((t, event))
        elif event.cell in self.cells:
            self._apply_to_cell(t, event)

    def _apply_to_cell(self, t: float, event: Event) -> None:
        assert not isinstance(event, (RunStarted, RunFinished, Log))
        record = self.cells[event.cell]
        if isinstance(event, CellStarted):
            self.cells[event.cell] = record.begun(event.process, event.sitting, t)
        elif isinstance(event, CellPhase):
            record.phases.append((t, event))
        elif isinstance(event, Step):
            record.steps.append(event)
        elif isinstance(event, CallFinished):
            record.calls.append(event)
            record.call_times.append(t)
        elif isinstance(event, Telemetry):
            record.telemetry.append((t, event))
        elif isinstance(event, CellFinished):
            if event.process != record.process:  # it was skipped, and had no start
                record = self.cells[event.cell] = record.begun(event.process, record.sitting, None)
            record.finished, record.finished_at = event, t
        elif isinstance(event, CellChecked):
            record.checked = event


# ------------------------------------------------------------------------------------------- creating and writing


def create(runs_dir: Path, device_name: str, host: str, plan_toml: str) -> Path:
    """Makes a new run folder with its plan.

    Args:
        runs_dir: Where runs live; made if missing.
        device_name: GPU or CPU name, for the folder's name.
        host: Host name, likewise.
        plan_toml: The resolved plan.

    Raises:
        UserError: The directory cannot be written.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    name = f"{stamp}-{_slug(host)}-{_slug(device_name)}-{secrets.token_hex(3)}"
    folder = runs_dir / name
    try:
        complete(folder)
        write_atomically(folder / PLAN, plan_toml)
        (folder / JOURNAL).touch()
    except OSError as error:
        raise UserError(
            f"runs directory {runs_dir}: {error.strerror}; choose another with --runs-dir or SDTUI_RUNS_DIR"
        ) from error
    return folder


def complete(folder: Path) -> None:
    """Makes the folders of a run that are missing: git and some copies leave out what is empty or large."""
    for part in ("logs", "outputs", "control"):
        (folder / part).mkdir(parents=True, exist_ok=True)


def write_atomically(path: Path, text: str) -> None:
    """Writes a file under a temporary name, then renames it into place.

    Raises:
        OSError: It cannot be written; what was there before still is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
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
    """Reads a growing journal: each `poll` returns the events of the lines completed since the last."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / JOURNAL
        self._offset = 0

    def poll(self) -> Iterator[Stamped]:
        """Yields new events. A torn last line waits (a further sitting may cut it off); another schema's is skipped."""
        with open(self._path, "rb") as file:
            file.seek(self._offset)
            chunk = file.read()
        *lines, torn = chunk.split(b"\n")
        self._offset += len(chunk) - len(torn)
        for line in lines:
            try:
                yield from_line(line)
            except DecodeError:
                continue


def read(folder: Path) -> RunRecord:
    """Reads a whole run.

    Raises:
        UserError: The folder holds no readable journal.
    """
    record = RunRecord(folder)
    try:
        for stamped in Tail(folder).poll():
            record.apply(stamped)
    except OSError as error:
        raise UserError(f"run {folder}: cannot read {JOURNAL}: {error.strerror}") from error
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
    """Returns the end of a run's id, which commands take as well and a line has room for."""
    return folder.name.rsplit("-", 1)[-1]


def listed(folder: Path) -> Listed:
    """Returns one run's line of the listing."""
    try:
        last = _last_event(folder)
        state = lock_state(folder)
    except OSError:  # another user's, or removed meanwhile
        return Listed(folder.name, folder, "unreadable", {})
    if state.held:
        waiting = isinstance(last, Log) and last.message.startswith(WAITING)
        cells = _planned(folder)
        return Listed(folder.name, folder, "waiting" if waiting else "running", {}, state.age_s, cells)
    if isinstance(last, RunFinished):
        return Listed(folder.name, folder, last.status, dict(last.counts))
    return Listed(folder.name, folder, "interrupted" if last else "empty", {}, planned=_planned(folder))


def _planned(folder: Path) -> int | None:
    try:
        plan = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
        return math.prod(len(plan[key]) for key in ("pipelines", "modes", "environments", "batch_sizes"))
    except (OSError, ValueError, KeyError, TypeError):  # a person may have written to it
        return None


def _last_event(folder: Path) -> Event | None:
    with open(folder / JOURNAL, "rb") as file:
        size, taken = file.seek(0, os.SEEK_END), 0
        while taken < size:
            taken = min(size, 4 * taken or _TAIL_BYTES)
            file.seek(size - taken)
            for line in reversed(file.read(taken).split(b"\n")[:-1]):
                try:
                    return from_line(line).event
                except DecodeError:
                    continue
    return None


def _slug(text: str) -> str:
    cleaned = re.sub(r"\b(NVIDIA|GeForce|Tesla|AMD|Intel|CPU|Processor)\b|\(R\)|\(TM\)|@.*", " ", text)
    words = re.sub(r"[^A-Za-z0-9]+", "-", cleaned).strip("-").lower()
    return words[:24].rstrip("-") or "device"
