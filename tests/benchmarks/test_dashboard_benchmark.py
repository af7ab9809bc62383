"""What the dashboard costs: the figures' arithmetic, and every measure once, small."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

import dashboard as program
import pytest
from dashboard_load import SMALL, Load, make_empty, make_finished
from dashboard_terminal import NotShownError, Terminal

from sdtui import runs
from sdtui.model.events import Step

ROOT = Path(__file__).parents[2]


def test_an_event_is_shown_once_it_or_a_later_one_is():
    written = [(0.0, 1), (0.1, 2), (0.2, 3), (0.3, 4), (0.4, 5)]
    assert program.delays(written, [(0.05, 1), (0.25, 3), (0.5, 4)]) == pytest.approx([0.15, 0.05, 0.2])
    assert program.delays(written, [(0.05, 1)]) == []
    assert program.delays(written, []) == []


def test_the_cursor_is_where_the_matrix_has_brackets():
    lines = [
        " batch size [1] 4 ",
        "Pipeline        no compile",
        "SD - txt2img      · 1.00   ",
        "SD - img2img    [ ·        ]",
    ]
    assert program._cursor(lines) == 3
    assert program._cursor(lines[:3]) is None


def test_the_step_is_read_off_the_screen():
    assert program._sequence(["", f" measure, call 3 of {program.CALLS}, step 7/50"]) == 107
    assert program._sequence(["", " step 7/50"]) is None


def test_limits_are_held_or_missed():
    figures = [program.Figure("a", 1.0, "s", 2.0), program.Figure("b", 3.0, "s", 2.0), program.Figure("c", 3.0, "s")]
    assert [each.met for each in figures] == [True, False, True]
    assert program.table(figures).splitlines()[2:] == [
        "| a | 1 s | 2 s | met |",
        "| b | 3 s | 2 s | missed |",
        "| c | 3 s |  |  |",
    ]


def test_finished_runs_are_copies_that_a_listing_tells_apart(tmp_path):
    make_finished(tmp_path, 5)
    listed = runs.list_runs(tmp_path)
    assert len(listed) == 5
    assert {each.state for each in listed} <= {runs.listed(source).state for source in SMALL}


def test_the_load_is_a_run_that_has_ended(tmp_path):
    folder = make_empty(tmp_path)
    journal, load = runs.Journal(folder), Load(folder, rate=100, calls=3)
    for event in (*load.opening(), *load.all_cells()):
        journal.append(event)
    journal.close()
    record = runs.read(folder)
    assert (runs.listed(folder).state, len(record.cells)) == ("ok", 6)
    assert all(len(cell.steps) == 150 and len(cell.telemetry) == 15 and cell.finished for cell in record.cells.values())


def test_the_load_steps_as_often_as_asked(tmp_path):
    load = Load(make_empty(tmp_path), rate=200, calls=20)
    cell = next(iter(load.recorded.cells))
    steps = [event.ms for event in load.cell(cell) if isinstance(event, Step)]
    assert len(steps) == 1000
    assert statistics.median(steps) == pytest.approx(5, rel=0.02)


def test_a_terminal_shows_what_a_program_sends_and_ends_with_it():
    with Terminal(["sh", "-c", "printf 'one\\r\\n\\033[2Ctwo'; read line; echo $line; read line"], {}, (20, 5)) as it:
        it.wait_for(lambda lines: lines[1].startswith("  two"))
        it.press("three\n")
        it.wait_for(lambda lines: any(line.startswith("three") for line in lines[2:]))
        assert it.bytes_read > 15
        with pytest.raises(NotShownError, match="two"):
            it.wait_for(lambda lines: False, deadline_s=0.01)
        it.hang_up()
        assert it.process.wait(10) == -1


def test_every_measure_works(tmp_path):
    output = tmp_path / "dashboard.json"
    small = [
        "--folders",
        "3",
        "--times",
        "1",
        "--seconds",
        "1",
        "--presses",
        "2",
        "--events",
        "700",
        "--hang-ups",
        "1",
        "--patience",
        "0",
    ]
    command = [sys.executable, str(ROOT / "benchmarks/dashboard.py"), *small, "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr  # whether limits are kept is no matter here
    figures = json.loads(output.read_text())["figures"]
    assert {figure["limit"] for figure in figures} == {None, 0.7, 20, 10, 0.5, 50, 150, 1.0}
    assert all(figure["value"] > 0 for figure in figures)
    assert len(done.stdout.splitlines()) == len(figures) + 2


def test_an_unknown_measure_is_refused():
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks/dashboard.py"), "stat"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "unknown measure 'stat'" in done.stderr
