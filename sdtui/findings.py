"""What can be wrong on a machine: every check takes facts and returns findings, each with the command that mends it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdtui import environments, probes
from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu, Interpreter, Machine
from sdtui.report.text import moment
from sdtui.telemetry.devices import VISIBLE, Board, visible

Level = Literal["ok", "info", "warning", "problem"]

LITTLE_DISK_MIB = 1024.0
NO_DISK_MIB = 100.0
WANTED = (*environments.MINIMUM, "accelerate")
"""Packages that an environment should have; without the last real weights are loaded otherwise."""
_SHOW_PROCESSES = "nvidia-smi --query-compute-apps=pid,name,used_memory --format=csv"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``problem`` keeps cells from running, ``warning`` some of them, or spoils figures.
        subject: What was looked at.
        message: What was found, in one line.
        mend: The command that mends it; empty where none does, or nothing is wrong.
    """

    level: Level
    subject: str
    message: str
    mend: str = ""


def check_driver(absence: str | None, boards: Sequence[Board], environ: Mapping[str, str]) -> list[Finding]:
    """Checks that there is a driver with a GPU that may be used.

    Args:
        absence: NVML's words for why it cannot be used; ``None`` where it can.
        boards: What NVML lists.
        environ: Whose ``CUDA_VISIBLE_DEVICES`` counts.
    """
    if absence is not None:
        if "mismatch" in absence.lower():
            return [Finding("problem", "driver", f"updated but not yet loaded ({absence})", "sudo reboot")]
        only_tiny = f"there is no NVIDIA driver here ({absence}): only --scale tiny --device cpu can run"
        return [Finding("warning", "driver", only_tiny)]
    if not boards:
        return [Finding("warning", "driver", "it lists no GPU: only --scale tiny --device cpu can run")]
    gpu = boards[0].gpu
    findings = [Finding("ok", "driver", f"NVIDIA {_or_unknown(gpu.driver)}, CUDA up to {_or_unknown(gpu.cuda_driver)}")]
    if not visible(boards, environ):
        if VISIBLE in environ:
            hidden = f"{VISIBLE}='{environ[VISIBLE]}' hides every GPU"
            findings.append(Finding("problem", "driver", hidden, f"unset {VISIBLE}"))
        else:
            none_made = "MIG is on and no instance was made"
            findings.append(Finding("problem", "driver", none_made, "sudo nvidia-smi mig -cgi 0 -C"))
    return findings


def check_gpu(subject: str, gpu: Gpu) -> list[Finding]:
    """Says what of a GPU's state changes its speed."""
    parts = [gpu.name]
    if gpu.memory_mib is not None:
        parts.append(f"{gpu.memory_mib:,.0f} MiB")
    for name, state in (("ECC", gpu.ecc), ("persistence", gpu.persistence), ("MIG", gpu.mig)):
        if state is not None:
            parts.append(f"{name} {'on' if state else 'off'}")
    findings = [Finding("ok", subject, ", ".join(parts))]
    if gpu.persistence is False:
        slow = "persistence mode is off: the first process to use the GPU waits for the driver to load"
        findings.append(Finding("info", subject, slow, "sudo nvidia-smi -pm 1"))
    return findings


def check_vram(
    subject: str, free_mib: float | None, processes: int | None, needs_mib: Mapping[str, float]
) -> list[Finding]:
    """Checks free device memory against the least that pipelines need, and that the GPU is idle.

    Args:
        subject: Names the GPU.
        free_mib: Free memory of it; ``None`` where not available.
        processes: Compute processes on it; ``None`` where not available.
        needs_mib: The fp16 weights of each pipeline: less than any of its cells needs.
    """
    findings = []
    mend = _SHOW_PROCESSES if processes else ""
    short = {name: need for name, need in needs_mib.items() if free_mib is not None and need > free_mib}
    if short:
        names = ", ".join(f"{name} ({need:,.0f} MiB)" for name, need in sorted(short.items(), key=lambda item: item[1]))
        message = f"{free_mib:,.0f} MiB of memory free, less than the fp16 weights alone of {names}"
        findings.append(Finding("warning", subject, message, mend))
    elif free_mib is not None:
        findings.append(Finding("ok", subject, f"{free_mib:,.0f} MiB of memory free"))
    if processes:
        many = "another compute process is" if processes == 1 else f"{processes} other compute processes are"
        findings.append(Finding("warning", subject, f"{many} on it: what is measured beside them is contended", mend))
    return findings


