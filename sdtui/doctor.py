"""What works here, what is missing or mismatched, and the command that mends it.

Gathers the facts, without importing torch, that the checks of `sdtui.findings` take.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from sdtui import environments, probes, settings
from sdtui.catalog.load import load_catalog
from sdtui.findings import (
    Finding,
    check_compiler,
    check_driver,
    check_folder,
    check_gpu,
    check_headers,
    check_logind,
    check_packages,
    check_rates,
    check_torch,
    check_torchvision,
    check_vram,
)
from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu, Interpreter, Machine
from sdtui.supervisor import caches
from sdtui.supervisor.probe import measure_rates
from sdtui.telemetry import logind, nvml
from sdtui.telemetry.devices import Board, visible
from sdtui.telemetry.machine import describe_machine
from sdtui.telemetry.nvml import resolve_device

_MIB = 2**20

_INDENT = " " * 9
_FP16_BYTES = 2


def diagnose_here(runs_dir: Path | None) -> list[Finding]:
    """Looks at this machine and every registered environment; what is wrong in a file of the person's is a finding.

    Args:
        runs_dir: ``--runs-dir``.
    """
    registered, found = _settings()
    looked = environments.look(registered)
    interpreters = [each.interpreter for each in looked if each.interpreter]
    broken = [Finding("problem", f"environment {each.name}", each.problem) for each in looked if not each.interpreter]
    return found + diagnose(interpreters, settings.runs_dir(runs_dir, registered)) + broken


def _settings() -> tuple[settings.Settings, list[Finding]]:
    """Reads the person's files; where the settings are wrong, empty ones stand for them."""
    findings = []
    try:
        load_catalog(settings.config_dir())
    except UserError as error:
        findings.append(Finding("problem", "catalog", str(error)))
    try:
        return settings.load(), findings
    except UserError as error:
        empty = settings.Settings(settings.config_dir() / settings.SETTINGS)
        return empty, [Finding("problem", "settings", str(error)), *findings]


def probe_here(device: str | None, environment: str | None, say: Callable[[str], None]) -> list[Finding]:
    """Measures matrix rates and keeps them; what could not be measured is a finding.

    Args:
        device: As a person names it; ``None`` takes every visible GPU, and the CPU where there is none.
        environment: Whose torch multiplies; ``None`` takes this one's.
        say: Is told what is being measured.

    Raises:
        UserError: There is no such device or environment.
    """
    try:
        (interpreter,) = environments.resolve([environment or settings.CURRENT], settings.load())
    except UserError as error:
        raise UserError(f"--env: {str(error).removeprefix('environments: ')}") from error
    findings = []
    for subject, machine in _devices(device):
        say(f"measuring the matrix rates of {subject} ({machine.device_name}) …")
        try:
            probes.keep(measure_rates(machine, interpreter), machine)
        except UserError as error:
            findings.append(Finding("problem", subject, f"matrix rate not measured: {error}"))
    return findings


def diagnose(interpreters: Sequence[Interpreter], runs_dir: Path) -> list[Finding]:
    """Looks at this machine and at these environments; writes nothing."""
    boards, findings = _gpu_findings()
    findings += _rate_findings(visible(boards, os.environ))
    for interpreter in interpreters:
        findings += environment_findings(interpreter, [board.gpu for board in boards])
    findings += check_compiler(_compiler(os.environ), _package_manager())
    findings += check_folder("runs directory", runs_dir, *_room(runs_dir))
    cache = Path(os.environ.get(caches.INDUCTOR) or caches.root())
    findings += check_folder("compile cache", cache, *_room(cache), _held_mib(cache))
    findings += check_logind(logind.kills_user_processes())
    return findings


