"""Drafts become plans: what is chosen is what is measured."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Slot
from sdtui.tui.draft import make_draft

CATALOG = load_catalog()
FOUR = ("sd-txt2img.no-compile.current.b1", "sd-txt2img.compile.current.b4", "if.no-compile.current.b16")


def measured(source: str, overrides: dict[str, object]) -> tuple[Slot, ...]:
    return tuple(cell.slot for cell in expand(resolve_plan(CATALOG, source, overrides, True), CATALOG))


@pytest.fixture
def plan_of_slots(tmp_path: Path) -> str:
    path = tmp_path / "chosen.toml"
    path.write_text(plan_to_toml(resolve_plan(CATALOG, "docs", {"slots": FOUR}, True)))
    return str(path)


@pytest.mark.parametrize(
    "chosen",
    [FOUR, FOUR[:1], ("sd-txt2img.no-compile.current.b1", "sd-txt2img.compile.current.b1")],
    ids=["scattered", "one", "product"],
)
def test_exactly_what_is_chosen_is_measured(plan_of_slots: str, chosen: Iterable[str]) -> None:
    for source in ("docs", plan_of_slots):
        draft = make_draft(CATALOG, source, {}, gpu=True)
        slots = [slot for slot in draft.cells if str(slot) in chosen]
        assert len(slots) == len(tuple(chosen))
        assert set(measured(source, draft.to_run(slots))) == set(slots)


def test_a_plan_of_slots_shows_the_whole_matrix_with_these_chosen(plan_of_slots: str) -> None:
    draft = make_draft(CATALOG, plan_of_slots, {}, gpu=True)
    assert {str(slot) for slot in draft.chosen} == set(FOUR)
    assert set(draft.cells) == set(make_draft(CATALOG, "docs", {}, gpu=True).cells)
    every = draft.with_selection_of(cell for cell in draft.cells)
    assert set(measured(plan_of_slots, draft.to_run(every.chosen))) == set(draft.cells)
