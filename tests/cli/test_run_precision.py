"""`--precision` and its limits as a person uses them: workers that measure nothing, as steadily as they are told."""

from __future__ import annotations

import json
import re

import pytest
from commands import Said, Shell
from test_following import ONE

from sdtui.model.precision import PrecisionReached, PrecisionRule


def reached(shell: Shell) -> PrecisionReached | None:
    (cell,) = shell.record().cells.values()
    assert cell.finished is not None
    return cell.finished.precision


@pytest.fixture
def steady(shell: Shell) -> tuple[Shell, Said]:
    shell.play("ok")
    return shell, shell.run(*ONE, "--precision", "1%")


def test_calls_end_once_the_precision_is_reached(steady: tuple[Shell, Said]) -> None:
    shell, said = steady
    assert said.status == 0, said.err
    assert reached(shell) == PrecisionReached(0.01, 0.0, "main", 6, 0.625)
    (cell,) = shell.record().cells.values()
    assert [call.call for call in cell.calls] == [1, 2, 3, 4, 5, 6]
    assert cell.finished is not None
    assert cell.finished.call == 6
    assert "40.00 it/s in " in said.err
    assert "the median step is known to ±0 % after 6 calls" in said.err
    assert "[^1]" not in said.out, "what was reached is no footnote"


def test_the_limits_are_resolved_and_a_rule_of_the_sitting(steady: tuple[Shell, Said]) -> None:
    shell, _ = steady
    assert shell.record().sittings[0].started.precision == PrecisionRule(0.01, 50, 120.0)
    plan = (shell.folder() / "plan.toml").read_text()
    assert "precision = 0.01\nmax_calls = 50\nmax_seconds = 120.0\n" in plan


def test_a_precision_does_not_change_the_cell(steady: tuple[Shell, Said]) -> None:
    shell, _ = steady
    shell.run(*ONE)
    plain = max(shell.runs_dir.iterdir())
    assert shell.call("compare", str(plain), "last").out
    document = json.loads(
        shell.call("report", *(folder.name for folder in shell.runs_dir.iterdir()), "--format", "json").out
    )
    assert len(document["results"]) == 1, "the runs have one cell in common"


def test_the_limit_that_ended_the_calls_is_named_everywhere(shell: Shell) -> None:
    shell.play("noisy")
    said = shell.run(*ONE, "--precision", "0.02", "--max-calls", "7")
    assert said.status == 0, "a precision that is not reached is no failure"
    found = reached(shell)
    assert found is not None
    assert (found.target, found.calls, found.limit, found.seconds) == (0.02, 7, "max-calls", 0.75)
    assert found.half_width == pytest.approx(5 / 30), "of 25 and 35 ms in equal parts"
    sentence = (
        r"precision ±2 % not reached after 7 calls \(max-calls; 0\.8 s measured\): the median step is known to ±16\.7 %"
    )
    assert re.search(rf"\[\^1\]: {sentence}", said.out)
    assert re.search(sentence, said.err)
    assert re.search(rf"\nprecision\n\S+  {sentence}\n", shell.call("show", "last").out)
    report = shell.call("report", "last").out
    assert "| ±2 % | ±16.7 % | main | 7 | 0.8 | max-calls |" in report
    (cell,) = json.loads(shell.call("show", "last", "--json").out)["cells"]
    assert [(each["process"], each["limit"]) for each in cell["precision"]] == [(1, "max-calls")]


def test_seconds_end_the_calls_as_well(shell: Shell) -> None:
    shell.play("noisy")
    shell.run(*ONE, "--precision", "2%", "--max-seconds", "1")
    found = reached(shell)
    assert found is not None
    assert (found.calls, found.limit, found.seconds) == (9, "max-seconds", 1.0)


def test_too_few_calls_are_named_where_the_interval_was_narrow(shell: Shell) -> None:
    shell.play("slow")
    said = shell.run(*ONE, "--precision", "90%", "--max-seconds", "1")
    sentence = (
        "the median step is known to ±0 % after 2 measured calls, of which a precision needs 5; max-seconds ended it "
        "(1.2 s measured)"
    )
    assert sentence in said.err
    assert f"[^1]: {sentence}" in said.out
    assert "not reached" not in said.err + said.out
    assert (
        "| ±90 % | ±0 % | main | 3 | 1.2 | max-seconds, before 5 measured calls |" in shell.call("report", "last").out
    )
    (cell,) = json.loads(shell.call("show", "last", "--json").out)["cells"]
    assert cell["precision"][0]["unmet"] == ["measured-calls"]


