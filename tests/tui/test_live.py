"""The live panel at moments of recorded runs."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from drawn import Drawn, Refreshed, text_of
from moments import BATCH_1, DOCS, TINY, view_at
from textual.app import App

from sdtui import runs
from sdtui.model.events import CellPhase, CellStarted, Stamped
from sdtui.model.vram import VramNeed
from sdtui.tui.snapshot import RunView
from sdtui.tui.views import RunReducer
from sdtui.tui.widgets.live import Live

Check = Callable[[App[object], str], None]

MEASURING = 28.0
"""Seconds after which the first cell of `BATCH_1` is in its second call."""
COMPILING = 72.0

COMPACT, MEDIUM, WIDE = (80, 6), (72, 28), (64, 44)


async def shown(view: RunView, size: tuple[int, int]) -> str:
    live = Live()
    async with Drawn(live).run_test(size=size):
        live.show(view)
        return "\n".join(text_of(live))


@pytest.mark.parametrize("size", [COMPACT, (80, 14), MEDIUM, WIDE, (118, 30)])
async def test_every_size_says_all_there_is_to_know(size: tuple[int, int]) -> None:
    view = view_at(BATCH_1, MEASURING)
    live = view.live
    assert live is not None
    assert live.peak_vram_mib is not None
    text = await shown(view, size)

    assert "SD - txt2img · no compile · batch size 1" in text
    assert "measure" in text
    assert f"call {live.call} of 3" in text
    assert f"step {live.step}/50" in text
    assert (
        f"{live.latest_ms:.2f} ms · median {live.median_ms:.2f} · p95 {live.p95_ms:.2f} · {live.its:.2f} it/s" in text
    )
    assert f"{live.gauges['gpu_utilisation_percent']} %" in text
    assert f"{live.gauges['vram_used_mib'] / 1024:.1f}/79.6 GiB" in text
    assert f"{live.gauges['power_w']:.0f}/700 W" in text
    assert f"{live.gauges['sm_clock_mhz']}/1980 MHz" in text
    assert f"{live.gauges['temperature_c']} °C" in text
    assert "ETA cell " in text
    assert "· run 2 min" in text
    assert "not throttled · no other process on the GPU" in text
    assert len(text.splitlines()) == size[1]


@pytest.mark.parametrize("size", [COMPACT, MEDIUM, WIDE])
async def test_what_the_run_takes_is_said_to_be_a_guess_where_it_is(size: tuple[int, int]) -> None:
    view = view_at(BATCH_1, MEASURING)
    assert ", a guess" not in await shown(view, size)
    assert re.search(
        r"ETA cell \d+ s · run 2 min \d\d s, a guess", await shown(replace(view, how_sure="at a guess"), size)
    )


async def test_bars_lie_below_one_another_where_they_have_no_room_beside() -> None:
    rows = (await shown(view_at(BATCH_1, MEASURING), (58, 18))).splitlines()
    assert [row.split()[0] for row in rows[-5:-1]] == ["GPU", "VRAM", "power", "SM"]
    assert all("━" in row for row in rows[-5:-1])


async def test_the_peak_of_vram_is_marked() -> None:
    view = view_at(BATCH_1, MEASURING)
    assert view.live is not None
    freed = replace(view.live, gauges={**view.live.gauges, "vram_used_mib": 20000.0}, peak_vram_mib=40000.0)
    view = replace(view, live=freed)

    assert "╌┃╌" in await shown(view, COMPACT)
    assert "19.5/79.6 GiB · peak 39.1" in await shown(view, WIDE)


async def test_phases_are_told_by_word_and_glyph() -> None:
    assert "✓ import   ✓ load   ✓ warm-up   ▶ measure" in await shown(view_at(BATCH_1, MEASURING), MEDIUM)
    compiling = await shown(view_at(BATCH_1, COMPILING), MEDIUM)
    assert "✓ import   ✓ load   ▶ compile 26 s   · measure" in compiling
    assert "no step yet" in compiling
    assert "25 ms" not in compiling


@pytest.mark.parametrize("size", [COMPACT, MEDIUM, WIDE])
async def test_what_disturbs_the_figures_is_said(size: tuple[int, int]) -> None:
    view = view_at(BATCH_1, MEASURING)
    assert view.live is not None
    disturbed = replace(view.live, warnings=("throttled: sw power cap", "contended: 1 other process on the GPU"))
    text = await shown(replace(view, live=disturbed), size)

    assert "⚑ throttled: sw power cap" in text
    assert "⚑ contended: 1 other process on the GPU" in text
    assert "41 °C" in text
    assert "not throttled" not in text


@pytest.mark.parametrize("size", [COMPACT, MEDIUM])
async def test_without_a_gpu_the_worker_is_shown(size: tuple[int, int]) -> None:
    view = view_at(TINY, 14.0)
    assert view.live is not None
    text = await shown(view, size)

    assert f"{view.live.gauges['cpu_percent']:.0f} %" in text
    assert f"{view.live.gauges['rss_mib'] / 1024:.1f}/23.5 GiB" in text
    assert "no GPU" in text
    assert "VRAM" not in text


async def test_a_run_that_waits_says_for_what() -> None:
    words = "waiting for GPU-5e1c, which run 20261124T230016Z-vm-h100-80gb-hbm3-e6c54d (process 4711) holds"
    text = await shown(replace(view_at(DOCS, 5.0), live=None, message=words), (60, 6))

    assert " ".join(text.replace("▶", "").split()).startswith(words)
    assert "0 of 2 cells done · 5 s" in text


async def test_an_upper_limit_is_no_estimate() -> None:
    view = replace(view_at(BATCH_1, MEASURING), how_sure="up to", remaining_s=61.0)
    assert "at most cell" in await shown(view, COMPACT)


async def test_a_plain_terminal_gets_ascii(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    for size in (COMPACT, MEDIUM, WIDE):
        assert (await shown(view_at(BATCH_1, MEASURING), size)).isascii()


async def test_only_rows_that_changed_are_sent() -> None:
    view = view_at(BATCH_1, MEASURING)
    assert view.live is not None
    live = Live()
    async with Drawn(live).run_test(size=COMPACT) as pilot:
        live.show(view)
        await pilot.pause()
        refreshed = Refreshed(live)
        live.show(replace(view))
        assert refreshed.rows == []
        live.show(replace(view, live=replace(view.live, gauges={**view.live.gauges, "power_w": 1.0})))
        assert refreshed.rows == [4]


@pytest.mark.parametrize(("name", "size"), [("compact", COMPACT), ("medium", MEDIUM), ("wide", WIDE)])
async def test_the_panel_looks_as_recorded(looks_as: Check, name: str, size: tuple[int, int]) -> None:
    live = Live()
    app = Drawn(live)
    async with app.run_test(size=size) as pilot:
        live.show(view_at(BATCH_1, MEASURING))
        await pilot.pause()
        looks_as(app, f"live-{name}")


@pytest.mark.parametrize("size", [COMPACT, MEDIUM, WIDE])
async def test_before_the_first_step_it_says_what_the_cell_needs(size: tuple[int, int]) -> None:
    view = needing(VramNeed(3439.0, 80_500.0, False))
    assert view.live is not None
    assert view.live.warnings == ()
    assert "needs about 3.4 GiB of VRAM, 78.6 GiB free" in await shown(view, size)


@pytest.mark.parametrize("size", [COMPACT, MEDIUM, WIDE])
async def test_a_cell_that_may_run_out_of_memory_is_warned_of(size: tuple[int, int]) -> None:
    view = needing(VramNeed(18_534.0, 16_110.0, False))
    said = await shown(view, size)
    assert "⚑ needs about 18.1 GiB of VRAM, 15.7 GiB free" in said


def needing(need: VramNeed) -> RunView:
    """Returns a view of a cell that loads, and was said to need so much."""
    reducer = RunReducer(BATCH_1)
    for stamped in runs.Tail(BATCH_1).poll():
        event = stamped.event
        reducer.apply(Stamped(stamped.t, replace(event, need=need) if isinstance(event, CellStarted) else event))
        if isinstance(event, CellPhase) and event.phase == "load":
            return reducer.view(stamped.t + 1, "running")
    raise AssertionError("no cell loads")
