"""Run folders: made, appended to, read, followed, listed and found."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest

import sdtui
from sdtui import locks, runs
from sdtui.model.errors import UserError
from sdtui.model.events import CellFinished, CellQueued, CellStarted, Event, Log, RunFinished, RunStarted, Step
from sdtui.records import RunRecord

RECORDED = sorted(path.parent for path in (Path(__file__).parents[1] / "fixtures" / "runs").glob("*/events.jsonl"))
SAMPLE = next(path for path in RECORDED if path.name.endswith("fa50b5"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A copy of a recorded run."""
    return Path(shutil.copytree(SAMPLE, tmp_path / SAMPLE.name))


def log(message: str) -> Log:
    return Log(message)


def messages(tail: runs.Tail) -> list[str]:
    return [stamped.event.message for stamped in tail.poll() if isinstance(stamped.event, Log)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runs.create(tmp_path / "runs", "NVIDIA H100 80GB HBM3", "Box.Local", "calls = 3\n")


# ------------------------------------------------------------------------------------------------------- creating


def test_a_new_run_is_a_folder_with_its_plan(tmp_path: Path, folder: Path) -> None:
    assert folder.parent == tmp_path / "runs"
    assert re.fullmatch(r"\d{8}T\d{6}Z-box-local-h100-80gb-hbm3-[0-9a-f]{6}", folder.name)
    found = {path.name: path.is_dir() for path in folder.iterdir()}
    assert found == {"plan.toml": False, "events.jsonl": False, "logs": True, "outputs": True, "control": True}
    assert (folder / "plan.toml").read_text() == "calls = 3\n"
    assert runs.read(folder) == RunRecord(folder)


@pytest.mark.parametrize(
    ("device", "slug"),
    [
        ("NVIDIA GeForce RTX 4090", "rtx-4090"),
        ("Tesla T4", "t4"),
        ("Intel(R) Xeon(R) CPU @ 2.20GHz", "xeon"),
        ("AMD EPYC 7B13 64-Core Processor", "epyc-7b13-64-core"),
        ("???", "device"),
        ("x" * 60, "x" * 24),
        ("../../etc", "etc"),
    ],
)
def test_a_device_gives_its_run_a_readable_name(tmp_path: Path, device: str, slug: str) -> None:
    name = runs.create(tmp_path, device, "h", "").name
    assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-h-{slug}-[0-9a-f]{{6}}", name)


def test_a_runs_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for where, why in ((tmp_path / "file", "Not a directory"), (Path("/proc/sdtui"), "No such file or directory")):
        with pytest.raises(UserError) as caught:
            runs.create(where, "d", "h", "")
        assert str(caught.value) == f"runs directory {where}: {why}; choose another with --runs-dir or SDTUI_RUNS_DIR"


def test_half_a_run_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(runs, "write_atomically", full)
    with pytest.raises(UserError, match="No space left on device; choose another"):
        runs.create(tmp_path, "d", "h", "")
    assert list(tmp_path.iterdir()) == []


def test_a_runs_directory_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    where = tmp_path / os.fsdecode(b"\xff")
    with pytest.raises(UserError, match="its name is not UTF-8; choose another"):
        runs.create(where, "d", "h", "")
    assert not where.exists()


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.md"
    runs.write_atomically(path, "first\n")
    seen: list[str] = []
    replace = Path.replace

    def spy(temporary: Path, target: Path) -> Path:
        seen.extend([path.read_text(), temporary.read_text()])
        return replace(temporary, target)

    monkeypatch.setattr(Path, "replace", spy)
    runs.write_atomically(path, "sécond\n")
    assert seen == ["first\n", "sécond\n"]
    assert path.read_bytes() == "sécond\n".encode()

    def full(*_: object, **__: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        runs.write_atomically(path, "third\n")
    assert path.read_bytes() == "sécond\n".encode()
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------------------------------------ journal and tail


def test_a_tail_gives_each_event_once_and_in_order(folder: Path) -> None:
    journal, tail = runs.Journal(folder), runs.Tail(folder)
    assert messages(tail) == []
    journal.append(log("a"))
    journal.append(log("b"))
    assert messages(tail) == ["a", "b"]
    assert messages(tail) == []
    journal.append(log("c"), 12.5)
    (last,) = tail.poll()
    assert (last.t, last.event) == (12.5, log("c"))


def test_a_tail_waits_for_the_end_of_a_line(folder: Path) -> None:
    tail = runs.Tail(folder)
    line = runs.to_line(runs.Stamped(1.0, log("né"))).encode()
    found = []
    with open(folder / runs.JOURNAL, "ab", buffering=0) as file:
        for byte in line * 2:
            file.write(bytes([byte]))
            found.append(messages(tail))
    assert found == [*[[]] * (len(line) - 1), ["né"]] * 2


def test_a_tail_survives_that_a_torn_line_is_cut_off(folder: Path) -> None:
    journal, tail = runs.Journal(folder), runs.Tail(folder)
    journal.append(log("a"))
    journal.close()
    with open(folder / runs.JOURNAL, "ab") as file:
        file.write(b'{"v":1,"t":1.0,"kind":"log","message":"torn, and so long that the next line is shorter')
    assert messages(tail) == ["a"]
    again = runs.Journal(folder)
    again.append(log("b"))
    assert messages(tail) == ["b"]


@pytest.mark.parametrize("chunk", [1, 7, 64, 1000])
def test_a_tail_reads_in_chunks_of_any_size(folder: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(runs, "CHUNK_BYTES", chunk)
    journal, tail = runs.Journal(folder), runs.Tail(folder)
    texts = ["a", "é" * 100, "", "b"]
    for text in texts:
        journal.append(log(text))
    with open(folder / runs.JOURNAL, "ab") as file:
        file.write(b'{"v":1,"t":1.0,"kind":"log","message":"torn')
    assert messages(tail) == texts
    assert messages(tail) == []
    with open(folder / runs.JOURNAL, "ab") as file:
        file.write(b'"}\n')
    assert messages(tail) == ["torn"]


def test_a_tail_has_a_part_of_a_long_journal_in_memory(folder: Path) -> None:
    line = runs.to_line(runs.Stamped(1.0, log("x" * 1000)))
    (folder / runs.JOURNAL).write_text(line * 20_000)
    tracemalloc.start()
    count = sum(1 for _ in runs.Tail(folder).poll())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 * runs.CHUNK_BYTES < len(line) * count / 4


def test_a_poll_that_is_left_early_is_gone_on_with(folder: Path) -> None:
    journal, tail = runs.Journal(folder), runs.Tail(folder)
    assert tail.share_read == 1
    for text in "abc":
        journal.append(log(text), t=1.0)  # so that the lines are equally long
    assert next(tail.poll()).event == log("a")
    assert tail.share_read == pytest.approx(1 / 3)
    assert messages(tail) == ["b", "c"]
    assert tail.share_read == 1


def test_a_poll_ends_with_what_was_there_when_it_began(folder: Path) -> None:
    journal, tail = runs.Journal(folder), runs.Tail(folder)
    journal.append(log("0"))
    found = []
    for stamped in tail.poll():
        found.append(stamped.event)
        journal.append(log(str(len(found))))
    assert found == [log("0")]
    assert messages(tail) == ["1"]


def test_a_torn_last_line_is_ignored_and_then_cut_off_wherever_it_was_torn(tmp_path: Path, run: Path) -> None:
    whole = (run / runs.JOURNAL).read_bytes()
    *before, last = whole.splitlines(keepends=True)
    kept = b"".join(before)
    events = len(before)
    assert len(last) > 100
    for length in range(len(last)):
        (run / runs.JOURNAL).write_bytes(kept + last[:length])
        if length % 20 == 0:  # the whole journal is read each time
            assert len(list(runs.Tail(run).poll())) == events
        journal = runs.Journal(run)
        journal.append(log("next"))
        journal.close()
        assert (run / runs.JOURNAL).read_bytes()[len(kept) :].count(b"\n") == 1
        assert (run / runs.JOURNAL).stat().st_size < len(kept) + 100


@pytest.mark.parametrize("before", [b"", b'{"v":1,"t":1.0,"kind":"log","message":"x"}\n'])
@pytest.mark.parametrize("length", [1, 16383, 16384, 16385, 100_000])
def test_a_torn_line_of_any_length_is_cut_off(folder: Path, before: bytes, length: int) -> None:
    (folder / runs.JOURNAL).write_bytes(before + b"x" * length)
    runs.Journal(folder).close()
    assert (folder / runs.JOURNAL).read_bytes() == before


def test_a_journal_that_ends_well_is_left_alone(run: Path) -> None:
    whole = (run / runs.JOURNAL).read_bytes()
    runs.Journal(run).close()
    assert (run / runs.JOURNAL).read_bytes() == whole


def test_lines_of_another_schema_or_kind_are_skipped(folder: Path) -> None:
    lines = [
        '{"v":1,"t":1.0,"kind":"log","message":"old"}',
        '{"v":2,"t":2.0,"kind":"log","message":"of the next schema","mood":"good"}',
        '{"v":1,"t":3.0,"kind":"gossip","message":"of an unknown kind"}',
        "",
        "no JSON at all",
        '{"v":1,"t":4.0,"kind":"log","message":"new","mood":"good"}',
    ]
    (folder / runs.JOURNAL).write_text("".join(line + "\n" for line in lines))
    assert messages(runs.Tail(folder)) == ["old", "new"]
    record = runs.read(folder)
    assert [entry.message for _, entry in record.logs] == ["old", "new"]
    assert record.unreadable == 1, "what is of another schema is no damage"
    assert runs.listed(folder).state == "interrupted"


def test_what_cannot_be_written_whole_is_taken_back(folder: Path) -> None:
    journal = runs.Journal(folder)
    journal.append(log("a"))
    before = (folder / runs.JOURNAL).read_bytes()

    class Full:
        def __init__(self, file: object) -> None:
            self.file = file
            self.calls = 0

        def write(self, data: bytes) -> int:
            self.calls += 1
            if self.calls > 1:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data[:10])  # type: ignore[attr-defined, no-any-return]

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

    really, journal._file = journal._file, Full(journal._file)  # type: ignore[assignment]
    with pytest.raises(OSError, match="No space left"):
        journal.append(log("b"))
    assert (folder / runs.JOURNAL).read_bytes() == before
    journal._file = really
    journal.append(log("c"))
    assert messages(runs.Tail(folder)) == ["a", "c"]


# --------------------------------------------------------------------------------------------------------- reading


def _apply(folder: Path, *events: Event) -> RunRecord:
    record = RunRecord(folder)
    for t, event in enumerate(events):
        record.apply(runs.Stamped(float(t), event))
    return record


def _recorded(kind: type[Event]) -> Event:
    return next(s.event for s in runs.Tail(SAMPLE).poll() if isinstance(s.event, kind))


STARTED = _recorded(RunStarted)
QUEUED = _recorded(CellQueued)
assert isinstance(STARTED, RunStarted)
assert isinstance(QUEUED, CellQueued)
CELL = QUEUED.cell


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.name[-6:])
def test_recorded_runs_read_as_they_were(path: Path) -> None:
    record = runs.read(path)
    assert record.id == path.name
    (sitting,) = record.sittings
    assert sitting.finished is not None
    assert sitting.finished_at is not None
    found = [cell.finished.status for cell in record.cells.values() if cell.finished]
    assert {status: found.count(status) for status in found} == dict(sitting.finished.counts)
    assert all(record.sitting_of(cell) is sitting for cell in record.cells.values())
    ok = [cell for cell in record.cells.values() if cell.finished and cell.finished.status == "ok"]
    assert all(cell.versions["torch"] and cell.steps and cell.calls and cell.telemetry for cell in ok)


def test_a_further_start_of_a_cell_voids_what_came_before(tmp_path: Path) -> None:
    step = Step(CELL, 1, "main", 1, 1, 1.0, 1)
    ended = CellFinished(CELL, "failed", "measure")
    record = _apply(
        tmp_path, STARTED, QUEUED, CellStarted(CELL, 1, 1), step, ended, CellStarted(CELL, 2, 2), step, QUEUED
    )
    cell = record.cells[CELL]
    assert (cell.sitting, cell.started, len(cell.steps), cell.finished) == (2, 5.0, 1, None)
    assert cell.spec == QUEUED.spec
    assert record.sitting_of(cell) is None


def test_a_further_start_of_a_process_voids_its_own_samples_alone(tmp_path: Path) -> None:
    step, other = Step(CELL, 1, "main", 1, 1, 1.0, 1), Step(CELL, 1, "main", 1, 1, 2.0, 1)
    one, two = CellFinished(CELL, "ok", "measure"), CellFinished(CELL, "failed", "measure", reason="x", process=2)
    started = dataclasses.replace(STARTED, processes=2)
    told = (started, QUEUED, CellStarted(CELL, 1, 1), step, one, CellStarted(CELL, 1, 2, 2), other, two)
    record = _apply(tmp_path, *told)
    ending = record.ending_of(record.cells[CELL])
    assert ending is not None
    assert (ending.status, ending.reason) == ("failed", "process 2: x")
    record = _apply(tmp_path, *told, CellStarted(CELL, 1, 3, 2), step)
    assert record.ending_of(record.cells[CELL]) is None
    assert [(each.process, each.steps, each.others) for each in record.cells[CELL].processes[:1]] == [(1, [step], {})]
    assert [(each.process, each.steps) for each in record.cells[CELL].processes[1:]] == [(2, [step])]
    record = _apply(tmp_path, *told, CellStarted(CELL, 1, 3, 2), step, dataclasses.replace(one, process=2))
    assert record.ending_of(record.cells[CELL]) == dataclasses.replace(one, process=2)


def test_an_ending_belongs_to_its_own_sitting(tmp_path: Path) -> None:
    """A sitting that found the disk full could not say that it began."""
    ended = RunFinished(1, "cancelled", {})
    record = _apply(tmp_path, STARTED, ended, RunFinished(2, "failed", {}, "disk full"))
    assert record.sittings[0].finished == ended
    assert _apply(tmp_path, RunFinished(1, "failed", {})).sittings == []


def test_events_of_cells_that_were_never_queued_are_left_out(tmp_path: Path) -> None:
    record = _apply(tmp_path, STARTED, CellStarted("unknown", 1, 1), CellFinished("unknown", "ok", "measure"))
    assert record.cells == {}


def test_a_run_keeps_its_id_wherever_it_is_copied(run: Path, tmp_path: Path) -> None:
    assert runs.read(Path(shutil.move(run, tmp_path / "renamed"))).id == SAMPLE.name


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run .*: cannot read events\.jsonl: No such file or directory"):
        runs.read(tmp_path)


# ------------------------------------------------------------------------------------------------ listing, finding


def _made(runs_dir: Path, *names: str) -> Path:
    for name in names:
        (runs_dir / name).mkdir(parents=True)
        (runs_dir / name / runs.JOURNAL).touch()
    return runs_dir


NAMES = ("20260101T000000Z-a-h100-aaaaaa", "20260102T000000Z-a-h100-abcdef", "20260102T120000Z-b-t4-fedcba")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (NAMES[0], 0),
        ("20260101", 0),
        ("20260102T1", 2),
        ("abcdef", 1),
        ("ab", 1),
        ("fedcba", 2),
        ("last", 2),
    ],
)
def test_a_run_is_found_by_id_prefix_digits_or_last(tmp_path: Path, name: str, found: int) -> None:
    assert runs.find(_made(tmp_path, *reversed(NAMES)), name) == tmp_path / NAMES[found]


