"""Locks that say who holds them, and can be asked."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import json
import os
import select
import signal
import socket
import stat
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from sdtui import locks
from sdtui.locks import HEARTBEAT_STALE_S, Holder, Lock, LockState, query, this_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_a_lock_nobody_took_is_free(path: Path) -> None:
    assert query(path) == LockState(False, "lock", None)
    assert not path.exists(), "asking makes no file"


def test_a_lock_is_held_by_one_and_says_by_whom(path: Path) -> None:
    first, second = Lock(path), Lock(path)
    before = time.time()
    assert first.acquire("run x")
    assert not second.acquire("run y")
    state = query(path)
    assert (state.held, state.evidence, state.age_s) == (True, "lock", None)
    holder = state.holder
    assert holder is not None
    assert (holder.host, holder.boot_id, holder.pid) == (socket.gethostname(), locks.boot_id(), os.getpid())
    assert before <= holder.start_time <= time.time()
    assert str(holder) == f"run x (pid {os.getpid()}, user {holder.user}, on {socket.gethostname()})"
    first.release()


def test_asking_does_not_take(path: Path) -> None:
    first = Lock(path)
    assert first.acquire("x")
    first.release()
    assert [query(path).held for _ in range(3)] == [False] * 3
    assert first.acquire("y")
    assert query(path).held
    first.release()


def test_a_released_lock_is_free_and_names_nobody(path: Path) -> None:
    lock = Lock(path)
    assert lock.acquire("x")
    lock.release()
    lock.release()
    assert query(path) == LockState(False, "lock", None)
    assert path.read_bytes() == b""
    assert Lock(path).acquire("y")


def _holding(path: Path, *, with_child: bool = False) -> tuple[int, int | None]:
    """Starts a process that holds the lock until it is killed; returns its pid, and that of a child it started."""
    readable, writable = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            assert Lock(path).acquire("run of another process")
            child = subprocess.Popen(["sleep", "600"]).pid if with_child else 0
            os.write(writable, f"{child}\n".encode())
            signal.pause()
        finally:
            os._exit(1)
    os.close(writable)
    assert select.select([readable], [], [], 30)[0]
    child = int(os.read(readable, 100))
    os.close(readable)
    return pid, child or None


def test_a_crashed_holder_holds_nothing(path: Path) -> None:
    pid, child = _holding(path, with_child=True)
    assert child is not None
    state = query(path)
    assert state.holder is not None
    assert (state.held, state.holder.pid) == (True, pid)
    assert not Lock(path).acquire("mine")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.kill(child, 0)  # what it had started lives on, and holds nothing
    state = query(path)
    assert (state.held, state.evidence) == (False, "lock")
    assert state.holder is not None
    assert state.holder.pid == pid, "the file still says who held it last"
    lock = Lock(path)
    assert lock.acquire("mine")
    assert query(path).holder == dataclasses.replace(this_process("mine"), start_time=query(path).holder.start_time)  # type: ignore[union-attr]
    os.kill(child, signal.SIGKILL)
    lock.release()


# ---------------------------------------------------------------------------------------------------- no certainty


def _written(path: Path, age_s: float, **changes: Any) -> Holder:
    holder = dataclasses.replace(this_process("run x"), **changes)
    path.write_text(json.dumps(dataclasses.asdict(holder)))
    os.utime(path, (time.time() - age_s,) * 2)
    return holder


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"boot_id": "another boot"}, {"boot_id": None}])
@pytest.mark.parametrize(("age_s", "held"), [(1.0, True), (HEARTBEAT_STALE_S + 1, False), (-3 * 3600.0, False)])
def test_another_host_is_judged_by_its_heartbeat(path: Path, changes: Any, age_s: float, held: bool) -> None:
    holder = _written(path, age_s, **changes)
    state = query(path)
    assert (state.held, state.evidence, state.holder) == (held, "heartbeat", holder)
    assert state.age_s == pytest.approx(age_s, abs=5)


def test_this_hosts_dead_holder_needs_no_heartbeat(path: Path) -> None:
    _written(path, 1.0)
    assert not query(path).held


@pytest.fixture(params=[errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, or a kernel, that has no such locks."""

    def refuse(*_: object) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "fcntl", refuse)


