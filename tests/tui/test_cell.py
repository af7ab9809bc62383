"""The cell screen over recorded runs."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from drawn import text_of
from PIL import Image
from recorded import DOCS, FIXTURES, RESULTS, TINY, open_over, said, until
from textual.app import App
from textual.pilot import Pilot

from sdtui import runs
from sdtui.report.merge import results_of
from sdtui.tui.cell_reading import reading_of
from sdtui.tui.screens.cell import TABS, CellScreen
from sdtui.tui.screens.home import Home
from sdtui.tui.widgets.histogram import Histogram
from sdtui.tui.widgets.lines import Lines
from sdtui.tui.widgets.picture import Picture
from sdtui.tui.widgets.timeline import Timeline
from sdtui.tui.widgets.trace import Trace

Check = Callable[[App[object], str], None]

BATCH_1 = Path("docs/results/2026-11-24-h100-docs-batch-1")
PROCESSES = Path("docs/results/2026-11-25-h100-processes")
COMPILED = "sd-txt2img.compile.current.b1-ec29bd21"
STAGED = "if.compile.current.b1-b1261010"
OF_PROCESSES = "sd-txt2img.no-compile.current.b1-b7102564"
TINY_CELL = "if.no-compile.current.b1.tiny-52c8efff"
UNSUPPORTED = "if.xformers.current.b1.tiny-98d3cb35"


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths on the screen are those of the project."""
    monkeypatch.chdir(RESULTS.parents[1])


@asynccontextmanager
async def opened(
    folder: Path, cell: str, tmp_path: Path, size: tuple[int, int] = (80, 24)
) -> AsyncIterator[tuple[Pilot[None], CellScreen]]:
    dashboard = open_over(tmp_path)
    async with dashboard.run_test(size=size) as pilot:
        screen = CellScreen(folder, cell)
        await dashboard.push_screen(screen)
        await until(pilot, lambda: screen.reading, "the cell was not read")
        await pilot.pause()
        yield pilot, screen


def page(screen: CellScreen) -> str:
    return "\n".join(line.text for line in screen.page._lines)


async def test_enter_opens_the_cell_under_the_cursor_and_escape_goes_back(tmp_path: Path) -> None:
    dashboard = open_over(tmp_path, follow=FIXTURES / DOCS)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: dashboard.run_view is not None, "no run is shown")
        await pilot.press("l", "enter")
        await pilot.pause()
        screen = dashboard.screen
        assert isinstance(screen, CellScreen)
        assert screen.cell == COMPILED
        assert screen.folder == FIXTURES / DOCS
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(dashboard.screen, Home)


