"""The ladder's arithmetic, what it writes of rungs that cannot be had, and that its modes are modes."""

from __future__ import annotations

import dataclasses
import json
import random
import sys
import time
from argparse import Namespace
from types import SimpleNamespace

import ladder as program
import pipelines
import pytest
import torch
import torch._inductor

from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.errors import UserError
from sdtui.worker import attention, options


def chosen(modes, **changes):
    return Namespace(modes=modes, scale="tiny", device="cpu", steps=2, batch_size=1, **changes)


def steps(*ms):
    """A rung whose every call takes such steps, and puts out the same latents."""
    return lambda: lambda: (list(ms), torch.ones(4))


def test_a_calls_figure_is_its_median_step_but_for_the_first():
    assert program.step_ms([90.0, 1.0, 3.0, 2.0]) == 2.0
    assert program.step_ms([90.0]) == 90.0


def test_distance_is_relative_to_the_reference():
    assert program.relative_l2(torch.full((4,), 1.5), torch.full((4,), 2.0)) == pytest.approx(0.25)


def test_ratios_are_taken_round_by_round():
    ladder = program.Ladder()
    for mode in ("compile", "graphs"):
        ladder.add(program.Rung(mode, mode), steps(1.0))
    ladder.rounds = [{"compile": 10.0}, {"compile": 10.0, "graphs": 5.0}, {"compile": 30.0, "graphs": 10.0}]
    recipe, graphs = program.findings(ladder)
    assert (recipe["calls"], recipe["step_ms"]["median"]) == (3, 10.0)
    assert (graphs["calls"], graphs["step_ms"]["median"]) == (2, 7.5)
    assert graphs["faster_than_compile"] == {"median": 2.5, "interval": None}
    ladder.rounds *= program.FEWEST_CALLS
    assert program.findings(ladder)[1]["faster_than_compile"]["interval"] == (2.0, 3.0)


def test_every_round_calls_every_rung_in_another_order():
    order = []
    ladder = program.Ladder()
    for mode in "abcd":
        ladder.add(program.Rung(mode, mode), lambda mode=mode: lambda: (order.append(mode) or [1.0], torch.ones(1)))
    assert "".join(order) == "abcd"
    chance = random.Random(1)
    for _ in range(4):
        ladder.round(chance)
    rounds = ["".join(order[at : at + 4]) for at in range(4, 20, 4)]
    assert {"".join(sorted(each)) for each in rounds} == {"abcd"}
    assert len(set(rounds)) > 1


def test_a_rung_that_fails_is_written_down_and_the_others_go_on():
    calls = iter(["first", "second"])

    def failing():
        if next(calls, None) is None:
            raise RuntimeError("CUDA out of memory\nmore")
        return [2.0], torch.ones(1)

    ladder = program.Ladder()
    ladder.add(program.Rung("a", "a"), lambda: failing)
    ladder.add(program.Rung("b", "b"), steps(1.0))
    for _ in range(3):
        ladder.round(random.Random(1))
    one, other = program.findings(ladder)
    assert (one["calls"], one["reason"]) == (1, "RuntimeError: CUDA out of memory more")
    assert (other["calls"], other["reason"]) == (3, "")


def test_rungs_are_modes_that_build_on_one_another():
    modes = {cell.slot.mode: cell.mode for cell in program.cells_of(chosen(""))}
    assert list(modes) == list(program.LADDER)
    assert len(set(program.LADDER)) == len(program.LADDER)
    top, fast = modes[program.TOP], modes["fast"]
    vae = {"compile_vae": True, "optional": fast.optional}
    assert dataclasses.replace(top, **vae, name="fast", label=fast.label, description=fast.description) == fast
    assert not any(mode.compile.uses_cuda_graphs for mode in modes.values() if mode.step_graphs)
    for mode in modes.values():
        if mode.compile:
            assert set(mode.compile.options) <= set(torch._inductor.list_options())


def test_an_unknown_rung_names_the_nearest():
    with pytest.raises(UserError, match="did you mean 'inductor-freezing'"):
        program.cells_of(chosen("no-compile,inductor-freezng"))


def test_climbing_at_tiny_scale_writes_each_rung_down(monkeypatch, tmp_path, capsys):
    """The last of three rungs cannot be had on a CPU."""
    output = tmp_path / "ladder.json"
    monkeypatch.setattr(program, "_write", counted(program._write, written := []))
    clock = SimpleNamespace(monotonic=iter([0.0, 1.0, 1.0, 1.0, 3.0]).__next__, perf_counter=time.perf_counter)
    monkeypatch.setattr(program, "time", clock)
    flags = ["--modes", "no-compile,channels-last,graphs", "--scale", "tiny", "--device", "cpu", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["ladder.py", *flags, "--seconds", "2", "-o", str(output)])
    program.main()
    found = json.loads(output.read_text())
    plain, other, graphs = found["rungs"]
    assert (plain["mode"], plain["calls"], other["calls"], graphs["calls"]) == ("no-compile", 6, 4, 0)
    assert plain["relative_l2"] is None
    assert 0 <= other["relative_l2"] < 1e-4
    assert "step_graphs needs a CUDA device" in graphs["reason"]
    assert len(found["rounds"]) == 6
    assert written == [0, 2, 2, 4, 4, 6], "rounds that were written down, at each rung's beginning and end"
    assert "graphs                       UnsupportedError: step_graphs needs a CUDA device" in capsys.readouterr().out


def counted(write, into):
    def writing(chosen, ladder):
        into.append(len(ladder.rounds))
        write(chosen, ladder)

    return writing


def test_what_a_mode_sets_for_its_process_is_taken_back():
    mode = Mode("mine", "mine", sdpa_backends=("math",), compile=CompileOptions(options={"freezing": True}))

    def state():
        return (
            torch._C._get_sdp_priority_order(),
            torch.backends.cuda.flash_sdp_enabled(),
            torch._inductor.config.freezing,
            torch.compiler.config.cache_key_tag,
            torch.backends.cudnn.benchmark,
        )

    before = state()
    with pipelines.own_process("cpu"):
        attention.choose_sdpa(mode.sdpa_backends, "cpu")
        options.apply_global(dataclasses.replace(mode, sdpa_backends=None), "cpu")
        torch.backends.cudnn.benchmark = True
        assert not any(was == now for was, now in zip(before, state(), strict=True))
    assert state() == before


@pytest.mark.skipif(not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="this torch has no such word")
def test_what_no_mode_changed_keeps_its_place_in_the_compile_cache():
    """To set TF32 to what it is makes its precision another word, which torch.compile takes for another program."""
    matmul = torch.backends.cuda.matmul
    before, matmul.fp32_precision = matmul.fp32_precision, "none"
    try:
        with pipelines.own_process("cpu"):
            pass
        assert matmul.fp32_precision == "none"
    finally:
        matmul.fp32_precision = before
