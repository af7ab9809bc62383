from __future__ import annotations

from typing import Any

import pytest

from sdtui import flags, statistics
from sdtui.check import Check
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.events import CallFinished, CellFinished, StageTrace, Step, Telemetry
from sdtui.model.machine import Gpu
from sdtui.records import CellRecord

CELL = "p.m.current.b1-00000000"
GPU = Gpu("GPU", "GPU-1", max_sm_clock_mhz=2000)
BUSY = {"gpu_utilisation_percent": 97, "sm_clock_mhz": 1980, "clock_event_reasons": [], "other_processes": 0}


def stage(name: str) -> Stage:
    return Stage(name, "Pipeline", (), {}, ("unet",), 20, 7.5, 64, 64, True, True)


def record(
    *medians_ms: float, scatter: float = 0.01, host: float = 1.0, stages: tuple[str, ...] = ("main",), **read: Any
) -> CellRecord:
    """A cell whose calls had these median steps, 20 steps each; the first call takes no part.

    Calls take a second per stage and begin where the last ended, the second at t = 0. The host's clock has the share
    ``host`` of a loop's time.
    """
    spec = Cell(
        CELL,
        Slot("p", "m", "current", 1),
        "P",
        Mode("m", "m"),
        "full",
        len(medians_ms),
        "float16",
        "random",
        0,
        "",
        tuple(stage(name) for name in stages),
    )
    told = CellRecord(spec, 1, -100.0)
    t = -1.0 * len(stages)
    for call, median in enumerate(medians_ms, 1):
        for name in stages:
            t += 1.0
            for number in range(20):
                ms = median * (1 + scatter * (number % 5 - 2))
                told.steps.append(Step(CELL, call, name, number + 1, 20, ms, 1))
            told.calls.append(CallFinished(CELL, call, name, 20, 20, 20 * median, host * 20 * median, 1000, 0, 0, 0, 0))
            told.call_times.append(t)
    told.telemetry.append((-50.0, Telemetry(CELL, "gpu", {**BUSY, **read})))
    return told


def then(told: CellRecord, t: float, **changed: Any) -> CellRecord:
    told.telemetry.append((t, Telemetry(CELL, "gpu", changed)))
    return told


def raised(told: CellRecord, gpu: Gpu | None = GPU, check: Check | None = None) -> dict[str, str]:
    summary = statistics.summarise(
        told.spec,
        told.steps,
        told.calls,
        [],
        0.0,
        1.0,
        gpu_utilisation_percent=None,
        cpu_percent=None,
        peak_vram_mib=None,
        peak_rss_mib=None,
    )
    return {flag.name: flag.evidence for flag in flags.flags(told, summary, gpu, check)}


def test_a_quiet_cell_raises_none() -> None:
    assert raised(record(50, 10, 10.1)) == {}


def test_unstable_steps_scatter() -> None:
    assert raised(record(50, 10, 10, scatter=0.049)) == {}
    assert raised(record(50, 10, 10, scatter=0.06)) == {"unstable": "the steps' MAD is 6.0 % of their median"}


def test_a_first_call_alone_is_not_judged() -> None:
    assert raised(record(10, scatter=0.5)) == {}


def test_drifting_calls_differ_beyond_their_intervals() -> None:
    assert raised(record(50, 10, 10.15)) == {}
    assert raised(record(50, 10.5, 10, 10.2)) == {
        "drifting": "the median step is 10.00 ms in call 3 and 10.50 ms in call 2"
    }


def test_calls_that_scatter_more_than_they_differ_do_not_drift() -> None:
    assert "drifting" not in raised(record(50, 10, 10.3, scatter=0.1))


def test_stages_are_named_where_there_are_several() -> None:
    told = record(50, 10, 10, scatter=0.06, stages=("I", "II"))
    told.steps = [step if step.stage == "II" else Step(CELL, step.call, "I", 1, 20, 5.0, 1) for step in told.steps]
    assert raised(told) == {"unstable": "the steps' MAD is 6.0 % in II of their median"}


def test_host_bound_says_how_much_of_a_step_is_idle_and_how_weak_that_is() -> None:
    assert raised(record(50, 10, 10, gpu_utilisation_percent=80)) == {}
    (evidence,) = raised(record(50, 10, 10, gpu_utilisation_percent=60)).values()
    assert evidence == "by NVML alone, weak evidence, the GPU idles some 4.0 of a step's 10.0 ms (60.0 % busy)"


@pytest.mark.parametrize(("host", "waits"), [(1.0, True), (0.96, True), (0.94, False), (0.0, True)])
def test_no_step_waits_for_a_host_that_ended_the_loop_a_step_before_the_gpu(host: float, waits: bool) -> None:
    told = record(50, 10, 10, host=host, gpu_utilisation_percent=60)
    assert ("host-bound" in raised(told)) is waits


