"""What the tests of the command line stand on: commands as a person starts them, and golden files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
