"""Where cells compile: what lasts, what a person named, what starts cold, and a disk that refuses."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import shutil
from pathlib import Path

import pytest
from supervised import OK, Lab, events, patched

from sdtui import environments, runs, settings
from sdtui.model.events import CompileCache, Log
from sdtui.model.machine import Gpu, Interpreter
from sdtui.supervisor import caches
from sdtui.supervisor.launch import start_supervisor
from sdtui.telemetry.machine import describe_machine

PACKAGES = {"torch": "2.13.0+cu130", "triton": "3.7.1", "diffusers": "0.42.1"}
INTERPRETER = Interpreter("current", "/venv/bin/python", "3.12.3", PACKAGES, "13.0")
H100 = describe_machine(Gpu("NVIDIA H100 80GB HBM3", "GPU-1"))


def found(folder: Path) -> list[CompileCache | None]:
    """What the worker of every cell of a run found, in order."""
    return [cell.compile_cache for cell in runs.read(folder).cells.values()]


def warnings(folder: Path) -> list[str]:
    logs = [each.event for each in events(folder) if isinstance(each.event, Log)]
    return [log.message for log in logs if log.level == "warning"]


def of_lab(lab: Lab) -> Path:
    """The cache that lasts, of the lab's environment."""
    (interpreter,) = environments.resolve(["fake"], settings.load())
    return caches.lasting(interpreter, describe_machine(None))


def test_a_cache_is_named_after_its_environment_and_gpu_model() -> None:
    name = caches.lasting(INTERPRETER, H100).relative_to(settings.cache_dir() / "compile").name
    start, _, end = name.partition("+cu130-")
    assert (start, end[8:]) == ("current-torch-2.13.0", "-NVIDIA-H100-80GB-HBM3")


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "nightly"},
        {"python": "/other/bin/python"},
        {"python_version": "3.12.4"},
        {"packages": {**PACKAGES, "torch": "2.13.1+cu130"}},
        {"packages": {**PACKAGES, "triton": "3.7.2"}},
        {"cuda": "12.9"},
    ],
)
def test_another_environment_has_another_cache(changed: dict[str, object]) -> None:
    other = dataclasses.replace(INTERPRETER, **changed)  # type: ignore[arg-type]
    assert caches.lasting(other, H100) != caches.lasting(INTERPRETER, H100)


def test_two_cards_of_a_model_share_a_cache_and_two_models_do_not() -> None:
    second = dataclasses.replace(H100, gpu=Gpu("NVIDIA H100 80GB HBM3", "GPU-2", index=1))
    assert caches.lasting(INTERPRETER, second) == caches.lasting(INTERPRETER, H100)
    a100 = dataclasses.replace(H100, gpu=Gpu("NVIDIA A100-SXM4-40GB", "GPU-1"))
    assert caches.lasting(INTERPRETER, a100) != caches.lasting(INTERPRETER, H100)


@pytest.mark.parametrize(
    ("named", "ours"),
    [
        ({}, {"TORCHINDUCTOR_CACHE_DIR": "/c/inductor", "TRITON_CACHE_DIR": "/c/triton"}),
        ({"TRITON_CACHE_DIR": "/mine"}, {"TORCHINDUCTOR_CACHE_DIR": "/c/inductor"}),
        ({"TORCHINDUCTOR_CACHE_DIR": "/mine"}, {}),
        ({"TORCHINDUCTOR_CACHE_DIR": ""}, {"TORCHINDUCTOR_CACHE_DIR": "/c/inductor", "TRITON_CACHE_DIR": "/c/triton"}),
    ],
)
def test_what_a_person_named_counts(named: dict[str, str], ours: dict[str, str]) -> None:
    assert caches.unless_named(Path("/c"), named) == ours


def test_a_cell_that_compiles_finds_what_earlier_runs_left(lab: Lab) -> None:
    cache = of_lab(lab)
    folder = lab.create(OK, modes=("no-compile", "compile"))
    assert lab.run(folder) == 0
    assert found(folder) == [None, CompileCache(f"{cache}/inductor", empty=True)]
    (cache / "triton" / "ab").mkdir()
    folder = lab.create(OK, modes=("compile",))
    assert lab.run(folder) == 0
    assert found(folder) == [CompileCache(f"{cache}/inductor", empty=False)]
    assert f"- compile cache: {cache}/inductor\n" in (folder / "report.md").read_text()


def test_a_cold_cell_finds_nothing_and_leaves_what_lasts_alone(lab: Lab) -> None:
    kept = of_lab(lab) / "inductor" / "ab"
    kept.mkdir(parents=True)
    folder = lab.create(OK, OK, modes=("compile",))
    (folder / ".compile-cache" / "inductor" / "left by a sitting that was killed").mkdir(parents=True)
    assert lab.run(folder, lab.sitting(folder, cold=True)) == 0
    assert found(folder) == [CompileCache(f"{folder}/.compile-cache/inductor", empty=True)] * 2
    assert list(of_lab(lab).rglob("*")) == [kept.parent, kept]
    assert not (folder / ".compile-cache").exists()


def test_a_cold_cache_that_cannot_be_removed_changes_no_ending(lab: Lab) -> None:
    folder, remove = lab.create(OK, modes=("compile",)), shutil.rmtree
    kept = folder / ".compile-cache"

    def busy(path: Path, **_: object) -> None:
        if path == kept and not (folder / ".reserve").exists():  # at the end
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
        remove(path, ignore_errors=True)

    assert lab.run(folder, lab.sitting(folder, cold=True), patched(shutil, rmtree=busy)) == 0
    assert runs.listed(folder).state == "ok"
    assert (folder / "report.md").exists()


def test_a_folder_that_a_person_named_is_used_and_told(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "mine")
    folder = lab.create(OK, modes=("compile",))
    assert start_supervisor(folder, []).wait() == 0
    assert found(folder) == [CompileCache(str(tmp_path / "mine"), empty=True)]
    assert f"TORCHINDUCTOR_CACHE_DIR={tmp_path}/mine" in runs.read(folder).sittings[0].started.flags["variables"]
    assert not caches.root().exists()


def test_a_cache_that_cannot_be_written_is_told_once_and_fails_no_cell(lab: Lab) -> None:
    caches.root().parent.mkdir(parents=True)
    caches.root().touch()
    folder = lab.create(OK, OK, modes=("no-compile", "compile"))
    assert lab.run(folder) == 0
    ours = CompileCache(f"{folder}/.compile-cache/inductor", empty=True)
    assert found(folder) == [None, ours, None, ours]
    (warning,) = warnings(folder)
    assert warning.startswith(f"compile cache {of_lab(lab)}/inductor: ")
    assert warning.endswith("; what is compiled is kept in the run's folder while the sitting lasts")
    assert not (folder / ".compile-cache").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="the full device is Linux's")
def test_a_full_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    variables = caches.within(tmp_path)
    assert caches.refusal(variables, 1) == ""
    monkeypatch.setattr(caches.tempfile, "TemporaryFile", lambda **_: open("/dev/full", "wb"))
    assert caches.refusal(variables, 1) == f"{tmp_path}/inductor: No space left on device"


def test_a_disk_with_little_room_refuses(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    told = caches.refusal(caches.within(tmp_path), 2 * free)
    assert re.fullmatch(rf"{tmp_path}/inductor: only \d+ MiB free", told)
