"""The host, as it describes itself."""

from __future__ import annotations

import os
import platform
import re
import socket
from pathlib import Path

from sdtui import locks
from sdtui.model.machine import Gpu, Machine

MIB = 2**20
_GOVERNOR = "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"


def describe_machine(gpu: Gpu | None, root: Path = Path("/")) -> Machine:
    """Describes this host.

    Args:
        gpu: The GPU that the run uses, if any.
        root: Where ``proc`` and ``sys`` are.
    """
    return Machine(
        host=socket.gethostname(),
        boot_id=locks.boot_id(),
        system=_system(),
        cpu=cpu_model(_read(root / "proc/cpuinfo") or "") or platform.processor() or platform.machine(),
        cpu_count=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / MIB,
        governor=_read(root / _GOVERNOR),
        gpu=gpu,
    )


def cpu_model(cpuinfo: str) -> str | None:
    """Returns the processor's name from the text of ``/proc/cpuinfo``; ``None`` where it is not given (Arm)."""
    match = re.search(r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return " ".join(match[1].split()) if match else None


def _system() -> str:
    kernel = f"{platform.system()} {platform.release()}"
    try:
        return f"{platform.freedesktop_os_release()['PRETTY_NAME']}, {kernel}"
    except (OSError, KeyError):
        return kernel


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None
