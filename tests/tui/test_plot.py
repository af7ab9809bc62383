"""Graphs in characters."""

from __future__ import annotations

import pytest

from sdtui.tui import plot


@pytest.mark.parametrize(
    ("highest", "top"),
    [
        (0, 1),
        (-3, 1),
        (float("inf"), 1),
        (10.4, 12),
        (12, 12),
        (0.0034, 0.004),
        (81559, 100_000),
        (20, 20),
        (999, 1000),
    ],
)
def test_an_axis_ends_at_the_next_round_number(highest: float, top: float) -> None:
    assert plot.nice_top(highest) == pytest.approx(top)


def test_ticks_name_the_top_with_its_unit_the_middle_and_zero() -> None:
    assert plot.tick_texts(12, "ms", 5) == ["12 ms", "", "6", "", "0"]
    assert plot.tick_texts(100, "%", 4) == ["100 %", "", "", "0"]
    assert plot.tick_texts(2000, "MHz", 1) == ["2000 MHz"]
    assert plot.tick_texts(79.6475, "GiB", 2) == ["79.6 GiB", "0"]


def test_buckets_keep_a_peak_or_average_it() -> None:
    samples = [1.0, 9.0, 2.0, 2.0, None, None]
    assert plot.buckets(samples, 3) == [9.0, 2.0, None]
    assert plot.buckets(samples, 3, plot.mean) == [5.0, 2.0, None]
    assert plot.buckets([1.0, 2.0], 4) == [1.0, 1.0, 2.0, 2.0]
    assert plot.buckets([], 2) == [None, None]


def test_every_sample_is_in_some_bucket() -> None:
    for count in range(1, 40):
        for columns in range(1, 50):
            found = plot.buckets([float(n) for n in range(count)], columns)
            assert found[0] is not None
            assert found[-1] == count - 1
            assert count < columns or set(found) >= {float(count - 1)}
            assert [*found] == sorted(found, key=lambda figure: figure or 0)


def test_the_latest_samples_end_at_the_right() -> None:
    assert plot.latest([1.0, 2.0], 3) == [None, 1.0, 2.0]
    assert plot.latest([1.0, 2.0, 3.0], 2) == [2.0, 3.0]
    assert plot.latest([1.0], 0) == []


def test_a_figure_holds_until_the_next_reading() -> None:
    points = [(0.0, 10.0), (2.0, 20.0), (3.0, None), (4.0, 40.0), (5.0, 40.0)]
    assert plot.over_time(points, 0, 6, 6) == [10.0, 10.0, 20.0, None, 40.0, None]
    assert plot.over_time(points, 0, 6, 2) == pytest.approx([(2 * 10 + 20) / 3, 40.0])
    assert plot.over_time(points, 0, 6, 2, max) == [20.0, 40.0]
    assert plot.over_time(points, 1, 3, 2) == [10.0, 20.0]


def test_braille_dots_stand_where_they_belong() -> None:
    corners = [[(0, 0), None], [(3, 3), None], [None, (0, 0)], [None, (3, 3)]]
    assert [plot.BRAILLE.rows(spans, 1) for spans in corners] == [["⡀"], ["⠁"], ["⢀"], ["⠈"]]
    assert plot.BRAILLE.rows([(0, 3), (0, 3), None, (2, 5)], 2) == ["  ⢠"[1:], "⣿⠘"]
    assert plot.BRAILLE.rows([None, None, None, (1, 6)], 2) == [" ⢰", " ⠸"]
    assert plot.ASCII.rows([(0, 0), (1, 1), (0, 1), None, (1, 2)], 2) == ["    .", ".': '"]


def test_the_higher_of_two_neighbours_reaches_down_to_the_lower() -> None:
    spike = plot.line([1.0, 1.0, 8.0, 1.0, None, 4.0], top=8, dots=9)
    assert spike == [(1, 1), (1, 1), (2, 8), (1, 1), None, (4, 4)]
    assert plot.line([-1.0, 99.0], top=8, dots=9) == [(0, 0), (1, 8)]
    assert plot.line([2.0, 3.0], top=8, dots=9) == [(2, 2), (3, 3)]


def test_an_area_reaches_from_the_bottom() -> None:
    assert plot.area([0.0, 50.0, None, 100.0], top=100, dots=5) == [(0, 0), (0, 2), None, (0, 4)]


def test_bars_fill_cells_by_eighths() -> None:
    assert plot.bars([0.0, 1.0, 8.0, 9.0, 16.0, None], top=16, height=2) == ["   ▁█ ", " ▁███ "]
    assert plot.bars([0.01], top=16, height=2) == [" ", "▁"]
    assert plot.bars([0.0, 2.0, 3.0], top=3, height=1, ramp=plot.ASCII_BLOCKS) == [" :#"]


def test_bins_count_every_sample_once() -> None:
    bins = plot.bin_samples([1.0, 1.0, 1.5, 2.0], 2)
    assert bins == plot.Bins(1.0, 2.0, (2, 2))
    assert plot.bin_samples([3.0, 3.0], 10) == plot.Bins(3.0, 3.0, (2,))
    assert plot.bin_samples([3.0], 10) == plot.Bins(3.0, 3.0, (1,))


def test_samples_far_above_the_others_are_counted_apart() -> None:
    samples = [10 + n / 100 for n in range(100)] + [90.0, 95.0]
    bins = plot.bin_samples(samples, 50)
    assert (bins.end, bins.above) == (10.99, 2)
    assert sum(bins.counts) == 100
    assert len(bins.counts) == 20
