"""What a person waits for first stays light: help and listing load nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "diffusers", "transformers", "textual", "numpy", "matplotlib"}


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["ls"]], ids=" ".join)
def test_loads_nothing_heavy(command: list[str]) -> None:
    traced = [sys.executable, "-X", "importtime", "-m", "sdtui", *command]
    done = subprocess.run(traced, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sdtui.cli" in imported
    assert {name.partition(".")[0] for name in imported} & HEAVY == set()
