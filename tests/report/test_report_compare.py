from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.events import CallFinished, CellChecked, CellFinished, CellPhase, CellStarted, Stamped, Step
from sdtui.model.results import Distance, Interval, StepStatistics
from sdtui.records import RunRecord
from sdtui.report.compare import RunComparison, compare_runs, exit_status, parse_threshold, verdict
from sdtui.report.compare_report import regression_line, render_comparison

GOLDEN = Path(__file__).with_name("golden")
RESULTS = Path(__file__).parents[2] / "docs" / "results" / "2026-11-24-h100-docs-batch-1"
RECORDED = Path(__file__).parents[1] / "fixtures" / "runs"
SAME_CARD = RECORDED / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
TINY = RECORDED / "20261124T231027Z-vm-epyc-fa50b5"

Timed = Callable[..., RunRecord]


@pytest.fixture
def timed(tell) -> Timed:
    """Makes a run of cells whose measured calls had these median steps, which scatter by a share."""

    def run(name: str, *cells: tuple[Cell, tuple[float, ...]], scatter: float = 0.01, **around) -> RunRecord:
        told = tell(name=name, **around).sit(name).queue(*(spec for spec, _ in cells))
        for spec, medians in cells:
            told.tell(CellStarted(spec.id, 1, 11), CellPhase(spec.id, "load"))
            for call, median in enumerate((99.0, *medians), 1):
                for stage in spec.stages:
                    wander = [median * (1 + scatter * ((7 * n) % 11 - 5) / 5) for n in range(33)]
                    told.tell(*(Step(spec.id, call, stage.name, n, 33, ms, 1) for n, ms in enumerate(wander, 1)))
                    loop = sum(wander)
                    told.tell(CallFinished(spec.id, call, stage.name, 33, 33, loop, loop, loop + 9, 1, loop, 4, 4))
            told.tell(CellFinished(spec.id, "ok", "measure", len(medians) + 1))
        return told.finish().run

    return run


def verdicts(comparison: RunComparison) -> list[str]:
    return [pair.verdict for pair in comparison.pairs]


@pytest.mark.parametrize(
    ("ours", "theirs", "scatter", "judged"),
    [
        ((10.0, 10.0), (9.0, 9.0), 0.01, "faster"),
        ((10.0, 10.0), (11.0, 11.0), 0.01, "slower"),
        ((10.0, 10.0), (10.02, 10.02), 0.001, "same"),
        ((10.0, 10.0), (10.0, 10.0), 0.0, "same"),
        ((10.0, 10.0), (10.3, 10.3), 0.3, "ambiguous"),
        ((10.0, 10.0), (10.0, 10.0), 0.3, "ambiguous"),
        ((10.0, 11.0), (10.5, 10.5), 0.001, "ambiguous"),
        ((10.0, 11.0), (11.0, 12.0), 0.001, "ambiguous"),
    ],
    ids=[
        *("faster", "slower", "resolved within a percent", "equal", "scatter hides a difference"),
        *("scatter hides equality", "inside one interval", "calls of each differ as much"),
    ],
)
def test_verdicts(timed: Timed, cell_spec, ours, theirs, scatter: float, judged: str) -> None:
    spec = cell_spec()
    a, b = timed("a", (spec, ours), scatter=scatter), timed("b", (spec, theirs), scatter=scatter)
    (pair,) = compare_runs(a, b).pairs
    assert pair.verdict == judged
    assert pair.interval.low <= pair.ratio <= pair.interval.high


@pytest.mark.parametrize(
    ("ours", "theirs", "ratio", "judged"),
    [
        ((9.9, 10, 10.1), (10.9, 11, 11.1), (0.90, 0.92), "slower"),
        ((9.9, 10, 10.1), (8.9, 9, 9.1), (1.10, 1.12), "faster"),
        ((9.9, 10, 10.1), (9.9, 11, 11.1), (0.90, 0.92), "ambiguous"),
        ((9.9, 10, 11.1), (10.9, 11, 11.1), (0.90, 0.92), "ambiguous"),
        ((9.9, 10, 10.1), (10.9, 11, 11.1), (0.90, 1.00), "ambiguous"),
        ((9.9, 10, 10.1), (9.91, 9.92, 9.93), (1.005, 1.01), "same"),
        ((9.9, 10, 10.1), (9.9, 10, 10.1), (0.98, 1.005), "ambiguous"),
    ],
)
def test_a_difference_counts_outside_both_intervals_only(ours, theirs, ratio, judged: str) -> None:
    a, b = (StepStatistics(9, mid, mid, low, high, high, 0.1, Interval(low, high)) for low, mid, high in (ours, theirs))
    assert verdict(a, b, Interval(*ratio)) == judged


