"""Runs as a person starts, watches, interrupts and loses them: real processes, workers that measure nothing."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import CELLS, ONE, RECORDED, TINY, Said, Shell, Terminal, until

from sdtui import headless, locks, runs, settings, starting
from sdtui.model.events import RunFinished

TWO = (*CELLS, "--batch-size", "1,2")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def ending(shell: Shell) -> RunFinished:
    finished = shell.record().sittings[-1].finished
    assert finished is not None
    return finished


def tables(shell: Shell) -> str:
    """Returns the tables as the run's own report has them."""
    report = (shell.folder() / "report.md").read_text()
    return report[report.index("## ") : report.index("## Per cell")].rstrip("\n") + "\n"


# -------------------------------------------------------------------------------------------------------- exit status


def test_a_supervisor_that_finds_another_at_the_run_is_not_said_to_have_started(shell: Shell) -> None:
    shell.play("ok")
    shell.run(*ONE)
    lock = locks.Lock(shell.folder() / runs.LOCK)
    assert lock.acquire("run")
    try:
        with pytest.raises(starting.StartError, match="has a supervisor already"):
            starting.start_detached(shell.folder(), [])
    finally:
        lock.release()


@pytest.fixture
def whole(shell: Shell) -> tuple[Shell, Said]:
    shell.play("ok")
    return shell, shell.run(*TWO)


def test_a_run_narrates_on_stderr_and_prints_its_tables_alone_on_stdout(whole: tuple[Shell, Said]) -> None:
    shell, said = whole
    assert said.status == 0, said.err
    assert said.out == tables(shell)
    assert said.out.count("\n## ") == 1, "a table for each batch size"
    assert "40.00" in said.out
    folder = shell.folder()
    one, two = (re.escape(cell) for cell in shell.record().cells)
    narrated = [
        rf"run {folder.name} on .+",
        r"2 cells to run, at a guess 1 min \d\d s, in this order:",
        *(rf"      batch size {size}: sd-txt2img \(no-compile\)" for size in (1, 2)),
        *(rf"\[1/2\] {one}: {phase}" for phase in ("import", "load", "warm-up, call 1", "measure, call 2")),
        rf"\[1/2\] {one}: 40\.00 it/s in \d+ s( \(at a guess \d s left\))?",
        *(rf"\[2/2\] {two}: {phase}" for phase in ("load", "warm-up, call 1", "measure, call 2")),
        rf"\[2/2\] {two}: 40\.00 it/s in \d+ s",
        rf"run {folder.name}: ok",
        re.escape(str(folder / "report.md")),
    ]
    lines = said.err.splitlines()
    assert len(lines) == len(narrated), said.err
    assert [line for line, form in zip(lines, narrated, strict=True) if not re.fullmatch(form, line)] == []
    assert_a_finished_run_can_be_looked_at(shell, said)


def assert_a_finished_run_can_be_looked_at(shell: Shell, said: Said) -> None:
    folder = shell.folder()
    watched = shell.call("watch", "last")
    assert watched == Said(0, said.out, f"run {folder.name}: ok\n{folder / 'report.md'}\n")
    assert shell.call("report", "last").out == (folder / "report.md").read_text()
    assert shell.call("ls").out == f"{folder.name}  ok           2 ok\n"
    assert shell.call("cancel", "last").status == 2


def test_a_cell_that_is_not_ok_is_status_1(shell: Shell) -> None:
    shell.play("unsupported")
    said = shell.run(*ONE)
    assert said.status == 1
    assert "| SD - txt2img | ❌[^1] |" in said.out
    assert "[^1]: no such attention here" in said.out
    assert re.search(r"\[1/1\] \S+: ❌ in \d+ s: no such attention here\n", said.err)
    assert f"run {shell.folder().name}: incomplete\n" in said.err
    assert shell.call("watch", "last").status == 1
    shell.play("ok")
    resumed = shell.run("resume", "last", "--retry", "unsupported")
    assert resumed.status == 0
    assert resumed.err.splitlines()[0].endswith(", sitting 2"), "earlier sittings are not told again"
    assert (len(shell.record().sittings), ending(shell).status) == (2, "ok")


# ------------------------------------------------------------------------------------------------------------- Ctrl-C


