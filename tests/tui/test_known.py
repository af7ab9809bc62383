"""Results of another device or torch are not shown as if they were of here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from moments import DOCS, read_view

from sdtui.model.machine import Interpreter
from sdtui.tui.known import Results, known_cells
from sdtui.tui.messages import MachineSeen
from sdtui.tui.snapshot import CellView


@pytest.mark.parametrize(
    ("device", "torch", "known"),
    [
        (None, "2.11.0", True),
        (None, "2.11.0+cu130", True),  # a build tag is no other torch
        (None, "2.12.0", False),
        ("NVIDIA L4", "2.11.0", False),
    ],
)
def test_results_count_where_they_were_measured(device: str | None, torch: str, known: bool) -> None:
    view = read_view(DOCS)
    assert view.machine is not None
    assert view.machine.gpu is not None
    gpu = replace(view.machine.gpu, name=device or view.machine.gpu.name)
    here = MachineSeen(replace(view.machine, gpu=gpu), (Interpreter("current", "python", "3.12.0", {"torch": torch}),))

    assert bool(known_cells(view.cells.values(), None, here)) == known
    assert known_cells(view.cells.values(), None, None) == view.cells
    assert known_cells([], view, here) == view.cells


def results_of(*views: CellView) -> Results:
    results = Results()
    results.add(views)
    return results


def test_the_newest_result_counts_however_they_come() -> None:
    old = next(iter(read_view(DOCS).cells.values()))
    assert old.ended_at is not None
    new = replace(old, text="newer", ended_at=old.ended_at + 1)
    assert list(results_of(old, new)) == list(results_of(new, old)) == [new]
    judged = replace(new, flags=())
    assert next(iter(results_of(new, judged))) is judged


def test_a_newer_result_of_another_device_or_torch_hides_none() -> None:
    view = read_view(DOCS)
    own = next(iter(view.cells.values()))
    assert own.ended_at is not None
    others = [replace(own, device="NVIDIA L4"), replace(own, torch="2.12.0")]
    results = results_of(own, *(replace(other, ended_at=own.ended_at + 1) for other in others))
    assert known_cells(results, replace(view, cells={}), None) == {own.id: own}
    assert known_cells(results, None, None)[own.id].torch == "2.12.0", "before the machine was looked at"


def test_what_was_cancelled_is_no_result() -> None:
    view = read_view(DOCS)
    own = next(iter(view.cells.values()))
    assert not results_of(replace(own, status="cancelled"), replace(own, state="running"))


def test_results_of_a_run_are_forgotten() -> None:
    views = read_view(DOCS).cells.values()
    results = results_of(*views)
    results.forget(DOCS.parent)
    assert len(list(results)) == len(views)
    results.forget(DOCS)
    assert not results
