"""When samples are due, what changed, and what they add up to."""

from __future__ import annotations

from typing import Any

import pytest

from sdtui.telemetry.sampler import Sampler


class Script:
    """Returns one prepared sample after the other."""

    def __init__(self, *samples: dict[str, Any]) -> None:
        self._samples = iter(samples)

    def __call__(self) -> dict[str, Any]:
        return next(self._samples)


def test_the_first_is_complete_and_the_rest_is_change() -> None:
    sampler = Sampler(
        Script(
            {"power_w": 70.0, "clock_event_reasons": ["gpu_idle"], "energy_j": None},
            {"power_w": 70.0, "clock_event_reasons": ["gpu_idle"], "energy_j": None},
            {"power_w": 300.5, "clock_event_reasons": [], "energy_j": None},
            {"power_w": None, "clock_event_reasons": [], "energy_j": 1.0},
        )
    )
    assert sampler.take(0.0) == {"power_w": 70.0, "clock_event_reasons": ["gpu_idle"], "energy_j": None}
    assert sampler.take(0.1) == {}
    assert sampler.take(0.2) == {"power_w": 300.5, "clock_event_reasons": []}
    assert sampler.take(0.3) == {"power_w": None, "energy_j": 1.0}


def test_due_at_its_rate() -> None:
    sampler = Sampler(lambda: {}, hz=10)
    assert sampler.next_due() <= 0.0, "the first at once"
    sampler.take(5.0)
    assert sampler.next_due() == pytest.approx(5.1)
    sampler.take(5.13)
    assert sampler.next_due() == pytest.approx(5.2), "a little late does not shift those that follow"


def test_missed_samples_are_not_made_up_for() -> None:
    sampler = Sampler(lambda: {}, hz=10)
    sampler.take(0.0)
    sampler.take(3.0)
    assert sampler.next_due() == pytest.approx(3.1)


def test_mean_between_two_times_and_peak_of_all() -> None:
    values = [10, 20, None, 60, 90]
    sampler = Sampler(Script(*({"gpu_utilisation_percent": value} for value in values)), hz=1)
    for t in range(5):
        sampler.take(float(t))
    assert sampler.mean("gpu_utilisation_percent", 1.0, 3.0) == 40
    assert sampler.mean("gpu_utilisation_percent", 0.0, 9.0) == 45
    assert sampler.mean("gpu_utilisation_percent", 2.0, 2.0) is None
    assert sampler.mean("power_w", 0.0, 9.0) is None
    assert sampler.peak("gpu_utilisation_percent") == 90
    assert sampler.peak("power_w") is None
