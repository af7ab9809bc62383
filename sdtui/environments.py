"""Environments: Python interpreters with their torch, looked at from outside, without importing it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sdtui.model.errors import UserError, near, nearest
from sdtui.model.machine import Interpreter
from sdtui.settings import CURRENT, Environment, Settings

PACKAGES = (
    "torch",
    "diffusers",
    "transformers",
    "accelerate",
    "xformers",
    "torchao",
    "triton",
    "safetensors",
    "torchvision",
)
MINIMUM = {"torch": "2.1", "diffusers": "0.16", "transformers": "4.25"}
"""The oldest release of each package that a worker imports, whatever it measures; docs/environments.md says why."""
MINIMUM_PYTHON = "3.10"
_TIMEOUT_S = 30.0
_MARK = "sdtui-environment:"

# Runs in the other interpreter; a Python from before the minimum has to understand it far enough to say what it is.
# An empty sys.path entry is the working directory, where a folder named torch may lie.
_QUESTIONS = r"""
import sys
if sys.version_info[:2] < tuple(int(part) for part in sys.argv[2].split(".")):
    print(sys.argv[1] + '{"python_version": [%d, %d, %d]}' % tuple(sys.version_info[:3]))
    sys.exit()
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

packages = {name: version(name) for name in sys.argv[3:]}
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


@dataclass(frozen=True)
class Looked:
    """What became of looking at an environment.

    Attributes:
        name: ``current`` or the name it was registered under.
        python: Its executable, or what stands for it in the settings.
        interpreter: ``None`` where it does not answer.
        problem: What keeps cells from running in it, in one line; empty where nothing was found.
    """

    name: str
    python: str
    interpreter: Interpreter | None
    problem: str = ""


def describe(name: str, python: Path) -> Interpreter:
    """Looks at an interpreter and its packages, without importing torch.

    Args:
        name: ``current`` or the name it was registered under.
        python: The interpreter's executable, or the folder of its environment.

    Raises:
        UserError: It is missing, broken, too old, or does not answer; the message names environment and path.
    """
    python = _executable(name, python)
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
    known, wanted = _known(settings), list(names)
    for name in wanted:
        if name not in known:
            hint = nearest(name, known)
            hint += "" if near(name, known) else f"; 'sdtui env add {name} PYTHON' registers it"
            where = f"under [environments] in {settings.source}"
            raise UserError(f"environments: '{name}' is not registered {where}; {hint}")
    return tuple(replace(describe(name, known[name].python), label=known[name].label) for name in wanted)


def look(settings: Settings, names: Iterable[str] | None = None) -> tuple[Looked, ...]:
    """Looks at environments; what is wrong with one is said of it.

    Args:
        settings: Where they are registered.
        names: Known ones; ``None`` looks at the one that sdtui runs in and at every registered one.
    """
    known = _known(settings)
    return tuple(_look(name, known[name]) for name in (known if names is None else names))


def refuse_unusable(interpreters: Iterable[Interpreter]) -> None:
    """Refuses environments in which no cell could run.

    Raises:
        UserError: One lacks a package that every worker imports, or has too old a release of it; the message says how
            to install it.
    """
    for interpreter in interpreters:
        absent, old = missing(interpreter), outdated(interpreter)
        listed = " and ".join(filter(None, (", ".join(absent[:-1]), *absent[-1:])))
        wrong = [f"{listed} not installed"] if absent else []
        wrong += [f"{name} {version} is too old, the least is {MINIMUM[name]}" for name, version in old.items()]
        if wrong:
            wanted = " ".join((*absent, *(shlex.quote(f"{name}>={MINIMUM[name]}") for name in old)))
            mend = f"{pip_install(interpreter)} {wanted}"
            raise UserError(f"environment '{interpreter.name}': {', '.join(wrong)}; install with: {mend}")


def missing(interpreter: Interpreter) -> list[str]:
    """Returns the packages of `MINIMUM` that an environment lacks."""
    return [name for name in MINIMUM if interpreter.packages.get(name) is None]


def outdated(interpreter: Interpreter) -> dict[str, str]:
    """Returns the packages of an environment that are older than `MINIMUM`, with their versions."""
    found = {name: interpreter.packages.get(name) for name in MINIMUM}
    return {name: version for name, version in found.items() if version and _release(version) < _release(MINIMUM[name])}


def candidates(python: Path) -> tuple[Path, ...]:
    """Returns the executables that a registered path can stand for: itself, or one in its folder."""
    return python, python / "bin" / "python", python / "bin" / "python3"


def pip_install(interpreter: Interpreter) -> str:
    """Returns the command that installs into an environment, but for the packages' names."""
    return f"{shlex.quote(interpreter.python)} -m pip install"


def variables(name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Returns the environment variables that a child in the environment ``name`` gets.

    A foreign interpreter must not see what this one is given to see, lest it import another torch.
    """
    foreign = () if name == CURRENT else ("PYTHONPATH", "PYTHONHOME")
    return {key: value for key, value in environ.items() if key not in foreign}


def _known(settings: Settings) -> dict[str, Environment]:
    return {CURRENT: Environment(Path(sys.executable)), **settings.environments}


def _look(name: str, environment: Environment) -> Looked:
    interpreter = None
    try:
        interpreter = replace(describe(name, environment.python), label=environment.label)
        refuse_unusable([interpreter])
    except UserError as error:
        return Looked(name, str(environment.python), interpreter, str(error).partition(": ")[2])
    return Looked(name, interpreter.python, interpreter)


def _executable(name: str, python: Path) -> Path:
    """Returns an environment's executable, where a folder stands for what is in it."""
    if not python.is_dir():
        return python
    found = next((path for path in candidates(python) if path != python and os.path.lexists(path)), None)
    if found is None:
        raise UserError(f"environment '{name}': {python} holds no bin/python; write the path of a Python executable")
    return found


def _ask(name: str, python: Path) -> dict[str, Any]:
    where = f"environment '{name}': {python}"
    command = [str(python), "-c", _QUESTIONS, _MARK, MINIMUM_PYTHON, *PACKAGES]
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
        is_link = isinstance(error, FileNotFoundError) and os.path.lexists(python)  # of a venv whose Python is gone
        why = "what it links to, or is run by, is gone" if is_link else error.strerror
        raise UserError(f"{where}: {why}") from error
    except subprocess.TimeoutExpired as error:
        raise UserError(f"{where}: no answer within {_TIMEOUT_S:.0f} s") from error
    answer = next((line for line in done.stdout.splitlines() if line.startswith(_MARK)), None)
    if done.returncode or answer is None:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}, no answer"])[-1]
        raise UserError(f"{where} is no working Python: {last.strip()[:200]}")
    return _checked(where, json.loads(answer.removeprefix(_MARK)))


def _checked(where: str, answer: dict[str, Any]) -> dict[str, Any]:
    version = ".".join(str(part) for part in answer["python_version"])
    if _release(version) < _release(MINIMUM_PYTHON):
        raise UserError(f"{where} is Python {version}; the worker needs {MINIMUM_PYTHON} or later")
    return answer


def _release(version: str) -> tuple[int, ...]:
    """Returns the numbers that a version begins with; of a development build, those of the release it leads to."""
    found = re.match(r"\d+(\.\d+)*", version)
    return tuple(map(int, found.group().split("."))) if found else (sys.maxsize,)
