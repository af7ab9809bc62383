"""Whether environments work, tried out: what a diagnosis says of them, and a tiny cell measured in each."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

from sdtui import environments
from sdtui.doctor import environment_findings
from sdtui.findings import Finding
from sdtui.model.errors import UserError, nearest
from sdtui.model.events import CellFinished
from sdtui.model.machine import Gpu, Interpreter
from sdtui.settings import CURRENT, Settings
from sdtui.supervisor.trial import Trial, try_environment
from sdtui.telemetry.devices import visible
from sdtui.telemetry.nvml import open_nvml

_NAMES = {"PIL": "pillow", "yaml": "pyyaml"}
"""Packages that are imported under another name than they are installed under."""
_ABSENT = re.compile(r"No module named '(\w+)")
_MENDS = (
    (re.compile(r"Numpy is not available|compiled using NumPy 1", re.I), "'numpy<2'"),
    (re.compile(r"\.so(\.\d+)*: |undefined symbol|named 'torch[.']"), "--force-reinstall torch"),
    (re.compile(r"requires the PyTorch library"), "--upgrade torch"),
    (
        re.compile(r"cannot import name|has no attribute|Failed to import"),
        "--upgrade diffusers transformers",
    ),
)
"""What an import or the first use of a package dies of, and the arguments of pip that mend it."""


def check(settings: Settings, name: str | None, say: Callable[[str], None]) -> list[Finding]:
    """Looks at environments and measures a tiny cell in each: on the first GPU, where there is one.

    Args:
        settings: Where they are registered.
        name: The one to check; ``None`` checks the current one and all that are registered.
        say: Is told what is being tried.

    Raises:
        UserError: There is no environment of that name.
    """
    known = (CURRENT, *settings.environments)
    if name is not None and name not in known:
        raise UserError(f"environment '{name}': is not registered in {settings.source}; {nearest(name, known)}")
    gpus = _gpus()
    findings: list[Finding] = []
    for looked in environments.look(settings, None if name is None else (name,)):
        if looked.interpreter is None:
            findings.append(Finding("problem", f"environment {looked.name}", looked.problem))
            continue
        findings += environment_findings(looked.interpreter, gpus)
        if not looked.problem:
            say(f"trying environment {looked.name} on {gpus[0].name if gpus else 'the CPU'} …")
            findings.append(_tried(looked.interpreter, gpus[0] if gpus else None))
    return findings


def _gpus() -> Sequence[Gpu]:
    nvml = open_nvml()
    if nvml is None:
        return ()
    try:
        return visible(nvml.boards(), os.environ)
    finally:
        nvml.close()


def _tried(interpreter: Interpreter, gpu: Gpu | None) -> Finding:
    subject = f"environment {interpreter.name}"
    try:
        trial = try_environment(interpreter, gpu)
    except UserError as error:
        return Finding("warning", subject, f"not tried: {error}")
    what = f"{trial.cell.slot.pipeline}, tiny, on {gpu.name if gpu else 'the CPU'}"
    if trial.ending.status == "ok":
        return Finding("ok", subject, f"measured {what} in {trial.seconds:.0f} s with {_versions(trial)}")
    ending = trial.ending
    message = f"{what}: {ending.status} in {ending.phase}: {ending.reason}"
    return Finding("problem", subject, message, mend(interpreter, ending))


def mend(interpreter: Interpreter, ending: CellFinished) -> str:
    """Returns the command that mends what a trial died of; empty where none is known to."""
    pip = environments.pip_install(interpreter)
    absent = _ABSENT.search(ending.reason)
    if absent and interpreter.packages.get(absent[1]) is None:
        return f"{pip} {_NAMES.get(absent[1], absent[1])}"
    return next((f"{pip} {arguments}" for pattern, arguments in _MENDS if pattern.search(ending.reason)), "")


def _versions(trial: Trial) -> str:
    return ", ".join(f"{name} {trial.versions[name]}" for name in environments.MINIMUM if trial.versions.get(name))
