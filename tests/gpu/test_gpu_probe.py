"""The probe of matrix rates on a real card, by hand: ``python -m pytest -m gpu tests/gpu``."""

import os
import sys

import pytest
import torch

from sdtui.model.machine import Interpreter
from sdtui.supervisor.probe import measure_rates
from sdtui.telemetry.machine import describe_machine
from sdtui.telemetry.nvml import resolve_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that this torch can use"),
]


def test_the_rates_are_a_card_s():
    machine = describe_machine(resolve_device("cuda:0", os.environ).gpu)
    probe = measure_rates(machine, Interpreter("current", sys.executable, "3.11"))
    print(probe)
    assert (probe.device, probe.uuid) == (machine.gpu.name, machine.gpu.uuid)
    rates = {rate.precision: rate for rate in probe.found.rates}
    assert rates["float16"].tflops > 1
    assert rates["float16"].tflops > rates["float32"].tflops
    if torch.cuda.get_device_capability() >= (8, 0):  # from Ampere on there are bfloat16 and TF32
        assert not probe.found.failures
        assert rates["bfloat16"].tflops == pytest.approx(rates["float16"].tflops, rel=0.3)
        assert rates["float32"].tflops < rates["tf32"].tflops < rates["float16"].tflops
    for rate in rates.values():
        assert rate.count >= 5
        assert rate.mad_tflops < 0.1 * rate.tflops
