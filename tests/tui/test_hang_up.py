"""The terminal is lost: the dashboard ends at once, and cleanly."""

from __future__ import annotations

import errno
import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pty_session import PtySession

from sdtui.tui.hang_up import LastingOutput

SECONDS = 2.0
"""One is promised, and measured by benchmarks/dashboard.py; a busy machine that tests is granted two."""


@pytest.fixture
def session(tmp_path: Path) -> Iterator[PtySession]:
    started = PtySession(SDTUI_RUNS_DIR=str(tmp_path))
    try:
        started.wait_for("controlnet")
        yield started
    finally:
        started.close()


def test_ends_when_the_terminal_is_gone(session: PtySession) -> None:
    session.hang_up()

    assert session.process.wait(SECONDS) == 0


def test_ends_when_it_is_told_to_and_leaves_the_terminal_as_it_was(session: PtySession) -> None:
    os.kill(session.process.pid, signal.SIGTERM)
    session.wait_for("\x1b[?1049l")  # back from the alternate screen

    assert session.process.wait(SECONDS) == 0


def test_quits(session: PtySession) -> None:
    session.press("q")
    session.wait_for("\x1b[?1049l")

    assert session.process.wait(SECONDS) == 0


def test_what_is_written_to_a_lost_terminal_is_swallowed() -> None:
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        output = LastingOutput(stream)
        assert output.write("seen\n") == 5
        output.flush()
        assert os.read(master, 100) == b"seen\r\n"
        os.close(master)
        output.write("x" * 100_000)
        output.flush()
        assert output.write("y") == 1
        stream.flush()  # as the interpreter does at its end


def test_another_error_is_raised() -> None:
    with open("/dev/full", "w", encoding="utf-8") as stream:
        output = LastingOutput(stream)
        output.write("x")
        with pytest.raises(OSError, match="No space left") as raised:
            output.flush()
        assert raised.value.errno == errno.ENOSPC
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
