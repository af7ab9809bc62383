"""What of a cell's time is its own overhead, on a journal whose times are known."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
import run_overhead as program

from sdtui import runs
from sdtui.model.events import CallFinished, CellFinished, CellPhase, CellQueued, CellStarted, RunFinished, RunStarted

ROOT = Path(__file__).parents[2]
SAMPLE = next((ROOT / "tests/fixtures/runs").glob("*-fa50b5"))


def made_run(folder: Path, status: str = "ok") -> Path:
    """A run of two cells: the first begins with the sitting at 100 s and ends at 108, the other ends at 112."""
    recorded = [stamped.event for stamped in runs.Tail(SAMPLE).poll()]
    run_started, run_finished = (next(e for e in recorded if isinstance(e, kind)) for kind in (RunStarted, RunFinished))
    first, other = [event for event in recorded if isinstance(event, CellQueued)][:2]
    call = next(event for event in recorded if isinstance(event, CallFinished))
    runs.complete(folder)
    (folder / runs.JOURNAL).touch()
    journal = runs.Journal(folder)
    journal.append(run_started, 100.0)
    journal.append(first, 100.0)
    journal.append(other, 100.0)
    # cell, started, import, load, warm-up, wall of the call, its end, the cell's end
    for cell, *times, status_ in (
        (first.cell, 101.0, 101.5, 103.0, 105.0, 2000.0, 107.0, 108.0, status),
        (other.cell, 109.0, 109.0, 109.1, 110.0, 1500.0, 111.6, 112.0, "ok"),
    ):
        started, imported, loaded, called, wall_ms, call_ended, ended = times
        journal.append(CellStarted(cell, 1, 1), started)
        journal.append(CellPhase(cell, "import"), imported)
        journal.append(CellPhase(cell, "load", versions={}), loaded)
        journal.append(CellPhase(cell, "warm-up", 1), called)
        journal.append(dataclasses.replace(call, cell=cell, call=1, wall_ms=wall_ms), call_ended)
        journal.append(CellFinished(cell, status_, "measure", 1), ended)
    journal.append(run_finished, 113.0)
    return folder


def test_what_is_neither_load_nor_call_is_overhead(tmp_path: Path) -> None:
    record = runs.read(made_run(tmp_path / "run"))
    first, other = program.overheads(record)
    assert (first["first"], other["first"]) == (True, False)
    expected = {"own": 4.0, "before": 3.0, "after": 1.0, "between": 0.0, "import": 2.0, "load": 2.0, "calls": 2.0}
    assert {key: first[key] for key in expected} == pytest.approx(expected)
    expected = {"own": 1.6, "before": 1.1, "after": 0.4, "between": 0.1, "import": 0.1, "load": 0.9, "calls": 1.5}
    assert {key: other[key] for key in expected} == pytest.approx(expected)
    assert program.elapsed(record) == pytest.approx(13.0)


def test_a_cell_that_failed_is_no_figure_but_the_next_begins_at_its_end(tmp_path: Path) -> None:
    (other,) = program.overheads(runs.read(made_run(tmp_path / "run", "failed")))
    assert other["own"] == pytest.approx(1.6)


def test_a_sitting_without_an_ending_has_no_length(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    journal = run / runs.JOURNAL
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    assert program.elapsed(runs.read(run)) is None


def test_the_table_has_the_median_of_all_but_the_first(tmp_path: Path) -> None:
    run = made_run(tmp_path / "run")
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/run_overhead.py", run], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[0].endswith(": 13.0 s")
    assert "median of 1 cells, the first of each sitting left out: 1.60 s" in done.stdout
