"""Looking at other interpreters: real child processes over made-up package folders."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sdtui import environments
from sdtui.model.errors import UserError
from sdtui.model.machine import Interpreter
from sdtui.settings import Environment, Settings

# A torch whose import would be noticed.
TORCH = 'raise SystemExit("torch was imported")'
VERSION = "from typing import Optional\n__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n"


def _package(folder: Path, name: str, version: str, requires: tuple[str, ...] = ()) -> None:
    metadata = folder / f"{name}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    wanted = "".join(f"Requires-Dist: {text}\n" for text in requires)
    metadata.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{wanted}")


def _site(folder: Path) -> Path:
    _package(folder, "torch", "2.11.0+cu130")
    _package(folder, "diffusers", "0.42.1")
    _package(folder, "pytorch_triton", "3.6.0+git1")
    _package(folder, "torchvision", "0.25.0", ("numpy", 'pillow>=5.3; extra == "x"', "torch (==2.10.0)"))
    (folder / "torch").mkdir()
    (folder / "torch/__init__.py").write_text(TORCH)
    (folder / "torch/version.py").write_text(VERSION)
    return folder


@pytest.fixture
def interpreter(tmp_path: Path) -> Callable[..., Path]:
    """Makes an interpreter that sees a folder of packages of its own, and no other."""

    def make(site: Path | None = None, before: str = "") -> Path:
        path = tmp_path / "python"
        own = f"PYTHONPATH={shlex.quote(str(site))}${{PYTHONPATH:+:$PYTHONPATH}} " if site else ""
        path.write_text(f'#!/bin/sh\n{before}\n{own}exec {shlex.quote(sys.executable)} -S "$@"\n')
        path.chmod(0o755)
        return path

    return make


def test_describe_reads_versions_and_cuda_without_importing_torch(
    tmp_path: Path, interpreter: Callable[..., Path]
) -> None:
    python = interpreter(_site(tmp_path / "site"))
    found = environments.describe("other", python)
    assert (found.name, found.python, found.cuda) == ("other", str(python), "13.0")
    assert found.python_version == ".".join(str(part) for part in sys.version_info[:3])
    assert found.packages["torch"] == "2.11.0+cu130"
    assert found.packages["diffusers"] == "0.42.1"
    assert found.packages["transformers"] is None
    assert found.packages["triton"] == "3.6.0+git1", "nightlies call it pytorch-triton"
    assert set(found.packages) == set(environments.PACKAGES)


def test_build_facts(tmp_path: Path, interpreter: Callable[..., Path]) -> None:
    python = interpreter(_site(tmp_path / "site"))
    facts = environments.build_facts(Interpreter("other", str(python), "3.11.0"))
    assert facts.torchvision_torch == "2.10.0"


def test_nothing_installed(interpreter: Callable[..., Path]) -> None:
    found = environments.describe("bare", interpreter())
    assert found.cuda is None
    assert set(found.packages.values()) == {None}


def test_only_the_current_environment_keeps_python_path(
    tmp_path: Path, interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = tmp_path / "ours"
    _package(ours, "accelerate", "9.9")
    monkeypatch.setenv("PYTHONPATH", str(ours))
    python = interpreter(_site(tmp_path / "site"))
    assert environments.describe("foreign", python).packages["accelerate"] is None
    assert environments.describe("current", python).packages["accelerate"] == "9.9"
    environ = {"PYTHONPATH": "/p", "PYTHONHOME": "/h", "HOME": "/me"}
    assert environments.variables("foreign", environ) == {"HOME": "/me"}
    assert environments.variables("current", environ) == environ


def test_a_folder_named_torch_in_the_working_directory_is_not_taken_for_it(
    tmp_path: Path, interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    _site(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    found = environments.describe("bare", interpreter())
    assert (found.packages["torch"], found.cuda) == (None, None)


def test_prints_at_start_up_do_not_matter(interpreter: Callable[..., Path]) -> None:
    assert environments.describe("loud", interpreter(before="echo hello; echo warning >&2")).name == "loud"


@pytest.mark.parametrize(
    ("content", "mode", "message"),
    [
        (None, 0, "No such file or directory"),
        ("#!/bin/sh\nexit 3\n", 0o755, "is no working Python: exit status 3"),
        ("#!/bin/sh\nexit 0\n", 0o755, "is no working Python: exit status 0, no answer"),
        ("#!/bin/sh\necho oops >&2; echo libpython is gone >&2; exit 127\n", 0o755, "libpython is gone"),
        ("no program", 0o755, "Exec format error"),
    ],
)
def test_a_broken_interpreter_names_environment_and_path(
    tmp_path: Path, content: str | None, mode: int, message: str
) -> None:
    path = tmp_path / "python"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(UserError) as caught:
        environments.describe("broken", path)
    assert str(caught.value).startswith(f"environment 'broken': {path}")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_python(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        environments.describe("venv", tmp_path)
    said = f"environment 'venv': {tmp_path} holds no bin/python; write the path of a Python executable"
    assert str(caught.value) == said


@pytest.mark.parametrize("name", ["python", "python3"])
def test_a_folder_stands_for_the_python_in_it(tmp_path: Path, interpreter: Callable[..., Path], name: str) -> None:
    python = tmp_path / "venv" / "bin" / name
    python.parent.mkdir(parents=True)
    python.symlink_to(interpreter())
    assert environments.describe("venv", tmp_path / "venv").python == str(python), "the link, which makes it a venv"


def test_a_venv_whose_python_is_gone(tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    python.parent.mkdir()
    python.symlink_to("/no/such/python3.12")
    with pytest.raises(UserError, match=r"^environment 'venv': .*/python: what it links to, or is run by, is gone$"):
        environments.describe("venv", tmp_path)


def test_an_interpreter_that_hangs(interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments, "_TIMEOUT_S", 0.2)
    with pytest.raises(UserError, match="no answer within"):
        environments.describe("hung", interpreter(before="exec sleep 60"))


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    path = tmp_path / "python"
    path.write_text("""#!/bin/sh\necho 'sdtui-environment:{"python_version": [3, 8, 10]}'\n""")
    path.chmod(0o755)
    with pytest.raises(UserError, match=r"is Python 3\.8\.10; the worker needs 3\.10 or later"):
        environments.describe("old", path)


