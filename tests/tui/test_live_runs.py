"""Runs that go on: skipping and cancelling on the home screen, the offer to follow, replay, and leaving."""

from __future__ import annotations

import functools
import re
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from moments import read_view
from pty_session import PtySession
from recorded import CANCELLED, DOCS, FIXTURES, TINY, copy_runs, held, open_over, run_of, said, until
from textual.app import App
from textual.message import Message
from textual.pilot import Pilot

from sdtui import replaying, runs
from sdtui.tui import bridge
from sdtui.tui.app import Dashboard
from sdtui.tui.messages import RunChanged, RunLaunched
from sdtui.tui.screens.cell import CellScreen
from sdtui.tui.screens.choice import Choice
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.screens.home import Home

Check = Callable[[App[object], str], None]


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    return copy_runs(tmp_path)


@pytest.fixture
def live(runs_dir: Path) -> Iterator[Path]:
    """A run of six cells of which the third is running."""
    folder = runs_dir / TINY
    cut(folder, b'"kind":"cell.started"', 3)
    with held(folder):
        yield folder


def cut(folder: Path, kind: bytes, count: int) -> None:
    """Cuts a journal off after so many events of a kind."""
    lines = (folder / runs.JOURNAL).read_bytes().splitlines(keepends=True)
    last = [index for index, line in enumerate(lines) if kind in line[:80]][count - 1]
    (folder / runs.JOURNAL).write_bytes(b"".join(lines[: last + 1]))


async def followed(pilot: Pilot[None]) -> Home:
    app, screen = pilot.app, pilot.app.screen
    assert isinstance(app, Dashboard)
    assert isinstance(screen, Home)
    await until(pilot, lambda: app.run_view is not None and app.run_view.live, "nothing runs")
    await pilot.pause()
    return screen


def go_to(home: Home, kind: str) -> str:
    """Puts the cursor on the first square of a kind, and returns its cell's id."""
    places = (
        (row, column)
        for row, each in enumerate(home.matrix.board.rows)
        for column, square in enumerate(each.squares)
        if square.kind == kind
    )
    home.matrix.cursor = next(places)
    assert home.matrix.square is not None
    return home.app.draft.cells[home.matrix.square.slot].id


# ----------------------------------------------------------------------------------------------- skipping, cancelling


async def test_skips_a_queued_cell_without_asking(live: Path) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(120, 40)) as pilot:
        home = await followed(pilot)
        cell = go_to(home, "queued")
        await pilot.press("s")
        await until(pilot, lambda: said(app), "nothing said")

        assert [path.name for path in (live / "control").iterdir()] == [f"skip-{cell}"]
        assert said(app) == ["if.no-compile.current.b1 will be skipped"]


@pytest.mark.parametrize("under", ["running", "ok"])
async def test_skips_the_running_cell_when_it_is_sure(live: Path, under: str) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(120, 40)) as pilot:
        home = await followed(pilot)
        cell = go_to(home, "running")
        go_to(home, under)
        await pilot.press("s")
        assert isinstance(app.screen, Confirm)
        await pilot.press("escape", "s")
        assert not (live / "control" / f"skip-{cell}").exists()
        await pilot.press("right", "enter")
        await until(pilot, (live / "control" / f"skip-{cell}").exists, "was not asked")


async def test_a_cell_that_ends_while_the_question_is_open_is_not_said_to_be_skipped(live: Path) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(120, 40)) as pilot:
        cell = go_to(await followed(pilot), "running")
        await pilot.press("s")
        assert app.run_view is not None
        ended = replace(app.run_view.cells[cell], state="finished", status="ok")
        app.run_view = replace(app.run_view, cells={**app.run_view.cells, cell: ended})
        await pilot.press("y")

        assert said(app) == [f"{ended.slot} has ended meanwhile"]
        assert not (live / "control" / f"skip-{cell}").exists()


