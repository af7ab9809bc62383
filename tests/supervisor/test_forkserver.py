"""Workers that are forked from a process that has imported: which are, and what becomes of them when it is gone."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from supervised import OK, Lab, await_event, both, events, patched, reasons, statuses, until

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.model.events import CellFinished, CellPhase, CellStarted, Log
from sdtui.model.machine import Interpreter
from sdtui.supervisor import forkserver, limits
from sdtui.supervisor.control import request_cancel, request_skip

CATALOG = load_catalog()
QUICK = patched(limits, POLL_S=0.02)


def _parents(lab: Lab) -> list[int]:
    """Of the workers, in the order in which they began."""
    return [int(line) for line in lab.behaviour.with_name("parents").read_text().split()]


def _import_log(folder: Path) -> Path:
    return folder / "logs" / "import.fake.log"


def test_the_workers_of_an_environment_have_one_parent_that_is_not_the_supervisor(lab: Lab) -> None:
    folder = lab.create(OK, OK, OK)
    child = lab.start(folder)
    assert child.wait() == 0
    first, *others = _parents(lab)
    assert others == [first, first]
    assert first != child.pid
    assert _import_log(folder).read_text() == "the fork server is up\n"
    lab.await_silence()


@pytest.mark.parametrize(
    ("cells", "changes"), [([OK], {}), ([OK, OK], {"exclusive": True}), ([OK, OK], {"processes": 2})]
)
def test_what_would_gain_nothing_or_asks_for_its_own_is_not_forked(
    lab: Lab, cells: list[str], changes: dict[str, object]
) -> None:
    folder = lab.create(*cells, processes=int(str(changes.get("processes", 1))))
    child = lab.start(folder, lab.sitting(folder, **changes))
    assert child.wait() == 0
    assert set(_parents(lab)) == {child.pid}
    assert not _import_log(folder).exists()


def test_a_forked_worker_has_its_cells_own_variables(lab: Lab) -> None:
    """Those of a cell that is measured with an empty compile cache; the server began without any."""
    folder = lab.create(OK, OK)
    child = lab.start(folder, lab.sitting(folder, cold=True))
    assert child.wait() == 0
    assert child.pid not in _parents(lab)
    names = lab.behaviour.with_name("variables").read_text().splitlines()
    assert {"TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR", "CUDA_VISIBLE_DEVICES"} <= set(names)
    assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in names


@pytest.mark.parametrize(("weights", "hidden"), [("random", "torchao"), ("somebody/quantised", "")])
def test_torchao_is_hidden_where_no_weights_can_be_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, weights: str, hidden: str
) -> None:
    plan = resolve_plan(CATALOG, "smoke", {"weights": weights}, gpu_available=False)
    commands: list[list[str]] = []

    def refuse(command: list[str], **_: Any) -> None:
        commands.append(command)
        raise OSError

    monkeypatch.setattr(forkserver.subprocess, "Popen", refuse)
    interpreter = Interpreter("current", "python", "3.11.0")
    with pytest.raises(OSError):  # noqa: PT011
        forkserver.ForkServer(interpreter, expand(plan, CATALOG), None, tmp_path, tmp_path / "log")
    assert [command[5:8] for command in commands] == [[str(os.getpid()), hidden, "diffusers.StableDiffusionPipeline"]]


@pytest.mark.parametrize("behaviour", ["measure:sigkill", "load:segv", "load:exit3"])
def test_a_forked_worker_that_dies_ends_its_cell_alone(lab: Lab, behaviour: str) -> None:
    folder = lab.create(behaviour, OK)
    assert lab.run(folder) == 1
    assert statuses(folder) == ["failed", "ok"]
    alone = lab.create(behaviour)
    assert lab.run(alone) == 1
    assert reasons(folder)[0] == reasons(alone)[0], "told as of one that was not forked"
    assert len(set(_parents(lab)[:2])) == 1


def test_a_server_that_is_killed_takes_its_worker_along_and_the_next_imports_itself(lab: Lab) -> None:
    folder = lab.create("measure:hang", OK)
    child = lab.start(folder)
    await_event(folder, CellPhase, phase="measure")
    (server,) = _parents(lab)
    os.kill(server, signal.SIGKILL)
    assert child.wait() == 1
    assert statuses(folder) == ["failed", "ok"]
    assert reasons(folder)[0].startswith("the worker was killed by SIGKILL")
    assert _parents(lab) == [server, child.pid]
    lab.await_silence()


def test_a_server_that_is_killed_as_soon_as_it_forked_costs_no_cell_its_result(lab: Lab) -> None:
    """Its worker goes with it, and nobody is left who would keep the id for the supervisor to look at."""

    def fork(server: forkserver.ForkServer, *arguments: Any) -> Any:
        worker = original(server, *arguments)
        assert worker
        server.close()
        until(lambda: not Path("/proc", str(worker.process.pid)).exists(), "the worker outlived its server")
        return worker

    original = forkserver.ForkServer.fork
    folder = lab.create(OK, OK)
    assert lab.run(folder, None, patched(forkserver.ForkServer, fork=fork)) == 0
    assert statuses(folder) == ["ok", "ok"]
    (said,) = (stamped.event.message for stamped in events(folder) if isinstance(stamped.event, Log))
    assert "since a forked one said: the worker was killed by SIGKILL" in said


def test_a_cell_that_fails_where_it_is_forked_is_measured_by_a_process_of_its_own(lab: Lab) -> None:
    folder = lab.create("import:fails_where_forked", OK)
    child = lab.start(folder)
    assert child.wait() == 0
    forked, *fresh = _parents(lab)
    assert forked != child.pid
    assert fresh == [child.pid, child.pid], "and so are those after it"
    (said,) = (stamped.event.message for stamped in events(folder) if isinstance(stamped.event, Log))
    assert said.endswith("measured by a process of its own, since a forked one said: no device in a fork")


def test_a_cell_that_fails_in_any_process_has_failed(lab: Lab) -> None:
    folder = lab.create("import:exit3", OK)
    child = lab.start(folder)
    assert child.wait() == 1
    assert statuses(folder) == ["failed", "ok"]
    forked, alone, after = _parents(lab)
    assert alone == child.pid
    assert after == forked, "that cell's failure says nothing against forking others"


@pytest.mark.parametrize("behaviour", ["die", "it cannot today"])
def test_where_no_worker_can_be_forked_each_imports_itself(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    monkeypatch.setenv("FAKE_FORK_SERVER", behaviour)
    folder = lab.create(OK, OK)
    child = lab.start(folder)
    assert child.wait() == 0
    assert _parents(lab) == [child.pid, child.pid]
    said = [stamped.event.message for stamped in events(folder) if isinstance(stamped.event, Log)]
    why = "environment 'fake': every cell imports torch anew, since it cannot today"
    assert said == ([why] if behaviour != "die" else []), "of one that died, the cells tell"


def test_a_server_that_never_comes_to_an_end_of_its_import_is_given_up(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FORK_SERVER", "hang")
    folder = lab.create(OK, OK)
    sitting = lab.sitting(folder)
    silence_s = {**sitting.silence_s, "import": 0.5}
    child = lab.start(folder, lab.sitting(folder, silence_s=silence_s), QUICK)
    assert child.wait() == 0
    assert _parents(lab) == [child.pid, child.pid]
    lab.await_silence()


def test_cancelling_does_not_wait_for_the_import(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FORK_SERVER", "hang")
    folder = lab.create(OK, OK)
    child = lab.start(folder, before=patched(limits, POLL_S=3600))
    await_event(folder, CellPhase, phase="import")
    assert request_cancel(folder)
    assert child.wait() == 1
    assert (statuses(folder), reasons(folder)) == (["cancelled", None], ["the run was cancelled", ""])
    lab.await_silence()


def test_skipping_a_cell_does_not_wait_for_the_import(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FORK_SERVER", "hang")
    folder = lab.create(OK, OK)
    child = lab.start(folder, before=both(QUICK))
    started = await_event(folder, CellStarted)
    assert isinstance(started, CellStarted)
    assert request_skip(folder, started.cell)
    await_event(folder, CellFinished, cell=started.cell, status="cancelled")
    await_event(folder, CellStarted, 2)
    assert request_cancel(folder)
    assert child.wait() == 1
    assert reasons(folder) == ["skipped", "the run was cancelled"]


def test_the_classes_of_all_cells_are_named_once(lab: Lab) -> None:
    cells: list[Cell] = list(lab.sitting(lab.create(OK, OK)).cells)
    named = forkserver._classes(cells)
    assert len(named) == len(set(named))
    assert {"diffusers.StableDiffusionPipeline", "diffusers.UNet2DConditionModel", "transformers.CLIPTextModel"} <= set(
        named
    )
