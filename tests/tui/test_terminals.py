"""The dashboard opens on every terminal that a person may have."""

from __future__ import annotations

from pathlib import Path

import pytest
from pty_session import PtySession


@pytest.mark.parametrize("term", ["dumb", "screen", "tmux-256color", "xterm", "xterm-256color"])
@pytest.mark.parametrize("no_color", [False, True])
def test_opens_and_shows_the_matrix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, term: str, no_color: bool) -> None:
    monkeypatch.delenv("COLORTERM", raising=False)
    session = PtySession(SDTUI_RUNS_DIR=str(tmp_path), TERM=term, **({"NO_COLOR": "1"} if no_color else {}))
    try:
        session.wait_for("SD - controlnet")
        session.wait_for("compile")
        session.press("q")
        session.wait_for("\x1b[?1049l")
        assert session.process.wait(10) == 0
    finally:
        session.close()
