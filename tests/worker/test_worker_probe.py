"""The probe of matrix rates, on the CPU."""

import math
import sys

import pytest
import torch

from sdtui.model.machine import Interpreter
from sdtui.model.probe import MatrixRate
from sdtui.supervisor.probe import measure_rates
from sdtui.telemetry.machine import describe_machine
from sdtui.worker import probe


class Ticks:
    """A clock by which the products take 1, 2, 3, 1, 2, 3 … ms."""

    def __init__(self):
        self.t, self.marks = 0, 0

    def mark(self):
        self.t += self.marks % 3 or 3
        self.marks += 1
        return self.t

    def between_ms(self, start, end):
        return float(end - start)

    def wait(self):
        """Is idle."""


def test_a_rate_is_the_median_over_products_by_the_device_s_clock(monkeypatch):
    monkeypatch.setattr(probe, "clock_for", lambda device: Ticks())
    monkeypatch.setattr(probe, "_warm_up", lambda *_: 0.8 * 0.1 / 6)
    found = probe.probe("cpu", budget_s=0.1, size=16)
    (rate,) = found.rates
    assert (found.torch, found.failures) == (torch.__version__, {})
    assert (rate.precision, rate.size, rate.count) == ("float32", 16, 6)
    assert rate.tflops == pytest.approx(2 * 16**3 / 2e-3 / 1e12), "a multiplication and an addition are two"
    assert rate.mad_tflops == pytest.approx(2 * 16**3 / 1e12 * (1 / 1e-3 - 1 / 2e-3) / 2, rel=0.7)


def test_few_slow_products_are_enough(monkeypatch):
    monkeypatch.setattr(probe, "_warm_up", lambda *_: 60.0)
    assert probe.probe("cpu", size=16).rates[0].count == 5


def test_what_is_multiplied_is_random(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "matmul", lambda a, b, out: seen.append((a, b)))
    probe.probe("cpu", budget_s=0.0, size=64)
    for matrix in seen[0]:
        assert matrix.std().item() == pytest.approx(1, abs=0.1)
    assert not torch.equal(*seen[0])


def test_a_precision_that_fails_leaves_the_others(monkeypatch):
    def rate(precision, *_):
        if precision == "bfloat16":
            raise RuntimeError("CUBLAS_STATUS_NOT_SUPPORTED\n when calling cublasGemmEx")
        return MatrixRate(precision, 8192, 100.0, 1.0, 9)

    monkeypatch.setattr(probe, "_rate", rate)
    found = probe.probe("cuda:0")
    assert [rate.precision for rate in found.rates] == ["float16", "float32", "tf32"]
    assert found.failures == {"bfloat16": "CUBLAS_STATUS_NOT_SUPPORTED when calling cublasGemmEx"}
    assert found.of("tf32") == found.rates[2]
    assert found.of("bfloat16") is None


def test_as_a_process_of_its_own():
    machine = describe_machine(None)
    probed = measure_rates(machine, Interpreter("current", sys.executable, "3.11"))
    assert (probed.device, probed.uuid, probed.driver) == (machine.device_name, None, None)
    (rate,) = probed.found.rates
    assert probed.found.torch == torch.__version__
    assert 0.001 < rate.tflops < 100
    assert math.isfinite(rate.mad_tflops)
