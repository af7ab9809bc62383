"""Two real environments side by side: the one of the tests, and a second with a torch of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Said

import sdtui as package
from sdtui import runs, settings
from sdtui.records import RunRecord
from sdtui.report.merge import merge
from sdtui.report.tables import build

VARIABLE = "SDTUI_SECOND_TORCH"
SECOND = os.environ.get(VARIABLE)
Command = Callable[..., Said]

pytestmark = [
    pytest.mark.skipif(not SECOND, reason=f"{VARIABLE} names no Python with another torch, diffusers and transformers"),
    pytest.mark.timeout(900),  # each of three cells imports torch, perhaps from a cold disk
]


@pytest.fixture
def record(sdtui: Command) -> RunRecord:
    """A run in both, the second registered by the command line."""
    assert SECOND is not None
    said = sdtui("env", "add", "newer", SECOND)
    assert said.status == 0, said.err
    environ = {**os.environ, "PYTHONPATH": str(Path(package.__file__).parents[1])}
    command = [sys.executable, "-m", "sdtui", "run", "smoke", "--env", "current,newer"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = settings.runs_dir().iterdir()
    return runs.read(folder)


def test_each_cell_is_measured_with_the_torch_of_its_environment(record: RunRecord, sdtui: Command) -> None:
    ours, theirs = record.cells.values()
    assert (ours.spec.slot.environment, theirs.spec.slot.environment) == ("current", "newer")
    described = {each.name: each for each in record.sittings[0].started.environments}
    for cell in (ours, theirs):
        stated, installed = cell.versions["torch"], described[cell.spec.slot.environment].packages["torch"]
        assert stated is not None
        assert installed is not None
        assert stated.partition("+")[0] == installed.partition("+")[0]
    assert ours.versions["torch"] != theirs.versions["torch"]
    assert ours.spec.id.replace("current", "newer") == theirs.spec.id, "the same work"
    (table,) = build(merge([record]))
    labels = [column.label for column in table.columns]
    assert len(set(labels)) == 2
    assert all(label.startswith("torch ") and label.endswith(" - no compile") for label in labels)
    assert all(entry.result is not None and entry.result.status == "ok" for row in table.rows for entry in row.entries)

    said = sdtui("env", "check", "newer")
    assert said.status == 0, said.out
    assert f"with torch {theirs.versions['torch']}, diffusers {theirs.versions['diffusers']}" in said.out
