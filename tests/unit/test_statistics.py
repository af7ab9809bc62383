from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Sequence
from itertools import chain

import pytest

from sdtui import statistics
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.events import CallFinished, CellPhase, Step
from sdtui.model.results import CellSummary

CELL = "p.m.current.b4-00000000"


def stage(name: str) -> Stage:
    return Stage(name, "Pipeline", (), {}, ("unet",), 3, 7.5, 64, 64, True, True)


def spec(*stages: str, batch_size: int = 4) -> Cell:
    return Cell(
        id=CELL,
        slot=Slot("p", "m", "current", batch_size),
        pipeline_label="P",
        mode=Mode("m", "m"),
        scale="full",
        calls=3,
        dtype="float16",
        weights="random",
        seed=0,
        prompt="",
        stages=tuple(stage(name) for name in stages),
    )


def steps_of(call: int, *ms: float, stage: str = "main") -> list[Step]:
    """Steps whose first interval holds two evaluations, as with PNDM."""
    return [Step(CELL, call, stage, i, len(ms), value, 2 if i == 1 else 1) for i, value in enumerate(ms, 1)]


def call_of(call: int, wall_ms: float = 1000.0, stage: str = "main", loop_ms: float = 500.0) -> CallFinished:
    return CallFinished(CELL, call, stage, 3, 4, loop_ms, loop_ms * 2, wall_ms, 1.0, 500.0, 2.0, 3.0)


def summarise(
    cell: Cell, steps: list[Step], calls: list[CallFinished], phases: Sequence[tuple[float, CellPhase]] = ()
) -> CellSummary:
    return statistics.summarise(
        cell,
        steps,
        calls,
        phases,
        100.0,
        110.0,
        gpu_utilisation_percent=93.5,
        cpu_percent=None,
        peak_vram_mib=4096.0,
        peak_rss_mib=None,
    )


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [  # numpy.percentile's answers
        ([1, 2, 3, 4], 50, 2.5),
        ([1, 2, 3, 4], 95, 3.85),
        ([15, 20, 35, 40, 50], 40, 29.0),
        ([50, 15, 40, 20, 35], 5, 16.0),
        ([7.0], 95, 7.0),
        ([3, 1], 0, 1),
        ([3, 1], 100, 3),
    ],
)
def test_percentile_interpolates_linearly(samples: list[float], percent: float, expected: float) -> None:
    assert statistics.percentile(samples, percent) == pytest.approx(expected)


