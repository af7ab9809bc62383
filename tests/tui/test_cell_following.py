"""The cell screen of a cell that is running reads it again as it moves on."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from drawn import text_of
from recorded import DOCS, FIXTURES, RESULTS, TINY, held, open_over, until
from textual.pilot import Pilot

from sdtui import runs
from sdtui.report.merge import results_of
from sdtui.tui.cell_reading import reading_of
from sdtui.tui.screens import cell as cell_screen
from sdtui.tui.screens.cell import CellScreen

CELL = "if.no-compile.current.b1.tiny-52c8efff"
STAGES = 3


class Growing:
    """A recorded run, written to its journal piece by piece."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(FIXTURES / TINY, folder)
        self.folder = folder
        self._journal = folder / runs.JOURNAL
        self._left = self._journal.read_text().splitlines(keepends=True)
        self._journal.write_text("")

    def write_to(self, kind: str, call: int | None = None) -> None:
        """Writes up to the next event of a kind, that one too, of our cell."""
        words = f'"kind":"{kind}","cell":"{CELL}"' + (f',"call":{call}' if call else "")
        until_here = next(index for index, line in enumerate(self._left) if words in line) + 1
        with open(self._journal, "a") as file:
            file.writelines(self._left[:until_here])
        del self._left[:until_here]


@asynccontextmanager
async def following(tmp_path: Path) -> AsyncIterator[tuple[Growing, Pilot[None], CellScreen]]:
    """Follows a run whose cell is in the first step of its second call, and shows that cell."""
    run = Growing(tmp_path / TINY)
    run.write_to("step", 2)
    app = open_over(tmp_path, run.folder)
    with held(run.folder):
        async with app.run_test(size=(80, 12)) as pilot:
            await until(pilot, lambda: app.run_view and app.run_view.live, "the run is not followed")
            screen = CellScreen(run.folder, CELL)
            await app.push_screen(screen)
            await until(pilot, lambda: screen.reading, "the cell was not read")
            yield run, pilot, screen


async def test_it_is_read_again_after_a_call_and_at_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_screen, "_REST_S", 0.01)
    monkeypatch.setattr(cell_screen, "_REST", 0.0)
    async with following(tmp_path) as (run, pilot, screen):
        await pilot.press("down", "down")
        assert screen.reading is not None
        assert len(screen.reading.calls.rows) == STAGES
        assert screen.page.scroll_y == 2
        run.write_to("call.finished", 2)
        run.write_to("step", 2)
        await until(pilot, lambda: len(screen.reading.calls.rows) == STAGES + 1, "the call is not seen")
        run.write_to("cell.finished")
        await until(pilot, lambda: "not finished" not in screen.reading.outcome, "the end is not seen")
        assert len(screen.reading.calls.rows) == 2 * STAGES
        await pilot.pause()
        assert screen.page.scroll_y == 2
        await pilot.press("right")
        assert sum(line.split()[1:2] == ["III"] for line in text_of(screen.page)) == 2


async def test_it_rests_between_two_readings(tmp_path: Path) -> None:
    async with following(tmp_path) as (run, pilot, screen):
        read = []
        screen.app.in_thread = lambda *_, **__: read.append(1)  # type: ignore[method-assign]
        run.write_to("call.finished", 2)
        run.write_to("step", 2)
        await until(pilot, lambda: screen._stale, "the call is not seen")
        assert read == []
        screen._rested()
        assert read == [1]
        screen._rested()
        assert read == [1]


async def test_a_log_that_was_seen_to_its_end_stays_there(tmp_path: Path) -> None:
    async with following(tmp_path) as (run, pilot, screen):
        log = run.folder / "logs" / f"{CELL}.log"

        async def read_with(last: str) -> None:
            with open(log, "a") as file:
                file.write(f"\n{last}")
            await pilot.press("r")
            await until(pilot, lambda: last in screen.reading.processes[0].log, "the log is not read again")
            await pilot.pause()

        log.write_text("\n" * 50)
        await read_with("now")
        await pilot.press(*["right"] * 4)
        await until(pilot, lambda: "now" in text_of(screen.page)[-1], "the end is not shown")
        await read_with("then")
        await until(pilot, lambda: "then" in text_of(screen.page)[-1], "the end is not shown")
        await pilot.press("pageup")
        place = screen.page.scroll_y
        await read_with("later")
        assert screen.page.scroll_y == place


@pytest.mark.parametrize("folder", [FIXTURES / TINY, FIXTURES / DOCS, RESULTS / "2026-11-24-h100-docs-batch-1"])
def test_what_other_cells_sampled_is_not_needed(folder: Path) -> None:
    for whole in results_of(runs.read(folder)):
        part = next(
            each for each in results_of(runs.read(folder, samples_of=whole.spec.id)) if each.spec.id == whole.spec.id
        )
        assert reading_of(part) == reading_of(whole)
