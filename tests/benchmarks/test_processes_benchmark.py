"""What many processes of one cell say of the interval of one: on run folders whose noise is known."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import processes as program
import pytest

from sdtui import runs
from sdtui.model.errors import UserError
from sdtui.model.events import CallFinished, CellFinished, CellQueued, CellStarted, RunStarted, Step
from sdtui.report.merge import results_of

ROOT = Path(__file__).parents[2]
SAMPLE = next((ROOT / "tests/fixtures/runs").glob("*-fa50b5"))
CELL = "sd-txt2img.no-compile.current.b1.tiny-81b75a56"


def times(process: int, apart: float, calls: int = 2, steps: int = 49, scatter: float = 0.01):
    """Step times of a process whose own median is off by ``apart`` standard deviations of a process, about 10 ms."""
    generator = np.random.default_rng(process)
    own = 10 * (1 + apart * generator.standard_normal())
    return tuple(tuple(own * (1 + scatter * generator.standard_normal(steps))) for _ in range(calls))


def made_run(folder: Path, number: int, apart: float, status: str = "ok", processes: int = 1) -> Path:
    """A run of one cell, made of the events of a recorded one; process n of run m has the times of m + n - 1."""
    recorded = [s.event for s in runs.Tail(SAMPLE).poll() if getattr(s.event, "cell", CELL) == CELL]
    run = folder / f"run-{number:02}"
    runs.complete(run)
    (run / runs.JOURNAL).touch()
    journal = runs.Journal(run)
    before = [event for event in recorded if isinstance(event, (RunStarted, CellQueued))]
    started, step, call, finished = (
        next(event for event in recorded if isinstance(event, kind))
        for kind in (CellStarted, Step, CallFinished, CellFinished)
    )
    for event in before:
        journal.append(dataclasses.replace(event, run=run.name) if isinstance(event, RunStarted) else event)
    for process in range(1, processes + 1):
        journal.append(dataclasses.replace(started, process=process))
        for nth, ms in enumerate(times(number + process - 1, apart, calls=3, steps=20), 1):
            for place, one in enumerate(ms, 1):
                journal.append(dataclasses.replace(step, call=nth, step=place, steps=20, ms=float(one), forwards=1))
            journal.append(dataclasses.replace(call, call=nth, steps=20, loop_ms=sum(ms)))
        journal.append(dataclasses.replace(finished, process=process, status=status))
    journal.close()
    return run


def test_processes_that_are_alike_hold_each_others_median():
    told = program.figures([times(process, apart=0) for process in range(10)])
    assert told["median_ms"] == pytest.approx(10, rel=1e-3)
    assert told["own_intervals_hold"] >= 8
    assert told["between_over_expected"] < 1.6
    assert told["between_deviation"] < told["within_mad"]
    assert told["halves"] == 252


def test_processes_that_are_apart_are_not_held_by_one_of_them_but_by_half_of_them():
    told = program.figures([times(process, apart=0.03) for process in range(10)])
    assert told["between_deviation"] == pytest.approx(0.03, rel=0.5)
    assert told["between_range"] > told["between_deviation"] > told["within_half_width"]
    assert told["between_over_expected"] > 10
    assert told["own_intervals_hold"] <= 2
    assert told["halves_hold"] / told["halves"] > 0.5
    low, high = told["hierarchical_interval_ms"]
    assert low < told["median_ms"] < high
    assert (high - low) / 2 / told["median_ms"] > 5 * told["within_half_width"]


def test_the_spread_within_is_that_of_the_steps():
    told = program.figures([times(process, apart=0, scatter=0.02) for process in range(4)])
    assert told["within_mad"] == pytest.approx(0.6745 * 0.02, rel=0.1)
    assert told["halves"] == 6


def test_one_half_is_asked_for_the_median_of_the_other():
    """Of the halves of 10, 10, 20 and 20 ms, those that hold both kinds hold the other half's median, 15 ms."""
    made = [times(process, apart=0, scatter=0.001) for process in range(4)]
    slow = [tuple(tuple(2 * ms for ms in call) for call in calls) for calls in made[2:]]
    told = program.figures([*made[:2], *slow])
    assert (told["halves_hold"], told["halves"]) == (4, 6)


