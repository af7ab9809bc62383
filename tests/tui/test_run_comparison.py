"""Two runs on a screen: chosen in the list, compared, explained."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from recorded import DOCS, FIXTURES, RESULTS, TINY, listed, said, until
from textual.app import App
from textual.pilot import Pilot

from sdtui import runs
from sdtui.model.events import Stamped
from sdtui.report.compare import compare_runs
from sdtui.tui.comparison_table import ComparisonTable
from sdtui.tui.screens.run_comparison import RunComparisonScreen
from sdtui.tui.screens.runs import Runs

TRACE = "20261125T030210Z-vm-h100-80gb-hbm3-0f5ead"
BATCH_1 = "20261124T233158Z-vm-h100-80gb-hbm3-04290e"
Check = Callable[[App[object], str], None]


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    for name in (DOCS, TINY):
        shutil.copytree(FIXTURES / name, tmp_path / name)
    shutil.copytree(RESULTS / "2026-11-25-h100-trace", tmp_path / TRACE)
    return tmp_path


async def compared(pilot: Pilot[None]) -> RunComparisonScreen:
    screen = pilot.app.screen
    assert isinstance(screen, RunComparisonScreen)
    await until(pilot, lambda: screen.table is not None, "no comparison came")
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_looks(runs_dir: Path, looks_as: Check, size: tuple[int, int]) -> None:
    async with listed(runs_dir, size) as (pilot, _):
        await pilot.press("space", "G", "c")
        await compared(pilot)

        looks_as(pilot.app, f"comparison-{size[0]}")


async def test_the_marked_run_is_compared_with_that_under_the_cursor_the_older_one_first(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("space", "G", "c")
        screen = await compared(pilot)
        assert (screen.a.name, screen.b.name) == (DOCS, TRACE)
        assert screen.rows.key == "pair 0"


async def test_two_marked_runs_are_compared_wherever_the_cursor_is(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("space", "j", "space", "G", "c")
        screen = await compared(pilot)
        assert (screen.a.name, screen.b.name) == (TINY, TRACE)
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, Runs)


async def test_one_run_is_not_enough(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("c")
        assert said(pilot.app) == ["mark a run with space, then another, or go to it; c compares the two"]
        await pilot.press("space", "c")
        assert pilot.app.screen is screen


async def test_moves_over_lines_and_swaps(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("space", "G", "c")
        screen = await compared(pilot)
        before = screen.table
        await pilot.press("G")
        assert "trace: off in A, on in B" in str(screen.query_one("#detail").render())
        await pilot.press("s")
        await until(pilot, lambda: screen.table is not before, "not compared anew")
        await pilot.pause()
        assert (screen.a.name, screen.b.name) == (TRACE, DOCS)
        assert "trace: on in A, off in B" in str(screen.query_one("#detail").render())


async def test_a_run_that_is_gone_is_said(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("space", "G")
        (runs_dir / TRACE / runs.JOURNAL).unlink()
        await pilot.press("c")
        await until(pilot, lambda: said(pilot.app) and pilot.app.screen is screen, "nothing said")
        assert "cannot read events.jsonl" in said(pilot.app)[0]


def test_each_verdict_is_said_in_figures_and_words() -> None:
    table = ComparisonTable(
        compare_runs(runs.read(FIXTURES / DOCS), runs.read(RESULTS / "2026-11-24-h100-docs-batch-1"))
    )
    heading, rows = table.rows(120)
    lines = ["".join(text for text, _ in row.pieces).rstrip() for row in rows]

    assert table.counts == "1 faster, 1 slower, 0 same, 0 ambiguous"
    assert heading.split("  ")[0] == "cell"
    assert " ".join(lines[0].split()) == (
        "sd-txt2img.no-compile.current.b1 main 1.435 1.346 to 1.550 ▲ faster 37.54 26.16"
    )
    assert " ".join(lines[1].split()) == ("sd-txt2img.compile.current.b1 main 0.947 0.901 to 0.992 ▼ slower 9.07 9.59")
    assert lines[3] == "only in B"
    assert lines[4] == "  sd-controlnet.no-compile.current.b1-e4599e86"
    assert "B is slower" in table.describe(rows[1].key).plain
    assert "⚑ drifting, host-bound" in table.describe(rows[1].key).plain


def test_what_did_not_end_ok_is_not_compared_and_said_why() -> None:
    record = runs.read(FIXTURES / TINY)
    table = ComparisonTable(compare_runs(record, record))
    lines = ["".join(text for text, _ in row.pieces).strip() for row in table.rows(200)[1]]

    assert "not compared" in lines
    assert any(line.startswith("sd-txt2img.xformers.current.b1.tiny-") and "unsupported" in line for line in lines)


async def test_a_comparison_that_is_left_reads_no_further(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    poll, left = runs.Tail.poll, threading.Event()

    def poll_forever(tail: runs.Tail) -> Iterator[Stamped]:
        (first, *_) = poll(tail)
        try:
            while True:
                yield first
        finally:
            left.set()

    async with listed(runs_dir) as (pilot, screen):
        monkeypatch.setattr(runs.Tail, "poll", poll_forever)
        await pilot.press("space", "G", "c")
        assert isinstance(pilot.app.screen, RunComparisonScreen)
        await pilot.press("escape")
        assert pilot.app.screen is screen
        await until(pilot, left.is_set, "it reads on")
