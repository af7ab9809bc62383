from __future__ import annotations

import numpy as np
import pytest

from sdtui import bootstrap


def noise(generator: np.random.Generator, count: int, correlation: float) -> np.ndarray:
    """Standard normal values of which neighbours correlate."""
    values = generator.standard_normal(count + 50)
    for index in range(1, len(values)):
        values[index] = correlation * values[index - 1] + (1 - correlation**2) ** 0.5 * values[index]
    return values[50:]


def coverage(calls: int, correlation: float, apart: float, trials: int = 60) -> float:
    """How often the interval holds the true median, 10."""
    generator, held = np.random.default_rng(1), 0
    for _ in range(trials):
        shifts = apart * generator.standard_normal(calls)
        interval = bootstrap.median_interval([10 + shift + noise(generator, 49, correlation) for shift in shifts])
        assert interval is not None
        held += interval.low <= 10 <= interval.high
    return held / trials


@pytest.mark.parametrize(
    ("calls", "correlation", "apart", "least"),
    [(2, 0.0, 0.0, 0.9), (2, 0.7, 0.0, 0.8), (10, 0.7, 0.5, 0.85)],
    ids=["independent", "neighbours alike", "calls apart"],
)
def test_the_interval_holds_the_median_about_as_often_as_it_says(
    calls: int, correlation: float, apart: float, least: float
) -> None:
    assert coverage(calls, correlation, apart) >= least


def processes_coverage(processes: int, apart: float, hierarchical: bool, trials: int = 60) -> float:
    """How often the interval holds the median over processes, 10, of processes of two calls."""
    generator, held = np.random.default_rng(1), 0
    for _ in range(trials):
        shifts = np.repeat(apart * generator.standard_normal(processes), 2)
        calls = [10 + shift + noise(generator, 25, 0.3) for shift in shifts]
        of = list(np.repeat(range(processes), 2)) if hierarchical else []
        interval = bootstrap.median_interval(calls, of)
        assert interval is not None
        held += interval.low <= 10 <= interval.high
    return held / trials


def test_processes_that_differ_are_in_the_interval_where_they_are_drawn() -> None:
    assert processes_coverage(10, 1.0, hierarchical=True) >= 0.85
    assert processes_coverage(10, 1.0, hierarchical=False) <= 0.8


def test_one_process_is_as_none_named() -> None:
    samples = [noise(np.random.default_rng(seed), 49, 0.5) + 20 for seed in (1, 2, 3)]
    assert bootstrap.median_interval(samples, [7, 7, 7]) == bootstrap.median_interval(samples)
    assert bootstrap.sum_interval(samples, [0.0] * 3, [7, 7, 7]) == bootstrap.sum_interval(samples, [0.0] * 3)


def test_a_process_weighs_as_much_as_another_however_often_it_was_called() -> None:
    interval = bootstrap.median_interval([[1.0] * 9, *[[2.0] * 9] * 9], [1, *[2] * 9])
    assert interval == bootstrap.Interval(1.0, 2.0)
    assert bootstrap.median_interval([[1.0] * 9, *[[2.0] * 9] * 99]) == bootstrap.Interval(2.0, 2.0)


def test_calls_of_one_process_are_not_drawn_for_another() -> None:
    """Two processes of two calls each: a resample of both processes holds as many samples of each."""
    low_high = bootstrap.sum_interval([[1.0] * 9, [1.0] * 9, [5.0] * 9], [0.0] * 3, [1, 1, 2])
    assert low_high == bootstrap.Interval(9.0, 45.0)
    ratio = bootstrap.ratio_interval([[2.0] * 9] * 2, [[1.0] * 9, [4.0] * 9], ([1, 2], [1, 2]))
    assert ratio == bootstrap.Interval(0.5, 2.0)


def test_many_samples_take_no_more_memory_and_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = [noise(np.random.default_rng(seed), 49, 0.5) + 20 for seed in range(20)]
    whole = bootstrap.median_interval(samples, [0] * 10 + [1] * 10)
    monkeypatch.setattr(bootstrap, "_SAMPLES_AT_ONCE", 5000)
    assert bootstrap.median_interval(samples, [0] * 10 + [1] * 10) == whole


def test_few_samples_have_no_interval() -> None:
    assert bootstrap.median_interval([[1.0, 2.0, 3.0], [4.0, 5.0]]) is None
    assert bootstrap.median_interval([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]) is not None
    assert bootstrap.median_interval([]) is None
    assert bootstrap.sum_interval([], []) is None
    assert bootstrap.ratio_interval([[1.0] * 9], [[1.0]]) is None


def test_samples_without_spread_have_a_point() -> None:
    interval = bootstrap.median_interval([[3.0] * 20, [3.0] * 20])
    assert interval == bootstrap.Interval(3.0, 3.0)
    assert bootstrap.sum_interval([[3.0] * 20], [5.0]) == bootstrap.Interval(65.0, 65.0)
    assert bootstrap.ratio_interval([[3.0] * 20], [[2.0] * 20]) == bootstrap.Interval(1.5, 1.5)


def test_calls_may_differ_in_length() -> None:
    interval = bootstrap.median_interval([[1.0] * 9, [2.0] * 30])
    assert interval == bootstrap.Interval(1.0, 2.0)


def test_a_run_against_itself_has_a_ratio_around_one_that_is_no_point() -> None:
    samples = [noise(np.random.default_rng(seed), 49, 0.5) + 20 for seed in (1, 2)]
    interval = bootstrap.ratio_interval(samples, samples)
    assert interval is not None
    assert 0.9 < interval.low < 0.999 < 1.001 < interval.high < 1.1


def test_a_ratio_is_of_medians() -> None:
    fast, slow = ([noise(np.random.default_rng(seed), 49, 0.5) * 0.01 + at for seed in (1, 2)] for at in (10, 12))
    interval = bootstrap.ratio_interval(fast, slow)
    assert interval is not None
    assert interval.low < 10 / 12 < interval.high
    assert interval.high - interval.low < 0.01
