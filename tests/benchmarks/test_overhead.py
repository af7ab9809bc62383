"""The rounds of an earlier sitting: read back as they were written, refused where they are of something else."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import overhead as program
import pipelines
import pytest
import torch

from sdtui.model.errors import UserError

ROUNDS = [{"timed": program.Took(1.0, 0.9, 0.8), "plain": program.Took(0.99, 0.89, None)} for _ in range(3)]


@pytest.fixture
def cell():
    chosen = Namespace(mode=["no-compile"], scale="tiny", device="cpu", steps=3, batch_size=1)
    return next(pipelines.cells(chosen))


@pytest.fixture
def earlier(cell, tmp_path):
    path = tmp_path / "earlier.json"
    state = program._state(cell, ROUNDS, [1.0])
    path.write_text(json.dumps([{"device": "CPU", "torch": torch.__version__, **state}]))
    return path


def test_rounds_are_read_as_they_were_written(cell, earlier):
    assert program.earlier_rounds(earlier, cell, ["plain"], "CPU") == ROUNDS


def test_a_cell_that_was_not_measured_has_no_rounds(earlier):
    other = Namespace(mode=["no-compile"], scale="tiny", device="cpu", steps=4, batch_size=1)
    assert program.earlier_rounds(earlier, next(pipelines.cells(other)), ["plain"], "CPU") == []


@pytest.mark.parametrize(("names", "device"), [(["script"], "CPU"), (["plain"], "NVIDIA H100 80GB HBM3")])
def test_rounds_of_other_kinds_or_another_device_are_refused(cell, earlier, names, device):
    with pytest.raises(UserError, match=rf"--add .*earlier.json: its rounds of {cell.id} are of"):
        program.earlier_rounds(earlier, cell, names, device)


def test_a_kinds_figure_is_the_mean_of_its_two_calls():
    assert program.Took.mean(program.Took(1.0, 0.5, 0.8), program.Took(3.0, 1.5, 0.4)) == program.Took(
        2.0, 1.0, pytest.approx(0.6)
    )


def test_a_file_that_cannot_be_read_is_named_before_anything_is_measured(monkeypatch, tmp_path, capsys):
    arguments = ["--scale", "tiny", "--device", "cpu", "--add", str(tmp_path / "none.json")]
    monkeypatch.setattr(sys, "argv", ["overhead.py", *arguments])
    monkeypatch.setattr(program, "compare", lambda *_: pytest.fail("it measured"))
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert "none.json: cannot be read" in capsys.readouterr().err
