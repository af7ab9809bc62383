"""The rounds of earlier sittings: read back as written, joined, refused where they are of something else."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from typing import ClassVar

import overhead as program
import pipelines
import pytest
import torch
from turns import Turns

from sdtui.model.errors import UserError

ROUNDS = [{"timed": program.Took(1.0, 0.9, 0.8), "plain": program.Took(0.99, 0.89, None)} for _ in range(3)]


@pytest.fixture
def cell():
    chosen = Namespace(mode=["no-compile"], scale="tiny", device="cpu", steps=3, batch_size=1)
    return next(pipelines.cells(chosen))


@pytest.fixture
def earlier(cell, tmp_path):
    return written(tmp_path / "earlier.json", cell, ROUNDS, [1.0])


def written(path, cell, rounds, update_us, device="CPU"):
    state = program._state(cell, rounds, update_us)
    path.write_text(json.dumps([{"device": device, "torch": torch.__version__, "steps": 3, **state}]))
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


@pytest.fixture
def slower(cell, tmp_path):
    rounds = [{"timed": program.Took(1.0, 0.9, 0.8), "plain": program.Took(0.96, 0.89, None)}]
    return written(tmp_path / "slower.json", cell, rounds, [5.0])


def join(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["overhead.py", "--join", *map(str, arguments)])
    monkeypatch.setattr(program, "compare", lambda *_: pytest.fail("it measured"))
    program.main()


def test_sittings_are_joined_round_by_round(monkeypatch, capsys, cell, earlier, slower, tmp_path):
    join(monkeypatch, earlier, slower, "-o", tmp_path / "joined.json")
    (found,) = json.loads((tmp_path / "joined.json").read_text())
    alone = [json.loads(path.read_text())[0] for path in (earlier, slower)]
    assert found["samples"] == alone[0]["samples"] + alone[1]["samples"]
    assert (found["cell"], found["device"], found["steps"], found["rounds"]) == (cell.id, "CPU", 3, 4)
    assert found["sittings"] == [
        {"device": "CPU", "rounds": 3, "medians": {"plain": 0.99}},
        {"device": "CPU", "rounds": 1, "medians": {"plain": 0.96}},
    ]
    assert found["ratios"]["plain"]["median"] == 0.99
    assert found["ratios"]["plain"]["interval"][0] < 0.99
    assert found["host_us_per_step"] == 2.0
    assert found["interval_of_sittings"]["plain"][0] == 0.96, "the slower one may be drawn alone"
    assert found["interval_of_sittings"]["plain"][1] >= found["ratios"]["plain"]["interval"][1]
    printed = capsys.readouterr().out
    assert "plain in each sitting: 0.9900, 0.9600; sittings drawn first, 0.9600 to " in printed


def test_joined_rounds_can_be_gone_on_from(monkeypatch, cell, earlier, slower, tmp_path):
    join(monkeypatch, earlier, slower, "-o", tmp_path / "joined.json")
    assert program.earlier_rounds(tmp_path / "joined.json", cell, ["plain"], "CPU")[:3] == ROUNDS


def test_sittings_on_several_devices_are_joined_and_named(monkeypatch, cell, earlier, tmp_path):
    other = written(tmp_path / "other.json", cell, ROUNDS, [1.0], "NVIDIA H100 80GB HBM3")
    join(monkeypatch, earlier, other, "-o", tmp_path / "joined.json")
    (found,) = json.loads((tmp_path / "joined.json").read_text())
    assert (found["device"], found["rounds"]) == ("CPU, NVIDIA H100 80GB HBM3", 6)
    assert [each["device"] for each in found["sittings"]] == ["CPU", "NVIDIA H100 80GB HBM3"]


def test_sittings_with_another_torch_are_not_joined(monkeypatch, capsys, cell, earlier, tmp_path):
    (found,) = json.loads(earlier.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps([found | {"torch": "1.13"}]))
    with pytest.raises(SystemExit) as ended:
        join(monkeypatch, earlier, other)
    assert ended.value.code == 2
    assert f"other.json: its rounds of {cell.id} are of" in capsys.readouterr().err


def test_pipelines_go_step_by_step_by_turns(cell, monkeypatch):
    monkeypatch.setattr(program, "Turns", Noting)
    state = list(program.compare(cell, "cpu", [program.IN_TURNS], 60, 2))[-1]
    assert state["rounds"] == 2
    assert all(sample[kind][0] > 0 for sample in state["samples"] for kind in ("timed", program.IN_TURNS))
    (noting,) = Noting.made
    evaluations = len(noting.order) // 2 // (2 * 3)  # of each of two calls; a round before those that count
    assert noting.order[: 2 * evaluations] == [0, 1] * evaluations
    assert noting.order[2 * evaluations :][: 2 * evaluations] == [1, 0] * evaluations


class Noting(Turns):
    """Notes whose denoiser is called."""

    made: ClassVar[list[Noting]] = []

    def __init__(self, denoisers):
        self.order = []
        for number, denoiser in enumerate(denoisers):
            denoiser.register_forward_hook(lambda *_, number=number: self.order.append(number))
        super().__init__(denoisers)
        self.made.append(self)


class Denoiser(torch.nn.Module):
    def forward(self, what, into):
        into.append(what)


def test_turns_alternate_until_one_is_over_and_only_ones_own_count():
    denoisers, order, now = [Denoiser(), Denoiser()], [], [0.0]

    def call(number, steps, seconds):
        for _ in range(steps):
            denoisers[number](number, order)
            now[0] += seconds

    turns = Turns(denoisers, lambda: now[0], lambda: now[0] / 2)
    slow, fast = turns.make([lambda: call(0, 3, 100.0), lambda: call(1, 5, 1.0)], first=1)
    assert order == [1, 0, 1, 0, 1, 0, 1, 1]
    assert (slow, fast) == (program.Took(300.0, 150.0), program.Took(5.0, 2.5))
    order.clear()
    assert turns.make([lambda: call(0, 1, 1.0), lambda: call(1, 1, 2.0)], first=0)[1].seconds == 2.0
    assert order == [0, 1]


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system binds no thread to a core")
def test_both_turns_are_taken_on_one_core():
    found = []
    Turns([Denoiser(), Denoiser()]).make([lambda: found.append(os.sched_getaffinity(0))] * 2, first=0)
    assert len(found[0]) == 1
    assert found[0] == found[1] <= os.sched_getaffinity(0)


def test_what_a_turn_raises_is_raised():
    def fail():
        denoisers[0](0, [])
        raise ValueError("a fault")

    denoisers = [Denoiser(), Denoiser()]
    other = []
    with pytest.raises(ValueError, match="a fault"):
        Turns(denoisers).make([fail, lambda: denoisers[1](1, other)], first=0)
    assert other == [1]


def test_turns_go_alone(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["overhead.py", "--kind", "plain", "--kind", program.IN_TURNS, "--device", "cpu"])
    with pytest.raises(SystemExit) as ended:
        program.main()
    assert ended.value.code == 2
    assert "--kind script-in-turns goes alone" in capsys.readouterr().err
