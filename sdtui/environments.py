"""Environments: Python interpreters with their torch, looked at from outside, without importing it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdtui.model.errors import UserError, nearest
from sdtui.model.machine import Interpreter
from sdtui.settings import CURRENT, Environment, Settings

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "xformers",
    "triton",
    "safetensors",
    "torchvision",
)
NEEDED = ("torch", "diffusers", "transformers")
"""What a worker imports, whatever it measures."""
MINIMUM_PYTHON = (3, 10)
_TIMEOUT_S = 30.0
_MARK = "sdtui-environment:"

# Runs in the other interpreter. An empty sys.path entry is the working directory, where a folder named torch may lie.
_QUESTIONS = r"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import importlib.metadata as metadata, importlib.util as util, json, os, re, sysconfig

def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

def cuda():
    spec = util.find_spec("torch")
    if spec is None or not spec.origin:
        return None
    names = {}
    try:
        with open(os.path.join(os.path.dirname(spec.origin), "version.py"), encoding="utf-8") as file:
            exec(file.read(), names)
    except OSError:
        return None
    return names.get("cuda")

def torch_pin():
    try:
        wanted = metadata.requires("torchvision") or []
    except metadata.PackageNotFoundError:
        return None
    pins = [re.match(r"torch\s*\(?==\s*([^;)\s]+)", text) for text in wanted]
    return next((pin.group(1) for pin in pins if pin), None)

packages = {name: version(name) for name in sys.argv[2:]}
if "triton" in packages and packages["triton"] is None:
    packages["triton"] = version("pytorch-triton")
print(sys.argv[1] + json.dumps({
    "python_version": list(sys.version_info[:3]),
    "packages": packages,
    "cuda": cuda(),
    "torchvision_torch": torch_pin(),
    "headers": os.path.isfile(os.path.join(sysconfig.get_path("include"), "Python.h")),
}))
"""


@dataclass(frozen=True)
class BuildFacts:
    """What a diagnosis asks of an environment beyond its versions.

    Attributes:
        torchvision_torch: The torch version that the installed torchvision was built for; ``None`` where there is
            no torchvision, or it does not say.
        headers: Whether ``Python.h`` is there, which Inductor's generated C++ includes.
    """

    torchvision_torch: str | None
    headers: bool


def describe(name: str, python: Path) -> Interpreter:
    """Looks at an interpreter and its packages, without importing torch.

    Args:
        name: ``current`` or the name it was registered under.
        python: The interpreter's executable.

    Raises:
        UserError: It is missing, broken, too old, or does not answer; the message names environment and path.
    """
    answer = _ask(name, python)
    version = ".".join(str(part) for part in answer["python_version"])
    return Interpreter(name, str(python), version, answer["packages"], answer["cuda"])


def build_facts(interpreter: Interpreter) -> BuildFacts:
    """Asks an environment for what only a diagnosis needs.

    Raises:
        UserError: As `describe`.
    """
    answer = _ask(interpreter.name, Path(interpreter.python))
    return BuildFacts(answer["torchvision_torch"], answer["headers"])


def resolve(names: Iterable[str], settings: Settings) -> tuple[Interpreter, ...]:
    """Looks at the environments that a plan names, in its order.

    Raises:
        UserError: A name is not registered, or its interpreter does not work.
    """
    known = {CURRENT: Environment(Path(sys.executable)), **settings.environments}
    wanted = list(names)
    for name in wanted:
        if name not in known:
            raise UserError(
                f"environments: '{name}' is not registered under [environments] in {settings.source}; "
                f"{nearest(name, known)}"
            )
    return tuple(replace(describe(name, known[name].python), label=known[name].label) for name in wanted)


def refuse_incomplete(interpreters: Iterable[Interpreter]) -> None:
    """Refuses environments in which no cell could run.

    Raises:
        UserError: One lacks a package that every worker imports; the message says how to install it.
    """
    for interpreter in interpreters:
        missing = [name for name in NEEDED if interpreter.packages.get(name) is None]
        if missing:
            raise UserError(
                f"environment '{interpreter.name}': {' and '.join(missing)} not installed; install with: "
                f"{pip_install(interpreter)} {' '.join(missing)}"
            )


def pip_install(interpreter: Interpreter) -> str:
    """Returns the command that installs into an environment, but for the packages' names."""
    return f"{shlex.quote(interpreter.python)} -m pip install"


def variables(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that a child in the environment ``name`` gets.

    A foreign interpreter must not see what this one is given to see, lest it import another torch.
    """
    foreign = () if name == CURRENT else ("PYTHONPATH", "PYTHONHOME")
    return {key: value for key, value in environ.items() if key not in foreign}


def _ask(name: str, python: Path) -> dict[str, Any]:
    where = f"environment '{name}': {python}"
    if python.is_dir():
        raise UserError(f"{where} is a folder; did you mean '{python / 'bin' / 'python'}'?")
    command = [str(python), "-c", _QUESTIONS, _MARK, *PACKAGES]
    try:
        done = subprocess.run(
            command,
            env=variables(name, os.environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
        )
    except OSError as error:
        raise UserError(f"{where}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{where}: no answer within {_TIMEOUT_S:.0f} s") from error
    answer = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
    if done.returncode or answer is None:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}, no answer"])[-1]
        raise UserError(f"{where} is no working Python: {last.strip()[:200]}")
    return _checked(where, json.loads(answer.removeprefix(_MARK)))


def _checked(where: str, answer: dict[str, Any]) -> dict[str, Any]:
    if tuple(answer["python_version"][:2]) < MINIMUM_PYTHON:
        found, least = (".".join(str(part) for part in v) for v in (answer["python_version"], MINIMUM_PYTHON))
        raise UserError(f"{where} is Python {found}; the worker needs {least} or later")
    return answer