async def test_a_queued_cell_says_that_nothing_of_it_is_known(live: Path) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(80, 24)) as pilot:
        go_to(await followed(pilot), "queued")
        await pilot.press("enter")

        assert said(app) == ["queued: nothing of it is known yet; s skips it"]


@pytest.mark.parametrize(("kind", "text"), [(b'"kind":"cell.started"', "interrupted"), (b"cell.finished", "not run")])
async def test_what_a_run_that_has_ended_did_not_get_to_was_not_run(runs_dir: Path, kind: bytes, text: str) -> None:
    cut(runs_dir / TINY, kind, 3)
    app = open_over(runs_dir, runs_dir / TINY)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.run_view is not None and app.run_view.state == "interrupted", "did not open")
        await pilot.pause()
        assert isinstance(app.screen, Home)
        go_to(app.screen, "queued")
        assert app.screen.matrix.square is not None
        assert app.screen.matrix.square.text == text
        await pilot.press("enter")
        assert said(app) == ([] if text == "interrupted" else ["not run; r measures it once it is selected"])
        assert isinstance(app.screen, CellScreen) == (text == "interrupted")


async def test_a_second_press_does_not_start_the_same_run_again(
    runs_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    pressed = threading.Event()

    def launch(source: str, *_: object) -> None:
        started.append(source)
        pressed.wait(60)

    monkeypatch.setattr(bridge, "launch", launch)
    app = open_over(runs_dir)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("r")
        await until(pilot, lambda: started, "nothing starts")
        await pilot.press("r", "x")
        assert said(app)[1:] == ["the run before is still starting", "the run is still starting"]
        pressed.set()
        await app.workers.wait_for_complete()
    assert len(started) == 1


async def test_cancels_the_run_when_it_is_sure(live: Path) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(80, 24)) as pilot:
        await followed(pilot)
        await pilot.press("x")
        assert isinstance(app.screen, Confirm)
        await pilot.press("n")
        assert not (live / "control" / "cancel").exists()
        await pilot.press("x", "y")
        await until(pilot, (live / "control" / "cancel").exists, "was not asked")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_the_question_looks(runs_dir: Path, looks_as: Check, size: tuple[int, int]) -> None:
    app = open_over(runs_dir)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.results, "no results came")
        app.push_screen(
            Confirm("Cancel run fa50b5?", "What it has measured stays, and it can be resumed.", "Cancel it")
        )
        await pilot.pause()

        looks_as(app, f"confirm-{size[0]}")


async def test_says_that_no_run_goes_on(runs_dir: Path) -> None:
    app = open_over(runs_dir, runs_dir / DOCS)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: run_of(pilot) == DOCS, "did not open")
        await pilot.press("s", "x")

        assert said(app) == ["no run goes on here; R lists all runs"] * 2


# ------------------------------------------------------------------------------------------------------- the offer


@pytest.mark.parametrize("size", [(80, 24), (120, 40)], ids=str)
async def test_offers_to_follow_the_run_that_goes_on(live: Path, looks_as: Check, size: tuple[int, int]) -> None:
    app = open_over(live.parent)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Choice) and app.results, "no offer came")
        await pilot.pause()
        looks_as(app, f"follow-{size[0]}")
        await pilot.press("enter")
        await followed(pilot)
        assert run_of(pilot) == TINY


async def test_does_not_follow_when_it_is_not_wanted(live: Path) -> None:
    app = open_over(live.parent)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, Choice), "no offer came")
        await pilot.press("escape")
        assert isinstance(app.screen, Home)
        assert app.followed == ()


async def test_of_several_one_is_chosen(live: Path) -> None:
    cut(live.parent / CANCELLED, b'"kind":"cell.started"', 1)
    with held(live.parent / CANCELLED):
        app = open_over(live.parent)
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, Choice), "no offer came")
            await pilot.press("j", "enter")
            await followed(pilot)
            assert run_of(pilot) == TINY