def test_an_id_that_begins_another_is_still_that_run(tmp_path: Path) -> None:
    assert runs.find(_made(tmp_path, "run", "run-2"), "run") == tmp_path / "run"


def test_a_run_is_found_by_its_folder(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere"
    assert runs.find(elsewhere, str(run)) == run
    monkeypatch.chdir(run.parent)
    assert runs.find(elsewhere, run.name) == runs.find(elsewhere, f"./{run.name}/") == run
    monkeypatch.chdir(run / "logs")
    assert runs.find(elsewhere, "..") == run


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a", rf"run 'a' is ambiguous: {NAMES[0]}, {NAMES[1]}"),
        ("20260102", f"run '20260102' is ambiguous: {NAMES[1]}, {NAMES[2]}"),
        ("bcdef", "run 'bcdef': no such run in DIR; choose from: " + ", ".join(NAMES)),
        (NAMES[0] + "x", f"run '{NAMES[0]}x': no such run in DIR; did you mean '{NAMES[0]}'?"),
        ("", "run: must not be empty; write an id, a folder, or 'last'"),
        ("x" * 5000, "run '" + "x" * 5000 + "': no such run in DIR; choose from: " + ", ".join(NAMES)),
        ("\0", "run '\0': no such run in DIR; choose from: " + ", ".join(NAMES)),
    ],
)
def test_a_run_that_is_not_to_be_found_is_named_with_what_there_is(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        runs.find(_made(tmp_path, *NAMES), name)
    assert str(caught.value) == said.replace("DIR", str(tmp_path))


def test_many_runs_are_not_all_named(tmp_path: Path) -> None:
    _made(tmp_path, *(f"r{number}" for number in range(9)))
    with pytest.raises(UserError, match=r"run 'r' is ambiguous: r0, r1, r2, r3, r4 …"):
        runs.find(tmp_path, "r")
    with pytest.raises(UserError, match=r"no such run in .*; list them with 'sdtui ls'"):
        runs.find(tmp_path, "q")


@pytest.mark.parametrize(
    ("name", "said"),
    [("last", "there is no run yet; start one with 'sdtui run smoke'"), ("abc", "holds no run")],
)
@pytest.mark.parametrize("exists", [True, False])
def test_without_runs_that_is_said(tmp_path: Path, name: str, said: str, exists: bool) -> None:
    where = tmp_path if exists else tmp_path / "missing"
    with pytest.raises(UserError, match=said):
        runs.find(where, name)
    assert runs.list_runs(where) == []


def test_a_runs_directory_that_is_none_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for ask in (lambda: runs.list_runs(tmp_path / "file"), lambda: runs.find(tmp_path / "file", "last")):
        with pytest.raises(UserError, match=rf"runs directory {tmp_path / 'file'}: Not a directory"):
            ask()


def test_a_listing_says_how_each_run_stands(run: Path, tmp_path: Path) -> None:
    whole = (run / runs.JOURNAL).read_bytes()
    _made(tmp_path, "1-empty", "2-interrupted", "3-running", "4-elsewhere")
    (tmp_path / "no run").mkdir()
    (tmp_path / "2-interrupted" / runs.JOURNAL).write_bytes(whole[: whole.rfind(b"\n", 0, -1) + 1] + b'{"v":1,"t"')
    (tmp_path / "3-running" / runs.JOURNAL).write_bytes(whole)
    lock = locks.Lock(tmp_path / "3-running" / runs.LOCK)
    assert lock.acquire("run 3")
    there = dataclasses.replace(locks.this_process("run 4"), host="elsewhere")
    (tmp_path / "4-elsewhere" / runs.LOCK).write_text(json.dumps(dataclasses.asdict(there)))
    found = runs.list_runs(tmp_path)
    lock.release()
    assert [(entry.name, entry.state) for entry in found] == [
        ("1-empty", "empty"),
        ("2-interrupted", "interrupted"),
        (SAMPLE.name, "incomplete"),
        ("3-running", "running"),
        ("4-elsewhere", "running"),
    ]
    finished = runs.read(run).sittings[-1].finished
    assert finished is not None
    assert found[2].counts == dict(finished.counts)
    assert [entry.heartbeat_age_s is None for entry in found] == [True, True, True, True, False]


@pytest.mark.parametrize(("slots", "planned"), [("", 4), ('slots = ["p.a.current.b1", "p.b.current.b4"]\n', 2)])
def test_a_listing_says_how_many_cells_are_planned(folder: Path, slots: str, planned: int) -> None:
    lists = 'pipelines = ["p"]\nmodes = ["a", "b"]\nenvironments = ["current"]\nbatch_sizes = [1, 4]\n'
    (folder / runs.PLAN).write_text(lists + slots)
    assert runs.listed(folder).planned == planned


def test_a_run_whose_last_line_is_long_is_listed_as_it_stands(folder: Path) -> None:
    journal = runs.Journal(folder)
    journal.append(log("short"))
    journal.append(log("x" * 100_000))
    journal.close()
    assert runs.listed(folder).state == "interrupted"


def test_a_run_that_cannot_be_read_spoils_no_listing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _made(tmp_path, "another users")

    def refuse(path: Path) -> locks.LockState:
        if path.parent.name == "another users":
            raise PermissionError(errno.EACCES, "Permission denied")
        return locks.LockState(False, "lock", None)

    monkeypatch.setattr(locks, "query", refuse)
    assert [entry.state for entry in runs.list_runs(tmp_path)] == ["incomplete", "unreadable"]


def test_a_thousand_runs_are_listed_in_a_moment(run: Path, tmp_path: Path) -> None:
    """On a quiet machine of 2 cores this takes about 0.6 s."""
    many = tmp_path / "many"
    for number in range(1000):
        folder = many / f"20260101T{number:06}Z-box-h100-{number:06x}"
        folder.mkdir(parents=True)
        os.link(run / runs.JOURNAL, folder / runs.JOURNAL)
        (folder / runs.LOCK).touch()
    environ = {**os.environ, "PYTHONPATH": str(Path(sdtui.__file__).parents[1]), "SDTUI_RUNS_DIR": str(many)}
    command = [sys.executable, "-m", "sdtui", "ls"]
    start = time.monotonic()
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
    took = time.monotonic() - start
    lines = done.stdout.splitlines()
    assert len(lines) == 1000
    assert all("incomplete" in line for line in lines)
    assert lines == sorted(lines)
    assert took < 10


def test_a_tail_leaves_out_what_it_is_told_to() -> None:
    every = list(runs.Tail(SAMPLE).poll())
    left = list(runs.Tail(SAMPLE, without=runs.SAMPLES).poll())

    assert left == [stamped for stamped in every if not isinstance(stamped.event, runs.SAMPLES)]
    assert 0 < len(left) < len(every)
