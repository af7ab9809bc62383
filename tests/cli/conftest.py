"""The command line as tests call it: in this process, or as a person does, over workers that measure nothing."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from commands import Said, Shell

import sdtui as package
from sdtui import settings
from sdtui.cli.main import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, on a machine without a GPU, at a terminal of 100 columns."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("COLUMNS", "100")
    for variable in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(variable, raising=False)
    return folder


@pytest.fixture
def sdtui(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Said]:
    """Runs a command in this process."""

    def call(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["sdtui", *arguments])
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        out, err = capfdbinary.readouterr()
        return Said(int(exit_.value.code or 0), out.decode(), err.decode())

    return call


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sdtui: Callable[..., Said]) -> Iterator[Shell]:
    fake, real = Path(__file__).with_name("fake_worker_python.py"), shlex.quote(sys.executable)
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\ncase "$*" in *"-m sdtui.worker"*) exec {real} -I -S {shlex.quote(str(fake))} "$@" ;; esac\n'
        f'exec {real} "$@"\n'
    )
    python.chmod(0o755)
    settings.config_dir().mkdir(parents=True)
    (settings.config_dir() / settings.SETTINGS).write_text(f"[environments]\nfake = {json.dumps(str(python))}\n")
    monkeypatch.setenv("PYTHONPATH", str(Path(package.__file__).parents[1]))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    shell = Shell(monkeypatch, sdtui)
    yield shell
    shell.close()
