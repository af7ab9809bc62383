"""The host's description of itself."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from sdtui.model.machine import Gpu
from sdtui.telemetry.machine import cpu_model, describe_machine


def _root(tmp_path: Path, cpuinfo: str, governor: str | None) -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(cpuinfo)
    if governor:
        folder = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_governor").write_text(governor + "\n")
    return tmp_path


def test_describe_machine(tmp_path: Path) -> None:
    gpu = Gpu("NVIDIA H100", "GPU-1")
    root = _root(tmp_path, "processor\t: 0\nmodel name\t: AMD EPYC  9654\t96-Core\nflags\t: a\n", "performance")
    machine = describe_machine(gpu, root)
    assert (machine.host, machine.gpu, machine.device_name) == (socket.gethostname(), gpu, "NVIDIA H100")
    assert (machine.cpu, machine.governor) == ("AMD EPYC 9654 96-Core", "performance")
    assert machine.cpu_count == len(os.sched_getaffinity(0))
    assert machine.memory_mib is not None
    assert machine.memory_mib > 256
    assert f"Linux {os.uname().release}" in machine.system


def test_what_the_host_does_not_say(tmp_path: Path) -> None:
    machine = describe_machine(None, _root(tmp_path, "processor : 0\nCPU implementer : 0x41\n", None))
    assert machine.governor is None
    assert machine.cpu, "at least the architecture"
    assert machine.device_name == machine.cpu


def test_cpu_model_of_other_architectures() -> None:
    assert (
        cpu_model("processor\t: 0\n\nModel\t\t: Raspberry Pi 5 Model B Rev 1.0\n") == "Raspberry Pi 5 Model B Rev 1.0"
    )
    assert cpu_model("processor : 0\nmodel : 17\n") is None