def check_rates(subject: str, machine: Machine) -> list[Finding]:
    """Says what matrix rates of the machine's device are kept.

    Args:
        subject: Names the device, as ``--device`` takes it.
        machine: With the device.
    """
    mend = f"{probes.COMMAND} --device {subject}"
    try:
        probe = probes.known(machine)
    except UserError as error:
        return [Finding("problem", subject, str(error).rpartition("; ")[0], mend)]
    if probe is None:
        return [
            Finding("info", subject, "matrix rate not measured: reports cannot say how near cells come to it", mend)
        ]
    driver = f", driver {probe.driver}" if probe.driver else ""
    when = f"measured {moment(probe.measured_at)} with torch {probe.found.torch}{driver}"
    failed = (Finding("info", subject, f"{name} was not measured: {why}") for name, why in probe.found.failures.items())
    return [Finding("ok", subject, f"matrix rate {probes.rates_text(probe.found)}, {when}"), *failed]


# ---------------------------------------------------------------------------------------------------- environments


def check_packages(interpreter: Interpreter, gpus: Sequence[Gpu]) -> list[Finding]:
    """Checks that what a worker imports is installed, and not too old."""
    subject, packages = _environment(interpreter), interpreter.packages
    missing = [name for name in WANTED if packages.get(name) is None]
    works = not {*missing} & {*environments.MINIMUM}
    outdated = environments.outdated(interpreter)
    limits = {"torch": _torch_limit(_driver_cuda(gpus))}
    pip = environments.pip_install(interpreter)
    findings = []
    if missing:
        wanted = " ".join(shlex.quote(name + limits.get(name, "")) for name in missing)
        slower = "; real weights take longer to load, and more memory" if works else ""
        message = f"not installed: {', '.join(missing)}{slower}"
        findings.append(Finding("info" if works else "problem", subject, message, f"{pip} {wanted}"))
    for name, version in outdated.items():
        least = environments.MINIMUM[name]
        bounds = ",".join(filter(None, (f">={least}", limits.get(name))))
        message = f"{name} {version} is too old, the least is {least}"
        findings.append(Finding("problem", subject, message, f"{pip} {shlex.quote(name + bounds)}"))
    if works and not outdated:
        versions = ", ".join(f"{name} {packages[name]}" for name in WANTED if packages.get(name))
        findings.append(Finding("ok", subject, f"Python {interpreter.python_version}, {versions}"))
    if packages.get("xformers") is None:
        findings.append(Finding("info", subject, "xformers is not installed: mode 'xformers' is unsupported here"))
    return findings


def check_torch(interpreter: Interpreter, gpus: Sequence[Gpu]) -> list[Finding]:
    """Checks torch's CUDA against the driver and the GPUs.

    A driver runs every CUDA of its own major version, from 11 on (CUDA compatibility guide, "minor version
    compatibility"), and every older one. CUDA 13 dropped GPUs before compute capability 7.5 (its release notes).
    """
    torch, subject = interpreter.packages.get("torch"), _environment(interpreter)
    if torch is None or not gpus:
        return []
    driver = _driver_cuda(gpus)
    if interpreter.cuda is None:
        message = f"torch {torch} is no CUDA build: the GPU is not used"
        return [_torch_problem(interpreter, message, driver)]
    built = _version(interpreter.cuda)
    findings = []
    if driver and built > driver and not (built[0] == driver[0] >= 11):
        message = (
            f"torch {torch} is built for CUDA {interpreter.cuda}, the driver runs CUDA up to {gpus[0].cuda_driver}"
        )
        findings.append(_torch_problem(interpreter, message, driver))
    old = [gpu for gpu in gpus if gpu.compute_capability and _version(gpu.compute_capability) < (7, 5)]
    if old and built >= (13,):
        message = f"torch {torch} is built for CUDA {interpreter.cuda}, which no longer runs on the {old[0].name}"
        findings.append(_torch_problem(interpreter, message, driver, "<2.8"))
    return findings or [Finding("ok", subject, f"torch's CUDA {interpreter.cuda} runs on this driver")]


