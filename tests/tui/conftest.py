"""What the dashboard's tests share: screens as SVG, held against recorded ones, on a terminal of known abilities."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.app import App

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("NO_COLOR", "LC_ALL", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def looks_as(tmp_path: Path) -> Callable[[App[object], str], None]:
    """Holds what an app shows against ``golden/NAME.svg``, which SDTUI_WRITE_GOLDEN=1 writes."""

    def check(app: App[object], name: str) -> None:
        shown, golden = app.export_screenshot(), GOLDEN / f"{name}.svg"
        if os.environ.get("SDTUI_WRITE_GOLDEN") == "1":
            golden.parent.mkdir(exist_ok=True)
            golden.write_text(shown, encoding="utf-8")
        if not golden.exists() or shown != golden.read_text(encoding="utf-8"):
            now = tmp_path / f"{name}.svg"
            now.write_text(shown, encoding="utf-8")
            pytest.fail(f"{golden} is not what is shown: {now}; SDTUI_WRITE_GOLDEN=1 writes it")

    return check