def test_with_several_processes_a_precision_is_each_ones_own(shell: Shell) -> None:
    shell.play("noisy")
    shell.run(*ONE, "--precision", "2%", "--max-calls", "7", "--processes", "2")
    (cell,) = json.loads(shell.call("show", "last", "--json").out)["cells"]
    assert [(each["process"], each["unmet"]) for each in cell["precision"]] == [
        (1, ["half-width"]),
        (2, ["half-width"]),
    ]
    steps = cell["summary"]["stages"][0]["step_ms"]
    interval, median = steps["median_interval_ms"], steps["median_ms"]
    half = max(interval["high"] - median, median - interval["low"]) / median
    assert cell["pooled_precision"] == {"stage": "main", "half_width": pytest.approx(half)}
    assert half > 0.1
    name, known = cell["id"], f"±{100 * half:.3g} %"
    report = shell.call("report", "last").out
    assert f"| {name}, 2 processes together | – | {known} | main | 14 | 1.5 | – |" in report
    assert "a precision is each process's own" in report
    shown = shell.call("show", "last").out
    assert f"{name}  2 processes together: the median step is known to {known}\n" in shown


def test_calls_is_the_least_number_of_calls(shell: Shell) -> None:
    shell.play("ok")
    shell.run(*ONE, "--precision", "2%", "--calls", "12")
    found = reached(shell)
    assert found is not None
    assert (found.calls, found.limit) == (12, None)


def test_without_a_precision_nothing_is_asked(shell: Shell) -> None:
    shell.play("ok")
    assert shell.run(*ONE).status == 0
    assert reached(shell) is None
    assert "precision" not in shell.call("show", "last").out


def test_a_run_that_was_killed_asks_again_when_resumed(shell: Shell) -> None:
    shell.play("hang")
    running = shell.start(*ONE, "--precision", "1%")
    shell.await_step()
    shell.call("cancel", "last")
    shell.ended(running)
    assert reached(shell) is None
    shell.play("ok")
    assert shell.run("resume", "last").status == 0
    assert reached(shell) == PrecisionReached(0.01, 0.0, "main", 6, 0.625)


def test_several_processes_from_the_command_line(shell: Shell) -> None:
    shell.play("noisy")
    said = shell.run(*ONE, "--processes", "3")
    assert said.status == 0, said.err
    (cell,) = shell.record().cells.values()
    assert [process.process for process in cell.processes] == [1, 2, 3]
    assert "processes = 3\n" in (shell.folder() / "plan.toml").read_text()
    name = cell.spec.id
    assert f"[1/3] {name}: import" in said.err
    assert f"[3/3] {name}, process 3: import" in said.err
    shown = shell.call("show", "last").out
    assert f"{name}  median steps of 3 processes around 30.00 ms: sd 0 %, range 0 %, within one ±16.7 %" in shown
    report = shell.call("report", "last").out
    assert f"| {name} | main | 3 | 30.00, 30.00, 30.00 | 40.00, 40.00, 40.00 |" in report
    assert shell.call("report", "last", "--format", "csv").out.count(f",{name},") == 9
    assert shell.run("resume", "last").err.strip().endswith("nothing left to run; it is ok")


def test_a_retry_that_fails_again_runs_one_process(shell: Shell) -> None:
    shell.play("unsupported")
    assert shell.run(*ONE, "--processes", "3").status == 1
    said = shell.run("resume", "last", "--retry", "unsupported")
    assert said.status == 1
    (cell,) = shell.record().cells.values()
    assert [(process.process, process.sitting) for process in cell.processes] == [(1, 2)]
    assert f"[1/3] {cell.spec.id}: import" in said.err
    assert f"[3/3] {cell.spec.id}: ❌ in " in said.err
    assert "process 2" not in said.err
