"""What the dashboard's tests share: screens as SVG, held against recorded ones, on a terminal of known abilities."""

from __future__ import annotations

import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from textual.app import App

from sdtui import runs
from sdtui.records import SittingRecord
from sdtui.tui import bridge
from sdtui.tui.messages import MachineSeen
from sdtui.tui.threads import Cancelled

GOLDEN = Path(__file__).parent / "golden"
H100 = Path(__file__).parents[1] / "fixtures" / "runs" / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for variable in ("NO_COLOR", "LC_ALL", "LC_CTYPE", "LANG", "SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@functools.cache
def _recorded() -> SittingRecord:
    return runs.read(H100).sittings[0]


@pytest.fixture(autouse=True)
def _machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that is looked up is the one of a recorded run, whatever the tests run on."""

    def look(device: str, environments: Sequence[str], post: bridge.Post, cancelled: Cancelled) -> None:
        machine = _recorded().started.machine
        seen = machine if device != "cpu" else dataclasses.replace(machine, gpu=None)
        current = _recorded().started.environments[0]
        post(MachineSeen(seen, tuple(dataclasses.replace(current, name=name) for name in environments)))

    monkeypatch.setattr(bridge, "look", look)


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