def test_the_same_processes_have_the_same_figures():
    made = [times(process, apart=0.01) for process in range(6)]
    assert program.figures(made) == program.figures(made)


@pytest.mark.parametrize(("count", "ways"), [(4, 6), (5, 10), (10, 252), (12, 252), (20, 252)])
def test_processes_are_halved_in_every_way_or_in_252(count, ways):
    made = program.halves(count)
    assert len(made) == ways
    assert all(sorted((*half, *other)) == list(range(count)) and len(half) == count // 2 for half, other in made)


def test_too_few_processes_or_steps_are_refused():
    with pytest.raises(UserError, match="3 processes"):
        program.figures([times(process, 0) for process in range(3)])
    with pytest.raises(UserError, match="under 6 measured steps"):
        program.figures([*(times(process, 0) for process in range(4)), ((1.0, 2.0),)])
    with pytest.raises(UserError, match="under 6 measured steps"):
        program.figures([*(times(process, 0) for process in range(4)), ()])


def test_runs_of_the_same_cell_are_processes_of_it(tmp_path):
    folders = [made_run(tmp_path, process, apart=0.02) for process in range(5)]
    failed = made_run(tmp_path, 5, apart=0.02, status="failed")
    read = list(program.read([*reversed(folders), failed, folders[0]]))
    named = [(CELL, "main", f"run-{number:02}, process 1") for number in range(5)]
    assert [(cell, stage, process) for cell, stage, _, process, _ in read] == named
    assert [len(calls) for *_, calls in read] == [2] * 5  # the first call is none of the measured ones
    assert read[0][-1][0] == pytest.approx(times(0, 0.02, calls=3, steps=20)[1])


def test_a_run_may_have_several_processes_of_a_cell(tmp_path):
    read = list(program.read([made_run(tmp_path, 0, apart=0.02, processes=3)]))
    assert [process for *_, process, _ in read] == [f"run-00, process {number}" for number in (1, 2, 3)]
    for number, (*_, calls) in enumerate(read):
        assert calls[1] == pytest.approx(times(number, 0.02, calls=3, steps=20)[2])


def test_the_program_writes_its_figures(tmp_path):
    folders = [str(made_run(tmp_path, process, apart=0.02)) for process in range(4)]
    output = tmp_path / "processes.json"
    command = [sys.executable, str(ROOT / "benchmarks/processes.py"), "-o", str(output)]
    done = subprocess.run([*command, *folders], capture_output=True, text=True, check=True)
    (told,) = json.loads(output.read_text())
    assert told["processes"] == 4
    assert f"| {CELL}, main, " in done.stdout
    few = subprocess.run([*command, *folders[:3]], capture_output=True, text=True, check=False)
    assert few.returncode == 1
    assert "3 processes: at least 4 are needed" in few.stderr
    absent = subprocess.run([*command, str(tmp_path / "absent")], capture_output=True, text=True, check=False)
    assert absent.returncode == 2
    assert "cannot read events.jsonl" in absent.stderr
    assert "Traceback" not in absent.stderr


def test_the_spread_within_is_the_reports(tmp_path):
    """Half of each process's interval as a share of its own median, not of all processes' median."""
    run = runs.read(made_run(tmp_path, 0, apart=0.5, processes=5))
    (stage,) = results_of(run)[0].summary.stages
    told = program.figures([calls for *_, calls in program.read([run.path])])
    assert stage.spread is not None
    assert (told["median_ms"], told["within_half_width"]) == (stage.spread.median_ms, stage.spread.within)
    assert (told["between_deviation"], told["between_range"]) == (stage.spread.sd, stage.spread.range)