def test_the_ratio_is_of_speeds_and_turns_with_the_runs(timed: Timed, cell_spec) -> None:
    a, b = timed("a", (cell_spec(), (10.0, 10.0))), timed("b", (cell_spec(), (8.0, 8.0)))
    assert compare_runs(a, b).pairs[0].ratio == pytest.approx(1.25)
    assert compare_runs(b, a).pairs[0].ratio == pytest.approx(0.8)
    assert verdicts(compare_runs(b, a)) == ["slower"]


def test_a_regression_is_slower_with_its_whole_interval_beyond(timed: Timed, cell_spec) -> None:
    a, b = timed("a", (cell_spec(), (10.0, 10.0))), timed("b", (cell_spec(), (10.5, 10.5)))
    comparison = compare_runs(a, b)
    (pair,) = comparison.pairs
    assert pair.verdict == "slower"
    assert 0.93 < pair.interval.low < pair.ratio < pair.interval.high < 0.97
    assert [exit_status(comparison, share) for share in (None, 0.0, 0.02, 0.1)] == [0, 1, 1, 0]
    assert exit_status(comparison, 1 - (pair.ratio + pair.interval.high) / 2) == 0
    assert exit_status(compare_runs(b, a), 0.0) == 0
    assert regression_line(comparison, 0.02) == f"1 regression beyond 2 %: {pair.cell} (main)"


def test_nothing_to_compare_is_a_mistake_only_with_a_threshold(timed: Timed, cell_spec) -> None:
    a, b = timed("a", (cell_spec(), (10.0, 10.0))), timed("b", (cell_spec("sd-img2img"), (10.0, 10.0)))
    comparison = compare_runs(a, b)
    assert exit_status(comparison, None) == 0
    with pytest.raises(UserError, match="runs a and b have no cell that compares"):
        exit_status(comparison, 0.03)


def test_cells_match_by_id_never_by_position_or_name(timed: Timed, cell_spec) -> None:
    shared, other = cell_spec(), cell_spec(work="11111111")
    alone = cell_spec("sd-img2img")
    a = timed("a", (alone, (5.0, 5.0)), (shared, (10.0, 10.0)))
    b = timed("b", (shared, (10.0, 10.0)), (other, (20.0, 20.0)))
    comparison = compare_runs(a, b)
    assert [pair.cell for pair in comparison.pairs] == [shared.id]
    assert (comparison.only_a, comparison.only_b) == ((alone.id,), (other.id,))


def test_every_stage_is_a_pair(timed: Timed, cell_spec) -> None:
    a, b = timed("a", (cell_spec("if"), (10.0, 10.0))), timed("b", (cell_spec("if"), (12.0, 12.0)))
    assert [(pair.stage, pair.verdict) for pair in compare_runs(a, b).pairs] == [
        ("I", "slower"),
        ("II", "slower"),
        ("III", "slower"),
    ]


def test_another_gpu_model_is_said_and_not_compared(timed: Timed, cell_spec, cpu) -> None:
    a = timed("a", (cell_spec(), (10.0, 10.0)))
    b = timed("b", (cell_spec(), (10.0, 10.0)), machine=cpu)
    comparison = compare_runs(a, b)
    assert comparison.pairs == ()
    (skipped,) = comparison.not_compared
    assert skipped.reason == "A ran on NVIDIA H100 80GB HBM3, B on EPYC 7B13: results compare on one model only"


def test_a_cell_that_did_not_end_ok_or_was_timed_too_little_is_not_compared(timed: Timed, tell, cell_spec) -> None:
    spec, brief = cell_spec(), cell_spec("sd-img2img")
    a = timed("a", (spec, (10.0, 10.0)), (brief, ()))
    told = tell(name="b").sit("b").measure(spec, status="oom", phase="measure", call=2, reason="no memory")
    comparison = compare_runs(a, told.measure(brief, 10.0).run)
    assert [(cell.stage, cell.reason) for cell in comparison.not_compared] == [
        ("", "A: ok; B: oom in measure, call 2"),
        ("main", "too few steps in calls after the first"),
    ]


