"""The runs screen over recorded runs: what it lists, and each of its keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded import CANCELLED, DOCS, SMOKE, TINY, copy_runs, held, listed, run_of, said, until
from textual.app import App
from textual.widgets import OptionList

from sdtui import runs
from sdtui.tui.comparing import OtherRun
from sdtui.tui.run_list import RunList
from sdtui.tui.screens.choice import Choice
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.screens.home import Home
from sdtui.tui.widgets.rows import Rows

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


async def test_cancels_when_it_is_sure(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sdtui.tui.run_threads.LOOK_S", 0.05)
    async with listed(runs_dir) as (pilot, screen):
        with held(runs_dir / CANCELLED):
            await until(pilot, lambda: screen.line and screen.line.is_live, "not seen")
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


async def test_resumes_what_has_no_result(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resumed = record_resumes(monkeypatch)
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("u")
        await until(pilot, lambda: resumed, "not resumed")
        assert resumed == [(runs_dir / CANCELLED, None)]
        assert isinstance(pilot.app.screen, Home)


@pytest.mark.parametrize(
    ("keys", "retry"),
    [(["enter"], None), (["j", "enter"], "failed"), (["j", "down", "enter"], "oom"), (["k", "enter"], "failed,oom")],
    ids=str,
)
async def test_asks_what_to_run_again(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch, keys: list[str], retry: str | None
) -> None:
    resumed = record_resumes(monkeypatch)
    journal = runs_dir / TINY / runs.JOURNAL
    text = journal.read_text()
    assert '"counts":{"ok":3,"unsupported":3}' in text
    journal.write_text(text.replace('{"ok":3,"unsupported":3}', '{"ok":1,"oom":2,"failed":1,"cancelled":2}'))
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("j", "u")
        screen = pilot.app.screen
        assert isinstance(screen, Choice)
        lines = screen.query_one(OptionList).options
        assert [str(line.prompt) for line in lines] == [
            "what has no result: 2 cells",
            "and what ended as failed: 1",
            "and what ended as oom: 2",
            "and all of these: 3",
        ]
        await pilot.press(*keys)
        await until(pilot, lambda: resumed, "not resumed")
        assert resumed == [(runs_dir / TINY, retry)]
        assert isinstance(pilot.app.screen, Home)


async def test_stays_where_nothing_is_left_to_run(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("down", "down", "u")

        assert pilot.app.screen is screen
        assert said(pilot.app) == ["nothing of run 6c1239 is left to run"]


def test_a_folder_with_a_name_of_its_own_keeps_it() -> None:
    assert runs.short(Path(DOCS)) == "6c1239"
    assert runs.short(Path("2026-11-24-h100-docs-batch-1")) == "2026-11-24-h100-docs-batch-1"


async def test_says_why_it_does_not_resume(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, _):
        await pilot.press("u")
        await until(pilot, lambda: any("cuda:0" in text for text in said(pilot.app)), "nothing said")
    async with listed(runs_dir) as (pilot, screen):
        with held(runs_dir / CANCELLED):
            screen.query_one(Rows).cursor = 0
            screen.lines = RunList(runs_dir).look()
            await pilot.press("u")
            assert said(pilot.app)[-1] == "run d808e2 is running; f follows it"


async def test_deletes_when_it_is_sure(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        await pilot.press("d")
        assert isinstance(pilot.app.screen, Confirm)
        await pilot.press("n")
        assert (runs_dir / CANCELLED).exists()
        await pilot.press("delete", "y")
        await until(pilot, lambda: len(screen.lines or ()) == 3, "still listed")
        assert not (runs_dir / CANCELLED).exists()
        assert said(pilot.app) == [f"run {CANCELLED}: deleted"]
        assert screen.line is not None
        assert screen.line.folder.name == TINY


async def test_the_matrix_forgets_what_is_deleted(runs_dir: Path) -> None:
    older = runs_dir / DOCS.replace("20261124T", "20261123T")
    shutil.copytree(runs_dir / DOCS, older)
    async with listed(runs_dir) as (pilot, screen):
        app = screen.app
        await pilot.press("j", "j", "enter")
        await until(pilot, lambda: run_of(pilot) == DOCS and app.searched, "is not opened")
        before = {view.id for view in app.results if view.run == runs_dir / DOCS}
        app.compare_with(OtherRun(runs_dir / DOCS))
        assert (app.draft.source, len(before)) == (str(runs_dir / DOCS / runs.PLAN), 2)

        await pilot.press("R", "j", "j", "d", "y")
        await until(pilot, lambda: said(app) == [f"run {DOCS}: deleted"], "is not deleted")
        await until(pilot, lambda: {view.id for view in app.results if view.run == older} == before, "none are found")
        assert not [view for view in app.results if view.run == runs_dir / DOCS]
        assert (app.run_view, app.followed, app.comparer.against) == (None, (), None)
        assert (app.draft.source, app.draft.selected) == ("docs", frozenset())


async def test_does_not_delete_what_runs_or_holds_more(runs_dir: Path) -> None:
    async with listed(runs_dir) as (pilot, screen):
        with held(runs_dir / CANCELLED):
            await pilot.press("d")
        (runs_dir / TINY / "mine.txt").touch()
        await pilot.press("j", "d")
        assert pilot.app.screen is screen
        running, foreign = said(pilot.app)
        assert "is running" in running
        assert "mine.txt, which sdtui did not make" in foreign


def record_resumes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, str | None]]:
    resumed: list[tuple[Path, str | None]] = []
    monkeypatch.setattr("sdtui.tui.bridge.resume", lambda folder, retry, post: resumed.append((folder, retry)))
    return resumed


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
