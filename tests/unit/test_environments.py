"""Looking at other interpreters: real child processes over made-up package folders."""

from __future__ import annotations

import shlex
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


def test_a_folder_hints_at_its_python(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; did you mean '.*/bin/python'\?"):
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