def test_a_python_that_is_too_old_is_asked_no_more_than_its_version(
    interpreter: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "MINIMUM_PYTHON", "9.10")
    python = interpreter()
    with pytest.raises(UserError, match=r"is Python 3\.\d+\.\d+; the worker needs 9\.10 or later$"):
        environments.describe("old", python)
    asked = [str(python), "-c", environments._QUESTIONS, "mark:", "9.10"]
    said = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert said == f'mark:{{"python_version": {list(sys.version_info[:3])}}}\n'


def _with(**packages: str | None) -> Interpreter:
    have = {"torch": "2.13.0+cpu", "diffusers": "0.42.1", "transformers": "5.24.0", **packages}
    return Interpreter("other", "/my env/python", "3.12.1", have)


@pytest.mark.parametrize(
    ("packages", "wrong", "mend"),
    [
        ({"torch": None}, "torch not installed", "torch"),
        (
            {"diffusers": None, "transformers": None},
            "diffusers and transformers not installed",
            "diffusers transformers",
        ),
        ({"torch": "2.0.1+cu118"}, "torch 2.0.1+cu118 is too old, the least is 2.1", "'torch>=2.1'"),
        ({"diffusers": "0.15.1"}, "diffusers 0.15.1 is too old, the least is 0.16", "'diffusers>=0.16'"),
        (
            {"torch": "1.13.1", "diffusers": None},
            "diffusers not installed, torch 1.13.1 is too old, the least is 2.1",
            "diffusers 'torch>=2.1'",
        ),
    ],
)
def test_what_keeps_every_worker_from_running(packages: dict[str, str | None], wrong: str, mend: str) -> None:
    with pytest.raises(UserError) as caught:
        environments.refuse_unusable([_with(), _with(**packages)])
    said = f"environment 'other': {wrong}; install with: '/my env/python' -m pip install {mend}"
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("torch", "diffusers"),
    [("2.1", "0.16.0"), ("2.1.0a0+git1", "0.16.dev0"), ("2.15.0.dev20261120+cu130", "0.43.0.dev0"), ("unknown", "1")],
)
def test_what_is_not_too_old(torch: str, diffusers: str) -> None:
    environments.refuse_unusable([_with(torch=torch, diffusers=diffusers)])


def test_looking_at_all_says_of_each_what_is_wrong(tmp_path: Path, interpreter: Callable[..., Path]) -> None:
    gone = Path("/no/such/python")
    known = Settings(Path("/s.toml"), {"bare": Environment(interpreter(), "ours"), "gone": Environment(gone)})
    current, bare, missing = environments.look(known)
    assert (current.name, current.python, current.problem) == ("current", sys.executable, "")
    assert bare.interpreter is not None
    assert bare.interpreter.label == "ours"
    assert bare.problem.startswith("torch, diffusers and transformers not installed; install with: ")
    assert missing == environments.Looked("gone", str(gone), None, f"{gone}: No such file or directory")


def test_resolve_keeps_the_order(interpreter: Callable[..., Path]) -> None:
    known = Settings(Path("/s.toml"), {"bare": Environment(interpreter(), "ours")})
    found = environments.resolve(["bare", "current"], known)
    assert [interpreter.name for interpreter in found] == ["bare", "current"]
    assert [interpreter.label for interpreter in found] == ["ours", None]
    assert found[1].python == sys.executable


def test_resolve_names_the_nearest() -> None:
    known = Settings(Path("/s.toml"), {"nightly": Environment(Path("/n"))})
    with pytest.raises(UserError) as caught:
        environments.resolve(["nightyl"], known)
    assert str(caught.value) == (
        "environments: 'nightyl' is not registered under [environments] in /s.toml; did you mean 'nightly'?"
    )
