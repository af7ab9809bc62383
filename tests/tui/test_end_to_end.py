"""As a person does it, in tmux: start a run by keys, lose the terminal, come back, see it end, export the report."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.report.render import render

ROOT = Path(__file__).parents[2]
DEADLINE_S = 240.0

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Tmux:
    """A tmux server of its own with one window."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started = 0

    @property
    def _socket(self) -> str:
        return str(self._folder / f"tmux-{self._started}")

    def start(self, *arguments: str) -> None:
        """Opens a window of 100 columns and 30 rows that runs ``sdtui``, of another server than one that is ending."""
        self._started += 1
        command = [sys.executable, "-m", "sdtui", *arguments]
        environ = {**os.environ, "PYTHONPATH": str(ROOT), "SDTUI_RUNS_DIR": str(self._folder / "runs")}
        environ.pop("TMUX", None)
        subprocess.run(
            ["tmux", "-S", self._socket, "-f", os.devnull, "new-session", "-d", "-x", "100", "-y", "30", *command],
            env=environ,
            cwd=self._folder,
            check=True,
        )

    def press(self, *keys: str) -> None:
        """Types."""
        self._tmux("send-keys", *keys)

    def wait_for(self, *texts: str) -> str:
        """Waits until the screen shows all of these, and returns it."""
        end = time.monotonic() + DEADLINE_S
        while True:
            screen = self._tmux("capture-pane", "-p")
            if all(text in screen for text in texts):
                return screen
            assert time.monotonic() < end, f"no {texts} on\n{screen}"
            time.sleep(0.1)

    def kill(self) -> None:
        """Takes the terminal away."""
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], check=False, capture_output=True)

    def _tmux(self, *arguments: str) -> str:
        done = subprocess.run(["tmux", "-S", self._socket, *arguments], check=True, capture_output=True, text=True)
        return done.stdout


@pytest.fixture
def tmux(tmp_path: Path) -> Iterator[Tmux]:
    server = Tmux(tmp_path)
    yield server
    server.kill()


@pytest.mark.timeout(2 * DEADLINE_S)
def test_a_run_by_keys_outlives_its_terminal_and_is_exported(tmux: Tmux, tmp_path: Path) -> None:
    tmux.start()
    tmux.wait_for("SD - controlnet", "torch ", "tiny scale")
    tmux.press("Space")
    tmux.wait_for("● 1 selected")
    tmux.press("r")
    tmux.wait_for("▶ import")
    tmux.kill()

    tmux.start("attach")
    tmux.wait_for("▶ SD - txt2img")
    screen = tmux.wait_for("ok · 1/1 cells")
    (folder,) = (tmp_path / "runs").iterdir()
    record = runs.read(folder)
    (cell,) = record.cells.values()
    assert cell.finished is not None
    assert cell.finished.summary is not None
    assert f"{cell.finished.summary.stages[0].loop_its:.2f}" in screen

    tmux.press("e")
    tmux.wait_for("Markdown")
    tmux.press("Enter")
    tmux.wait_for("report written")
    (report,) = tmp_path.glob("sdtui-*.md")
    assert report.read_bytes() == render([record], "md").encode()
