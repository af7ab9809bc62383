"""The export: bytes as the command line writes them, and nothing that is ever replaced unasked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from driving import DOCS, RECORDED, SIX_CELLS, SMOKE, dashboard, notices, opened, settle, shown
from rich.text import Text
from textual.widgets import Input, OptionList

from sdtui import runs
from sdtui.report.charts_files import save_with_charts
from sdtui.report.markdown import tables_markdown
from sdtui.report.render import render
from sdtui.tui.app import Dashboard
from sdtui.tui.comparing import PageGpu
from sdtui.tui.screens.export import Export
from sdtui.tui.screens.home import Home
from sdtui.tui.widgets.lines import Lines

NAME = "sdtui-h100-80gb-hbm3-2026-11-25"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory on one day."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.delenv("TMUX", raising=False)
    monkeypatch.setattr(time, "strftime", lambda form, *_: "2026-11-25" if form == "%Y-%m-%d" else form)
    return folder


@pytest.mark.parametrize(("downs", "suffix"), [(0, "md"), (2, "html"), (3, "csv"), (4, "json")])
async def test_a_file_holds_the_bytes_of_the_command_line(here: Path, downs: int, suffix: str) -> None:
    app = dashboard(SMOKE)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", *["down"] * downs, "enter")

        written = here / f"{NAME}.{suffix}"
        assert written.read_bytes() == render([runs.read(SMOKE)], suffix).encode()
        assert [path.name for path in here.iterdir()] == [written.name]
        assert str(written) in notices(app)
        assert isinstance(app.screen, Home)


async def test_charts_lie_beside_the_markdown(here: Path, tmp_path: Path) -> None:
    app = dashboard(SMOKE)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "down", "enter")

    expected = tmp_path / f"{NAME}.md"
    save_with_charts([runs.read(SMOKE)], "md", None, None, expected)
    assert _contents(here) == {
        name: content for name, content in _contents(tmp_path).items() if not name.startswith("here")
    }


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_without_a_run_the_runs_behind_the_figures_are_merged(here: Path) -> None:
    app = dashboard(follow=None, runs_dir=RECORDED)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e")
        assert isinstance(app.screen, Export)
        folders = app.screen.subject.folders
        assert len(folders) > 1
        await settle(app, pilot, "enter")

    (written,) = here.iterdir()
    assert written.read_bytes() == render([runs.read(folder) for folder in folders], "md").encode()


async def test_there_is_nothing_to_export_at_first(here: Path) -> None:
    app = dashboard(follow=None)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(app, pilot, "e")

        assert isinstance(app.screen, Home)
        assert any("nothing to export" in notice for notice in notices(app))


class TestAFileThatIsThere:
    @pytest.fixture(autouse=True)
    def kept(self, here: Path) -> Path:
        path = here / f"{NAME}.md"
        path.write_text("kept")
        return path

    async def test_is_kept_by_default_and_the_next_free_name_taken(self, here: Path, kept: Path) -> None:
        (here / f"{NAME}-2.md").write_text("kept too")
        app = dashboard()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "e", "enter")
            assert isinstance(app.screen, Export)
            assert "is there already" in shown(app, "#notice")
            await settle(app, pilot, "enter")

            assert kept.read_text() == "kept"
            assert (here / f"{NAME}-2.md").read_text() == "kept too"
            assert (here / f"{NAME}-3.md").read_text() == render([runs.read(DOCS)], "md")

    async def test_is_replaced_when_asked_to(self, kept: Path) -> None:
        app = dashboard()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "e", "enter", "down", "enter")

        assert kept.read_text() == render([runs.read(DOCS)], "md")

    @pytest.mark.parametrize("keys", [("down", "down", "enter"), ("escape",)])
    async def test_is_kept_when_one_goes_back(self, here: Path, kept: Path, keys: tuple[str, ...]) -> None:
        app = dashboard()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "e", "enter", *keys)

            assert isinstance(app.screen, Export)
            assert not app.screen.query_one("#ask").display
            assert kept.read_text() == "kept"
            assert [path.name for path in here.iterdir()] == [kept.name]


@pytest.mark.parametrize(
    ("typed", "words"),
    [("missing/r.md", "no folder"), ("", "name a file"), ("../here", "is a folder"), ("/dev/null", "no regular file")],
)
async def test_a_path_that_cannot_be_written_says_so_and_loses_nothing(here: Path, typed: str, words: str) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "tab")
        path = app.screen.query_one("#path", Input)
        path.value = typed
        await settle(app, pilot, "enter")

        assert isinstance(app.screen, Export)
        assert words in shown(app, "#notice")
        assert path.value == typed
        path.value = "r.md"
        await settle(app, pilot, "enter")
        assert (here / "r.md").read_text() == render([runs.read(DOCS)], "md")


async def test_ending_and_format_follow_each_other(here: Path) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e")
        path, formats = app.screen.query_one("#path", Input), app.screen.query_one("#formats", OptionList)
        await settle(app, pilot, "down", "down", "down")
        assert path.value == f"./{NAME}.csv"
        path.value = "mine.JSON"
        await settle(app, pilot)
        assert formats.highlighted == 4
        path.value = "mine.txt"
        await settle(app, pilot, "up")
        assert path.value == "mine.txt"


@pytest.fixture
def written_to_terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    copied: list[str] = []
    monkeypatch.setattr(Dashboard, "copy_to_clipboard", lambda _, text: copied.append(text))
    return copied


@pytest.mark.parametrize(("tmux", "words"), [("", "OSC 52"), ("/tmp/tmux,1,0", "set -g set-clipboard on")])
async def test_y_copies_the_tables(
    monkeypatch: pytest.MonkeyPatch, written_to_terminal: list[str], tmux: str, words: str
) -> None:
    monkeypatch.setenv("TMUX", tmux)
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "y")

        assert written_to_terminal == [tables_markdown([runs.read(DOCS)])]
        assert any(words in notice for notice in notices(app))


async def test_escape_leaves_without_a_trace(here: Path) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "escape")

        assert isinstance(app.screen, Home)
        assert not list(here.iterdir())


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_looks(looks_as: Callable[[Dashboard, str], None], size: tuple[int, int]) -> None:
    app = dashboard(SIX_CELLS)
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "down", "down")
        app.screen.query_one("#notice", Lines).show(Text("in ~/bench"))
        looks_as(app, f"export-{size[0]}")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_looks_when_it_asks(
    here: Path, looks_as: Callable[[Dashboard, str], None], size: tuple[int, int]
) -> None:
    (here / f"{NAME}.md").touch()
    app = dashboard(SIX_CELLS)
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "e", "enter")
        looks_as(app, f"export-asks-{size[0]}")


async def test_a_reference_that_is_compared_with_is_exported_too(here: Path, written_to_terminal: list[str]) -> None:
    app = dashboard()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        app.compare_with(PageGpu("A100"))
        await settle(app, pilot, "e", "y", "enter", "e", *["down"] * 3, "enter")

        assert written_to_terminal == [tables_markdown([runs.read(DOCS)], "A100")]
        assert (here / f"{NAME}.md").read_text() == render([runs.read(DOCS)], "md", "A100")
        assert (here / f"{NAME}.csv").read_text() == render([runs.read(DOCS)], "csv")
