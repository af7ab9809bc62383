"""A run that has a budget, as a person starts it and runs the rest."""

from __future__ import annotations

import re

from commands import CELLS, Shell

TWO = (*CELLS, "--batch-size", "2", "--batch-size", "1")


def test_a_budget_runs_what_fits_and_says_how_to_run_the_rest(shell: Shell) -> None:
    shell.play("ok")
    said = shell.run(*TWO, "--budget", "1s")
    short = shell.folder().name[-6:]
    assert said.status == 1
    begins, *order = said.err.splitlines()[1:4]
    assert begins == "2 cells to run as far as a budget of 1s goes, in this order:", "nothing fits, at a guess"
    assert order == [f"      batch size {size}: sd-txt2img (no-compile)" for size in (1, 2)], "small batches first"
    assert f"run {shell.folder().name}: incomplete; 2 cells did not fit into the budget of 1s\n" in said.err
    which = "which has the plan's budget; --budget gives it another, or none"
    assert said.err.splitlines()[-1] == f"run what is left with 'sdtui resume {short}', {which}"
    assert re.search(r"\[\^1\]: not run: did not fit into the budget of 1s: it takes \d+s, at a guess; \d", said.out)
    assert 'budget = "1s"\n' in (shell.folder() / "plan.toml").read_text()

    assert shell.run("resume", "last").status == 1
    assert [cell.started for cell in shell.record().cells.values()] == [None, None]

    said = shell.run("resume", "last", "--budget", "5m")
    assert said.status == 0, said.err
    assert re.search(r"^2 cells to run as far as a budget of 5m goes, at a guess 1 min \d\d s, in this", said.err, re.M)
    assert [each.started.budget_s for each in shell.record().sittings] == [1, 1, 300]


def test_a_resumed_run_can_have_no_budget(shell: Shell) -> None:
    shell.play("ok")
    assert shell.run(*TWO, "--budget", "1s").status == 1
    said = shell.run("resume", "last", "--budget", "none")
    assert said.status == 0, said.err
    assert shell.record().sittings[-1].started.budget_s is None
    assert "budget" not in said.err
