"""Measured matrix rates, kept per device."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sdtui import doctor, probes
from sdtui.findings import check_rates
from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu, Machine
from sdtui.model.probe import MatrixRate, MatrixRates, Probe

HOST = Machine("box", "b", "Linux", "EPYC", 2)
ON_GPU = replace(HOST, gpu=Gpu("NVIDIA H100", "GPU-1", driver="580.65"))
RATES = MatrixRates(
    "2.11.0+cu130", (MatrixRate("float16", 8192, 512.345, 0.5, 99), MatrixRate("tf32", 8192, 3.0, 0, 5))
)
PROBE = Probe("NVIDIA H100", "GPU-1", "box", "580.65", 1_795_500_000.0, RATES)


def test_each_device_has_its_own() -> None:
    other = replace(ON_GPU, gpu=Gpu("NVIDIA H100", "GPU-2"))
    probes.keep(PROBE, ON_GPU)
    assert probes.known(ON_GPU) == PROBE
    assert probes.known(other) is None
    assert probes.known(HOST) is None
    on_cpu = Probe("EPYC", None, "box", None, 1.0, RATES)
    probes.keep(on_cpu, HOST)
    assert probes.known(HOST) == on_cpu
    assert probes.known(replace(HOST, host="other")) is None, "of a home folder that two hosts share"


def test_the_newest_replaces_an_earlier_one() -> None:
    probes.keep(PROBE, ON_GPU)
    probes.keep(replace(PROBE, measured_at=2.0), ON_GPU)
    assert probes.known(ON_GPU) == replace(PROBE, measured_at=2.0)
    assert [path.name for path in probes.path_of(ON_GPU).parent.iterdir()] == ["GPU-1.json"]


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "no measured matrix rate (it is not JSON)"),
        ("[]", "no measured matrix rate (Probe: expected an object, got list)"),
        ('{"device": "NVIDIA H100"}', "no measured matrix rate (Probe: 'uuid' is missing)"),
    ],
)
def test_a_damaged_file_is_one_message(content: str, what: str) -> None:
    path = probes.path_of(ON_GPU)
    path.parent.mkdir(parents=True)
    path.write_text(content)
    mend = "measure it anew with 'sdtui doctor --probe', or remove the file"
    with pytest.raises(UserError) as raised:
        probes.known(ON_GPU)
    assert str(raised.value) == f"{path}: {what}; {mend}"
    (finding,) = check_rates("cuda:0", ON_GPU)
    assert finding == doctor.Finding("problem", "cuda:0", f"{path}: {what}", "sdtui doctor --probe --device cuda:0")


@pytest.mark.parametrize("tflops", [0.0, -5.0])
def test_a_rate_that_none_can_be_is_refused(tflops: float) -> None:
    damaged = MatrixRates("2.11.0", (MatrixRate("float16", 8192, 512.0, 0.5, 99), MatrixRate("tf32", 8, tflops, 0, 5)))
    probes.keep(replace(PROBE, found=damaged), ON_GPU)
    with pytest.raises(UserError) as raised:
        probes.known(ON_GPU)
    assert f"GPU-1.json: no measured matrix rate (tf32: {tflops:g} TFLOP/s); measure it anew" in str(raised.value)
    (finding,) = check_rates("cuda:0", ON_GPU)
    assert finding.level == "problem"


def test_a_foreign_file_is_refused() -> None:
    probes.keep(replace(PROBE, device="NVIDIA A100"), ON_GPU)
    with pytest.raises(UserError, match=r"GPU-1\.json: measured on another device \(NVIDIA A100, GPU-1\); measure"):
        probes.known(ON_GPU)


def test_the_doctor_shows_what_is_kept() -> None:
    (finding,) = check_rates("cuda:0", ON_GPU)
    assert (finding.level, finding.mend) == ("info", "sdtui doctor --probe --device cuda:0")
    probes.keep(replace(PROBE, found=replace(RATES, failures={"bfloat16": "not supported"})), ON_GPU)
    shown, failed = check_rates("cuda:0", ON_GPU)
    assert (shown.level, shown.mend) == ("ok", "")
    assert shown.message == (
        "matrix rate float16 512.3, tf32 3 TFLOP/s, measured 2026-11-24 06:00:00 UTC with torch 2.11.0+cu130, "
        "driver 580.65"
    )
    assert (failed.level, failed.message) == ("info", "bfloat16 was not measured: not supported")


def test_it_is_a_small_readable_file() -> None:
    probes.keep(PROBE, ON_GPU)
    assert json.loads(probes.path_of(ON_GPU).read_text())["found"]["rates"][0]["tflops"] == 512.345
