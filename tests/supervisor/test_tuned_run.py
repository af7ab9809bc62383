"""A run that looks for the fastest mode: rungs in the supervisor, and sittings between them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from supervised import Lab, await_event, events, known, statuses

from sdtui import durations, runs
from sdtui.model.events import CellStarted, RungFinished

PACED = "warm-up:paced"
MODES = ("no-compile", "bf16", "channels-last", "vanilla-attention")
"""The fake takes the longer, the longer the name: bf16, no-compile, channels-last, vanilla-attention."""


def began(folder: Path) -> list[tuple[int, str, int]]:
    """Sitting, mode and process of every start, in order."""
    modes = {cell.spec.id: cell.spec.slot.mode for cell in runs.read(folder).cells.values()}
    starts = [stamped.event for stamped in events(folder) if isinstance(stamped.event, CellStarted)]
    return [(start.sitting, modes[start.cell], start.process) for start in starts]


def rungs(folder: Path) -> list[RungFinished]:
    return [stamped.event for stamped in events(folder) if isinstance(stamped.event, RungFinished)]


def test_the_slower_half_is_measured_no_further(lab: Lab) -> None:
    folder = lab.create(PACED, modes=MODES, processes=3, tune=True)
    assert lab.run(folder) == 0
    assert began(folder) == [
        *((1, mode, 1) for mode in ("no-compile", "bf16", "channels-last", "vanilla-attention")),
        *((1, mode, 2) for mode in ("no-compile", "bf16")),
    ], "after the second rung bf16 is alone"
    assert statuses(folder) == ["ok"] * 4
    first, second = rungs(folder)
    assert [(each.rung, each.pipeline, each.batch_size) for each in (first, second)] == [
        (1, "sd-txt2img", 1),
        (2, "sd-txt2img", 1),
    ]
    assert len(first.closed) == 2
    record = runs.read(folder)
    assert [record.cells[cell].spec.slot.mode for cell in second.best] == ["bf16"]
    report = (folder / "report.md").read_text()
    assert "- fastest within the output check: bf16, 2.50 times as fast as no-compile (2.50 to 2.50)" in report
    assert "| channels-last | 266.67 |" in report


def test_rows_are_decided_each_for_itself(lab: Lab) -> None:
    folder = lab.create(PACED, PACED, modes=MODES[:2], processes=2, tune=True)
    assert lab.run(folder) == 0
    assert [(each.rung, each.batch_size) for each in rungs(folder)] == [(1, 1), (1, 2)]
    assert len(began(folder)) == 4, "one is left of each row"


def test_a_run_that_was_killed_goes_on_with_what_is_left(lab: Lab) -> None:
    folder = lab.create(PACED, modes=MODES, processes=2, tune=True)
    lab.behave("measure:hang@2")
    supervisor = lab.start(folder)
    await_event(folder, CellStarted, 5)
    supervisor.signal(9)
    supervisor.wait()
    lab.await_silence()
    lab.behave(PACED)
    assert lab.run(folder) == 0
    # The workers of the first sitting measured too few steps to be compared: none of theirs is told apart.
    assert [start for start in began(folder) if start[0] == 2] == [(2, mode, 2) for mode in MODES]


def test_a_decision_stands_in_the_next_sitting(lab: Lab) -> None:
    folder = lab.create(PACED, modes=MODES, processes=2, tune=True)
    supervisor = lab.start(folder)
    await_event(folder, RungFinished)
    supervisor.signal(15)
    supervisor.wait()
    assert lab.run(folder) in (0, 1)
    assert {mode for _, mode, process in began(folder) if process == 2} <= {"no-compile", "bf16"}
    assert statuses(folder) == ["ok"] * 4


def under(lab: Lab, folder: Path, budget_s: float, **takes_s: float) -> None:
    """Runs it under a budget where its modes are known to take so long."""
    sitting = lab.sitting(folder, budget_s=budget_s)
    taken = tuple(known(sitting, *(takes_s[cell.slot.mode.replace("-", "_")] for cell in sitting.cells)))
    assert lab.run(folder, dataclasses.replace(sitting, durations=taken)) == 0


def test_the_first_rung_takes_all_of_a_budget_that_the_others_are_known_to_leave(lab: Lab) -> None:
    folder = lab.create(PACED, modes=MODES, processes=2, tune=True)
    under(lab, folder, 300.0, no_compile=5.0, bf16=230.0, channels_last=5.0, vanilla_attention=5.0)
    assert [mode for _, mode, process in began(folder) if process == 1] == [
        *("no-compile", "channels-last", "vanilla-attention", "bf16"),
    ], "230 of 300 s are more than its share, but the second rung takes a few"
    assert [each.rung for each in rungs(folder)] == [1, 2]
    assert [mode for _, mode, process in began(folder) if process == 2] == ["no-compile", "bf16"]


def test_what_the_first_rung_passed_over_comes_after_the_others(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "taken_by", lambda *_: None)  # else what they take is known to be next to nothing
    folder = lab.create(PACED, modes=MODES, processes=2, tune=True)
    under(lab, folder, 300.0, no_compile=30.0, bf16=230.0, channels_last=30.0, vanilla_attention=30.0)
    assert began(folder) == [
        *((1, mode, 1) for mode in ("no-compile", "channels-last", "vanilla-attention")),
        *((1, mode, 2) for mode in ("no-compile", "channels-last")),
        (1, "bf16", 1),
    ], "the second rung may take 90 of 300 s, and fewer than 230 would be left"
    record = runs.read(folder)
    assert [[record.cells[cell].spec.slot.mode for cell in each] for each in record.leading] == [["bf16"]]
    assert [each.rung for each in rungs(folder)] == [1, 2, 1]


def test_what_stands_alone_in_its_row_waits_for_what_was_passed_over(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durations, "taken_by", lambda *_: None)
    folder = lab.create(PACED, modes=("no-compile", "bf16", "channels-last"), processes=2, tune=True)
    under(lab, folder, 3000.0, no_compile=100.0, bf16=2950.0, channels_last=2940.0)
    assert began(folder) == [(1, mode, 1) for mode in ("no-compile", "bf16", "channels-last")], (
        "no-compile, and then bf16, which it drops out for, are measured again where there is another to compare with"
    )
