"""The command that a person wants run when a run has ended: ``--on-finish``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from sdtui import locks, runs
from sdtui.model.events import Log, RunStatus
from sdtui.supervisor import limits
from sdtui.supervisor.watch import killed_by

LOG = Path("logs", "on-finish.log")
"""Where in a run's folder lies what the command printed, of every sitting one after another."""


@dataclass(frozen=True)
class OnFinish:
    """A shell command, and the folder that it was asked for in.

    It is written nowhere: it may hold an address or a password, and run folders are shared.
    """

    command: str
    folder: Path

    def run(self, run: Path, status: RunStatus) -> None:
        """Runs the command; what goes wrong with it becomes a warning in the run's journal, and nothing else.

        Args:
            run: The run's folder, whose lock is free: the command may resume it.
            status: With which it ended.
        """
        trouble = self._trouble(run, status)
        if not trouble:
            return
        message = f"the --on-finish command {trouble}; {LOG} has what it said"
        print(message, flush=True)
        with contextlib.suppress(OSError):  # a full disk: what was printed has to do
            _warn(run, message)

    def _trouble(self, run: Path, status: RunStatus) -> str:
        """Returns how the command went wrong; empty where it did not."""
        told = {"SDTUI_RUN": str(run), "SDTUI_STATUS": status, "SDTUI_REPORT": str(run / runs.REPORT)}
        try:
            with open(run / LOG, "ab") as log:
                process = subprocess.Popen(
                    self.command,
                    shell=True,
                    cwd=self.folder,
                    env={**os.environ, **told},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    process_group=0,
                )
        except OSError as error:
            return f"could not be run: {error.filename}: {error.strerror}"
        try:
            code = process.wait(limits.ON_FINISH_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"was ended after {limits.ON_FINISH_S:g} s"
        if code < 0:
            return killed_by(-code)
        return f"failed with exit status {code}" if code else ""


def _warn(run: Path, message: str) -> None:
    lock = locks.Lock(run / runs.LOCK)
    if not lock.acquire(f"run {run.name}"):
        return  # it was resumed meanwhile: the journal is another supervisor's
    try:
        journal = runs.Journal(run)
        journal.append(Log(message, "warning"))
        journal.close()
    finally:
        lock.release()
