"""One real cell from end to end: a preset, a detached supervisor, a real worker, a follower."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from supervised import DEADLINE_S, Lab, events, lock_is_free

import sdtui
from sdtui import runs, settings
from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan

PNG = b"\x89PNG\r\n\x1a\n"
PHASES = ["import", "load", "warm-up", "measure"]


def _sdtui(*arguments: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(Path(sdtui.__file__).parents[1])}
    command = [sys.executable, "-m", "sdtui", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=5 * DEADLINE_S, check=False)


@pytest.fixture(scope="module")
def followed(module_lab: Lab) -> tuple[Path, subprocess.CompletedProcess[str]]:
    started = _sdtui("run", "smoke", "--device", "cpu", "--detach")
    assert started.returncode == 0, started.stderr
    folder = Path(started.stdout.strip())
    assert runs.lock_state(folder).held, "it returns once the supervisor holds the run"
    return folder, _sdtui("watch", "last")


def test_the_follower_tells_all_and_prints_the_table(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, watched = followed
    assert watched.returncode == 0, watched.stderr
    assert " · tiny · 2 calls (batch size: 1)\n" in watched.stdout.splitlines(keepends=True)[0]
    assert "\n| SD - txt2img | " in watched.stdout
    narrated = watched.stderr.splitlines()
    assert narrated[0].startswith(f"run {folder.name} on ")
    assert narrated[0].endswith(": 0 of 1 cells done"), "what came before is not told again"
    assert [line.rsplit(": ", 1)[1] for line in narrated[-5:-3]] == ["warm-up, call 1", "measure, call 2"]
    assert narrated[-2:] == [f"run {folder.name}: ok", str(folder / "report.md")]


def test_the_folder_is_complete(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, watched = followed
    (cell,) = runs.read(folder).cells.values()
    name = cell.spec.id
    found = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert found == [
        "events.jsonl",
        "lock",
        f"logs/{name}.log",
        "logs/supervisor.log",
        f"outputs/{name}.png",
        f"outputs/{name}.safetensors",
        "plan.toml",
        "report.md",
    ]
    assert (folder / "outputs" / f"{name}.png").read_bytes().startswith(PNG)
    assert (folder / "outputs" / f"{name}.safetensors").stat().st_size > 1024
    assert (folder / "logs" / "supervisor.log").read_text() == ""
    assert watched.stdout.split("\n\n")[1] in (folder / "report.md").read_text()
    assert lock_is_free(folder)
    assert list((folder / "control").iterdir()) == []


def test_the_journal_tells_the_cell_as_measured(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = followed
    record = runs.read(folder)
    (cell,) = record.cells.values()
    assert [phase.phase for _, phase in cell.phases] == PHASES
    assert set(cell.versions) >= {"torch", "diffusers", "transformers", "python"}
    assert cell.versions["torch"]
    (stage,) = cell.spec.stages
    assert [step.step for step in cell.steps] == 2 * list(range(1, len(cell.steps) // 2 + 1))
    assert cell.calls[0].forwards == sum(step.forwards for step in cell.steps if step.call == 1) >= stage.steps
    assert cell.finished is not None
    assert cell.finished.summary is not None
    assert set(cell.finished.summary.phase_seconds) == set(PHASES)
    assert cell.finished.summary.peak_rss_mib
    times = [stamped.t for stamped in events(folder)]
    assert max(abs(t - sorted(times)[index]) for index, t in enumerate(times)) < 1, "stamps are in order, or nearly"


def test_the_plan_is_runnable_again(followed: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = followed
    catalog = load_catalog(settings.config_dir())
    plan = resolve_plan(catalog, str(folder / runs.PLAN), {}, gpu_available=False)
    assert plan_to_toml(plan) == (folder / runs.PLAN).read_text()
    assert [cell.id for cell in expand(plan, catalog)] == list(runs.read(folder).cells)


def test_real_workers_are_called_until_they_are_precise_enough_in_two_processes(module_lab: Lab) -> None:
    """A precision that any machine reaches, and one that none does within the calls it is given."""
    tiny = ("run", "smoke", "--device", "cpu", "--steps", "3", "--processes", "2", "--runs-dir")
    where = str(module_lab.runs_dir.with_name("precise"))
    said = _sdtui(*tiny, where, "--precision", "99%", "--max-calls", "40")
    assert said.returncode == 0, said.stderr
    (cell,) = runs.read(next(Path(where).iterdir())).cells.values()
    for process in cell.processes:
        assert process.finished is not None
        assert process.finished.precision is not None
        assert process.finished.precision.limit is None, process.finished.precision
        assert process.finished.call == len(process.calls) == process.finished.precision.calls < 40
    assert "median steps of 2 processes" in _sdtui("show", "last", "--runs-dir", where).stdout
    files = {path.name for path in next(Path(where).iterdir()).glob("outputs/*")}
    assert files == {f"{cell.spec.id}{part}" for part in (".png", ".safetensors", ".p2.png", ".p2.safetensors")}


def test_real_workers_end_at_a_limit_that_is_named(module_lab: Lab) -> None:
    where = str(module_lab.runs_dir.with_name("limited"))
    said = _sdtui(
        *("run", "smoke", "--device", "cpu", "--steps", "3", "--runs-dir", where),
        *("--precision", "0.000001%", "--max-calls", "6", "--max-seconds", "60"),
    )
    assert said.returncode == 0, said.stderr
    for cell in runs.read(next(Path(where).iterdir())).cells.values():
        assert cell.finished is not None
        assert cell.finished.precision is not None
        assert (cell.finished.precision.limit, len(cell.calls)) == ("max-calls", 6)
    assert said.stdout.count("not reached after 6 calls (max-calls; ") == 1
