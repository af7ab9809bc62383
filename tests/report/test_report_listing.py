"""A run's plan on one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from sdtui import runs
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.report.listing import plan_in_short

CATALOG = load_catalog()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({}, "5 pipelines × no-compile, compile × batch 1, 4, 16"),
        ({"pipelines": ["if"], "batch_sizes": [4]}, "if × no-compile, compile × batch 4"),
        (
            {"pipelines": ["if"], "modes": ["compile"], "environments": ["a", "b"]},
            "if × compile × a, b × batch 1, 4, 16",
        ),
        (
            {"pipelines": ["if"], "slots": ["if.compile.current.b1", "if.compile.current.b4"]},
            "2 cells of if × no-compile, compile × batch 1, 4, 16",
        ),
        ({"pipelines": ["if"], "modes": ["compile"], "scale": "tiny"}, "tiny · if × compile × batch 1, 4, 16"),
    ],
)
def test_a_plan_in_short(tmp_path: Path, overrides: dict[str, object], said: str) -> None:
    plan = resolve_plan(CATALOG, None, overrides, gpu_available=True)
    assert plan_in_short(runs.create(tmp_path, "d", "h", plan_to_toml(plan))) == said


@pytest.mark.parametrize(("text", "said"), [("= broken", ""), ("modes = 3\n", "None · ? × ? × ? × batch ?")])
def test_a_plan_that_someone_wrote_to_spoils_nothing(tmp_path: Path, text: str, said: str) -> None:
    assert plan_in_short(runs.create(tmp_path, "d", "h", text)) == said
