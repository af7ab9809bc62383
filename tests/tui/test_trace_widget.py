"""The graph of the latest samples, and the gauges."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from drawn import Drawn, Refreshed, text_of
from textual.app import App

from sdtui.tui.widgets.gauge import Bar, Gauge
from sdtui.tui.widgets.trace import Graph, Trace

STEPS = [10.0 + (n % 7) / 10 + (9 if n % 50 == 20 else 0) for n in range(240)]
BUSY = [float(30 + 60 * (n % 40 > 12)) for n in range(90)]

Check = Callable[[App[object], str], None]


async def test_a_trace_has_an_axis_from_zero_to_a_round_number_above_what_it_shows() -> None:
    trace = Trace(Graph("step latency", "ms"))
    async with Drawn(trace).run_test(size=(60, 20)):
        trace.show(STEPS, "10.20 ms")
        rows = text_of(trace)
        assert rows[0] == "step latency" + " " * 40 + "10.20 ms"
        assert rows[1].startswith("   20 ms ┤")
        assert rows[-1].startswith("       0 ┤")
        assert all(len(row) == 60 for row in rows)

        trace.show([5.0] * 500)
        assert text_of(trace)[1].startswith("    5 ms ┤")


async def test_only_rows_that_changed_are_sent() -> None:
    trace = Trace(Graph("step latency", "ms"))
    async with Drawn(trace).run_test(size=(60, 20)) as pilot:
        trace.show([10.0] * 240, "10.00 ms")
        await pilot.pause()
        refreshed = Refreshed(trace)
        trace.show([10.0] * 241, "10.00 ms")
        assert refreshed.rows == []
        trace.show([10.0] * 242, "10.01 ms")
        assert refreshed.rows == [0]
        trace.show([*[10.0] * 242, 9.0], "10.01 ms")
        assert refreshed.rows == [0, 1]  # the line is in the first row, and now goes down at the right


async def test_a_fixed_axis_stays() -> None:
    trace = Trace(Graph("utilisation", "%", 100, filled=True))
    async with Drawn(trace).run_test(size=(60, 20)):
        trace.show([20.0] * 200)
        rows = text_of(trace)
        assert rows[1].startswith("   100 % ┤")
        assert rows[1][10:].strip() == ""
        assert rows[-1][10:] == "⣿" * 50


async def test_a_trace_of_one_row_lies_between_title_and_value() -> None:
    trace = Trace(Graph("step", "ms"))
    trace.styles.height = 1
    async with Drawn(trace).run_test(size=(30, 5)):
        trace.show([1.0, 2.0], "2.00 ms")
        assert text_of(trace) == ["step               ▄█  2.00 ms"]


async def test_a_plain_terminal_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    trace, gauge = Trace(Graph("step latency", "ms")), Gauge(Bar("VRAM"))
    async with Drawn(trace, gauge).run_test(size=(60, 20)):
        trace.show(STEPS, "10.20 ms")
        gauge.show(0.25, "20.0/80.0 GiB", 0.5)
        shown = "\n".join(text_of(trace) + text_of(gauge))
        assert shown.isascii()
        assert " #######--" in shown
        assert "-|-" in shown


async def test_a_gauge_is_read_without_colour() -> None:
    gauge = Gauge(Bar("VRAM"))
    async with Drawn(gauge).run_test(size=(62, 5)) as pilot:
        gauge.show(0.25, "20.0/80.0 GiB", 0.5)
        assert text_of(gauge) == ["VRAM     ━━━━━━━━╌╌╌╌╌╌╌┃╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌  20.0/80.0 GiB   25 %"]
        gauge.show(None, "not available")
        assert text_of(gauge)[0].endswith("  not available       ")
        assert "━" not in text_of(gauge)[0]
        await pilot.pause()
        refreshed = Refreshed(gauge)
        gauge.show(None, "not available")
        assert refreshed.rows == []


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_graphs_look_as_recorded(looks_as: Check, size: tuple[int, int]) -> None:
    latency, busy, one = (
        Trace(Graph("step latency", "ms")),
        Trace(Graph("GPU", "%", 100, filled=True)),
        Trace(Graph("step", "ms")),
    )
    one.styles.height = 1
    gauges = [Gauge(Bar("GPU")), Gauge(Bar("VRAM")), Gauge(Bar("power"))]
    app = Drawn(latency, busy, one, *gauges)
    async with app.run_test(size=size) as pilot:
        latency.show(STEPS, "10.20 ms")
        one.show(STEPS, "10.20 ms")
        busy.show(BUSY, "90 %")
        gauges[0].show(0.9, "")
        gauges[1].show(0.153, "12.3/80.0 GiB", 0.212)
        gauges[2].show(None, "not available")
        await pilot.pause()
        looks_as(app, f"graphs-{size[0]}")
