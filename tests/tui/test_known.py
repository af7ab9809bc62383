"""Results of another device or torch are not shown as if they were of here."""

from __future__ import annotations

from dataclasses import replace

import pytest
from moments import DOCS, read_view

from sdtui.model.machine import Interpreter
from sdtui.tui.known import known_cells
from sdtui.tui.messages import MachineSeen


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

    assert bool(known_cells(view.cells, None, here)) == known
    assert known_cells(view.cells, None, None) == view.cells
    assert known_cells({}, view, here) == view.cells