def traced(told: CellRecord, **busy_ms: float | None) -> CellRecord:
    traces = tuple(StageTrace(name, 999.0, busy, 1, (), "f") for name, busy in busy_ms.items())
    told.finished = CellFinished(CELL, "ok", "measure", 3, traces=traces)
    return told


def test_a_trace_outweighs_nvml_and_is_held_against_the_measured_loop() -> None:
    loop_ms = 20 * 50
    idle = raised(traced(record(50, 50, 50), main=0.79 * loop_ms))
    assert idle["host-bound"] == "by the trace, a kernel or copy ran on the GPU for 790 of the loop's 1000 ms"
    assert "host-bound" not in raised(traced(record(50, 50, 50, gpu_utilisation_percent=10), main=0.81 * loop_ms))


def test_a_trace_of_some_stages_leaves_the_judgement_to_nvml() -> None:
    told = record(50, 50, 50, stages=("I", "II"), gpu_utilisation_percent=10)
    assert "by NVML alone" in raised(traced(told, I=999.0))["host-bound"]
    assert "by NVML alone" in raised(traced(told, I=999.0, II=None))["host-bound"]


def test_utilisation_counts_by_how_long_it_held_in_the_measured_calls() -> None:
    told = then(record(50, 10, 10, gpu_utilisation_percent=0), 0.5, gpu_utilisation_percent=100)
    assert "(75.0 % busy)" in raised(told)["host-bound"]
    late = then(record(50, 10, 10, gpu_utilisation_percent=100), 2.0, gpu_utilisation_percent=0)
    assert raised(late) == {}


def test_what_is_short_or_not_available_raises_nothing() -> None:
    absent = dict.fromkeys(BUSY)
    assert raised(record(50, 10, 10, **absent)) == {}
    short = record(50, 10, gpu_utilisation_percent=10)
    short.calls[-1] = CallFinished(CELL, 2, "main", 20, 20, 200, 0, 900, 0, 0, 0, 0)
    assert raised(short) == {}
    assert "host-bound" in raised(record(50, 10, gpu_utilisation_percent=10))


def test_throttled_names_the_reasons_and_their_share() -> None:
    for benign in ("gpu_idle", "applications_clocks_setting"):
        assert raised(record(50, 10, 10, clock_event_reasons=[benign])) == {}
    told = record(50, 10, 10, clock_event_reasons=["sw_power_cap", "gpu_idle"])
    then(told, 1.5, clock_event_reasons=["sw_power_cap", "hw_thermal_slowdown"])
    assert raised(told) == {"throttled": "sw_power_cap in 100 % of the time, hw_thermal_slowdown in 25 % of the time"}


def test_a_moment_of_throttling_is_none() -> None:
    told = then(record(50, 10, 10, clock_event_reasons=["sw_power_cap"]), 0.09, clock_event_reasons=[])
    assert raised(told) == {}
    before = then(record(50, 10, 10, clock_event_reasons=["hw_slowdown"]), -0.01, clock_event_reasons=[])
    assert raised(before) == {}


@pytest.mark.parametrize(("others", "says"), [(1, "1 other compute process on"), (3, "3 other compute processes on")])
def test_contended_counts_the_others(others: int, says: str) -> None:
    assert says in raised(record(50, 10, 10, other_processes=others))["contended"]


def test_others_that_were_gone_before_or_are_unknown_do_not_contend() -> None:
    assert raised(then(record(50, 10, 10, other_processes=2), -0.5, other_processes=0)) == {}
    assert raised(record(50, 10, 10, other_processes=None)) == {}


def test_low_clock_needs_a_busy_gpu() -> None:
    assert raised(record(50, 10, 10, sm_clock_mhz=1800)) == {}
    assert raised(record(50, 10, 10, sm_clock_mhz=1410)) == {
        "low-clock": "median SM clock 1410 of 2000 MHz at 97 % utilisation"
    }
    assert list(raised(record(50, 10, 10, sm_clock_mhz=1410, gpu_utilisation_percent=50))) == ["host-bound"]
    assert raised(record(50, 10, 10, sm_clock_mhz=1410), gpu=None) == {}


def test_what_differs_says_by_how_much_and_what_passed_or_was_not_checked_nothing() -> None:
    assert raised(record(50, 10, 10), check=Check("failed", "far off")) == {"differs": "far off"}
    assert raised(record(50, 10, 10), check=Check("not checked", "nothing there")) == {}
    assert raised(record(50, 10, 10), check=Check("passed")) == {}


def test_every_flag_has_a_meaning_and_they_come_in_that_order() -> None:
    told = record(50, 10, 11, scatter=0.06, sm_clock_mhz=1000, clock_event_reasons=["sw_power_cap"], other_processes=1)
    assert list(raised(told, check=Check("failed", "far off"))) == [
        name for name in flags.MEANINGS if name != "host-bound"
    ]
