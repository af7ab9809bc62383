"""The ladder's tables and chart say what its files hold, rungs without a figure too."""

from __future__ import annotations

import json
import sys

import ladder_report as program
import pytest


def rung(mode, median=None, reason="", calls=0):
    ends = [median - 0.5, median + 0.5] if calls > 2 else None
    figure = None if median is None else {"median": median, "interval": ends}
    ratio = None if median is None else {"median": 10 / median, "interval": [1.5, 2.5]}
    distance = None if mode == "no-compile" or median is None else 0.00204
    return {
        "mode": mode,
        "reason": reason,
        "build_s": None if median is None else 61.4,
        "relative_l2": distance,
        "calls": calls,
        "step_ms": figure,
        "faster_than_compile": ratio,
    }


@pytest.fixture
def ladder(tmp_path):
    rungs = [
        rung("no-compile", 20.0, calls=4),
        rung("fast", 5.0, calls=2),
        rung("fp8", reason="OutOfMemoryError: a | b"),
    ]
    found = {"device": "NVIDIA H200", "torch": "2.11.0", "scale": "full", "batch_size": 1, "steps": 50, "rungs": rungs}
    path = tmp_path / "ladder.json"
    path.write_text(json.dumps(found))
    return path


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["ladder_report.py", *map(str, arguments)])
    program.main()


def test_a_table_has_every_rung(monkeypatch, capsys, ladder):
    run(monkeypatch, ladder)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "### NVIDIA H200, torch 2.11.0, batch size 1"
    assert said[4:] == [
        "| no-compile | 20.000 | 19.500 to 20.500 | 0.50 | 1.50 to 2.50 | – | 4 | 61 |",
        "| fast | 5.000 | – | 2.00 | 1.50 to 2.50 | 0.0020 | 2 | 61 |",
        "| fp8: OutOfMemoryError: a \\| b | – | – | – | – | – | 0 | – |",
        "",
    ]


def test_files_of_the_same_gpu_stay_apart(monkeypatch, capsys, ladder, tmp_path):
    run(monkeypatch, ladder, ladder, "--chart", tmp_path / "ladder.svg")
    title = "NVIDIA H200, torch 2.11.0, batch size 1"
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("#")] == [f"### {title}", f"### {title} (2)"]
    drawn = (tmp_path / "ladder.svg").read_text()
    assert drawn.count(f"{title} (2)") == 2, "above its rows, and in what the chart says to those who do not see it"


def test_the_chart_has_every_rung_with_a_figure(monkeypatch, ladder, tmp_path):
    run(monkeypatch, ladder, "--chart", tmp_path / "ladder.svg")
    drawn = (tmp_path / "ladder.svg").read_text()
    assert ">no-compile<" in drawn
    assert ">5.00<" in drawn
    assert "fp8" not in drawn


def test_no_chart_is_drawn_of_nothing(monkeypatch, capsys, ladder, tmp_path):
    found = json.loads(ladder.read_text())
    ladder.write_text(json.dumps(found | {"rungs": found["rungs"][2:]}))
    with pytest.raises(SystemExit):
        run(monkeypatch, ladder, "--chart", tmp_path / "ladder.svg")
    assert "no rung has a figure" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_named(monkeypatch, capsys, tmp_path):
    with pytest.raises(SystemExit) as ended:
        run(monkeypatch, tmp_path / "none.json")
    assert ended.value.code == 2
    assert "none.json" in capsys.readouterr().err
