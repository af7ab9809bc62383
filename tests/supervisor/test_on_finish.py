"""The command of ``--on-finish``: run once, by the supervisor, however the run ends."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from supervised import LEFT_ALONE, Child, Lab, await_event, patched, until

from sdtui import runs
from sdtui.model.events import CellPhase
from sdtui.supervisor import limits, on_finish
from sdtui.supervisor import run as run_module
from sdtui.supervisor.control import request_cancel
from sdtui.supervisor.on_finish import OnFinish
from sdtui.supervisor.run import Supervisor

TELL = 'echo "$SDTUI_STATUS|$SDTUI_RUN|$SDTUI_REPORT|$PWD"; wc -l < "$SDTUI_REPORT"'


def start(lab: Lab, folder: Path, command: str, before: Callable[[], None] = LEFT_ALONE) -> Child:
    finishing = OnFinish(command, lab.runs_dir)
    return lab.fork(folder, Supervisor(folder, lab.sitting(folder), on_finish=finishing).run, before)


def said(folder: Path) -> str:
    return (folder / on_finish.LOG).read_text()


def warnings(folder: Path) -> list[str]:
    return [log.message for _, log in runs.read(folder).logs if log.level == "warning"]


def told(lab: Lab, folder: Path, status: str) -> str:
    lines = len((folder / runs.REPORT).read_text().splitlines())
    return f"{status}|{folder}|{folder / runs.REPORT}|{lab.runs_dir}\n{lines}\n"


@pytest.mark.parametrize(("behaviour", "status", "code"), [("ok", "ok", 0), ("load:exit3", "incomplete", 1)])
def test_it_is_run_once_and_told_how_the_run_ended(lab: Lab, behaviour: str, status: str, code: int) -> None:
    folder = lab.create(behaviour)
    assert start(lab, folder, TELL).wait() == code
    first = said(folder)
    assert first == told(lab, folder, status)
    assert (warnings(folder), runs.listed(folder).state) == ([], status)
    assert start(lab, folder, TELL).wait() == code
    assert said(folder) == first + told(lab, folder, status), "each sitting adds what it had to say"


def test_it_is_run_when_the_run_is_cancelled(lab: Lab) -> None:
    folder = lab.create("measure:hang")
    supervisor = start(lab, folder, TELL)
    await_event(folder, CellPhase, phase="measure")
    assert request_cancel(folder)
    assert supervisor.wait() == 1
    assert said(folder) == told(lab, folder, "cancelled")


@pytest.mark.parametrize("broken", ["checks", "markdown"])
def test_it_is_run_when_the_supervisor_fails(lab: Lab, broken: str) -> None:
    """Be it that the failure is recorded, as one in the sitting is, or that it is not, as one in the report is."""

    def fail(*_: object) -> None:
        raise RuntimeError("broken")

    folder = lab.create("ok")
    assert start(lab, folder, "echo $SDTUI_STATUS", patched(run_module, **{broken: fail})).wait() != 0
    assert said(folder) == "failed\n"


def test_the_run_is_over_while_it_is_run(lab: Lab, tmp_path: Path) -> None:
    folder = lab.create("ok")
    go = tmp_path / "go"
    supervisor = start(lab, folder, f"echo begun; until [ -e {shlex.quote(str(go))} ]; do sleep 0.01; done; echo over")
    until(lambda: (folder / on_finish.LOG).exists() and said(folder) == "begun\n", "it was not run")
    assert runs.listed(folder).state == "ok"
    go.touch()
    assert supervisor.wait() == 0
    assert said(folder) == "begun\nover\n"


@pytest.mark.parametrize(
    ("command", "trouble"),
    [
        ("echo oh >&2; exit 3", "failed with exit status 3"),
        ("kill -TERM $$", "was killed by SIGTERM"),
        ("kill -40 $$", "was killed by signal 40"),
        ("exec no-such-program", "failed with exit status 127"),
    ],
)
def test_a_command_that_fails_is_a_warning_and_changes_nothing(lab: Lab, command: str, trouble: str) -> None:
    folder = lab.create("ok")
    assert start(lab, folder, f"{command} # secret").wait() == 0
    assert warnings(folder) == [f"the --on-finish command {trouble}; logs/on-finish.log has what it said"]
    assert runs.listed(folder).state == "ok"
    assert all(b"secret" not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_a_folder_that_is_gone_is_a_warning(lab: Lab) -> None:
    folder = lab.create("ok")
    finishing = OnFinish("true", lab.runs_dir / "gone")
    assert lab.fork(folder, Supervisor(folder, lab.sitting(folder), on_finish=finishing).run).wait() == 0
    (warning,) = warnings(folder)
    assert warning.startswith(f"the --on-finish command could not be run: {lab.runs_dir / 'gone'}: No such file")


def test_a_command_that_hangs_is_ended_with_all_that_it_started(lab: Lab) -> None:
    folder = lab.create("ok")
    command = "trap '' TERM; sleep 600 & sleep 600"
    assert start(lab, folder, command, patched(limits, ON_FINISH_S=0.2)).wait() == 0
    assert warnings(folder) == ["the --on-finish command was ended after 0.2 s; logs/on-finish.log has what it said"]
    lab.await_silence()


def test_a_run_that_was_resumed_meanwhile_keeps_its_journal(lab: Lab) -> None:
    folder = lab.create("ok")
    take = (
        "import pathlib, sys, time; from sdtui import locks\n"
        "lock = locks.Lock(pathlib.Path(sys.argv[1])); assert lock.acquire('x'); print(flush=True); time.sleep(600)"
    )
    python = shlex.join([sys.executable, "-c", take, str(folder / runs.LOCK)])
    command = f"{python} > {shlex.quote(str(lab.runs_dir / 'taken'))} & until [ -s taken ]; do sleep 0.01; done; exit 1"
    assert start(lab, folder, command).wait() == 0
    assert runs.lock_state(folder).held
    assert warnings(folder) == []
    assert "the --on-finish command failed" in (folder / "logs" / "supervisor.log").read_text()
