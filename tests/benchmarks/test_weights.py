"""Weights of several kinds in one pipeline: what they are, and that a call has them."""

from __future__ import annotations

import json
import sys
from argparse import Namespace

import gpu_series
import pipelines
import pytest
import torch
import weights as program


@pytest.fixture
def default():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(8, 4, generator=generator, dtype=torch.float64).half()
    kernel = torch.randn(8, 4, 3, 3, generator=generator).half().to(memory_format=torch.channels_last)
    return {"linear.weight": matrix, "conv.weight": kernel, "linear.bias": torch.full((8,), 0.5).half()}


@pytest.mark.parametrize("kind", program.KINDS)
def test_every_kind_has_the_parameters_form(kind, default):
    made = program.make(kind, "unet", default)
    assert made.keys() == default.keys()
    for name, values in made.items():
        own = default[name]
        assert (values.shape, values.dtype, values.stride()) == (own.shape, own.dtype, own.stride())
        assert values.isfinite().all()


def test_kinds_are_what_they_are_called(default):
    make = {kind: program.make(kind, "unet", default) for kind in program.KINDS}
    assert all(torch.equal(make["again"][name], own) for name, own in default.items())
    assert torch.equal(make["x3"]["conv.weight"], default["conv.weight"] * 3)
    assert torch.equal(make["x3"]["linear.bias"], default["linear.bias"])
    assert not any(values.any() for values in make["zeros"].values())
    assert not torch.equal(make["seed-1"]["conv.weight"], make["seed-2"]["conv.weight"])
    assert not torch.equal(make["seed-1"]["linear.bias"], default["linear.bias"])
    assert torch.equal(make["trained-like"]["linear.bias"], default["linear.bias"])


def test_a_seed_draws_what_sdtui_would(default):
    drawn = program.draw("unet.conv.weight", default["conv.weight"].shape, 2, "cpu").half()
    assert torch.equal(program.make("seed-2", "unet", default)["conv.weight"], drawn)


@pytest.mark.parametrize("kind", ["seed", "x", "x-1", "real"])
def test_a_kind_that_is_none_is_refused(kind, default):
    with pytest.raises(SystemExit, match=f"--kind {kind}: unknown; choose from default, again"):
        program.make(kind, "unet", default)


def test_trained_like_weights_have_a_power_law_and_heavy_tails():
    like = torch.randn(256, 32, 3, 3, generator=torch.Generator().manual_seed(1)) / 17
    made = program.trained_like(like, torch.Generator().manual_seed(0))
    assert made.shape == like.shape
    assert made.norm() == pytest.approx(like.norm().item(), rel=1e-5)
    ranks = torch.arange(1, 65).log()

    def slope(matrix):
        values = torch.linalg.svdvals(matrix.flatten(1))[:64].log()
        return torch.linalg.lstsq(torch.stack([ranks, torch.ones_like(ranks)], 1), values[:, None]).solution[0].item()

    def kurtosis(matrix):
        return ((matrix / matrix.std()) ** 4).mean().item()

    assert -0.6 < slope(made) < -0.45
    assert -0.2 < slope(like) < -0.05
    assert kurtosis(like) == pytest.approx(3, abs=0.2)
    assert kurtosis(made) > 6


def round_of(**its):
    figures = {"finite": True, "latents_std": 1.0, "power_w": None, "sm_clock_mhz": 1980, "power_capped": 0.5}
    return {kind: {"its": value, **figures} for kind, value in its.items()}


def test_kinds_are_compared_within_a_round():
    rounds = [round_of(default=10.0 * speed, x3=10.1 * speed) for speed in (1.0, 0.5, 2.0, 1.0, 1.0, 1.0)]
    rounds[3]["x3"]["finite"] = False
    told = program.summary("x3", rounds)
    assert told["over_default"] == pytest.approx(1.01)
    assert told["interval"] == [pytest.approx(1.01), pytest.approx(1.01)]
    assert told["its"] == pytest.approx(10.1)
    assert (told["power_w"], told["sm_clock_mhz"], told["finite"]) == (None, 1980, False)
    assert program.summary("x3", rounds[:5])["interval"] is None


