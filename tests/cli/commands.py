"""What the tests of the command line stand on: commands as a person starts them, and golden files."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sdtui import runs, settings
from sdtui.records import RunRecord

RECORDED = Path(__file__).parents[1] / "fixtures" / "runs"
SMOKE = "20261124T230016Z-vm-h100-80gb-hbm3-e6c54d"
DOCS = "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
TINY = "20261124T231027Z-vm-epyc-fa50b5"
DEADLINE_S = 60.0
CELLS = (
    "run",
    "--scale",
    "tiny",
    "--device",
    "cpu",
    "--env",
    "fake",
    "--pipeline",
    "sd-txt2img",
    "--mode",
    "no-compile",
)
ONE = (*CELLS, "--batch-size", "1")


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    status: int
    out: str
    err: str


class Shell:
    """Starts commands as a person does, where the environment ``fake`` plays the worker."""

    def __init__(self, environ: pytest.MonkeyPatch, call: Callable[..., Said]) -> None:
        self._environ = environ
        self.call = call
        self._started: list[subprocess.Popen[str]] = []
        self.runs_dir = settings.runs_dir()
        self.command = [sys.executable, "-m", "sdtui"]

    def play(self, part: str) -> None:
        """Sets what workers that start from now on do."""
        self._environ.setenv("FAKE_WORKER", part)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Starts a command."""
        process = subprocess.Popen([*self.command, *arguments], stdout=-1, stderr=-1, text=True)
        self._started.append(process)
        return process

    def run(self, *arguments: str) -> Said:
        """Runs a command to its end."""
        return self.ended(self.start(*arguments))

    def ended(self, process: subprocess.Popen[str]) -> Said:
        """Waits for a command's end."""
        out, err = process.communicate(timeout=DEADLINE_S)
        return Said(process.returncode, out, err)

    def folder(self) -> Path:
        """Waits for the first run and returns its folder."""
        until(lambda: self.runs_dir.is_dir() and any(self.runs_dir.iterdir()), "no run was made")
        return next(self.runs_dir.iterdir())

    def record(self) -> RunRecord:
        """Reads the run."""
        return runs.read(self.folder())

    def await_step(self) -> None:
        """Waits until the run has measured a step."""
        folder = self.folder()

        def stepped() -> bool:
            journal = folder / runs.JOURNAL
            return journal.exists() and b'"kind":"step"' in journal.read_bytes()

        until(stepped, "no step came")

    def await_end(self) -> None:
        """Waits until nobody holds the run."""
        until(lambda: not self.held(), "the run goes on")

    def held(self) -> bool:
        """Says whether a supervisor holds the run."""
        return runs.lock_state(self.folder()).held

    def close(self) -> None:
        """Ends what a failed test left."""
        for folder in self.runs_dir.glob("*"):
            state = runs.lock_state(folder)
            if state.held and state.holder is not None:
                os.kill(state.holder.pid, signal.SIGKILL)
        for process in self._started:
            process.kill()
            process.communicate()


class Terminal:
    """A pseudo-terminal that a command runs on; closing it is what losing an SSH connection does."""

    def __init__(self, shell: Shell, columns: int, *arguments: str) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            for number in (signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_DFL)  # the tests may run under nohup, or in the background
            os.execve(shell.command[0], [*shell.command, *arguments], {**os.environ, "TERM": "xterm-256color"})
        self.pid = pid
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.shown = ""

    def await_text(self, text: str) -> None:
        """Reads what is shown until a text has come."""
        os.set_blocking(self._fd, False)

        def came() -> bool:
            try:
                self.shown += os.read(self._fd, 65536).decode(errors="replace")
            except BlockingIOError:
                pass
            return text in self.shown

        until(came, f"{text!r} never came; shown was {self.shown!r}")

    def type(self, keys: bytes) -> None:
        """Presses keys."""
        os.write(self._fd, keys)

    def ended(self) -> int:
        """Reads all that is shown; returns the command's status, negative for a signal."""
        os.set_blocking(self._fd, True)
        try:
            while chunk := os.read(self._fd, 65536):
                self.shown += chunk.decode(errors="replace")
        except OSError:  # what Linux says at the end of a terminal
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        raise AssertionError("a terminal does not end so")

    def lost(self) -> int:
        """Loses the terminal; returns the command's status as `ended`."""
        os.close(self._fd)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def until(condition: Callable[[], object], otherwise: str) -> None:
    """Waits for something that another process does."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.005)


def check_golden(name: str, written: str) -> None:
    """Compares with a golden file; SDTUI_WRITE_GOLDEN=1 writes it anew, to be read before it is committed."""
    path = Path(__file__).with_name("golden") / name
    if os.environ.get("SDTUI_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written.encode())
    assert written == path.read_bytes().decode()
