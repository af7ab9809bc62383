from __future__ import annotations

import pytest

from sdtui import precision
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.events import CallFinished, Step
from sdtui.model.precision import Limit, PrecisionReached, PrecisionRule
from sdtui.precision import Precision, Stopping, precision_of
from sdtui.records import CellRecord

CELL = "p.m.current.b1-00000000"
GOLDEN_RATIO = 0.6180339887


class Told:
    """A process of a cell as its calls come in, each of ten steps and half a second."""

    def __init__(self, calls: int = 3, stages: tuple[str, ...] = ("main",)) -> None:
        made = tuple(Stage(name, "Pipeline", (), {}, ("unet",), 10, 7.5, 64, 64, True, True) for name in stages)
        slot, mode = Slot("p", "m", "current", 1), Mode("m", "m")
        self.record = CellRecord(Cell(CELL, slot, "P", mode, "full", calls, "float16", "random", 0, "", made), 1, 0.0)
        self.calls = 0

    def call(self, stage: str, call: int, noise: float) -> CallFinished:
        for step in range(10):
            ms = 10.0 * (1 + noise * 4 * (GOLDEN_RATIO * (10 * call + step) % 1 - 0.5))
            self.record.steps.append(Step(CELL, call, stage, step + 1, 10, ms, 1))
        finished = CallFinished(CELL, call, stage, 10, 10, 100.0, 100.0, 500.0, 0, 100, 0, 0)
        self.record.calls.append(finished)
        return finished

    def until_enough(self, stopping: Stopping, **noise: float) -> int:
        """Makes calls until they are enough; returns how many."""
        while True:
            self.calls += 1
            for stage, share in noise.items():
                enough = stopping.enough(self.call(stage, self.calls, share))
            if enough:
                return self.calls
            assert self.calls < 1000


def test_the_interval_is_the_one_that_reports_give() -> None:
    told = Told()
    for number in (1, 2, 3):
        told.call("main", number, 0.05)
    samples = [step.ms for step in told.record.steps if step.call > 1]
    steps = precision.statistics.step_statistics([samples[:10], samples[10:]])
    assert steps is not None
    interval = steps.median_interval_ms
    assert interval is not None
    half = max(interval.high - steps.median_ms, steps.median_ms - interval.low) / steps.median_ms
    assert precision_of(told.record) == Precision("main", half)
    assert half > 0


def test_few_calls_that_are_alike_prove_nothing() -> None:
    told = Told()
    stopping = Stopping(PrecisionRule(0.01, 50, 1000), told.record)
    assert told.until_enough(stopping, main=0.0) == 6
    assert stopping.reached == PrecisionReached(0.01, 0.0, "main", 6, 2.5)


def test_more_noise_takes_more_calls() -> None:
    def needed(noise: float) -> int:
        told = Told()
        return told.until_enough(Stopping(PrecisionRule(0.02, 200, 1000), told.record), main=noise)

    assert 6 == needed(0.001) < needed(0.05) < needed(0.1) < 200


def test_every_stage_must_be_known() -> None:
    told = Told(stages=("I", "II"))
    stopping = Stopping(PrecisionRule(0.01, 12, 1000), told.record)
    assert told.until_enough(stopping, I=0.3, II=0.0) == 12
    assert stopping.reached is not None
    assert (stopping.reached.stage, stopping.reached.limit) == ("I", "max-calls")
    assert stopping.reached.half_width == precision_of(told.record).half_width


def test_the_worker_asks_once_per_call_from_the_cells_last_on() -> None:
    told = Told(calls=2, stages=("I", "II"))
    stopping = Stopping(PrecisionRule(0.01, 50, 1000), told.record)
    answers = [stopping.enough(told.call(stage, call, 0.0)) for call in (1, 2, 3) for stage in ("I", "II")]
    assert answers == [None, None, None, False, None, False]


def test_a_limit_that_comes_before_enough_calls_is_named_whatever_the_interval() -> None:
    told = Told()
    stopping = Stopping(PrecisionRule(0.5, 50, 1.0), told.record)
    assert told.until_enough(stopping, main=0.001) == 3
    assert stopping.reached is not None
    assert (stopping.reached.limit, stopping.reached.unmet) == ("max-seconds", ("measured-calls",))


@pytest.mark.parametrize(
    ("half_width", "calls", "limit", "unmet"),
    [
        (0.01, 6, None, ()),
        (0.011, 7, "max-calls", ("half-width",)),
        (0.01, 3, "max-seconds", ("measured-calls",)),
        (None, 2, "max-seconds", ("half-width", "measured-calls")),
    ],
)
def test_what_was_unmet(half_width: float | None, calls: int, limit: Limit | None, unmet: tuple[str, ...]) -> None:
    assert PrecisionReached(0.01, half_width, "main", calls, 1.0, limit).unmet == unmet


def test_a_precision_that_is_reached_with_the_last_call_is_reached() -> None:
    told = Told()
    stopping = Stopping(PrecisionRule(0.01, 6, 1000), told.record)
    assert told.until_enough(stopping, main=0.0) == 6
    assert stopping.reached is not None
    assert stopping.reached.limit is None


def test_looks_get_rarer_as_they_get_dearer(monkeypatch: pytest.MonkeyPatch) -> None:
    told, looks = Told(), 0
    look = precision.precision_of

    def counted(record: CellRecord) -> Precision:
        nonlocal looks
        looks += 1
        return look(record)

    monkeypatch.setattr(precision, "precision_of", counted)
    assert told.until_enough(Stopping(PrecisionRule(0.0001, 100, 1000), told.record), main=0.3) == 100
    assert 15 < looks < 50, "every call would be 95"


def test_too_few_samples_are_no_precision() -> None:
    told = Told(stages=("I", "II"))
    told.call("I", 1, 0.0)
    assert precision_of(told.record) == Precision("II", None)
    assert not precision_of(told.record).is_within(0.5)