@pytest.mark.parametrize(
    ("interval", "narrow"), [(None, False), ([0.999, 1.0029], True), ([0.998, 1.0021], False), ([1.0, 1.0], True)]
)
def test_an_answer_is_narrow_enough_or_not(interval, narrow):
    assert program.narrow(interval) is narrow


def test_a_call_has_the_weights_of_its_kind():
    chosen = Namespace(mode=["no-compile"], batch_size=1, scale="tiny", steps=2, device="cpu")
    (cell,) = pipelines.cells(chosen)
    series = gpu_series.GpuSeries("cpu")
    bench = program.Bench(cell, "cpu", ("default", "again", "seed-1", "zeros"), series)
    spread = {kind: bench.call(kind)["latents_std"] for kind in ("default", "seed-1", "again", "zeros", "default")}
    assert spread["again"] == spread["default"]
    assert len({spread["default"], spread["seed-1"], spread["zeros"]}) == 3
    last = bench.call("default")
    assert last["its"] > 0
    assert last["finite"] is True
    assert last["power_w"] is None
    series.close()


def test_the_program_writes_what_it_found(tmp_path, monkeypatch, capsys):
    output = tmp_path / "weights.json"
    flags = ["--scale", "tiny", "--device", "cpu", "--mode", "no-compile", "--batch-size", "1", "--steps", "2"]
    monkeypatch.setattr(sys, "argv", ["weights.py", *flags, "--kind", "x3", "--seconds", "0.1", "-o", str(output)])
    program.main()
    (told,) = json.loads(output.read_text())
    assert list(told["kinds"]) == ["default", "x3"]
    assert told["rounds"] == len(told["samples"]) >= 1
    assert told["resolved"] is False
    assert "\n| x3 | " in capsys.readouterr().out


# ------------------------------------------------------------------------------------------------ power and clocks


def reading(t, energy_j, clock=1500, reasons=()):
    return {"t": t, "energy_j": energy_j, "sm_clock_mhz": clock, "clock_event_reasons": list(reasons)}


def test_a_stretch_has_the_power_of_its_energy():
    readings = [reading(t / 10, 1000 + 70 * t / 10, 1500 + t, ["sw_power_cap"] if t < 1 else []) for t in range(5)]
    assert gpu_series.figures(readings) == (pytest.approx(70), 1502, 0.2)


def test_what_is_not_available_has_no_figure():
    readings = [reading(t, None, None) | {"clock_event_reasons": None} for t in range(5)]
    assert gpu_series.figures(readings) == (None, None, None)
    assert gpu_series.figures([reading(t, t) for t in range(3)]) == (None, None, None)


def test_a_half_written_reading_waits_for_its_end():
    series = gpu_series.GpuSeries("cpu")
    text = "".join(json.dumps(reading(t, 70 * t, reasons=["sw_power_cap"])) + "\n" for t in range(4))
    with open(series._file.name, "w") as file:
        for written in (text[:-5], text[-5:-1], "\n"):
            assert series.between(0, 3) == (None, None, None)
            file.write(written)
            file.flush()
    assert series.between(0, 3) == (70, 1500, 1.0)
    series.close()


PYNVML = """
import time
class NVMLError(Exception): pass
def nvmlInit(): pass
def nvmlDeviceGetHandleByUUID(uuid): return uuid == "GPU-1" or None
def nvmlDeviceGetTotalEnergyConsumption(handle): return int(300_000 * time.monotonic())
def nvmlDeviceGetClockInfo(handle, kind): return 1755
"""


def test_another_process_reads_the_card(tmp_path, monkeypatch):
    import time

    from sdtui.telemetry.devices import DeviceChoice

    (tmp_path / "pynvml.py").write_text(PYNVML)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(gpu_series, "HZ", 1000)
    monkeypatch.setattr(gpu_series, "resolve_device", lambda *_: DeviceChoice("cuda", "GPU-1"))
    series = gpu_series.GpuSeries("cuda:0")
    start = time.monotonic()
    while (figures := series.between(start, time.monotonic())).power_w is None:
        assert time.monotonic() < start + 60
    assert figures.power_w == pytest.approx(300, rel=0.1)
    assert figures.sm_clock_mhz == 1755
    assert figures.power_capped is None
    process = series._process
    series.close()
    assert process.returncode == 0
