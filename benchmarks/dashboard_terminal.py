"""A program on a pseudo-terminal, and what a person would read there: for benchmarks/dashboard.py."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import pyte

_ASKS_FOR_SYNC, _HAS_SYNC = b"\x1b[?2026$p", b"\x1b[?2026;2$y"


class NotShownError(Exception):
    """What was waited for did not come; says what the terminal showed."""


class Terminal:
    """A terminal of a given size, the program its session's leader.

    It draws as xterm with 256 colours and answers that it can synchronise output, as most do today: that costs the
    program sixteen bytes a frame.

    Attributes:
        bytes_read: What the program has sent.
        started: When it was started, in unix seconds, as are all times here.
    """

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], size: tuple[int, int] = (120, 40)) -> None:
        self._screen = pyte.Screen(*size)
        self._stream = pyte.ByteStream(self._screen)
        master, slave = pty.openpty()
        self._master: int | None = master
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.bytes_read = 0
        self.started = time.time()
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environ),
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509, one system call
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self._master is not None:
            os.close(self._master)

    @property
    def lines(self) -> list[str]:
        """What is on the screen, line by line."""
        return self._screen.display

    def read(self, timeout_s: float) -> float | None:
        """Takes in the next output.

        Returns:
            When it came; ``None`` where none came in time.

        Raises:
            NotShownError: The program has closed the terminal.
        """
        if self._master is None or not select.select([self._master], [], [], max(0.0, timeout_s))[0]:
            return None
        try:
            data = os.read(self._master, 65536)
        except OSError as error:  # EIO: nobody has the other side open
            raise NotShownError(f"the program has ended; the screen showed\n{self._shown()}") from error
        now = time.time()
        self.bytes_read += len(data)
        if _ASKS_FOR_SYNC in data:
            os.write(self._master, _HAS_SYNC)
        self._stream.feed(data)
        return now

    def read_for(self, seconds: float, seen: Callable[[float], None] = lambda _: None) -> None:
        """Takes in output for so long; ``seen`` is called with the time of each."""
        end = time.time() + seconds
        while (left := end - time.time()) > 0:
            at = self.read(left)
            if at is not None:
                seen(at)

    def wait_for(self, shown: Callable[[list[str]], bool], deadline_s: float = 30.0) -> float:
        """Takes in output until the screen is as asked for; returns when the last of it came.

        Raises:
            NotShownError: It was not so in time.
        """
        end = time.time() + deadline_s
        while (left := end - time.time()) > 0:
            at = self.read(left)
            if at is not None and shown(self.lines):
                return at
        raise NotShownError(f"not shown within {deadline_s:.0f} s; the screen shows\n{self._shown()}")

    def press(self, keys: str) -> float:
        """Types; returns when."""
        now = time.time()
        os.write(self._master or 0, keys.encode())
        return now

    def hang_up(self) -> float:
        """Takes the terminal away, as a lost connection does; returns when."""
        now = time.time()
        os.close(self._master or 0)
        self._master = None
        return now

    def wait(self, deadline_s: float = 10.0) -> int:
        """Takes in what is left until the program has ended; returns its exit status."""
        try:
            self.read_for(deadline_s)
        except NotShownError:
            pass
        return self.process.wait(deadline_s)

    def _shown(self) -> str:
        return "\n".join(line.rstrip() for line in self.lines).strip()
