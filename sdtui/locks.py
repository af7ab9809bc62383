"""Advisory locks that say who holds them and can be asked without being taken.

Open-file-description locks (``fcntl(2)``, ``F_OFD_SETLK``) end with the process however it dies, and ``F_OFD_GETLK``
asks without touching them. Where the file system has no locks, or the file is looked at from another host, a
heartbeat (the file's modification time, which the holder renews) stands in and is said as such.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import pwd
import socket
import struct
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sdtui.model.codec import DecodeError, decode, encode

HEARTBEAT_S = 5.0
"""How often a holder renews the heartbeat."""
HEARTBEAT_STALE_S = 30.0
"""A heartbeat older than this is taken for dead."""

_FLOCK = struct.Struct("hhqqixxxx")  # struct flock on 64-bit Linux: l_type, l_whence, l_start, l_len, l_pid
_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True)
class Holder:
    """Who holds a lock."""

    host: str
    boot_id: str | None
    pid: int
    start_time: float
    user: str
    purpose: str

    def __str__(self) -> str:
        return f"{self.purpose} (pid {self.pid}, user {self.user}, on {self.host})"


@dataclass(frozen=True)
class LockState:
    """What can be known of a lock from outside.

    Attributes:
        held: Whether it is held.
        evidence: ``lock`` (certain) or ``heartbeat`` (judged by the file's age).
        holder: Who holds or last held it; ``None`` where the file does not say.
        age_s: Age of the heartbeat, where that is the evidence.
    """

    held: bool
    evidence: Literal["lock", "heartbeat"]
    holder: Holder | None
    age_s: float | None = None


def boot_id() -> str | None:
    """Returns the kernel's id of this boot, or ``None`` where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None


def this_process(purpose: str) -> Holder:
    """Returns this process as the holder of a lock taken for ``purpose``."""
    return Holder(socket.gethostname(), boot_id(), os.getpid(), time.time(), _user(), purpose)


class Lock:
    """A lock on ``path``, held until `release` or the end of the process."""

    def __init__(self, path: Path, shared_by_users: bool = False) -> None:
        self.path = path
        self._mode = 0o666 if shared_by_users else 0o644
        self._fd: int | None = None
        self._beat_at = 0.0

    def acquire(self, purpose: str, force: bool = False) -> bool:
        """Tries to take the lock, without waiting.

        Args:
            purpose: What the holder does with it, for whoever waits, such as ``run 20261124T…``.
            force: Take it also where only a heartbeat says that another holds it.

        Returns:
            Whether it was taken.

        Raises:
            OSError: The file cannot be opened or written.
        """
        fd = _open(self.path, self._mode)
        try:
            fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            taken = error.errno in _NO_LOCKS and (force or not self._heartbeat_is_fresh())
            if not taken:
                os.close(fd)
                if error.errno in (errno.EAGAIN, errno.EACCES, *_NO_LOCKS):
                    return False
                raise
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, (json.dumps(encode(this_process(purpose))) + "\n").encode(), 0)
        except OSError:
            os.close(fd)
            raise
        self._fd = fd
        return True

    def beat(self) -> None:
        """Renews the heartbeat where that is due; call it often."""
        now = time.monotonic()
        if self._fd is not None and now - self._beat_at >= HEARTBEAT_S:
            self._beat_at = now
            os.utime(self._fd)

    def release(self) -> None:
        """Gives the lock up; the file stays, empty."""
        if self._fd is not None:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = None

    def _heartbeat_is_fresh(self) -> bool:
        state = _by_heartbeat(self.path, _read_holder(self.path))
        return state.held


def query(path: Path) -> LockState:
    """Says whether the lock on ``path`` is held, without taking it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return LockState(False, "lock", None)
    try:
        holder = _parse_holder(os.pread(fd, 4096, 0))
        if holder is not None and (holder.host, holder.boot_id) != (socket.gethostname(), boot_id()):
            return _by_heartbeat(path, holder)
        asked: Any = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return _by_heartbeat(path, holder)
        raise
    finally:
        os.close(fd)
    return LockState(_FLOCK.unpack(asked)[0] != fcntl.F_UNLCK, "lock", holder)


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a user that it does not know
        return str(os.getuid())


def _open(path: Path, mode: int) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
    try:  # first without O_CREAT: fs.protected_regular forbids it on another user's file in a sticky directory
        return os.open(path, flags)
    except FileNotFoundError:
        pass
    masked = os.umask(0)  # the file has its mode from the start: nobody finds it there and closed
    try:
        return os.open(path, flags | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        return os.open(path, flags)
    finally:
        os.umask(masked)


def _by_heartbeat(path: Path, holder: Holder | None) -> LockState:
    age = time.time() - path.stat().st_mtime
    fresh = abs(age) < HEARTBEAT_STALE_S  # one from far in the future is another clock's
    return LockState(holder is not None and fresh, "heartbeat", holder, age)


def _read_holder(path: Path) -> Holder | None:
    try:
        return _parse_holder(path.read_bytes()[:4096])
    except FileNotFoundError:
        return None


def _parse_holder(content: bytes) -> Holder | None:
    try:
        return decode(Holder, json.loads(content))
    except (ValueError, DecodeError):
        return None
