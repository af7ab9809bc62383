"""Which GPU a device name means, under every CUDA_VISIBLE_DEVICES."""

from __future__ import annotations

import os
import re

import pytest

from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu
from sdtui.telemetry import nvml
from sdtui.telemetry.devices import Board, choose, visible

A = Gpu("NVIDIA H100", "GPU-aaaa1111-0", index=0, mig=False)
B = Gpu("NVIDIA A100", "GPU-aaaa2222-0", index=1, mig=True)
B0 = Gpu("NVIDIA A100 MIG 1g.5gb", "MIG-bbbb0000-0", index=1)
B1 = Gpu("NVIDIA A100 MIG 2g.10gb", "MIG-bbbb1111-0", index=1)
C = Gpu("NVIDIA L4", "GPU-cccc3333-0", index=2)
BOARDS = (Board(A), Board(B, (B0, B1)), Board(C))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, [A, B0, B1, C]),
        ("2,0", [C, A]),
        (" 2 , 0 ", [C, A]),
        ("1", [B0]),
        ("", []),
        ("-1", []),
        ("NoDevFiles", []),
        ("0,-1,2", [A]),
        ("0,7,2", [A]),
        ("0,,2", [A]),
        ("0,x,2", [A]),
        ("2nd,+0", [C, A]),
        ("2,0,2", []),
        ("GPU-cccc3333-0,GPU-aaaa1", [C, A]),
        ("GPU-aaaa,GPU-cccc", []),
        ("GPU-cccc,GPU-zzzz,GPU-aaaa1", [C]),
        ("GPU-aaaa2", [B0]),
        ("MIG-bbbb1111-0,MIG-bbbb0", [B1, B0]),
        ("gpu-cccc", []),
    ],
)
def test_visible_as_cuda_reads_it(value: str | None, expected: list[Gpu]) -> None:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert visible(BOARDS, environ) == expected


@pytest.mark.parametrize(
    ("device", "value", "expected"),
    [
        ("cuda", None, A),
        ("cuda:0", None, A),
        ("cuda:3", None, C),
        ("cuda:0", "2", C),
        ("cuda:1", "2,0", A),
        ("cuda:GPU-cccc3333-0", None, C),
        ("cuda:GPU-c", "0,2", C),
        ("cuda:MIG-bbbb1", None, B1),
    ],
)
def test_choose(device: str, value: str | None, expected: Gpu) -> None:
    choice = choose(device, BOARDS, {} if value is None else {"CUDA_VISIBLE_DEVICES": value})
    assert (choice.kind, choice.uuid, choice.gpu) == ("cuda", expected.uuid, expected)


@pytest.mark.parametrize(
    ("device", "value", "message"),
    [
        ("cuda:4", None, r"device 'cuda:4': there is no such GPU; choose from cuda:0 \(NVIDIA H100\), cuda:1 .*L4\)"),
        ("cuda:1", "2", r"device 'cuda:1': there is no such GPU; choose from cuda:0 \(NVIDIA L4\) .*DEVICES=2\)"),
        ("cuda:GPU-aaaa1111-0", "2", r".*there is no such GPU; choose from cuda:0 \(NVIDIA L4\) .*"),
        ("cuda:MIG-b", None, r"device 'cuda:MIG-b': more than one GPU begins so; choose from .*"),
        ("cuda:0", "", r"device 'cuda:0': CUDA_VISIBLE_DEVICES='' leaves no GPU visible; .*--device cpu"),
        ("gpu", None, r"device 'gpu': unknown; choose from cpu, cuda, cuda:0 \(NVIDIA H100\), .*"),
        ("cuda:-1", None, r"device 'cuda:-1': unknown; choose from .*"),
        ("cuda:", None, r"device 'cuda:': unknown; .*"),
    ],
)
def test_a_device_that_is_not_there_names_those_that_are(device: str, value: str | None, message: str) -> None:
    with pytest.raises(UserError) as caught:
        choose(device, BOARDS, {} if value is None else {"CUDA_VISIBLE_DEVICES": value})
    assert re.fullmatch(message, str(caught.value)), caught.value


def test_why_there_is_no_gpu() -> None:
    for boards, absence, reason in (
        ((), "NVML Shared Library Not Found", r"no NVIDIA driver here \(NVML Shared Library Not Found\)"),
        ((), "", "the NVIDIA driver lists no GPU"),
        ((Board(B),), "", "MIG is on and no instance was made"),
    ):
        with pytest.raises(UserError, match=f"{reason}; without a GPU, use --scale tiny --device cpu"):
            choose("cuda:0", boards, {}, absence)


def test_without_a_driver_cpu_resolves_and_cuda_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> nvml.Nvml:
        raise nvml.NvmlUnavailableError("Driver Not Loaded")

    monkeypatch.setattr(nvml, "connect", connect)
    assert nvml.open_nvml() is None
    assert nvml.resolve_device("cpu", os.environ).kind == "cpu"
    with pytest.raises(UserError, match=r"no NVIDIA driver here \(Driver Not Loaded\); .*--scale tiny --device cpu"):
        nvml.resolve_device("cuda:0", os.environ)
