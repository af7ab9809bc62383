from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sdtui import runs
from sdtui.energy import energy
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.events import CallFinished, Telemetry
from sdtui.records import CellRecord

CELL = "p.m.current.b4-00000000"
RESULTS = Path(__file__).parents[2] / "docs" / "results" / "2026-11-24-h100-docs-batch-1"


def record(*ends: float, wall_s: float = 1.0, stages: tuple[str, ...] = ("main",), batch_size: int = 4) -> CellRecord:
    """A cell whose calls ended at these times; stages of one call follow each other."""
    made = tuple(Stage(name, "Pipeline", (), {}, ("unet",), 2, 7.5, 64, 64, True, True) for name in stages)
    slot = Slot("p", "m", "current", batch_size)
    spec = Cell(CELL, slot, "P", Mode("m", "m"), "full", len(ends), "float16", "random", 0, "", made)
    told = CellRecord(spec, 1, -100.0)
    for call, end in enumerate(ends, 1):
        for place, name in enumerate(stages):
            told.calls.append(CallFinished(CELL, call, name, 2, 2, 1, 1, wall_s * 1000, 0, 0, 0, 0))
            told.call_times.append(end - (len(stages) - 1 - place) * wall_s)
    return told


def sampled(told: CellRecord, until: float, every: float = 0.1, **figures: Any) -> CellRecord:
    """Reads from t = 0 on; a figure is a function of time."""
    for index in range(round(until / every) + 1):
        changed = {name: figure(index * every) for name, figure in figures.items()}
        told.telemetry.append((index * every, Telemetry(CELL, "gpu", changed)))
    return told


def test_the_counter_s_rise_over_the_measured_calls_is_shared_by_their_images() -> None:
    told = sampled(record(2, 3, 4), 5, energy_j=lambda t: 1000 + 300 * t, power_w=lambda t: 999.0)
    found = energy(told)
    assert found is not None
    assert found.source == "counter"
    assert found.joules_per_image == pytest.approx(300 * 2 / 8)
    assert found.mean_power_w == pytest.approx(300)
    assert found.seconds == pytest.approx(2)


def test_the_first_call_and_gaps_do_not_count() -> None:
    def draw(t: float) -> float:
        return 5000 * min(t, 2) + 100 * max(0, t - 2) + 900 * min(max(0, t - 3), 1)  # 5 kW to 2 s, 1 kW from 3 to 4 s

    found = energy(sampled(record(2, 3, 5), 6, energy_j=draw))
    assert found is not None
    assert found.joules_per_image == pytest.approx((100 + 100) / 8)


def test_ends_between_readings_are_interpolated() -> None:
    found = energy(sampled(record(2.05, 3.17), 5, energy_j=lambda t: 200 * t))
    assert found is not None
    assert found.joules_per_image == pytest.approx(200 / 4)


def test_power_is_integrated_where_there_is_no_counter_and_time_enough() -> None:
    told = sampled(record(2, 5, 8, wall_s=3), 9, energy_j=lambda t: None, power_w=lambda t: 100 * t)
    found = energy(told)
    assert found is not None
    assert found.source == "power"
    assert found.joules_per_image == pytest.approx((8**2 - 2**2) / 2 * 100 / 8)
    short = sampled(record(2, 3, 4), 9, energy_j=lambda t: None, power_w=lambda t: 100.0 + t)
    assert energy(short) is None


@pytest.mark.parametrize(
    "told",
    [
        sampled(record(2), 5, energy_j=lambda t: t),
        sampled(record(2, 2.9, wall_s=0.9), 5, energy_j=lambda t: t),
        sampled(record(2, 4, wall_s=2), 5, every=0.5, energy_j=lambda t: t),
        sampled(record(2, 4, wall_s=2), 3.9, energy_j=lambda t: t),
        sampled(record(2, 4, wall_s=2), 5, energy_j=lambda t: 7.0),
        sampled(record(2, 4, wall_s=2), 5, energy_j=lambda t: None, power_w=lambda t: None),
        record(2, 4, wall_s=2),
    ],
    ids=["one call", "too short", "too few readings", "ends too early", "stuck", "not available", "no telemetry"],
)
def test_it_is_not_available(told: CellRecord) -> None:
    assert energy(told) is None


def test_stages_make_one_image_together_and_a_call_must_be_whole() -> None:
    told = sampled(record(4, 8, 12, wall_s=2, stages=("I", "II"), batch_size=1), 13, energy_j=lambda t: 50 * t)
    found = energy(told)
    assert found is not None
    assert found.joules_per_image == pytest.approx(200)
    del told.calls[-1], told.call_times[-1]
    found = energy(told)
    assert found is not None
    assert (found.joules_per_image, found.seconds) == pytest.approx((200, 4))


def test_a_recorded_card_s_power_integral_comes_to_its_counter_where_calls_are_long() -> None:
    told = runs.read(RESULTS).cells["if.no-compile.current.b1-eba1e105"]
    counted = energy(told)
    for _, event in told.telemetry:
        event.changed.pop("energy_j", None)  # type: ignore[attr-defined]  # a dict, as decoded
    integrated = energy(told)
    assert counted is not None
    assert integrated is not None
    assert (counted.source, integrated.source) == ("counter", "power")
    assert integrated.joules_per_image == pytest.approx(counted.joules_per_image, rel=0.005)