async def test_a_followed_run_whose_folder_is_deleted_is_over(live: Path) -> None:
    app = open_over(live.parent, live)
    async with app.run_test(size=(80, 24)) as pilot:
        await followed(pilot)
        shutil.rmtree(live)
        await until(pilot, lambda: app.run_view is not None and not app.run_view.is_live, "goes on")
        await until(pilot, lambda: len(said(app)) == 2, "nothing said")

        assert any("is unreadable: " in words for words in said(app))
        assert any(words.endswith("events.jsonl: No such file or directory") for words in said(app))
        await pilot.press("x")
        assert said(app)[-1] == "no run goes on here; R lists all runs"


# ---------------------------------------------------------------------------------------------------------- replay


def test_a_replay_is_live_until_it_ends_as_the_run_did(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(replaying, "Replay", functools.partial(replaying.Replay, clock=lambda: now[0]))
    monkeypatch.setattr("time.sleep", lambda seconds: now.append(now.pop() + seconds))
    posted: list[Message] = []
    bridge.replay(FIXTURES / DOCS, 10.0, posted.append, lambda: False)
    views = [message.view for message in posted if isinstance(message, RunChanged)]

    assert {view.state for view in views[:-1]} == {"running"}
    assert {view.done for view in views} == {0, 1, 2}
    assert {view.live.phase for view in views if view.live} >= {"compile", "measure"}
    assert max(view.elapsed_s for view in views) == pytest.approx(views[-1].elapsed_s)
    assert views[-1].state == "ok"
    assert views[-1].cells == read_view(FIXTURES / DOCS).cells


def test_a_replay_can_be_left() -> None:
    posted: list[Message] = []
    bridge.replay(FIXTURES / DOCS, 1.0, posted.append, lambda: len(posted) >= 2)

    assert len(posted) == 2


async def test_a_replay_is_no_run_that_goes_on(runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridge, "launch", lambda *arguments: arguments[-1](RunLaunched(runs_dir / TINY)))
    opening = replace(open_over(runs_dir, runs_dir / DOCS).opening, replay_speed=0.01)
    app = Dashboard(opening)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.run_view and app.run_view.is_live, "does not play")
        await pilot.press("x", "s")
        assert said(app) == ["no run goes on here; R lists all runs"] * 2
        await pilot.press("r")
        await until(pilot, lambda: run_of(pilot) == TINY, "what was started is not shown")


# --------------------------------------------------------------------------------------------------- on a terminal


@pytest.fixture
def session() -> Iterator[Callable[..., PtySession]]:
    started: list[PtySession] = []

    def start(*arguments: str, **environ: str) -> PtySession:
        started.append(PtySession(*arguments, **environ))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_attaches_and_says_on_leaving_that_the_run_goes_on(live: Path, session: Callable[..., PtySession]) -> None:
    terminal = session("attach", "--no-mouse", SDTUI_RUNS_DIR=str(live.parent))
    terminal.wait_for("run fa50b5")
    terminal.press("q")
    terminal.wait_for("ends it\r\n")

    assert terminal.process.wait(10) == 0
    lines = ("run fa50b5 goes on:", "  sdtui attach fa50b5    comes back to it", "  sdtui cancel fa50b5    ends it", "")
    assert terminal.output.decode().endswith("\r\n".join(lines))
    assert b"\x1b[?1000h" not in terminal.output, "the mouse is the terminal's"


def test_replays_and_says_nothing_on_leaving(runs_dir: Path, session: Callable[..., PtySession]) -> None:
    terminal = session("replay", "6c1239", "--speed", "100", "--runs-dir", str(runs_dir))
    terminal.wait_for("running")
    assert b"\x1b[?1000h" in terminal.output
    terminal.press("q")
    terminal.wait_for("\x1b[?1049l")

    assert terminal.process.wait(10) == 0
    assert not re.search(rb"goes on", terminal.output)