def test_an_output_that_differs_is_named_beside_the_verdict(timed: Timed, cell_spec) -> None:
    base, spec = cell_spec(), cell_spec(mode="compile")
    a, b = (timed(name, (base, (10.0, 10.0)), (spec, (5.0, 5.0))) for name in "ab")
    b.apply(Stamped(0.0, CellChecked(spec.id, base.id, Distance(0.5, 20.0, 99))))
    written = render_comparison(compare_runs(a, b))
    assert written.count(" – / differs |\n") == 1


def test_what_differs_in_the_environments_is_listed(timed: Timed, cell_spec, cpu) -> None:
    faster = dataclasses.replace(cpu, cpu_count=64, governor=None)
    a = timed("a", (cell_spec(), (10.0, 10.0)), machine=cpu, torch="2.11.0")
    b = timed("b", (cell_spec(seed=7), (10.0, 10.0)), machine=faster, torch="2.13.0")
    assert [dataclasses.astuple(each) for each in compare_runs(a, b).differences] == [
        ("cpu count", "2", "64"),
        ("governor", "performance", "not available"),
        ("current: torch", "2.11.0", "2.13.0"),
        ("seed", "0", "7"),
    ]
    assert "Nothing that was recorded" in render_comparison(compare_runs(a, a))


def test_how_workers_ran_is_listed() -> None:
    cold, traced = (runs.read(RESULTS.with_name(f"2026-11-25-h100-{name}")) for name in ("cold", "trace"))
    ways = [dataclasses.astuple(each) for each in compare_runs(cold, traced).differences]
    assert [way for way in ways if way[0] in ("cold", "trace", "exclusive")] == [
        ("cold", "on", "off"),
        ("trace", "off", "on"),
    ]
    later = runs.read(RESULTS.with_name("2026-11-28-h200-overhead"))
    ways = [dataclasses.astuple(each) for each in compare_runs(traced, later).differences]
    assert ("exclusive", "on", "off") in ways, "no process was forked then"


@pytest.mark.parametrize(
    ("text", "share"), [("3%", 0.03), ("0.03", 0.03), (" 2.5 % ", 0.025), ("0", 0.0), ("99%", 0.99)]
)
def test_a_threshold(text: str, share: float) -> None:
    assert parse_threshold(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["3", "1", "100%", "-1%", "x", "", "3 percent", "nan", "1e-2", "٣%"])
def test_what_is_no_threshold(text: str) -> None:
    with pytest.raises(UserError, match=r"--fail-on-regression: '.*' is no share of speed; write it as 3% or 0.03"):
        parse_threshold(text)


def test_two_recorded_runs_of_one_card_model() -> None:
    comparison = compare_runs(runs.read(RESULTS), runs.read(SAME_CARD))
    written = render_comparison(comparison, threshold=0.03)
    golden = GOLDEN / "compared.md"
    if os.environ.get("SDTUI_WRITE_GOLDEN"):
        golden.write_bytes(written.encode())
    assert written == golden.read_bytes().decode()
    document = json.loads(render_comparison(comparison, "json", 0.03))
    assert [pair["verdict"] for pair in document["pairs"]] == ["slower", "faster"]
    assert [found["cell"] for found in document["regressions"]] == ["sd-txt2img.no-compile.current.b1-d5453d27"]
    assert (document["threshold"], len(document["only_a"]), document["only_b"]) == (0.03, 4, [])


def test_tiny_never_meets_full() -> None:
    comparison = compare_runs(runs.read(RESULTS), runs.read(TINY))
    assert comparison.pairs == comparison.not_compared == ()
    assert all(".tiny-" in cell for cell in comparison.only_b)
    assert "current: torch" in [each.name for each in comparison.differences]


def test_an_unknown_format_is_named(timed: Timed, cell_spec) -> None:
    run = timed("a", (cell_spec(), (10.0, 10.0)))
    with pytest.raises(UserError, match=r"unknown format 'jsn'; did you mean 'json'\?"):
        render_comparison(compare_runs(run, run), "jsn")
