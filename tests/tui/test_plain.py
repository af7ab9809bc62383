"""Terminals without Unicode get ASCII, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pty_session import PtySession
from recorded import DOCS, FIXTURES
from rich.cells import cell_len

from sdtui.tui.plain import plain
from sdtui.tui.terminal import draws_unicode


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("▶ H100 · 2.18× ✓", "> H100 . 2.18x +"),
        ("│65 °C│", "|65 C |"),
        ("❌ é ﬁ 日", "x  e f ??"),
        ("plain", "plain"),
    ],
)
def test_it_is_as_wide_as_it_was(text: str, expected: str) -> None:
    assert plain(text) == expected
    assert len(expected) == cell_len(text)


@pytest.mark.parametrize(
    ("expected", "environ"),
    [
        (True, {}),
        (True, {"LANG": "en_GB.UTF-8"}),
        (True, {"LC_CTYPE": "C.UTF-8"}),
        (True, {"LANG": "C", "LC_ALL": "C.utf8"}),
        (True, {"LANG": "C", "LC_CTYPE": "de_DE.UTF-8"}),
        (False, {"LANG": "C"}),
        (False, {"LANG": "C", "LC_CTYPE": "C.UTF-8"}),  # as Python makes of it
        (False, {"LANG": "en_GB.UTF-8", "LC_ALL": "C"}),
        (False, {"LANG": "de_DE"}),
        (False, {"TERM": "linux"}),
    ],
)
def test_the_locale_says_whether_there_is_unicode(expected: bool, environ: dict[str, str]) -> None:
    assert draws_unicode("utf-8", environ) is expected
    assert not draws_unicode("iso8859-1", environ)


@pytest.mark.parametrize("locale", ["LANG", "LC_ALL"])
def test_a_plain_locale_gets_ascii_on_every_screen(tmp_path: Path, locale: str) -> None:
    shutil.copytree(FIXTURES / DOCS, tmp_path / DOCS)
    session = PtySession("attach", DOCS, SDTUI_RUNS_DIR=str(tmp_path), **{locale: "C"})
    try:
        session.wait_for("2/2 cells")
        for key, words in (("?", "esc closes"), ("R", "started UTC"), ("e", "Markdown")):
            session.press(key)
            session.wait_for(words)
            session.press("q" if key == "e" else key)
        session.press("\r")
        session.wait_for("[figures]")
        for tab in ("calls", "steps", "telemetry", "log", "image", "script"):
            session.press("\t")
            session.wait_for(f"[{tab}]")
        session.press("q")
        session.wait_for("\x1b[?1049l")
        assert session.output.isascii()
    finally:
        session.close()
