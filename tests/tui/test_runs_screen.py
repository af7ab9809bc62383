"""The runs screen over recorded runs: what it lists, and each of its keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from recorded import CANCELLED, DOCS, SMOKE, TINY, copy_runs, held, listed, run_of, said, until
from textual.app import App

from sdtui import runs
from sdtui.tui.run_list import RunList
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.screens.home import Home

Check = Callable[[App[object], str], None]


@pytest.fixture
def runs_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Relative, so that screens show the same path in every test run."""
    monkeypatch.chdir(tmp_path)
    return copy_runs(Path("runs"))


# ------------------------------------------------------------------------------------------------------------ listing


def test_a_line_tells_what_a_run_is_and_how_far(runs_dir: Path) -> None:
    lines = RunList(runs_dir).look()

    assert [line.folder.name for line in lines] == [CANCELLED, TINY, DOCS, SMOKE]
    cancelled, tiny, docs, _ = lines
    assert (tiny.state, tiny.done, tiny.total, tiny.counts) == ("incomplete", 6, 6, {"ok": 3, "unsupported": 3})
    assert (cancelled.state, cancelled.done, cancelled.total) == ("cancelled", 0, 1)
    assert docs.device == "NVIDIA H100 80GB HBM3"
    assert docs.plan == "sd-txt2img × no-compile, compile × batch 1"
    assert tiny.plan == "tiny · sd-txt2img, if × 3 modes × batch 1"
    assert docs.size_bytes == sum(path.stat().st_size for path in docs.folder.rglob("*") if path.is_file())


def test_a_run_without_an_ending_is_counted_from_its_journal(runs_dir: Path) -> None:
    journal = runs_dir / TINY / runs.JOURNAL
    whole = journal.read_bytes().splitlines(keepends=True)
    endings = [index for index, line in enumerate(whole) if b'"kind":"cell.finished"' in line[:80]]
    journal.write_bytes(b"".join(whole[: endings[3] + 1]))
    listing = RunList(runs_dir)

    (line,) = [line for line in listing.look() if line.folder.name == TINY]
    assert (line.state, line.done, line.total) == ("interrupted", 4, 6)

    with held(runs_dir / TINY):
        with journal.open("ab") as file:
            file.writelines(whole[endings[3] + 1 : endings[4] + 1])
        (line,) = listing.look_at_live()
        assert (line.state, line.done, line.total) == ("running", 5, 6)


def test_what_is_norun_of_ours_is_listed_too(runs_dir: Path) -> None:
    (runs_dir / "zz-mine").mkdir()
    (runs_dir / "zz-mine" / runs.JOURNAL).touch()
    (runs_dir / SMOKE / runs.PLAN).write_text("[")

    lines = RunList(runs_dir).look()

    assert (lines[0].state, lines[0].plan, lines[0].total) == ("empty", "", None)
    assert lines[-1].plan == ""


# --------------------------------------------------------------------------------------------------------- the screen


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_looks(runs_dir: Path, looks_as: Check, size: tuple[int, int]) -> None:
    async with listed(runs_dir, size) as (pilot, _):
        await pilot.press("down", "space")
        await pilot.pause()

        looks_as(pilot.app, f"runs-{size[0]}")


async def test_says_what_to_do_where_there_is_no_run(tmp_path: Path) -> None:
    async with listed(tmp_path / "none") as (_, screen):
        assert "There is no run yet" in str(screen.query_one("#detail").render())


async def test_moves_and_opens_the_run_under_the_cursor(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        for keys, name in (
            ("j", TINY),
            ("down", DOCS),
            ("up", TINY),
            ("G", SMOKE),
            ("g", CANCELLED),
            ("pagedown", SMOKE),
        ):
            await pilot.press(keys)
            assert screen.line is not None
            assert screen.line.folder.name == name, keys
        await pilot.press("k", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, Home) and run_of(pilot) == DOCS, "did not open")


async def test_follows_only_what_is_live(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("f")
        await pilot.pause()
        assert pilot.app.screen is screen
        assert said(pilot.app) == ["run d808e2 is not running; enter opens it"]


async def test_a_run_that_goes_on_is_kept_fresh_and_followed(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdtui.tui.run_threads.LOOK_S", 0.05)
    async with listed(runs_dir) as (pilot, screen):
        with held(runs_dir / CANCELLED):
            await until(pilot, lambda: screen.line and screen.line.state == "running", "not seen")
            await pilot.press("f")
            await until(pilot, lambda: isinstance(pilot.app.screen, Home) and run_of(pilot) == CANCELLED, "not opened")


async def test_cancels_when_it_is_sure(runs_dir: Path) -> None:
    with held(runs_dir / CANCELLED):
        async with listed(runs_dir) as (pilot, _):
            asked = runs_dir / CANCELLED / "control" / "cancel"
            await pilot.press("x")
            assert isinstance(pilot.app.screen, Confirm)
            await pilot.press("enter")
            assert not asked.exists()
            await pilot.press("x", "y")
            await until(pilot, asked.exists, "was not asked")
            await until(pilot, lambda: said(pilot.app), "nothing said")
            assert said(pilot.app) == [f"run {CANCELLED}: asked to end"]


async def test_does_not_cancel_what_does_not_run(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("x")
        assert pilot.app.screen is screen
        assert said(pilot.app) == ["run d808e2 is not running"]


async def test_marks_at_most_two(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("space", "j", "space", "j", "space")
        assert [folder.name for folder in screen.marked] == [TINY, DOCS]
        await pilot.press("space")
        assert [folder.name for folder in screen.marked] == [TINY]


async def test_filters(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("slash", *"epyc", "enter")
        assert screen.line is not None
        assert screen.line.folder.name == TINY
        await pilot.press("G")
        assert screen.line.folder.name == TINY
        await pilot.press("slash", "escape")
        assert screen.wanted == ""
        assert pilot.app.screen is screen
        await pilot.press("escape")
        assert isinstance(pilot.app.screen, Home)
