"""Ratios on the matrix: to the docs page's figures, and to another run's samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from driving import DOCS, RESULTS, SIX_CELLS, TINY, dashboard, notices, opened, settle, shown
from moments import read_view
from textual.widgets import OptionList

from sdtui import runs
from sdtui.model.cell import Slot
from sdtui.report.compare import compare_runs
from sdtui.report.markdown import tables_markdown
from sdtui.tui.app import Dashboard
from sdtui.tui.board import Square
from sdtui.tui.comparing import Comparer, OtherRun, PageGpu, Ratio, page_ratios, ratio_of
from sdtui.tui.messages import RatiosFound
from sdtui.tui.screens.home import Home
from sdtui.tui.widgets.matrix import _fitted

COLD = RESULTS / "2026-11-25-h100-cold"
TXT2IMG = Slot("sd-txt2img", "compile", "current", 1)


@pytest.fixture
def several(tmp_path: Path) -> Path:
    """A folder of runs, and a journal that is none."""
    for folder in (DOCS, SIX_CELLS, COLD, TINY):
        (tmp_path / folder.name).symlink_to(folder)
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / runs.JOURNAL).touch()
    return tmp_path


def square(app: Dashboard, slot: Slot = TXT2IMG) -> Square:
    home = app.screen_stack[0]
    assert isinstance(home, Home)
    return next(each for row in home.matrix.board.rows for each in row.squares if each.slot == slot)


def choose(app: Dashboard, words: str) -> None:
    """Puts the cursor of the list on the choice that says this."""
    choices = app.screen.query_one("#choices", OptionList)
    found = [i for i, each in enumerate(choices.options) if words in str(each.prompt) and not each.disabled]
    (choices.highlighted,) = found


class TestThePage:
    async def test_c_puts_ratios_in_place_of_figures_and_again_ends_it(self) -> None:
        app = dashboard()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            figures = square(app)
            await settle(app, pilot, "c", "down", "enter")

            assert (square(app).text, square(app).note, square(app).level) == ("2.49× A100", "⚑", 4)
            assert "÷ A100, docs page" in shown(app, "#strip")
            await settle(app, pilot, "right")
            assert "÷ A100: 2.49× torch 2.0 (44.03), 2.21× torch nightly (49.74)" in shown(app, "#detail")
            assert "no interval" in shown(app, "#detail")

            await settle(app, pilot, "c", "up", "enter")
            assert square(app) == figures
            assert "÷" not in shown(app, "#strip")

    async def test_escape_changes_nothing(self) -> None:
        app = dashboard()
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "c", "down", "enter", "c", "down", "down", "escape")

            assert app.comparer.against == PageGpu("A100")
            assert isinstance(app.screen, Home)

    def test_ratios_are_those_of_the_report(self) -> None:
        table = tables_markdown([runs.read(SIX_CELLS)], "A100")
        ratios = page_ratios(read_view(SIX_CELLS).cells, "A100")
        found = {cell.split(".")[0]: ratio for cell, ratio in ratios.items() if ".no-compile." in cell}

        for label, pipeline in (("SD - txt2img", "sd-txt2img"), ("IF", "if")):
            (row,) = (line for line in table.splitlines() if line.startswith(f"| {label} |") and "×" in line)
            written = " / ".join(f"{value:.2f}×" for value in found[pipeline].values)
            assert written
            assert f" {written} |" in row

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            ({"scale": "tiny"}, "tiny scale"),
            ({"variant": "20 steps"}, "departs from the docs protocol"),
            ({"pipeline_label": "mine"}, "no such pipeline"),
        ],
    )
    def test_what_the_page_did_not_measure_has_no_ratio(self, change: dict[str, str], why: str) -> None:
        view = next(each for each in read_view(DOCS).cells.values() if each.slot == TXT2IMG)
        ratio = page_ratios({"x": replace(view, spec=replace(view.spec, **change))}, "T4")["x"]

        assert ratio.values == ()
        assert why in ratio.lines[0]

    def test_a_mode_that_the_page_has_not_has_no_ratio(self) -> None:
        view = next(each for each in read_view(DOCS).cells.values() if each.slot == TXT2IMG)
        other = replace(view.spec, mode=replace(view.spec.mode, name="bf16"))

        assert "no such mode" in page_ratios({"x": replace(view, spec=other)}, "T4")["x"].lines[0]

    def test_where_the_page_ran_out_of_memory_its_word_stands(self) -> None:
        view = next(each for each in read_view(DOCS).cells.values() if each.slot == TXT2IMG)
        of_16 = replace(view.spec, slot=replace(view.slot, batch_size=16))
        ratio = page_ratios({"x": replace(view, spec=of_16)}, "T4")["x"]

        assert ratio.values == ()
        assert "no ratio torch 2.0 (OOM after 2nd iteration)" in ratio.lines[0]


class TestAnotherRun:
    async def test_c_shows_ratio_verdict_and_interval(self, several: Path) -> None:
        app = dashboard(several / DOCS.name, several)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "c")
            choose(app, "cold")
            await settle(app, pilot, "enter", "right")

            pairs = {pair.cell: pair for pair in compare_runs(runs.read(COLD), runs.read(DOCS)).pairs}
            (pair,) = pairs.values()
            assert square(app).text == f"{pair.ratio:.2f}× {pair.verdict}"
            low, high = pair.interval.low, pair.interval.high
            told = f"÷ run 2026-11-25-h100-cold: {pair.ratio:.3f}× ({low:.3f} to {high:.3f}) {pair.verdict}"
            assert told in shown(app, "#detail")
            assert "÷ run 2026-11-25-h100-cold" in shown(app, "#strip")
            await settle(app, pilot, "left")
            assert "run 2026-11-25-h100-cold has no such cell" in shown(app, "#detail")

    async def test_runs_are_listed_newest_first_and_those_that_do_not_compare_last(self, several: Path) -> None:
        app = dashboard(several / DOCS.name, several)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            await settle(app, pilot, "c")
            choices = app.screen.query_one("#choices", OptionList).options
            runs_listed = [(str(each.prompt).split()[0], each.disabled) for each in choices[7:]]

            assert runs_listed == [
                ("Runs", True),
                ("2026-11-25-h100-cold", False),
                ("2026-11-24-h100-docs…", False),
                ("Runs", True),
                ("fa50b5", True),
            ]

    async def test_a_run_that_is_gone_is_said(self, several: Path) -> None:
        app = dashboard(several / DOCS.name, several)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            app.compare_with(OtherRun(several / "gone"))
            await settle(app, pilot)

            assert any("gone" in notice for notice in notices(app))
            assert app.comparer.against is None
            assert "×" not in square(app).text

    async def test_figures_without_a_shown_run_compare_run_by_run(self, several: Path) -> None:
        app = dashboard(None, several)
        async with app.run_test(size=(80, 24)) as pilot:
            await opened(app, pilot)
            newest = {view.run for view in app.cells.values()}
            assert len(newest) == 2
            app.compare_with(OtherRun(several / SIX_CELLS.name))
            await settle(app, pilot)

            assert set(app.comparer.ratios) == {cell for cell, view in app.cells.items() if view.state == "finished"}
            of_itself = [cell for cell, view in app.cells.items() if view.run == several / SIX_CELLS.name]
            assert "itself" in app.comparer.ratios[of_itself[0]].lines[0]

    def test_stages_that_agree_share_a_word_and_others_have_none(self, several: Path) -> None:
        comparison = compare_runs(runs.read(SIX_CELLS), runs.read(SIX_CELLS))
        (cell,) = {pair.cell for pair in comparison.pairs if pair.cell.startswith("if.no-compile")}
        ratio = ratio_of(comparison, cell, "1")

        assert ratio.values == (1.0,) * 3
        assert set(ratio.verdicts) <= {"same", "ambiguous"}
        assert [line.split(": ")[1].split()[0] for line in ratio.lines] == ["I", "II", "III"]


class TestComparer:
    def test_compares_again_only_what_has_a_new_ending(self) -> None:
        cells = read_view(SIX_CELLS).cells
        first = dict(list(cells.items())[:1])
        started: list[object] = []
        comparer = Comparer(lambda *arguments, **_: started.append(arguments[-1]))
        comparer.against = OtherRun(COLD)

        for seen in (first, first, cells, cells):
            comparer.update(seen)
        assert started == [{SIX_CELLS: frozenset(first)}, {SIX_CELLS: frozenset(cells)}]

    def test_leaves_out_ratios_to_what_is_no_longer_compared_with(self) -> None:
        comparer = Comparer(lambda *_, **__: None)
        comparer.against = OtherRun(COLD)
        comparer.take(RatiosFound(OtherRun(DOCS), {"cell": Ratio((2.0,))}))
        assert (comparer.ratios, comparer.words) == ({}, "   ÷ run 2026-11-25-h100-cold …")

        comparer.take(RatiosFound(OtherRun(COLD), {"cell": Ratio((2.0,))}))
        assert (comparer.ratios, comparer.words) == ({"cell": Ratio((2.0,))}, "   ÷ run 2026-11-25-h100-cold")


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_looks(several: Path, looks_as: Callable[[Dashboard, str], None], size: tuple[int, int]) -> None:
    app = dashboard(several / SIX_CELLS.name, several)
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "c")
        looks_as(app, f"compare-{size[0]}")
        await settle(app, pilot, "down", "enter", *["down"] * 4)
        looks_as(app, f"compared-page-{size[0]}")
        app.compare_with(OtherRun(several / DOCS.name))
        await settle(app, pilot, *["up"] * 4, "right")
        looks_as(app, f"compared-run-{size[0]}")


async def test_looks_without_colours(
    several: Path, looks_as: Callable[[Dashboard, str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = dashboard(several / SIX_CELLS.name, several)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await settle(app, pilot, "c", "down")
        looks_as(app, "compare-80-no-color")


@pytest.mark.parametrize(
    ("room", "shown_as"),
    [
        (30, "26.86 / 23.44 / 27.95  3.35× ⚑"),
        (27, "26.86/23.44/27.95   3.35× ⚑"),
        (23, "26.9/23.4/27.9  3.35× ⚑"),
        (16, "26.9/23.4/27.9 ⚑"),
        (14, "26.9/23.4/27.9"),
        (8, "26.9/23…"),
    ],
)
def test_a_square_that_lacks_room_says_it_shorter(room: int, shown_as: str) -> None:
    shorter = ("26.86/23.44/27.95", "26.9/23.4/27.9")
    square = Square(TXT2IMG, "ok", "26.86 / 23.44 / 27.95", "3.35× ⚑", shorter=shorter)

    assert _fitted(square, room) == shown_as
