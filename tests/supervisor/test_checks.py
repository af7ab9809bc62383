"""Outputs are held against each other as cells end, in whatever order and sitting."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from supervised import Lab, after_append, events

from sdtui import runs
from sdtui.check import check_output
from sdtui.model.events import CellChecked, CellFinished, Event, Log
from sdtui.model.results import Distance

KEEP = "measure:keep"
APART = Distance(0.125, pytest.approx(28.13, abs=0.01), 10)  # type: ignore[arg-type]
"""What the fake's modes are from no-compile: 0.5 of a norm of 4, and 10 of 255 in the image."""


def checked(folder: Path) -> list[CellChecked]:
    return [stamped.event for stamped in events(folder) if isinstance(stamped.event, CellChecked)]


def modes(folder: Path) -> list[str]:
    return [event.cell.split(".")[1] for event in checked(folder)]


@pytest.mark.parametrize("order", [("no-compile", "channels-last"), ("channels-last", "no-compile")])
def test_a_pair_is_compared_once_both_have_ended(lab: Lab, order: tuple[str, str]) -> None:
    folder = lab.create(KEEP, modes=order)
    assert lab.run(folder) == 0, "what differs is marked, and has been measured all the same"
    (event,) = checked(folder)
    record = runs.read(folder)
    mine, base = (next(c for c in record.cells.values() if c.spec.mode.name == mode) for mode in sorted(order))
    assert (event.cell, event.against, event.distance, event.reason) == (mine.spec.id, base.spec.id, APART, "")
    told = check_output(record, mine)
    assert told is not None
    assert told.verdict == "failed"
    assert "differs: relative L2 0.12 from no-compile's latents" in (folder / "report.md").read_text()


def test_the_latest_processes_are_compared(lab: Lab) -> None:
    folder = lab.create(KEEP, modes=("no-compile", "channels-last"), processes=2)
    assert lab.run(folder) == 0
    assert [event.distance for event in checked(folder)] == [APART] * 3, "anew with each process of either"
    mine, base = (runs.read(folder).cells[name] for name in (checked(folder)[0].cell, checked(folder)[0].against))
    assert [each.checked is not None for each in mine.processes] == [True, True]
    assert {path.name for path in (folder / "outputs").glob("*.p2.png")} == {
        f"{mine.spec.id}.p2.png",
        f"{base.spec.id}.p2.png",
    }
    assert "(process 1; raised in 2 of 2 processes)" in (folder / "report.md").read_text()


def test_every_mode_is_compared_with_no_compile_of_its_batch_size(lab: Lab) -> None:
    folder = lab.create(KEEP, KEEP, modes=("bf16", "no-compile", "channels-last"))
    assert lab.run(folder) == 0
    assert modes(folder) == ["bf16", "channels-last", "bf16", "channels-last"]
    assert all(event.cell.split(".")[3] == event.against.split(".")[3] for event in checked(folder))
    assert lab.run(folder) == 0
    assert len(checked(folder)) == 4, "a further sitting compares nothing again"


def test_a_cell_that_runs_in_a_later_sitting_is_compared_there(lab: Lab) -> None:
    folder = lab.create("load:exit3", modes=("no-compile", "channels-last"))
    assert lab.run(folder) == 1
    lab.behave(KEEP)
    assert checked(folder) == []
    assert lab.run(folder, lab.sitting(folder, retry=frozenset({"failed"}))) == 0
    assert modes(folder) == ["channels-last"]


def test_a_pair_that_an_earlier_sitting_left_is_compared_by_the_next(lab: Lab) -> None:
    folder = lab.create(KEEP, modes=("no-compile", "channels-last"))
    assert lab.run(folder) == 0
    journal = folder / runs.JOURNAL
    lines = [line for line in journal.read_text().splitlines(keepends=True) if '"kind":"cell.checked"' not in line]
    journal.write_text("".join(lines))
    assert checked(folder) == []
    assert lab.run(folder) == 0
    assert [event.distance for event in checked(folder)] == [APART]


def test_outputs_that_are_gone_are_no_error(lab: Lab) -> None:
    folder = lab.create("ok", modes=("no-compile", "channels-last"))
    assert lab.run(folder) == 0
    assert lab.run(folder) == 0
    assert checked(folder) == []
    assert not [stamped for stamped in events(folder) if isinstance(stamped.event, Log)]
    assert "not checked: its output and no-compile's were not both there" in (folder / "report.md").read_text()


def test_a_process_is_compared_with_the_last_of_no_compile_that_ended_ok(lab: Lab) -> None:
    folder = lab.create(KEEP, modes=("no-compile", "channels-last"), processes=2)

    def skip(event: Event, _: int) -> None:
        if isinstance(event, CellFinished) and ".no-compile." in event.cell:
            (folder / "control" / f"skip-{event.cell}").touch()

    assert lab.run(folder, before=after_append(skip)) == 1
    assert [event.distance for event in checked(folder)] == [APART, APART], "after its first and its second process"
    record = runs.read(folder)
    mine = record.cells[checked(folder)[0].cell]
    assert [told.verdict for each in mine.processes if (told := check_output(record, each))] == ["failed", "failed"]


def test_outputs_that_cannot_be_read_are_not_checked(lab: Lab) -> None:
    folder = lab.create("ok", modes=("no-compile", "channels-last"))
    assert lab.run(folder) == 0
    for cell in runs.read(folder).cells:
        for suffix in ("png", "safetensors"):
            (folder / "outputs" / f"{cell}.{suffix}").write_bytes(b"nothing")
    assert lab.run(folder) == 0
    (event,) = checked(folder)
    assert event.distance is None
    assert (event.readable, "cannot be read" in event.reason) == (False, True)
    report = (folder / "report.md").read_text()
    assert "differs: " not in report
    assert f"| not checked: {event.reason} |" in report


def test_outputs_of_different_shapes_fail(lab: Lab) -> None:
    folder = lab.create(KEEP, KEEP, modes=("no-compile", "channels-last"))
    assert lab.run(folder) == 0
    cell = checked(folder)[0].cell
    with Image.open(folder / "outputs" / f"{cell}.png") as image:
        image.resize((3, 5)).save(folder / "outputs" / f"{cell}.png")
    journal = folder / runs.JOURNAL
    lines = [line for line in journal.read_text().splitlines(keepends=True) if '"kind":"cell.checked"' not in line]
    journal.write_text("".join(lines))
    assert lab.run(folder) == 0
    (event,) = [event for event in checked(folder) if event.distance is None]
    assert (event.cell, event.readable) == (cell, True)
    assert f"differs: {event.reason}" in (folder / "report.md").read_text()
