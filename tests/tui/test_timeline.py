"""Figures over time above the phases, and the histogram."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drawn import Drawn, Refreshed, text_of
from textual.app import App

from sdtui.tui.widgets.histogram import Histogram
from sdtui.tui.widgets.timeline import Band, Series, Timeline
from sdtui.tui.widgets.trace import Graph

Check = Callable[[App[object], str], None]

BUSY = Series(
    Graph("GPU", "%", 100, filled=True, part="load"),
    ((0.0, 0.0), (30.0, 100.0), (39.0, None), (40.0, None)),
    "highest 100 %",
)
WARM = Series(Graph("temperature", "°C", 100, part="load"), ((0.0, 40.0), (20.0, 60.0), (40.0, 60.0)), "highest 60 °C")
BANDS = (Band("import", 0.0, 10.0), Band("load", 10.0, 11.0), Band("compile", 11.0, 30.0), Band("measure", 30.0, 40.0))
STEPS = [10 + n / 100 for n in range(100)] + [90.0, 95.0]
MARKS = [("p5", 10.05), ("median", 10.5), ("p95", 10.96)]


async def test_graphs_stand_above_the_phases_in_proportion() -> None:
    timeline = Timeline()
    async with Drawn(timeline).run_test(size=(50, 9)):
        timeline.show([BUSY, WARM], BANDS)
        rows = text_of(timeline)

    assert rows[0] == "GPU" + " " * 34 + "highest 100 %"
    assert rows[1].startswith("   100 % ┤")
    assert rows[2][10:] == "⣀" * 30 + "⣿" * 9 + " "
    assert rows[3].startswith("temperature ")
    assert rows[6] == "   phase  ▏import   ▏▏compile           ▏measure  "
    assert rows[7] == "    time  0 s                                 40 s"
    assert rows[8].strip() == "import 10.0 s · load 1.0 s · compile 19.0 s · meas"


async def test_a_window_shows_a_part_of_the_time() -> None:
    timeline = Timeline()
    async with Drawn(timeline).run_test(size=(50, 6)):
        timeline.show([BUSY], BANDS, (29.0, 31.0))
        rows = text_of(timeline)

    assert rows[2][10:] == "⣀" * 20 + "⣿" * 20
    assert rows[3] == "   phase  ▏compile            ▏measure            "
    assert rows[4].split() == ["time", "29.0", "s", "31.0", "s"]


async def test_series_without_room_are_left_out() -> None:
    timeline = Timeline()
    async with Drawn(timeline).run_test(size=(50, 6)) as pilot:
        timeline.show([BUSY, WARM], BANDS)
        assert "temperature" not in "\n".join(text_of(timeline))
        await pilot.resize_terminal(50, 8)
        assert "temperature" in "\n".join(text_of(timeline))


async def test_a_histogram_names_its_marks_and_writes_them_out() -> None:
    histogram = Histogram("step times", "ms")
    async with Drawn(histogram).run_test(size=(60, 10)) as pilot:
        histogram.show(STEPS, MARKS)
        rows = text_of(histogram)
        assert rows[0] == "step times" + " " * 39 + "102 samples"
        assert rows[1].startswith("       5 ┤██")
        assert rows[-3] == "       0 └──┴" + "─" * 17 + "┴" + "─" * 17 + "┴─" + " " * 10
        assert rows[-2].split() == ["p5", "median", "p95"]
        assert rows[-1].rstrip() == "p5 10.05 · median 10.50 · p95 10.96 · 2 above 10.99 ms"

        await pilot.pause()
        refreshed = Refreshed(histogram)
        histogram.show(STEPS, MARKS)
        assert refreshed.rows == []
        histogram.show(STEPS, [*MARKS[:2], ("p95", 10.97)])
        assert refreshed.rows[-1] == 9


async def test_a_histogram_of_nothing_says_so() -> None:
    histogram = Histogram("step times", "ms")
    async with Drawn(histogram).run_test(size=(40, 10)):
        histogram.show([], [])
        assert text_of(histogram)[0].strip().endswith("0 samples")


async def test_a_plain_terminal_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    timeline, histogram = Timeline(), Histogram("step times", "ms")
    async with Drawn(timeline, histogram).run_test(size=(70, 30)):
        timeline.show([BUSY], BANDS)
        histogram.show(STEPS, MARKS)
        assert "".join(text_of(timeline) + text_of(histogram)).isascii()


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_they_look_as_recorded(looks_as: Check, size: tuple[int, int]) -> None:
    timeline, histogram = Timeline(), Histogram("step times", "ms")
    app = Drawn(timeline, histogram)
    async with app.run_test(size=size) as pilot:
        timeline.show([BUSY, WARM], BANDS)
        histogram.show(STEPS, MARKS)
        await pilot.pause()
        looks_as(app, f"timeline-{size[0]}")