def environment_findings(interpreter: Interpreter, gpus: Sequence[Gpu]) -> list[Finding]:
    """Looks at an environment that answers.

    Args:
        interpreter: To be looked at.
        gpus: Of this machine.
    """
    findings = [*check_packages(interpreter, gpus), *check_torch(interpreter, gpus)]
    try:
        facts = environments.build_facts(interpreter)
    except UserError as error:
        return [*findings, Finding("problem", f"environment {interpreter.name}", str(error))]
    findings += check_torchvision(interpreter, facts.torchvision_torch)
    return findings + check_headers(interpreter, facts.headers, _package_manager())


def render(findings: Sequence[Finding], width: int | None = None) -> str:
    """Returns the findings as plain text, one or two lines each.

    Args:
        findings: To be written.
        width: Of the terminal, in columns, at which messages wrap between words; commands stay whole.
    """
    lines = []
    for finding in findings:
        line = f"{finding.level:<8} {finding.subject}: {finding.message}"
        if width is not None:
            line = textwrap.fill(line, width, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False)
        lines.append(line)
        if finding.mend:
            lines.append(f"{_INDENT}mend with: {finding.mend}")
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------------ gathering facts


def _gpu_findings() -> tuple[list[Board], list[Finding]]:
    try:
        connection = nvml.connect()
    except nvml.NvmlUnavailableError as error:
        return [], check_driver(str(error), [], os.environ)
    try:
        boards = connection.boards()
        findings = check_driver(None, boards, os.environ)
        needs = _needs_mib()
        for index, gpu in enumerate(visible(boards, os.environ)):
            subject = f"cuda:{index}"
            reader = connection.reader(gpu.uuid)
            findings += check_gpu(subject, gpu)
            findings += check_vram(subject, reader.free_mib(), reader.processes(), needs)
        return boards, findings
    finally:
        connection.close()


def _rate_findings(gpus: Sequence[Gpu]) -> list[Finding]:
    return [finding for subject, machine in _machines(gpus) for finding in check_rates(subject, machine)]


def _devices(device: str | None) -> list[tuple[str, Machine]]:
    """Finds what a person named; see `probe_here`."""
    if device is not None:
        return [(device, describe_machine(resolve_device(device, os.environ).gpu))]
    try:
        connection = nvml.connect()
    except nvml.NvmlUnavailableError:
        return _machines([])
    try:
        return _machines(visible(connection.boards(), os.environ))
    finally:
        connection.close()


def _machines(gpus: Sequence[Gpu]) -> list[tuple[str, Machine]]:
    """Returns this machine with each GPU, or without any where there is none; each with its device's name."""
    return [(f"cuda:{index}", describe_machine(gpu)) for index, gpu in enumerate(gpus)] or [
        ("cpu", describe_machine(None))
    ]


def _needs_mib() -> dict[str, float]:
    counts = load_catalog().counts
    stages = {name: [sum(stage["components"].values()) for stage in counts[name].values()] for name in counts}
    return {name: max(parameters) * _FP16_BYTES / _MIB for name, parameters in stages.items() if parameters}


def _compiler(environ: Mapping[str, str]) -> str | None:
    named = environ.get("CC", "").split()[:1]
    return next((path for name in (*named, "gcc", "clang", "cc") if (path := shutil.which(name))), None)


def _package_manager() -> str:
    return next((name for name in ("apt-get", "dnf") if shutil.which(name)), "")


def _room(path: Path) -> tuple[float, bool]:
    """Returns free MiB and whether it can be written, of the folder or the one that it would be made in."""
    there = next(folder for folder in (path, *path.parents) if os.path.lexists(folder))
    if not there.is_dir():
        return 0.0, False
    return shutil.disk_usage(there).free / _MIB, os.access(there, os.W_OK | os.X_OK)


def _held_mib(path: Path) -> float:
    """Returns the size of the files in a folder; those that vanish meanwhile, and a folder that is not there, are 0."""
    held = 0
    for folder, _, names in os.walk(path):
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                held += os.lstat(os.path.join(folder, name)).st_size
    return held / _MIB
