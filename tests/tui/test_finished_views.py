"""What a view of a finished cell is made of, and what it does not take time for."""

from __future__ import annotations

from pathlib import Path

import pytest
from moments import read_view

from sdtui import runs, statistics
from sdtui.report.merge import results_of

RECORDED = sorted(
    path.parent for path in (Path(__file__).parents[2] / "tests" / "fixtures" / "runs").glob("*/events.jsonl")
)

TRACE = Path(__file__).parents[2] / "docs" / "results" / "2026-11-25-h100-trace"


@pytest.mark.parametrize("run", [*RECORDED, TRACE], ids=lambda run: run.name[-6:])
def test_a_view_says_what_reports_say(run: Path) -> None:
    shown = read_view(run).cells
    for result in results_of(runs.read(run)):
        cell = shown[result.spec.id]
        assert (cell.status, cell.reason, cell.flags) == (result.status, result.reason, result.flags)
        assert cell.its == pytest.approx(result.its)


def test_figures_that_the_supervisor_has_stored_are_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(statistics, "summarise", refuse)
    assert any(cell.summary for cell in read_view(TRACE).cells.values())