def test_a_run_whose_start_is_lost_has_nothing_left_to_run(sdtui: Callable[..., Said], tmp_path: Path) -> None:
    folder = shutil.copytree(RECORDED / TINY, tmp_path / TINY)
    _, *rest = (folder / runs.JOURNAL).read_bytes().splitlines(keepends=True)
    (folder / runs.JOURNAL).write_bytes(b"".join(rest))
    said = sdtui("resume", str(folder), "--force")
    assert said.err.startswith(f"run {TINY}: nothing left to run; it is interrupted\n")


def test_a_path_that_is_no_text_is_listed_as_it_is(shell: Shell) -> None:
    shell.play("ok")
    shell.run(*ONE)
    named = os.fsencode(shell.runs_dir) + b"/z-\xfe"
    shutil.copytree(os.fsencode(shell.folder()), named)
    said = subprocess.run([*shell.command, "ls"], check=True, stdout=subprocess.PIPE).stdout
    assert b"z-\xfe" in said


def test_an_interrupt_before_there_is_a_run_says_nothing(
    sdtui: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("sdtui.cli.commands.run", interrupted)
    assert sdtui("run", "demo") == Said(130, "", "")


def test_an_interrupt_cancels_the_run_which_can_be_resumed(shell: Shell) -> None:
    shell.play("hang")
    follower = shell.start(*TWO)
    shell.await_step()
    follower.send_signal(signal.SIGINT)
    said = shell.ended(follower)
    assert said.status == 130
    assert not shell.held(), "the supervisor is gone"
    assert said.out == tables(shell)
    assert "cancelling the run …\n" in said.err
    assert said.err.count(": warm-up, call 1\n") == 1, "nothing is told twice"
    hint = f"run what is left with 'sdtui resume {shell.folder().name[-6:]}'\n"
    assert said.err.endswith(f": cancelled\n{shell.folder() / 'report.md'}\n{hint}")
    first, second = shell.record().cells.values()
    assert first.finished is not None
    assert (first.finished.status, first.finished.phase, first.finished.call) == ("cancelled", "warm-up", 1)
    assert second.started is None
    assert ending(shell).status == "cancelled"
    shown = shell.call("show", "last").out
    assert "  cancelled in warm-up, call 1  " in shown
    assert shell.call("watch", "last").status == 1
    shell.play("ok")
    own = settings.config_dir() / "modes"
    own.mkdir(parents=True)
    (own / "half-written.toml").write_text('extends = "fst"\n')
    assert shell.run("resume", "last").status == 0, "the run has its plan, and a mode of another is not its business"
    before = (shell.folder() / runs.JOURNAL).read_bytes()
    assert shell.run("resume", "last") == Said(0, "", f"run {shell.folder().name}: nothing left to run; it is ok\n")
    assert (shell.folder() / runs.JOURNAL).read_bytes() == before, "no new sitting"


def test_a_supervisor_that_ends_as_it_is_left_has_said_how(
    sdtui: Callable[..., Said], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = shutil.copytree(RECORDED / TINY, tmp_path / TINY)
    journal = folder / runs.JOURNAL
    recorded = journal.read_bytes()
    journal.write_bytes(b"")
    left = []

    class Supervisor:
        pid = runs.read(RECORDED / TINY).sittings[-1].started.pid

        def poll(self) -> int | None:
            if left:  # by the follower, after the second interrupt
                journal.write_bytes(recorded)
                return 0
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
            return None

    monkeypatch.setattr(headless, "start_supervisor", lambda *_: Supervisor())
    monkeypatch.setattr(headless, "prepare_resume", lambda *_: [])
    monkeypatch.setattr(headless, "request_cancel", lambda *_, **__: left.append(True) or True)
    said = sdtui("resume", str(folder))
    assert said.status == 130
    assert "cancelling the run …\n" in said.err
    assert f"run {TINY}: incomplete\n" in said.err


def test_a_second_interrupt_does_not_wait_and_the_run_still_ends(shell: Shell) -> None:
    shell.play("hang")
    follower = shell.start(*ONE)
    shell.await_step()
    supervisor = runs.lock_state(shell.folder()).holder
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGSTOP)  # it is slow to end
    follower.send_signal(signal.SIGINT)
    until((shell.folder() / "control" / "cancel").exists, "nobody asked the run to end")
    follower.send_signal(signal.SIGINT)
    said = shell.ended(follower)
    name = shell.folder().name
    assert (said.status, said.out) == (130, "")
    assert said.err.endswith(f"run {name} is still ending; see 'sdtui show {name.rsplit('-', 1)[-1]}'\n")
    assert shell.held()
    os.kill(supervisor.pid, signal.SIGCONT)
    shell.await_end()
    assert ending(shell).status == "cancelled"


def test_interrupts_before_the_supervisor_is_up_end_the_run(shell: Shell) -> None:
    shell.play("hang")
    follower = shell.start(*ONE)
    until((shell.folder() / "logs" / "supervisor.log").exists, "no supervisor was started")
    follower.send_signal(signal.SIGINT)
    assert follower.stderr is not None
    assert follower.stderr.readline() == "cancelling the run …\n"
    follower.send_signal(signal.SIGINT)
    assert shell.ended(follower).status == 130
    shell.await_end()
    assert ending(shell).status == "cancelled"


# ------------------------------------------------------------------------------------- detaching, watching, terminals


def test_detach_prints_the_folder_alone_and_the_run_can_be_watched_at_once(shell: Shell) -> None:
    shell.play("hang")
    said = shell.run(*ONE, "--detach")
    folder = shell.folder()
    assert said == Said(0, f"{folder}\n", "")
    watcher = shell.start("watch", "last")
    assert watcher.stderr is not None
    assert re.fullmatch(rf"run {folder.name}.*: 0 of [01] cells done\n", watcher.stderr.readline())
    watcher.send_signal(signal.SIGINT)
    left = shell.ended(watcher)
    assert (left.status, left.out) == (130, "")
    assert left.err.endswith(f"run {folder.name} goes on; end it with 'sdtui cancel {folder.name[-6:]}'\n")
    assert shell.held()
    second = shell.start("watch", "last")
    shell.await_step()
    assert shell.call("cancel", folder.name[-6:]) == Said(0, "", f"run {folder.name}: asked to end\n")
    watched = shell.ended(second)
    assert watched.status == 1
    assert watched.out == tables(shell)
    hint = f"run what is left with 'sdtui resume {folder.name[-6:]}'\n"
    assert watched.err.endswith(f"run {folder.name}: cancelled\n{folder / 'report.md'}\n{hint}")


def test_a_supervisor_that_dies_is_told_from_one_that_ends(shell: Shell) -> None:
    shell.play("hang")
    follower = shell.start(*ONE)
    shell.await_step()
    supervisor = runs.lock_state(shell.folder()).holder
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    said = shell.ended(follower)
    name = shell.folder().name
    assert said.status == 1
    expected = f"run {name}: its supervisor ended without a word; 'sdtui resume {name[-6:]}' goes on with it\n"
    assert said.err.endswith(expected)
    assert shell.call("watch", "last") == Said(1, said.out, expected)
    assert "interrupted in warm-up, call 1" in shell.call("show", "last").out


def test_a_lost_terminal_leaves_the_run_going(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    shell.play("hang")
    terminal = Terminal(shell, 80, *ONE)
    terminal.await_text("/4 ")  # the first step of four
    assert terminal.lost() == -signal.SIGHUP
    assert shell.held()
    rows = [row for row in re.split(r"[\r\n]+", CONTROL.sub("", terminal.shown)) if row]
    assert max(map(len, rows)) <= 80
    assert any(re.fullmatch(r"  warm-up, call 1  ━+╌+  1/4 +40\.00 it/s.*", row) for row in rows), rows
    assert any(re.fullmatch(r"  run  ╌+  0/1 cells  \d+ s( .*)?", row) for row in rows), rows
    assert shell.call("cancel", "last").status == 0
    shell.await_end()
    assert ending(shell).status == "cancelled"


def test_an_interrupt_at_the_terminal_reaches_the_follower_alone(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    shell.play("hang")
    terminal = Terminal(shell, 120, *ONE)
    terminal.await_text("/4 ")
    terminal.type(b"\x03")
    assert terminal.ended() == 130
    assert not shell.held()
    assert ending(shell).status == "cancelled"
    said = CONTROL.sub("", terminal.shown)
    assert "cancelling the run …" in said
    assert "| SD - txt2img | –[^1] |" in said


def test_resuming_a_running_run_is_refused(shell: Shell) -> None:
    shell.play("hang")
    assert shell.run(*ONE, "--detach").status == 0
    refused = shell.call("resume", "last")
    name = shell.folder().name
    assert (refused.status, refused.out) == (2, "")
    assert re.fullmatch(
        rf"sdtui: run {name}: is running \(held by run {name} \(pid \d+, user .+, on .+\)\); follow it with .+\n",
        refused.err,
    )
    assert shell.call("ls").out == f"{name}  running      1 cell\n"
