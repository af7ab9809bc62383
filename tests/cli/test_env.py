"""``sdtui env``: registering, listing, removing and trying environments."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import Said, Shell, check_golden

from sdtui import environments, locks, settings
from sdtui.environment_check import mend
from sdtui.model.events import CellFinished
from sdtui.model.machine import Interpreter

Command = Callable[..., Said]
VERSIONS = {"torch": "2.13.0+cpu", "diffusers": "0.42.1", "transformers": "5.24.0"}
KNOWN = {
    "current": (VERSIONS, None),
    "newer": ({**VERSIONS, "torch": "2.14.1"}, "13.0"),
    "nightly": ({**VERSIONS, "torch": "2.15.0.dev20261124+cu130"}, "13.0"),
    "old": ({**VERSIONS, "torch": "1.13.1+cu117"}, "11.7"),
    "bare": (dict.fromkeys(VERSIONS), None),
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file with an environment of each kind, which answer as `KNOWN` has it."""
    describe = environments.describe

    def answer(name: str, python: Path) -> Interpreter:
        if name not in KNOWN:
            return describe(name, python)
        return Interpreter(name, f"/opt/{name}/bin/python", "3.12.1", *KNOWN[name])

    monkeypatch.setattr(environments, "describe", answer)
    path = settings.config_dir() / settings.SETTINGS
    path.parent.mkdir(parents=True)
    path.write_text(
        '[environments]\nnewer = { python = "/opt/newer", label = "our build" }\nnightly = "/opt/nightly"\n'
        'old = "/opt/old"\nbare = "/opt/bare"\ngone = "/no/such/python"\n'
    )
    return path


def test_ls(sdtui: Command, written: Path) -> None:
    said = sdtui("env", "ls")
    assert (said.status, said.err) == (0, "")
    check_golden("env-ls.txt", said.out)


def test_add_and_remove(sdtui: Command, written: Path) -> None:
    before = written.read_text()
    sdtui("env", "remove", "nightly")
    said = sdtui("env", "add", "nightly", "/opt/nightly", "--label", "the nightly build")
    assert said == Said(
        0,
        "",
        "environment 'nightly': Python 3.12.1, torch 2.15.0.dev20261124+cu130, diffusers 0.42.1, transformers 5.24.0; "
        f"registered in {written}\n"
        "try it with 'sdtui env check nightly', measure in it with --env current,nightly\n",
    )
    assert 'nightly = {python = "/opt/nightly/bin/python", label = "the nightly build"}\n' in written.read_text()
    said = sdtui("env", "remove", "nightly")
    assert said.status == 0
    assert said.err == "environment 'nightly': no longer registered; /opt/nightly/bin/python stays as it is\n"
    assert written.read_text() == before.replace('nightly = "/opt/nightly"\n', "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "old2", "/no/such"), "environment 'old2': /no/such: No such file or directory"),
        (
            ("add", "old", "/opt/old"),
            "environment 'old': torch 1.13.1+cu117 is too old, the least is 2.1; install ",
        ),
        (("add", "bare", "/opt/bare"), "environment 'bare': torch, diffusers and transformers not installed; install "),
        (("add", "newer", "/x", "--label", " "), "--label: ' ' is no label: write one line, such as 'torch 2.13, our "),
        (("add", "newer"), "Missing argument 'PYTHON'; try 'sdtui env add --help'"),
        (("remove", "newest"), "environment 'newest': is not registered in {file}; did you mean 'newer'?"),
        (("check", "newest"), "environment 'newest': is not registered in {file}; did you mean 'newer'?"),
        (("lst",), "unknown command 'lst'; did you mean 'ls'?"),
        ((), "Missing command; try 'sdtui env --help'"),
    ],
)
def test_a_mistake(sdtui: Command, written: Path, arguments: tuple[str, ...], said: str) -> None:
    before = written.read_bytes()
    answer = sdtui("env", *arguments)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith(f"sdtui: {said.format(file=written)}")
    assert answer.err.count("\n") == 1
    assert written.read_bytes() == before


def test_check_measures_a_tiny_cell(shell: Shell) -> None:
    shell.play("ok")
    said = shell.call("env", "check", "fake")
    assert (said.status, said.err) == (0, "trying environment fake on the CPU …\n")
    assert "ok       environment fake: measured sd-txt2img, tiny, on the CPU in " in said.out
    assert said.out.endswith(" s with torch 2.13.0, diffusers 0.42.1\n")
    assert not shell.runs_dir.exists()
    assert not locks.query(settings.device_lock(None)).held


def test_check_says_how_a_cell_ended(shell: Shell) -> None:
    shell.play("unsupported")
    said = shell.call("env", "check", "fake")
    assert said.status == 1
    assert "problem  environment fake: sd-txt2img, tiny, on the CPU: unsupported in load: no such attention" in said.out


def test_check_of_all_looks_at_what_does_not_answer_too(shell: Shell) -> None:
    shell.play("ok")
    file = settings.config_dir() / settings.SETTINGS
    file.write_text(file.read_text() + 'gone = "/no/such/python"\n')
    lock = locks.Lock(settings.device_lock(None), shared_by_users=True)
    assert lock.acquire("run 20261124T230043Z")
    said = shell.call("env", "check")
    lock.release()
    assert said.status == 1
    assert "warning  environment current: not tried: the CPU is in use by run 20261124T230043Z (pid " in said.out
    assert "warning  environment fake: not tried: " in said.out
    assert said.out.endswith("problem  environment gone: /no/such/python: No such file or directory\n")


def test_check_measures_nothing_where_packages_are_missing(shell: Shell, tmp_path: Path) -> None:
    python = tmp_path / "bare"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -I -S "$@"\n')
    python.chmod(0o755)
    file = settings.config_dir() / settings.SETTINGS
    file.write_text(f'[environments]\nbare = "{python}"\n')
    said = shell.call("env", "check", "bare")
    assert (said.status, said.err) == (1, "")
    assert "problem  environment bare: not installed: torch, diffusers, transformers, accelerate\n" in said.out
    assert f"mend with: {python} -m pip install torch diffusers transformers accelerate\n" in said.out


@pytest.mark.parametrize(
    ("reason", "command"),
    [
        ("ModuleNotFoundError: No module named 'regex'", "regex"),
        ("ModuleNotFoundError: No module named 'PIL.Image'", "pillow"),
        ("ModuleNotFoundError: No module named 'torch._C'", "--force-reinstall torch"),
        ("ImportError: libcublas.so.12: cannot open shared object file: No such file", "--force-reinstall torch"),
        ("RuntimeError: Numpy is not available (in measure)", "'numpy<2'"),
        ("ImportError: cannot import name 'x' from 'diffusers.y'", "--upgrade diffusers transformers"),
        ("the worker was killed by SIGKILL", None),
    ],
)
def test_what_a_trial_died_of_names_what_mends_it(reason: str, command: str | None) -> None:
    interpreter = Interpreter("a", "/a", "3.12.1", VERSIONS)
    ending = CellFinished("sd-txt2img.no-compile.a.b1", "failed", "import", None, reason)
    assert mend(interpreter, ending) == (f"/a -m pip install {command}" if command else "")
