"""Standard output and error as the shell gives them: closed, full, or piped into a command that has seen enough."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands import RECORDED, TINY

import sdtui

REPORT = [sys.executable, "-m", "sdtui", "report", "last"]


@pytest.fixture(autouse=True)
def _environ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))
    monkeypatch.setenv("PYTHONPATH", str(Path(sdtui.__file__).parents[1]))


def test_a_reader_that_has_seen_enough() -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(REPORT, stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_a_full_disk() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(REPORT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "sdtui: No space left on device\n")


def test_no_stdout_at_all() -> None:
    done = subprocess.run(["sh", "-c", 'exec "$@" >&-', "sh", *REPORT], stderr=-1, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_locale_without_utf_8(encoding: str) -> None:
    environ = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(REPORT, env=environ, capture_output=True, check=True)
    assert done.stdout.decode("utf-8") == (RECORDED / TINY / "report.md").read_text("utf-8")