def check_torchvision(interpreter: Interpreter, wanted: str | None) -> list[Finding]:
    """Checks that torchvision was built for the torch beside it.

    Args:
        interpreter: The environment.
        wanted: The torch version that its torchvision requires; ``None`` where it does not say.
    """
    torch = interpreter.packages.get("torch")
    if torch is None or wanted is None or wanted.partition("+")[0] == torch.partition("+")[0]:
        return []
    message = f"torchvision {interpreter.packages.get('torchvision')} is built for torch {wanted}, not {torch}"
    pinned = shlex.quote("torch==" + torch.partition("+")[0])
    mend = f"{environments.pip_install(interpreter)} --upgrade {pinned} torchvision"
    return [Finding("problem", _environment(interpreter), message, mend)]


def check_headers(interpreter: Interpreter, present: bool, package_manager: str) -> list[Finding]:
    """Checks for the Python headers that compiled code includes."""
    if present:
        return []
    minor = ".".join(interpreter.python_version.split(".")[:2])
    mend = {"apt-get": f"sudo apt-get install python{minor}-dev", "dnf": f"sudo dnf install python{minor}-devel"}
    message = "Python.h is missing: modes that compile will fail"
    return [Finding("warning", _environment(interpreter), message, mend.get(package_manager, ""))]


# ----------------------------------------------------------------------------------------------------------- host


def check_compiler(compiler: str | None, package_manager: str) -> list[Finding]:
    """Checks for the C compiler that Inductor and Triton call."""
    if compiler:
        return [Finding("ok", "compiler", compiler)]
    mend = {"apt-get": "sudo apt-get install gcc g++", "dnf": "sudo dnf install gcc gcc-c++"}
    message = "there is no C compiler: modes that compile will fail"
    return [Finding("warning", "compiler", message, mend.get(package_manager, ""))]


def check_folder(
    subject: str, path: Path, free_mib: float, writable: bool, held_mib: float | None = None
) -> list[Finding]:
    """Checks that a folder can be written, with room to spare; says how much it holds, where that is given."""
    option = "--runs-dir or SDTUI_RUNS_DIR" if subject.startswith("runs") else "TORCHINDUCTOR_CACHE_DIR"
    if not writable:
        return [Finding("problem", subject, f"{path} cannot be written; choose another with {option}")]
    if free_mib < LITTLE_DISK_MIB:
        level: Level = "problem" if free_mib < NO_DISK_MIB else "warning"
        return [Finding(level, subject, f"{free_mib:,.0f} MiB free in {path}; choose another with {option}")]
    held = "" if held_mib is None else f", {held_mib:,.0f} MiB in it"
    return [Finding("ok", subject, f"{path}{held}, {free_mib / 1024:,.1f} GiB free")]


def check_logind(kills: bool) -> list[Finding]:
    """Checks that a detached run outlives the login.

    Lingering alone does not help: it keeps the user's service manager, not what a login session started
    (``logind.conf(5)``, ``KillUserProcesses``); a scope of that manager is outside the session.
    """
    if not kills:
        return []
    message = "KillUserProcesses=yes: a run ends when you log out, detached or not, unless started outside the session"
    return [Finding("warning", "logind", message, "loginctl enable-linger && systemd-run --user --scope sdtui run")]


def _environment(interpreter: Interpreter) -> str:
    return f"environment {interpreter.name}"


def _torch_problem(interpreter: Interpreter, message: str, driver: tuple[int, ...], limit: str = "") -> Finding:
    if driver and driver < (12,):
        return Finding("problem", _environment(interpreter), f"{message}; update the driver, it is too old for torch")
    torchvision = " torchvision" if interpreter.packages.get("torchvision") else ""
    wanted = shlex.quote("torch" + (limit or _torch_limit(driver))) + torchvision
    return Finding(
        "problem",
        _environment(interpreter),
        message,
        f"{environments.pip_install(interpreter)} --force-reinstall {wanted}",
    )


def _torch_limit(driver: tuple[int, ...]) -> str:
    # Up to 2.10 the torch on PyPI is built for CUDA 12, from 2.11 on for CUDA 13; up to 2.7 for CUDA 12.6.
    return "<2.11" if (12,) <= driver < (13,) else ""


def _driver_cuda(gpus: Sequence[Gpu]) -> tuple[int, ...]:
    return _version(gpus[0].cuda_driver) if gpus else ()


def _version(text: str | None) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text or "")[:2])


def _or_unknown(text: str | None) -> str:
    return text or "unknown"
