"""What a person waits for first stays light: help and listing load nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).parents[1] / "fixtures" / "runs" / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
HEAVY = {"torch", "diffusers", "transformers", "textual", "numpy", "matplotlib"}


@pytest.mark.parametrize("command", [["--help"], ["run", "--help"], ["attach", "--help"], ["ls"]], ids=" ".join)
def test_loads_nothing_heavy(command: list[str]) -> None:
    assert loaded(command) & HEAVY == set()


@pytest.mark.parametrize("fmt", ["md", "csv", "json"])
def test_a_report_without_charts_loads_nothing_that_draws(fmt: str) -> None:
    assert loaded(["report", str(RUN), "--format", fmt]) & (HEAVY - {"numpy"} | {"markdown_it"}) == set()


def test_the_dashboard_takes_no_command_line_apart() -> None:
    assert loaded([], status=2) & (HEAVY | {"typer", "pydantic"}) == set()  # there is no terminal here


MATRIX = """
import asyncio, sys
from pathlib import Path
from sdtui.catalog.load import load_catalog
from sdtui.tui.app import Dashboard, Opening

def begin(app):  # what it does once the matrix is painted
    print(*sys.modules)
    app.exit()

Dashboard._begin = begin

async def main():
    async with Dashboard(Opening(Path("nowhere"), load_catalog(), True)).run_test() as pilot:
        await pilot.pause()

asyncio.run(main())
"""


def test_the_matrix_is_painted_before_anything_computes() -> None:
    done = subprocess.run([sys.executable, "-c", MATRIX], capture_output=True, text=True, check=True)
    modules = set(done.stdout.split())
    assert "sdtui.tui.widgets.matrix" in modules
    assert modules & (HEAVY - {"textual"} | {"pydantic", "typer", "PIL"}) == set()


def loaded(command: list[str], status: int = 0) -> set[str]:
    traced = [sys.executable, "-X", "importtime", "-m", "sdtui", *command]
    done = subprocess.run(traced, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == status, done.stderr

    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "sdtui.cli" in imported
    return {name.partition(".")[0] for name in imported}
