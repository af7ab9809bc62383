"""``sdtui compare`` and ``sdtui report --price`` as a person calls them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from commands import DOCS, RECORDED, TINY, Said

Command = Callable[..., Said]

RESULTS = str(Path(__file__).parents[2] / "docs" / "results" / "2026-11-24-h100-docs-batch-1")
SLOWER = "sd-txt2img.no-compile.current.b1-d5453d27"


@pytest.fixture(autouse=True)
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDTUI_RUNS_DIR", str(RECORDED))


def test_without_a_threshold_slower_is_no_failure(sdtui: Command) -> None:
    said = sdtui("compare", RESULTS, DOCS)
    assert (said.status, said.err) == (0, "")
    assert f"| {SLOWER} | main |" in said.out
    assert "regression" not in said.out


@pytest.mark.parametrize("share", ["3%", "0.03"])
def test_a_regression_beyond_the_threshold_exits_1_and_says_which(sdtui: Command, share: str) -> None:
    said = sdtui("compare", RESULTS, DOCS, "--fail-on-regression", share)
    line = f"1 regression beyond 3 %: {SLOWER} (main)"
    assert (said.status, said.err) == (1, f"sdtui: {line}\n")
    assert f"- {line}\n" in said.out


def test_a_loss_within_the_threshold_exits_0(sdtui: Command) -> None:
    said = sdtui("compare", RESULTS, DOCS, "--fail-on-regression", "30%", "--format", "json")
    assert (said.status, said.err) == (0, "")
    assert json.loads(said.out)["regressions"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fail-on-regression", "3"), "--fail-on-regression: '3' is no share of speed; write it as 3% or 0.03"),
        (("--format", "csv"), "--format: unknown format 'csv'; choose from: json, md"),
    ],
)
def test_a_mistake_is_one_line(sdtui: Command, arguments: tuple[str, ...], message: str) -> None:
    assert sdtui("compare", RESULTS, DOCS, *arguments) == Said(2, "", f"sdtui: {message}\n")


def test_a_threshold_over_nothing_is_a_mistake(sdtui: Command) -> None:
    said = sdtui("compare", DOCS, TINY, "--fail-on-regression", "3%")
    assert said.status == 2
    assert "have no cell that compares" in said.err
    assert "\n- no cell compares\n" in said.out
    assert "## Only in B" in said.out


def test_a_price_adds_the_cost_of_images(sdtui: Command) -> None:
    said = sdtui("report", DOCS, "--price", "2.49/h")
    assert said.status == 0
    rows = [line.strip("| ").split(" | ") for line in said.out.splitlines() if line.startswith("| ")]
    header = next(row for row in rows if "1,000 images at 2.49/h" in row)
    row = next(row for row in rows if row[0].startswith("sd-txt2img.compile") and len(row) == len(header))
    each, rate = float(row[header.index("1,000 images at 2.49/h")]), float(row[header.index("Images/s")])
    assert each == pytest.approx(2.49 / 3600 * 1000 / rate, rel=0.002)
    document = json.loads(sdtui("report", DOCS, "--price", "2.49/h", "--format", "json").out)
    assert document["price_per_hour"] == 2.49
    assert document["results"][1]["price_of_1000_images"] == pytest.approx(each, abs=0.001)
    assert "1,000 images" not in sdtui("report", DOCS).out


@pytest.mark.parametrize("price", ["2.49", "-1/h", "0/h", "$2/h", "1e3/h", "2.49/min", "", "/h"])
def test_a_price_is_per_hour(sdtui: Command, price: str) -> None:
    message = f"sdtui: --price: '{price}' is no price per hour; write it as 2.49/h\n"
    assert sdtui("report", DOCS, f"--price={price}") == Said(2, "", message)


def test_csv_has_no_place_for_a_price(sdtui: Command) -> None:
    said = sdtui("report", DOCS, "--price", "2/h", "--format", "csv")
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith("sdtui: --price: csv holds raw calls only; choose --format md")
