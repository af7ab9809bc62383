"""The dashboard as a person starts it: a process of its own on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]


class PtySession:
    """``python -m sdtui`` with a controlling terminal, which `hang_up` takes away as a lost connection does.

    Args:
        arguments: Of ``sdtui``.
        size: Columns and rows.
        environ: Added to ours.
    """

    def __init__(self, *arguments: str, size: tuple[int, int] = (80, 24), **environ: str) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "sdtui", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**_ours(), "PYTHONPATH": str(ROOT), "TERM": "xterm-256color", **environ},
            preexec_fn=_take_terminal,  # noqa: PLW1509, one system call
            start_new_session=True,
        )
        os.close(slave)
        self.output = b""

    def wait_for(self, text: str, deadline_s: float = 60.0) -> None:
        """Reads until the terminal was sent this text."""
        end = time.monotonic() + deadline_s
        while text.encode() not in self.output:
            left = end - time.monotonic()
            assert left > 0, f"{text!r} did not come; the terminal got {self.output[-2000:]!r}"
            if select.select([self.master], [], [], left)[0]:
                try:
                    self.output += os.read(self.master, 65536)
                except OSError as error:  # EIO: the process has closed its side
                    raise AssertionError(f"ended before {text!r}: {self.output[-2000:]!r}") from error

    def press(self, keys: str) -> None:
        """Types."""
        os.write(self.master, keys.encode())

    def hang_up(self) -> None:
        """Takes the terminal away: the kernel sends SIGHUP to whom it controlled."""
        os.close(self.master)

    def close(self) -> None:
        """Kills what a failed test left."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def _ours() -> dict[str, str]:
    """Returns our variables without those that say how large a terminal is, which pytest-xdist sets."""
    return {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