@pytest.mark.parametrize(("samples", "percent"), [([], 50), ([1.0], 101), ([1.0], -1)])
def test_percentile_refuses(samples: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percent"):
        statistics.percentile(samples, percent)


def test_statistics_are_numpy_s() -> None:
    steps = statistics.step_statistics([[4.0, 1.0], [], [3.0, 2.0, 10.0]])
    assert steps is not None
    assert (steps.count, steps.median_ms, steps.mean_ms, steps.mad_ms) == (5, 3.0, 4.0, 1.0)
    assert (steps.p5_ms, steps.p95_ms, steps.p99_ms) == pytest.approx((1.2, 8.8, 9.76))
    assert steps.median_interval_ms is None  # five samples hold their median with 93.75 %
    assert statistics.step_statistics([[]]) is None


def test_first_call_is_apart_and_multiple_evaluations_stay_out_of_percentiles() -> None:
    steps = steps_of(1, 900, 800, 700) + steps_of(2, 40, 10, 20) + steps_of(3, 40, 30, 40)
    calls = [call_of(1, 5000), call_of(2), call_of(3, 2000, loop_ms=150)]
    main = summarise(spec("main"), steps, calls).stages[0]
    assert main.median_step_ms == pytest.approx(25)
    assert main.p95_step_ms == pytest.approx(38.5)
    assert main.loop_its == pytest.approx(20)  # 3 steps in 150 ms: the double interval counts
    assert main.host_loop_its == pytest.approx(10)
    assert main.first_call_s == pytest.approx(5)
    assert (main.steps, main.forwards) == (3, 4)
    assert main.images_per_second == pytest.approx(2)
    assert main.seconds_per_image == pytest.approx(0.5)
    assert main.forwards_per_second == pytest.approx(4 / 0.15)
    assert main.step_ms is not None
    assert (main.step_ms.count, main.step_ms.median_ms) == (4, main.median_step_ms)


def test_every_call_has_figures_of_its_own() -> None:
    steps = steps_of(1, 900, 800, 700) + steps_of(2, 40, 10, 20) + steps_of(3, 40, 30, 40)
    calls = [call_of(3, 2000, loop_ms=150), call_of(1, 5000), call_of(2)]
    first, second, third = summarise(spec("main"), steps, calls).stages[0].calls
    assert [call.call for call in (first, second, third)] == [1, 2, 3]
    assert (first.wall_s, second.wall_s, third.wall_s) == (5, 1, 2)
    assert (second.loop_its, third.loop_its) == pytest.approx((6, 20))
    assert [call.step_ms and call.step_ms.median_ms for call in (first, second, third)] == [750, 15, 35]


def noisy(call: int, around: float, count: int = 50) -> list[Step]:
    """Steps that wander around a value, as a host's noise does, after a first of two evaluations."""
    wander = [around * (1 + 0.03 * math.sin(call + i / 3) + 0.01 * math.cos(7 * i)) for i in range(count)]
    return steps_of(call, 2 * around, *wander)


def loop_of(call: int, steps: list[Step]) -> CallFinished:
    return dataclasses.replace(call_of(call, loop_ms=sum(step.ms for step in steps)), steps=len(steps))


def test_intervals_hold_their_figures_and_are_the_same_each_time() -> None:
    taken = [noisy(1, 99.0), noisy(2, 10.0), noisy(3, 10.0)]
    calls = [loop_of(number, steps) for number, steps in enumerate(taken, 1)]
    once, again = (summarise(spec("main"), [*chain(*taken)], calls).stages[0] for _ in range(2))
    assert once == again
    steps, loop = once.step_ms, once.loop_its_interval
    assert steps is not None
    assert steps.median_interval_ms is not None
    assert loop is not None
    assert 9.7 < steps.median_interval_ms.low < steps.median_ms < steps.median_interval_ms.high < 10.3
    assert 94 < loop.low < once.loop_its < loop.high < 102


def test_calls_that_differ_widen_the_interval_to_hold_both() -> None:
    taken = [noisy(1, 99.0), noisy(2, 10.0), noisy(3, 12.0)]
    calls = [loop_of(number, steps) for number, steps in enumerate(taken, 1)]
    main = summarise(spec("main"), [*chain(*taken)], calls).stages[0]
    assert main.step_ms is not None
    assert main.step_ms.median_interval_ms is not None
    assert main.loop_its_interval is not None
    assert main.step_ms.median_interval_ms.low < 10.2
    assert main.step_ms.median_interval_ms.high > 11.8
    assert main.loop_its_interval.low < 84
    assert main.loop_its_interval.high > 97


def test_a_long_first_step_of_every_call_does_not_widen_the_loops_interval() -> None:
    taken = [noisy(1, 99.0), noisy(2, 10.0), noisy(3, 10.0)]
    for steps in taken:
        steps[0] = dataclasses.replace(steps[0], ms=360.0, forwards=1)
    calls = [loop_of(number, steps) for number, steps in enumerate(taken, 1)]
    main = summarise(spec("main"), [*chain(*taken)], calls).stages[0]
    assert main.loop_its_interval is not None
    assert 0.98 * main.loop_its < main.loop_its_interval.low
    assert main.loop_its_interval.high < 1.02 * main.loop_its


def test_the_first_call_alone_has_no_loop_interval() -> None:
    steps = noisy(1, 10.0)
    main = summarise(spec("main"), steps, [loop_of(1, steps)]).stages[0]
    assert main.median_step_ms == pytest.approx(10, rel=0.01)
    assert main.loop_its_interval is None


def test_a_single_call_stands_for_itself() -> None:
    main = summarise(spec("main"), steps_of(1, 900, 10, 20), [call_of(1)]).stages[0]
    assert main.median_step_ms == pytest.approx(15)


def test_a_call_that_never_finished_enters_no_figure() -> None:
    summary = summarise(spec("main"), steps_of(1, 9, 10, 20) + steps_of(2, 1, 1), [call_of(1, loop_ms=300)])
    assert summary.stages[0].median_step_ms == pytest.approx(15)
    assert summary.stages[0].loop_its == pytest.approx(10)
    assert summary.images_per_second == pytest.approx(4)


def test_no_percentile_without_a_single_evaluation_interval() -> None:
    main = summarise(spec("main"), steps_of(1, 50), [call_of(1)]).stages[0]
    assert main.median_step_ms is None
    assert main.p95_step_ms is None
    assert main.loop_its == pytest.approx(6)


def test_stages_add_up_and_keep_the_spec_order() -> None:
    calls = [call_of(2, 300, "II"), call_of(2, 500, "I"), call_of(1, 100, "I"), call_of(1, 100, "II")]
    steps = steps_of(2, 1, 8, stage="II") + steps_of(2, 1, 4, stage="I")
    summary = summarise(spec("I", "II"), steps, calls)
    assert [s.stage for s in summary.stages] == ["I", "II"]
    assert [s.median_step_ms for s in summary.stages] == [4, 8]
    assert summary.images_per_second == pytest.approx(5)
    assert summary.seconds_per_image == pytest.approx(0.2)


def test_the_cell_rate_needs_a_call_that_all_stages_finished() -> None:
    calls = [call_of(1, 100, "I"), call_of(1, 300, "II"), call_of(2, 50, "I")]
    assert summarise(spec("I", "II"), [], calls).images_per_second == pytest.approx(10)
    partial = summarise(spec("I", "II"), [], calls[:1])
    assert partial.images_per_second is None
    assert [s.stage for s in partial.stages] == ["I"]


def test_nothing_finished_gives_an_empty_summary() -> None:
    summary = summarise(spec("main"), steps_of(1, 1, 2), [])
    assert summary.stages == ()
    assert summary.images_per_second is None
    assert (summary.gpu_utilisation_percent, summary.peak_vram_mib) == (93.5, 4096.0)


def test_phases_make_up_the_whole_time() -> None:
    phases = [
        (101.0, CellPhase(CELL, "import")),
        (104.0, CellPhase(CELL, "load")),
        (105.0, CellPhase(CELL, "warm-up", 1)),
        (107.0, CellPhase(CELL, "measure", 2)),
        (108.0, CellPhase(CELL, "measure", 3)),
    ]
    seconds = summarise(spec("main"), [], [], phases).phase_seconds
    assert seconds == {"import": 4.0, "load": 1.0, "warm-up": 2.0, "measure": 3.0}
    assert summarise(spec("main"), [], []).phase_seconds == {"import": 10.0}


def test_processes_weigh_alike_however_many_calls_each_made() -> None:
    calls = [[20.0 + 0.01 * step for step in range(6)]] * 45 + [[30.0] * 49] * 49
    of = [process for process in range(9) for _ in range(5)] + [9] * 49
    steps = statistics.step_statistics(calls, of)
    assert steps is not None
    assert steps.count == 45 * 6 + 49 * 49
    assert steps.median_ms == pytest.approx(20.03, abs=0.01)
    assert steps.mean_ms == pytest.approx(0.9 * 20.025 + 0.1 * 30)
    assert steps.p5_ms == pytest.approx(20.0, abs=0.01)
    assert steps.p95_ms == steps.p99_ms == 30.0
    assert steps.mad_ms == pytest.approx(0.02, abs=0.01)
    few, many = ([[20.0] * count, [30.0] * (12 - count)] for count in (4, 8))
    halves = [statistics.step_statistics(each, [1, 2]) for each in (few, many)]
    assert [half.median_ms for half in halves if half] == [25.0, 25.0]


def test_processes_of_as_many_samples_have_the_statistics_of_all_samples() -> None:
    calls = [[4.0, 1.0, 7.25], [3.0, 2.0, 10.0], [5.5, 0.1, 0.3], [9.9, 1.7, 2.2]]
    pooled = [statistics.step_statistics(calls, of) for of in ([], [1, 1, 1, 1], [1, 1, 2, 2], [1, 2, 3, 4])]
    alone = pooled[0]
    assert alone is not None
    for steps in pooled:
        assert steps is not None
        assert dataclasses.replace(steps, median_interval_ms=None) == dataclasses.replace(
            alone, median_interval_ms=None
        )


def test_the_median_lies_in_its_own_interval_whatever_processes_do() -> None:
    chance = random.Random(0)
    for _ in range(60):
        calls, of = [], []
        for process in range(chance.randint(1, 8)):
            middle, scatter = chance.choice([10, 10, 11, 30]), chance.choice([0.01, 0.3, 3])
            for _ in range(chance.choice([2, 5, 5, 49])):
                calls.append([middle + scatter * chance.gauss(0, 1) for _ in range(chance.choice([9, 9, 9, 20]))])
                of.append(process)
        steps = statistics.step_statistics(calls, of)
        assert steps is not None
        assert steps.median_interval_ms is not None
        assert steps.median_interval_ms.low <= steps.median_ms <= steps.median_interval_ms.high


def test_peak_memory_is_the_highest_over_calls() -> None:
    calls = [
        dataclasses.replace(call_of(1), peak_allocated_mib=20.0, peak_reserved_mib=30.0),
        dataclasses.replace(call_of(2), peak_allocated_mib=10.0, peak_reserved_mib=None),
    ]
    main = summarise(spec("main"), [], calls).stages[0]
    assert (main.peak_allocated_mib, main.peak_reserved_mib) == (20.0, 30.0)
    assert summarise(spec("main"), [], [call_of(1)]).stages[0].peak_allocated_mib is None
