"""How workers and supervisors are started: what they see, where they stand, and what is left of them."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest
from supervised import OK, Lab, both, events, patched, reasons, statuses

import sdtui
from sdtui import runs, settings
from sdtui.model.events import CellFinished
from sdtui.model.job import Job
from sdtui.model.machine import Gpu, Interpreter
from sdtui.supervisor import launch
from sdtui.supervisor import run as run_module
from sdtui.supervisor.launch import start_supervisor, start_worker, worker_path
from sdtui.supervisor.log import CellLog

# A torch that tells what it sees of the world, then cannot be imported.
TELLTALE = """
import importlib.util, json, os, sys
def there(name):
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False
told = {
    "path": sys.path,
    "cwd": os.getcwd(),
    "environ": dict(os.environ),
    "there": {n: there(n) for n in ("sdtui.model.cell", "sdtui.worker.measure", "sdtui.cli", "sdtui.runs", "rich")},
    "listed": sorted(os.listdir(sys.modules["sdtui"].__path__[0])),
    "group": [os.getpid(), os.getpgid(0)],
    "descriptors": sorted(int(name) for name in os.listdir("/proc/self/fd")),
}
open(os.environ["TELLTALE"], "w").write(json.dumps(told))
raise ImportError("this torch only tells")
"""


@pytest.fixture
def told(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the real worker sees in a foreign interpreter: a bare virtual environment with a made-up torch."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    for package in ("torch", "diffusers", "transformers"):  # what an environment without them is refused for
        (site / f"{package}-9.9.dist-info").mkdir()
        (site / f"{package}-9.9.dist-info" / "METADATA").write_text(f"Name: {package}\nVersion: 9.9\n")
    (site / "torch").mkdir()
    (site / "torch" / "__init__.py").write_text(TELLTALE)
    (lab.config_dir / "settings.toml").write_text(f"[environments]\nforeign = {json.dumps(str(python))}\n")
    for variable, value in (
        ("TELLTALE", tmp_path / "told.json"),
        ("PYTHONPATH", Path(sdtui.__file__).parents[1]),
        ("PYTHONSAFEPATH", "1"),
        ("CUDA_VISIBLE_DEVICES", "0,1"),
    ):
        monkeypatch.setenv(variable, str(value))
    folder = lab.create(OK, environment="foreign")
    assert lab.run(folder) == 1
    assert statuses(folder) == ["failed"]
    assert reasons(folder) == ["ImportError: this torch only tells"]
    answer: dict[str, Any] = json.loads((tmp_path / "told.json").read_text())
    return answer


def test_a_foreign_interpreter_sees_model_and_worker_alone(told: dict[str, Any]) -> None:
    assert {*told["listed"]} - {"__pycache__"} == {"__init__.py", "model", "worker"}
    assert told["there"] == {
        "sdtui.model.cell": True,
        "sdtui.worker.measure": True,
        "sdtui.cli": False,
        "sdtui.runs": False,
        "rich": False,
    }
    package = Path(sdtui.__file__).parent
    ours = {str(package.parent), *(path for path in sys.path if path.endswith("site-packages"))}
    assert not ours & set(told["path"])
    assert told["path"][0] == told["cwd"] == str(worker_path(Path(told["environ"]["XDG_CACHE_HOME"]) / "sdtui"))
    assert (Path(told["cwd"]) / "sdtui" / "__init__.py").read_text() == ""


def test_a_foreign_interpreter_gets_no_python_path_and_no_gpu_it_should_not_have(told: dict[str, Any]) -> None:
    assert not {"PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH"} & set(told["environ"])
    assert told["environ"]["CUDA_VISIBLE_DEVICES"] == ""
    assert told["environ"]["HF_HUB_OFFLINE"] == "1"


def test_a_worker_leads_a_process_group_and_inherits_no_descriptor_but_its_own(told: dict[str, Any]) -> None:
    pid, group = told["group"]
    assert pid == group != os.getpgid(0)
    assert told["descriptors"][:3] == [0, 1, 2]
    assert len(told["descriptors"]) == 5  # and that of its events, and the one that lists them


def test_the_current_interpreter_keeps_its_python_path(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, recorded_environ: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(lab.python))
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    folder = lab.create(OK, environment="current")
    assert lab.run(folder) == 0
    assert json.loads(recorded_environ.read_text())["PYTHONPATH"] == "/somewhere"


@pytest.fixture
def recorded_environ(lab: Lab, tmp_path: Path) -> Path:
    """Where the fake interpreter writes its environment variables."""
    tell = "import json, os; print(json.dumps(dict(os.environ)))"
    first, rest = lab.python.read_text().split("\n", 1)
    lab.python.write_text(f"{first}\n{sys.executable} -I -c '{tell}' > {tmp_path}/environ\n{rest}")
    return tmp_path / "environ"


def test_a_worker_sees_its_gpu_by_uuid(lab: Lab, monkeypatch: pytest.MonkeyPatch, recorded_environ: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    folder = lab.create(OK)
    sitting = lab.sitting(folder)
    gpu = Gpu("NVIDIA H100", "GPU-5f3a")
    sitting = dataclasses.replace(sitting, machine=dataclasses.replace(sitting.machine, gpu=gpu), device="cuda:0")
    jobs: list[Job] = []

    def start(job: Job, *args: Any) -> launch.Worker:
        (folder / "job.json").write_text(json.dumps({"device": job.device, "outputs": job.outputs}))
        jobs.append(job)
        return start_worker(job, *args)

    assert lab.run(folder, sitting, both(patched(run_module, open_nvml=lambda: None, start_worker=start))) == 0
    assert json.loads(recorded_environ.read_text())["CUDA_VISIBLE_DEVICES"] == "GPU-5f3a"
    assert json.loads((folder / "job.json").read_text()) == {"device": "cuda:0", "outputs": str(folder / "outputs")}


def test_real_weights_may_ask_the_hub(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    (cell,) = lab.sitting(lab.create(OK)).cells
    interpreter = Interpreter("fake", "python", "3.11.0")
    for weights, offline in (("random", "1"), ("owner/name", None)):
        given = launch.worker_environ(os.environ, dataclasses.replace(cell, weights=weights), interpreter, None)
        assert given.get("HF_HUB_OFFLINE") == offline


def test_a_sitting_records_the_variables_that_can_change_figures(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if launch.telling({name: ""})]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    monkeypatch.setenv("TORCHINDUCTOR_MAX_AUTOTUNE", "1")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    folder = lab.create(OK)
    assert lab.run(folder) == 0
    told = ["CUDA_VISIBLE_DEVICES=", "HF_HUB_OFFLINE=1", "OMP_NUM_THREADS=2", "OMP_WAIT_POLICY=passive"]
    assert runs.read(folder).sittings[0].started.flags["variables"] == [*told, "TORCHINDUCTOR_MAX_AUTOTUNE=1"]
    assert lab.run(folder, lab.sitting(folder, cold=True)) == 0
    cache = f"TORCHINDUCTOR_CACHE_DIR={folder}/.compile-cache/inductor"
    assert cache in runs.read(folder).sittings[1].started.flags["variables"]
    assert "hush" not in (folder / runs.JOURNAL).read_text()


def test_a_relative_locks_directory_is_the_one_that_the_person_meant(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SDTUI_LOCKS_DIR", "my-locks")
    assert start_supervisor(lab.create(OK), []).wait() == 0
    assert (tmp_path / "my-locks" / "cpu.lock").exists()
    assert not Path("/my-locks").exists()


def test_a_cells_log_is_closed_where_its_worker_cannot_be_started(lab: Lab, tmp_path: Path) -> None:
    class Noted(CellLog):
        def close(self) -> None:
            super().close()
            (tmp_path / "closed").touch()

    folder = lab.create(OK)
    sitting = lab.sitting(folder)
    lab.python.unlink()
    assert lab.run(folder, sitting, patched(run_module, CellLog=Noted)) == 1
    assert (tmp_path / "closed").exists()


def test_an_interpreter_that_is_gone_ends_its_cells(lab: Lab) -> None:
    folder = lab.create(OK, OK)
    sitting = lab.sitting(folder)
    lab.python.unlink()
    assert lab.run(folder, sitting) == 1
    assert statuses(folder) == ["failed", "failed"]
    assert reasons(folder) == [f"{lab.python}: No such file or directory"] * 2


def test_an_interpreter_that_is_a_wrapper_without_exec_says_what_is_wrong(lab: Lab) -> None:
    lab.python.write_text(f'#!/bin/sh\n{sys.executable} "$@"\nexit $?\n')
    folder = lab.create(OK)
    assert lab.run(folder) == 1
    (reason,) = reasons(folder)
    assert reason.endswith("an interpreter that is a script must end in 'exec'")


def test_a_cache_directory_that_cannot_be_made_is_named(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = lab.create(OK)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / runs.PLAN))
    assert lab.run(folder) == 1
    (reason,) = reasons(folder)
    assert reason.startswith(f"{folder / runs.PLAN}/")
    assert reason.endswith(": Not a directory")


def test_the_workers_directory_can_be_made_by_two_at_once(tmp_path: Path) -> None:
    first = worker_path(tmp_path)
    assert worker_path(tmp_path) == first
    assert sorted(path.name for path in (first / "sdtui").iterdir()) == ["__init__.py", "model", "worker"]
    for path in (first / "sdtui").iterdir():
        assert path.resolve() == Path(sdtui.__file__).parent / path.name


def test_the_journal_is_synced_at_each_cells_end(lab: Lab, tmp_path: Path) -> None:
    folder, trace = lab.create(OK, "load:exit3"), tmp_path / "trace"

    def tell() -> None:
        append, fsync = runs.Journal.append, os.fsync

        def say(word: str) -> None:
            with open(trace, "a") as file:
                file.write(word + "\n")

        def told_append(journal: runs.Journal, event: Any, t: float | None = None) -> None:
            append(journal, event, t)
            say(event.KIND)

        def told_fsync(descriptor: int) -> None:
            fsync(descriptor)
            say("fsync " + os.readlink(f"/proc/self/fd/{descriptor}"))

        runs.Journal.append = told_append  # type: ignore[method-assign]
        os.fsync = told_fsync

    assert lab.run(folder, before=tell) == 1
    told = trace.read_text().splitlines()
    ends = [index for index, word in enumerate(told) if word in (CellFinished.KIND, "run.finished")]
    assert len(ends) == 3
    assert [told[index + 1] for index in ends] == [f"fsync {folder / runs.JOURNAL}"] * 3


def test_the_supervisor_needs_nothing_of_the_directory_it_is_started_in(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.create(OK)
    trap = tmp_path / "trap"
    (trap / "sdtui").mkdir(parents=True)
    for name in ("signal.py", "sdtui/__init__.py", "typing.py"):
        (trap / name).write_text("raise SystemExit('a file of the working directory was imported')\n")
    monkeypatch.chdir(trap)
    supervisor = start_supervisor(folder, [])
    assert supervisor.wait() == 0, (folder / "logs" / "supervisor.log").read_text()
    assert statuses(folder) == ["ok"]


def test_a_supervisor_is_a_session_of_its_own_and_imports_neither_torch_nor_textual(lab: Lab) -> None:
    folder = lab.create("measure:hang")
    supervisor = start_supervisor(folder, [])
    try:
        assert os.getsid(supervisor.pid) == supervisor.pid
        assert os.readlink(f"/proc/{supervisor.pid}/fd/0") == os.devnull
    finally:
        supervisor.kill()
        supervisor.wait()
    code = "import sys, sdtui.supervisor.__main__; print(sorted({'torch', 'textual'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_plan_that_is_wrong_stops_the_supervisor_with_one_line(lab: Lab) -> None:
    folder = lab.create(OK)
    (folder / runs.PLAN).write_text("pipelines = ['nothing']\n")
    assert start_supervisor(folder, []).wait() == 2
    log = (folder / "logs" / "supervisor.log").read_text()
    assert log.count("\n") == 1
    assert "unknown name 'nothing'" in log
    assert events(folder) == []


def test_retry_reaches_the_supervisor(lab: Lab) -> None:
    folder = lab.create("load:exit3")
    assert start_supervisor(folder, []).wait() == 1
    lab.behave(OK)
    assert start_supervisor(folder, ["--retry", "oom,failed"]).wait() == 0
    assert settings.cache_dir().joinpath(worker_path(settings.cache_dir()).name).is_dir()