async def test_a_cell_without_a_result_has_no_screen(tmp_path: Path) -> None:
    dashboard = open_over(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await pilot.pause()
        assert isinstance(dashboard.screen, Home)
        assert any("not measured yet" in each for each in said(dashboard))


async def test_the_figures_say_what_the_cell_came_to(tmp_path: Path) -> None:
    async with opened(BATCH_1, COMPILED, tmp_path) as (_, screen):
        shown = page(screen)
        top = str(screen.query_one("#top", Lines).render())
    assert "SD - txt2img · compile · batch size 1   96.14 it/s" in top
    for words in (
        COMPILED,
        "NVIDIA H100 80GB HBM3 · torch 2.11.0+cu130",
        "50 steps of 512×512 · 3 calls · float16 · random weights",
        "96.14 it/s · 96.10 by the host's clock",
        "89.24 to 104.11 it/s",
        "9.59 ms (95 % interval 9.42 to 9.89)",
        "1.752/s · 0.571 s each",
        "import 14.2 s · load 1.4 s · compile 57.0 s · measure 6.5 s",
        "peak 4.2 GiB of the device · torch allocated 2.6, reserved 3.4 GiB",
        "242.1 J per image",
        "not checked: its output and no-compile's were not both there",
        "host-bound: by NVML alone",
        "A100 ",
        str(BATCH_1),
    ):
        assert words in " ".join(shown.split()), words


async def test_several_stages_read_as_on_the_page(tmp_path: Path) -> None:
    async with opened(BATCH_1, STAGED, tmp_path, (120, 40)) as (pilot, screen):
        assert "102.11 / 51.83 / 124.20 it/s" in page(screen)
        assert "median step, III" in page(screen)
        await pilot.press("right")
        calls = page(screen).splitlines()
    assert calls[0].split()[:4] == ["call", "stage", "it/s", "median"]
    assert calls[6].split() == ["2", "III", "122.15", "8.20", "0.68", "30.0", "614.0", "10.9", "24.2", "3.6"]
    assert any("compiled 1 graph in 78.0 s, Inductor's cache cold" in line for line in calls)
    assert any("recompiled: 0/0" in line for line in calls)


async def test_a_cell_that_failed_says_why(tmp_path: Path) -> None:
    async with opened(FIXTURES / TINY, UNSUPPORTED, tmp_path) as (pilot, screen):
        assert "unsupported in load: xformers is not installed" in page(screen)
        await pilot.press("right")
        assert page(screen) == "no call was finished"
        await pilot.press("right")
        assert "no step was timed" in text_of(screen.query_one(Histogram))[0]


async def test_each_stage_has_its_steps(tmp_path: Path) -> None:
    async with opened(BATCH_1, STAGED, tmp_path) as (pilot, screen):
        await pilot.press("right", "right")
        await pilot.pause()
        for stage, count in (("I", 200), ("II", 100), ("III", 150), ("I", 200)):
            title = text_of(screen.query_one(Histogram))[0]
            assert title.split(",")[0] == f" step times of stage {stage}".strip()
            assert title.strip().endswith(f"{count} samples")
            await pilot.press("s")
            await pilot.pause()
        assert "in order, stage II, calls 2 to 3" in text_of(screen.query_one(Trace))[0]


async def test_telemetry_stands_above_the_phases_and_zooms_into_the_measured_calls(tmp_path: Path) -> None:
    async with opened(BATCH_1, COMPILED, tmp_path, (120, 40)) as (pilot, screen):
        await pilot.press("right", "right", "right")
        await pilot.pause()
        timeline = screen.query_one(Timeline)
        rows = text_of(timeline)
        for label in ("GPU", "VRAM", "power", "SM clock", "temperature"):
            assert any(row.startswith(label) and "measured calls: mean" in row for row in rows), label
        assert "measured calls: mean 65, highest 80 %" in rows[0]
        assert [word for word in rows[-3].split() if word.strip("▏").isalpha()] == [
            "phase",
            "▏import",
            "▏compile",
            "▏measure",
        ]
        assert rows[-2].split() == ["time", "0", "s", "79", "s"]
        await pilot.press("z")
        await pilot.pause()
        assert text_of(timeline)[-3].split() == ["phase", "▏measure"]
        await pilot.press("z")
        await pilot.pause()
        assert text_of(timeline) == rows


async def test_samples_are_of_one_process_at_a_time(tmp_path: Path) -> None:
    async with opened(PROCESSES, OF_PROCESSES, tmp_path, (120, 40)) as (pilot, screen):
        assert "median steps of 8 processes" in page(screen)
        assert screen.reading is not None
        await pilot.press("right")
        assert page(screen).splitlines()[0].startswith("process  call")
        first = screen.reading.processes[0].stages[0].samples
        await pilot.press("p")
        assert screen.process is not None
        assert screen.process.number == 2
        assert screen.process.stages[0].samples != first
        assert "samples of process 2 of 9" in str(screen.query_one("#top", Lines).render())


async def test_the_log_is_its_end_without_what_was_written_over(tmp_path: Path) -> None:
    folder = tmp_path / TINY
    shutil.copytree(FIXTURES / TINY, folder)
    bars = "".join(f"\r{n:3}%|" for n in range(101))
    noise = "".join(f"line {n}\n" for n in range(20_000))
    (folder / "logs" / f"{TINY_CELL}.log").write_text(f"{noise}\x1b[31mred\x1b[0m\n{bars}\n{'w' * 100}")
    async with opened(folder, TINY_CELL, tmp_path) as (pilot, screen):
        await pilot.press("right", "right", "right", "right")
        await pilot.pause()
        assert screen.tab == "log"
        lines = page(screen).splitlines()
        assert lines[-4:] == ["red", "100%|", "w" * 77, "w" * 23]
        assert len(lines) < 10_000
        assert text_of(screen.page)[-1].strip() == "w" * 23
        await pilot.press("g")
        await pilot.pause()
        assert text_of(screen.page)[0].startswith("line ")


async def test_what_a_folder_does_not_have_is_said(tmp_path: Path) -> None:
    async with opened(BATCH_1, COMPILED, tmp_path) as (pilot, screen):
        await pilot.press(*["right"] * TABS.index("log"))
        assert page(screen) == f"{BATCH_1} has no log of it"
        await pilot.press("right")
        assert page(screen) == f"{BATCH_1} has no image of it"
        assert screen.page.display


async def test_the_image_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / TINY
    shutil.copytree(FIXTURES / TINY, folder)
    runs.complete(folder)
    Image.new("RGB", (64, 64), (200, 30, 30)).save(folder / "outputs" / f"{TINY_CELL}.png")
    async with opened(folder, TINY_CELL, tmp_path) as (pilot, screen):
        await pilot.press("left", "left")
        picture = screen.query_one(Picture)
        await until(pilot, lambda: "▀" in "".join(text_of(picture)), "no image came")
        assert screen.tab == "image"
        assert not screen.page.display


async def test_the_script_is_copied(tmp_path: Path) -> None:
    async with opened(FIXTURES / TINY, TINY_CELL, tmp_path) as (pilot, screen):
        await pilot.press("left", "y")
        assert screen.reading is not None
        assert pilot.app.clipboard == screen.reading.script
        assert f"sdtui script {TINY_CELL} > cell.py" in page(screen)
        assert "from diffusers" in page(screen) or "import diffusers" in page(screen)
        assert any("OSC 52" in each for each in said(pilot.app))


async def test_a_tab_is_clicked(tmp_path: Path) -> None:
    async with opened(BATCH_1, COMPILED, tmp_path) as (pilot, screen):
        await pilot.click("#tabs", offset=(12, 0))
        await pilot.pause()
        assert screen.tab == "calls"


async def test_a_cell_that_is_not_there_is_a_toast(tmp_path: Path) -> None:
    dashboard = open_over(tmp_path)
    async with dashboard.run_test(size=(80, 24)) as pilot:
        await dashboard.push_screen(CellScreen(FIXTURES / DOCS, "none"))
        await until(pilot, lambda: isinstance(dashboard.screen, Home), "the screen stays")
        await pilot.pause()
        assert any("has no cell 'none'" in each for each in said(dashboard))


def test_a_cell_that_still_runs_is_read_as_far_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / TINY
    shutil.copytree(FIXTURES / TINY, folder)
    journal = folder / runs.JOURNAL
    lines = journal.read_text().splitlines(keepends=True)
    steps = [index for index, line in enumerate(lines) if '"kind":"step"' in line]
    journal.write_text("".join(lines[: steps[3]]))
    result = next(each for each in results_of(runs.read(folder)) if each.record.started)

    reading = reading_of(result)

    assert reading.outcome == "–"
    assert reading.facts[0].words == "not finished"
    assert len(reading.processes[0].stages[0].course) == 3
    assert reading.processes[0].bands[-1].name == "warm-up"


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_looks(tmp_path: Path, looks_as: Check, size: tuple[int, int]) -> None:
    async with opened(BATCH_1, STAGED, tmp_path, size) as (pilot, screen):
        for tab in ("figures", "calls", "steps", "telemetry", "log", "image", "script"):
            assert screen.tab == tab
            looks_as(pilot.app, f"cell-{tab}-{size[0]}")
            await pilot.press("right")
            await pilot.pause()
