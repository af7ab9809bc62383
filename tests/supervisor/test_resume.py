"""A further sitting of a run."""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from supervised import Lab, await_event, counts, edit_start, events, reasons, statuses

from sdtui import headless, locks, runs
from sdtui.model.errors import UserError
from sdtui.model.events import CellPhase, CellQueued, CellStarted, Step
from sdtui.model.machine import Gpu
from sdtui.supervisor.control import request_cancel
from sdtui.supervisor.prepare import differences, refuse_differences
from sdtui.supervisor.run import Supervisor


@pytest.fixture
def finished(lab: Lab) -> Path:
    """A run whose second cell failed."""
    folder = lab.create("ok", "load:exit3")
    assert lab.run(folder) == 1
    return folder


def test_a_sitting_with_nothing_left_to_do_says_whether_all_is_ok(lab: Lab, finished: Path) -> None:
    before = events(finished)
    assert lab.run(finished) == 1
    added = events(finished)[len(before) :]
    assert [stamped.event.KIND for stamped in added] == ["run.started", "run.finished"]
    assert counts(finished) == {"ok": 1, "failed": 1}
    good = lab.create("ok")
    assert [lab.run(good), lab.run(good)] == [0, 0]
    assert len(runs.read(good).sittings) == 2


def test_a_sitting_has_a_number_of_its_own_however_much_of_the_journal_is_lost(lab: Lab, finished: Path) -> None:
    assert lab.run(finished) == 1
    journal = finished / runs.JOURNAL
    _, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(rest))
    assert lab.run(finished) == 1
    assert [sitting.started.sitting for sitting in runs.read(finished).sittings] == [2, 3]


def test_a_sitting_with_nothing_left_to_do_waits_for_no_device(lab: Lab, finished: Path) -> None:
    device = locks.Lock(lab.locks_dir / "cpu.lock")
    assert device.acquire("another run")
    assert lab.run(finished) == 1
    device.release()


def test_retry_adds_statuses(lab: Lab, finished: Path) -> None:
    lab.behave("load:exit3", "ok")
    assert lab.run(finished, lab.sitting(finished, retry=frozenset({"oom", "timeout"}))) == 1
    assert lab.run(finished, lab.sitting(finished, retry=frozenset({"oom", "failed"}))) == 0
    assert statuses(finished) == ["ok", "ok"]
    flags = [sitting.started.flags for sitting in runs.read(finished).sittings]
    assert [flag["retry"] for flag in flags] == [[], ["oom", "timeout"], ["failed", "oom"]]


def test_a_retried_cell_starts_from_nothing(lab: Lab) -> None:
    folder = lab.create("measure:segv")
    assert lab.run(folder) == 1
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"failed"}))) == 1
    (cell,) = runs.read(folder).cells.values()
    assert (cell.sitting, len(cell.steps), len(cell.calls)) == (2, 3, 1)
    assert [phase.phase for _, phase in cell.phases] == ["import", "load", "warm-up", "measure"]


def test_what_was_cancelled_runs_again_and_every_sitting_is_recorded(lab: Lab) -> None:
    folder = lab.create("ok", "measure:hang", "ok")
    supervisor = lab.start(folder)
    await_event(folder, CellPhase, 2, phase="measure")
    assert request_cancel(folder)
    assert supervisor.wait() == 1
    assert statuses(folder) == ["ok", "cancelled", None]
    assert counts(folder) == {"ok": 1, "cancelled": 1, "not run": 1}
    lab.behave("load:exit3", "ok", "ok")
    assert lab.run(folder) == 0
    record = runs.read(folder)
    assert statuses(folder) == ["ok", "ok", "ok"]
    assert [cell.sitting for cell in record.cells.values()] == [1, 2, 2]
    assert [sitting.finished.status for sitting in record.sittings if sitting.finished] == ["cancelled", "ok"]
    assert [sitting.started.run for sitting in record.sittings] == [folder.name, folder.name]
    assert len([stamped for stamped in events(folder) if isinstance(stamped.event, CellQueued)]) == 3


def test_a_supervisor_reads_the_journal_once_it_holds_the_run(lab: Lab) -> None:
    """Two are started at once: the second takes the lock when the first has done everything."""
    folder = lab.create("ok")
    late = Supervisor(folder, lab.sitting(folder))
    assert lab.run(folder) == 0
    assert lab.fork(folder, late.run).wait() == 0
    assert len([stamped for stamped in events(folder) if isinstance(stamped.event, CellStarted)]) == 1
    assert [sitting.started.sitting for sitting in runs.read(folder).sittings] == [1, 2]


def test_a_run_has_one_supervisor(lab: Lab) -> None:
    folder = lab.create("measure:hang")
    first = lab.start(folder)
    await_event(folder, Step, 3)
    assert lab.run(folder) == 1
    assert f"pid {first.pid}" in (folder / "logs" / "supervisor.log").read_text()
    with pytest.raises(
        UserError, match=r"is running \(held by run .* \(pid \d+, user .*\); follow it with 'sdtui watch'"
    ):
        headless.resume(folder.name, None, True, lab.runs_dir, False)
    assert len(runs.read(folder).sittings) == 1
    first.kill()


def test_a_torn_last_line_is_cut_off(lab: Lab) -> None:
    folder = lab.create("ok")
    assert lab.run(folder) == 0
    journal = folder / runs.JOURNAL
    whole = journal.read_bytes()
    journal.write_bytes(whole + b'{"v":1,"t":3.0,"kind":"cell.fin')
    assert runs.read(folder).sittings[-1].finished is not None
    assert lab.run(folder) == 0
    assert journal.read_bytes().startswith(whole)
    assert len(events(folder)) == whole.count(b"\n") + 2


