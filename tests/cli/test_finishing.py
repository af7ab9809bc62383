"""``--on-finish``, as a person gives it: beside a terminal, after one, and for a further sitting."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from commands import ONE, Said, Shell, Terminal, until

from sdtui import runs


def test_the_command_is_run_where_it_was_asked_for_though_the_terminal_is_gone(shell: Shell, here: Path) -> None:
    shell.play("hang")
    terminal = Terminal(shell, 120, *ONE, "--on-finish", "echo $SDTUI_STATUS > told")
    shell.await_step()
    assert terminal.lost() == -signal.SIGHUP
    assert not (here / "told").exists()
    assert shell.call("cancel", "last").status == 0
    until(lambda: (here / "told").exists() and (here / "told").read_text() == "cancelled\n", "nobody was told")


def test_a_command_that_fails_is_said_and_leaves_the_exit_status_alone(shell: Shell) -> None:
    shell.play("ok")
    said = shell.run(*ONE, "--on-finish=exit 3")
    warning = "the --on-finish command failed with exit status 3; logs/on-finish.log has what it said\n"
    assert said.status == 0
    assert warning in said.err
    assert shell.call("ls").out == f"{shell.folder().name}  ok           1 ok\n"


def test_an_interrupt_does_not_wait_for_the_command(shell: Shell, here: Path) -> None:
    shell.play("ok")
    follower = shell.start(*ONE, "--on-finish", "until [ -e go ]; do sleep 0.01; done; touch went")
    log = shell.folder() / "logs" / "on-finish.log"
    until(log.exists, "the command was not run")
    follower.send_signal(signal.SIGINT)
    said = shell.ended(follower)
    assert (said.status, said.out) == (130, shell.call("watch", "last").out)
    assert said.err.endswith(f"ok\n{shell.folder() / runs.REPORT}\nthe --on-finish command goes on\n")
    assert not (here / "went").exists()
    (here / "go").touch()
    until((here / "went").exists, "the command did not go on")
    assert runs.listed(shell.folder()).state == "ok"


def test_a_further_sitting_has_a_command_of_its_own(shell: Shell, here: Path) -> None:
    shell.play("ok")
    assert shell.run(*ONE, "--on-finish", "echo first >> told").status == 0
    assert shell.run("resume", "last", "--retry", "ok").status == 0
    assert (here / "told").read_text() == "first\n"
    assert (
        shell.run("resume", "last", "--retry", "ok", "--retry", "failed", "--on-finish", "echo second >> told").status
        == 0
    )
    assert (here / "told").read_text() == "first\nsecond\n"


@pytest.mark.parametrize("command", ["", " "])
def test_a_blank_command_is_none(shell: Shell, command: str) -> None:
    expected = Said(2, "", "sdtui: --on-finish: must not be empty\n")
    assert shell.call(*ONE, "--on-finish", command) == expected
    assert shell.call("resume", "last", "--on-finish", command) == expected
    assert not shell.runs_dir.exists()


def test_a_supervisor_that_dies_before_it_holds_a_resumed_run_is_told(shell: Shell) -> None:
    shell.play("ok")
    assert shell.run(*ONE).status == 0
    folder = shell.folder()
    (folder / runs.LOCK).unlink()
    (folder / runs.LOCK).symlink_to("nowhere")  # which the supervisor does not follow
    said = shell.run("resume", "last", "--retry", "ok", "--detach")
    assert (said.status, said.out) == (1, "")
    log = folder / "logs" / "supervisor.log"
    why = f"{folder / runs.LOCK}: Too many levels of symbolic links"
    assert said.err == f"run {folder.name}: {log} ends with: {why}\n"