@pytest.mark.usefixtures("without_locks")
def test_without_locks_a_heartbeat_keeps_others_out(path: Path) -> None:
    first, second = Lock(path), Lock(path)
    assert first.acquire("run x")
    state = query(path)
    assert (state.held, state.evidence) == (True, "heartbeat")
    assert state.holder is not None
    assert state.holder.purpose == "run x"
    assert not second.acquire("run y")
    os.utime(path, (time.time() - HEARTBEAT_STALE_S - 1,) * 2)
    assert not query(path).held
    assert second.acquire("run y")
    second.release()
    assert not query(path).held
    assert first.acquire("run z")


def test_an_error_that_is_no_answer_is_raised(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "broken disk")

    path.touch()
    monkeypatch.setattr(fcntl, "fcntl", fail)
    with pytest.raises(OSError, match="broken disk"):
        query(path)
    with pytest.raises(OSError, match="broken disk"):
        Lock(path).acquire("x")


def test_a_heartbeat_is_renewed_when_it_is_due(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Lock(path)
    lock.beat()  # nothing is held: nothing happens
    assert not path.exists()
    assert lock.acquire("x")
    beats: list[int] = []
    clock = [1000.0]
    monkeypatch.setattr(os, "utime", beats.append)
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    for clock[0] in (
        1000.0,
        1001.0,
        1000.0 + locks.HEARTBEAT_S,
        1001.0 + locks.HEARTBEAT_S,
        1000.0 + 2 * locks.HEARTBEAT_S,
    ):
        lock.beat()
    assert len(beats) == 3
    lock.release()


def test_a_beat_moves_the_files_time(path: Path) -> None:
    lock = Lock(path)
    assert lock.acquire("x")
    os.utime(path, (0, 0))
    lock.beat()
    assert time.time() - path.stat().st_mtime < 10
    lock.release()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": "h"}', "\udcff"])
def test_a_holder_that_cannot_be_read_is_unknown(path: Path, content: str) -> None:
    path.write_text(content, errors="surrogateescape")
    assert query(path) == LockState(False, "lock", None)


def test_a_lock_that_cannot_say_its_holder_is_not_taken(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    lock = Lock(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space left"):
            lock.acquire("x")
    assert not query(path).held
    assert lock.acquire("x")
    lock.release()


# ----------------------------------------------------------------------------------------------------- many users


@pytest.mark.parametrize(("shared", "mode"), [(True, 0o666), (False, 0o644)])
def test_others_may_take_a_shared_lock_only(path: Path, shared: bool, mode: int) -> None:
    before = os.umask(0o077)
    try:
        lock = Lock(path, shared_by_users=shared)
        assert lock.acquire("x")
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == mode
    lock.release()


def test_nobody_finds_a_shared_lock_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others may open it from the moment it is there, whatever the umask of who made it."""
    really_open, found = os.open, []

    def looked_at(name: Path, flags: int, *mode: int) -> int:
        descriptor = really_open(name, flags, *mode)
        found.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        return descriptor

    monkeypatch.setattr(os, "open", looked_at)
    before = os.umask(0o077)
    try:
        lock = Lock(path, shared_by_users=True)
        assert lock.acquire("x")
        assert os.umask(0o077) == 0o077
    finally:
        os.umask(before)
    assert found == [0o666]
    lock.release()


def test_a_file_that_is_there_is_never_opened_as_if_to_be_made(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``fs.protected_regular`` that fails in a sticky directory where another user owns the file."""
    lock = Lock(path, shared_by_users=True)
    assert lock.acquire("x")
    lock.release()
    opened: list[int] = []
    really_open = os.open

    def spy(name: Path, flags: int, *mode: int) -> int:
        opened.append(flags)
        return really_open(name, flags, *mode)

    monkeypatch.setattr(os, "open", spy)
    assert lock.acquire("y")
    assert query(path).held
    assert opened
    assert not any(flags & os.O_CREAT for flags in opened)
    lock.release()


def test_two_that_make_the_file_at_once_share_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really_open = os.open

    def late(name: Path, flags: int, *mode: int) -> int:
        if flags & os.O_CREAT and not path.exists():
            os.close(really_open(name, os.O_WRONLY | os.O_CREAT, 0o644))  # another was faster
        return really_open(name, flags, *mode)

    monkeypatch.setattr(os, "open", late)
    lock = Lock(path)
    assert lock.acquire("x")
    lock.release()


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="Too many levels of symbolic links"):
        Lock(path).acquire("x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_user_without_a_name_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert this_process("x").user == "4000000"