# ------------------------------------------------------------------------------------------------ another machine


def test_the_same_machine_has_no_difference(lab: Lab, finished: Path) -> None:
    assert differences(runs.read(finished), lab.sitting(finished)) == []
    never_started = lab.create("ok")
    assert differences(runs.read(never_started), lab.sitting(never_started)) == []


def test_differences_in_gpu_torch_and_diffusers_are_named(lab: Lab, finished: Path) -> None:
    sitting = lab.sitting(finished)
    (fake,) = sitting.environments
    torch, diffusers = fake.packages["torch"], fake.packages["diffusers"]
    other = dataclasses.replace(
        sitting,
        machine=dataclasses.replace(sitting.machine, gpu=Gpu("NVIDIA H100", "GPU-1", driver="1")),
        environments=(
            dataclasses.replace(fake, packages={**fake.packages, "torch": "2.1.0", "diffusers": None, "xformers": "9"}),
        ),
    )
    record = runs.read(finished)
    assert differences(record, other) == [
        f"device was {sitting.machine.cpu}, is NVIDIA H100",
        f"torch of environment 'fake' was {torch}, is 2.1.0",
        f"diffusers of environment 'fake' was {diffusers}, is None",
    ]
    with pytest.raises(UserError, match=rf"run {finished.name}: device was .*; torch of .*; diffusers of .* --force"):
        refuse_differences(record, other)


def test_resume_refuses_another_torch_unless_forced(
    lab: Lab, finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit_start(finished, lambda start: start["environments"][0]["packages"].update(torch="2.1.0"))
    whole = (finished / runs.JOURNAL).read_bytes()
    with pytest.raises(UserError, match=r"torch of environment 'fake' was 2\.1\.0, is "):
        headless.resume(finished.name, "failed", False, lab.runs_dir, False)
    assert (finished / runs.JOURNAL).read_bytes() == whole
    lab.behave("load:exit3", "ok")
    assert headless.resume(finished.name, "failed", True, lab.runs_dir, False) == 0
    assert statuses(finished) == ["ok", "ok"]
    assert capsys.readouterr().out.startswith("## ")


def test_resume_refuses_another_gpu_unless_forced(lab: Lab, finished: Path) -> None:
    gpu = {"name": "NVIDIA H100", "uuid": "GPU-1"}
    edit_start(finished, lambda start: start["machine"].update(gpu=gpu))
    with pytest.raises(UserError, match="device was NVIDIA H100, is "):
        headless.resume(finished.name, None, False, lab.runs_dir, False)
    assert headless.resume(finished.name, None, True, lab.runs_dir, False) == 1


def test_a_folder_that_was_kept_without_logs_and_outputs_resumes(lab: Lab, finished: Path) -> None:
    for part in ("logs", "outputs", "control"):
        shutil.rmtree(finished / part)
    lab.behave("load:exit3", "ok")
    assert headless.resume(str(finished), "failed", False, lab.runs_dir, False) == 0
    assert statuses(finished) == ["ok", "ok"]


def test_resume_names_an_unknown_status(lab: Lab, finished: Path) -> None:
    with pytest.raises(UserError, match=r"--retry: unknown status 'failde'; did you mean 'failed'\?"):
        headless.resume(finished.name, "oom,failde", False, lab.runs_dir, False)


def test_a_run_that_only_a_heartbeat_shows_is_resumed_by_force_alone(lab: Lab, finished: Path) -> None:
    elsewhere = dataclasses.replace(locks.this_process("run x"), host="elsewhere")
    (finished / runs.LOCK).write_text(json.dumps(dataclasses.asdict(elsewhere)))
    with pytest.raises(UserError, match=r"is running .* on elsewhere\), by a heartbeat \d+ s old; resume with --force"):
        headless.resume(finished.name, None, False, lab.runs_dir, False)
    with pytest.raises(UserError, match=r"judged alive by a heartbeat \d+ s old, held by run x .* use --force"):
        request_cancel(finished)
    assert not (finished / "control" / "cancel").exists()
    assert request_cancel(finished, force=True)
    assert headless.resume(finished.name, None, True, lab.runs_dir, False) == 1
    assert reasons(finished)[0] == ""


WITHOUT_LOCKS = """
import errno, fcntl, os, sys
from sdtui.supervisor.__main__ import main
def refuse(*_):
    raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
fcntl.fcntl = refuse
sys.exit(main())
"""


def test_force_takes_a_run_from_a_fresh_heartbeat_where_there_are_no_locks(
    lab: Lab, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(folder: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WITHOUT_LOCKS, str(folder), *arguments])

    monkeypatch.setattr(headless, "start_supervisor", start)
    elsewhere = dataclasses.replace(locks.this_process("run x"), host="elsewhere")
    (finished / runs.LOCK).write_text(json.dumps(dataclasses.asdict(elsewhere)))
    lab.behave("load:exit3", "ok")
    assert headless.resume(finished.name, "failed", True, lab.runs_dir, False) == 0
    assert statuses(finished) == ["ok", "ok"]


def test_a_plans_timeouts_reach_the_sitting(lab: Lab, finished: Path) -> None:
    plan = finished / runs.PLAN
    plan.write_text(plan.read_text() + "\n[timeouts]\nmeasure = 5\n")
    silence_s = lab.sitting(finished).silence_s
    assert (silence_s["measure"], silence_s["compile"]) == (5.0, 3600)
