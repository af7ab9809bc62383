"""A run's report on a screen."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from drawn import text_of
from recorded import DOCS, FIXTURES, RESULTS, listed, said, until
from rich.style import Style
from textual.app import App
from textual.pilot import Pilot

from sdtui import runs
from sdtui.tui.pages import STYLES, lay_out
from sdtui.tui.screens.preview import Preview
from sdtui.tui.screens.runs import Runs

Check = Callable[[App[object], str], None]
PLAIN = dict.fromkeys(STYLES.values(), Style.null())


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FIXTURES / DOCS, Path("runs") / DOCS)
    return Path("runs")


async def shown(pilot: Pilot[None]) -> Preview:
    screen = pilot.app.screen
    assert isinstance(screen, Preview)
    await until(pilot, lambda: screen.ready, "no report came")
    await pilot.pause()
    return screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_looks(runs_dir: Path, looks_as: Check, size: tuple[int, int]) -> None:
    async with listed(runs_dir, size) as (pilot, _):
        await pilot.press("v")
        await shown(pilot)

        looks_as(pilot.app, f"report-{size[0]}")


async def test_scrolls_both_ways_and_goes_back(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("v")
        page = (await shown(pilot)).page
        first = text_of(page)
        assert first[0].strip() == "sdtui report"
        for key, x, y in (("j", 0, 1), ("down", 0, 2), ("k", 0, 1), ("l", 8, 1), ("h", 0, 1), ("pagedown", 0, 22)):
            await pilot.press(key)
            await pilot.pause()
            assert (page.scroll_x, page.scroll_y) == (x, y), key
        await pilot.press("G")
        await pilot.pause()
        assert page.scroll_y == page.max_scroll_y > 50
        await pilot.press("g")
        await pilot.pause()
        assert text_of(page) == first
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, Runs)


async def test_a_run_that_is_gone_is_said(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        (runs_dir / DOCS / runs.JOURNAL).unlink()
        await pilot.press("v")
        await until(pilot, lambda: said(pilot.app) and pilot.app.screen is screen, "nothing said")
        assert "cannot read events.jsonl" in said(pilot.app)[0]


def test_text_fits_the_width_and_tables_keep_theirs() -> None:
    report = (RESULTS / "2026-11-24-h100-docs-batch-1" / "report.md").read_text()
    lines = [strip.text for strip in lay_out(report, 60, PLAIN, unicode=True)]

    table = next(index for index, line in enumerate(lines) if "Denoiser calls/s" in line)
    assert len(lines[table]) > 150
    assert "sd-txt2img.no-compile.current.b1-d5453d27" in lines[table + 2]
    start = next(index for index, line in enumerate(lines) if "host-bound: by NVML alone" in line)
    assert lines[start].startswith(" 1 host-bound")
    assert all(len(line) <= 60 for line in lines[start : start + 15])
    assert any("36.68¹" in line for line in lines)
    assert not any("[^" in line for line in lines)


def test_without_unicode_marks_are_in_brackets() -> None:
    lines = [strip.text for strip in lay_out("| a |\n| --- |\n| 1.00[^12] |\n\n[^12]: why\n", 60, PLAIN, unicode=False)]

    assert "|1.00 (12)|" in lines
    assert any(line.split() == ["12", "why"] for line in lines)
    assert all(line.isascii() for line in lines)
