"""Step intervals beside a kernel trace: on made traces whose times are known, and on a real one of a tiny call."""

from __future__ import annotations

import json
import sys

import pytest
import step_timing as program


def x(cat, name, ts, dur, correlation=None):
    return {"ph": "X", "cat": cat, "name": name, "ts": ts, "dur": dur, "args": {"correlation": correlation}}


def mark(number, ts):
    return {"ph": "X", "cat": "user_annotation", "name": f"{program.MARK}{number}", "ts": ts, "dur": 1, "args": {}}


def trace():
    """Two steps in microseconds: the first launches two kernels, the second a graph of two; the host runs ahead."""
    return [
        {"ph": "M", "name": "process_name", "ts": 0, "args": {}},
        x("cuda_runtime", "cudaLaunchKernel", 0, 2, 1),
        x("kernel", "text", 100, 100, 1),
        mark(0, 10),
        x("cpu_op", "aten::mm", 11, 5),
        x("cuda_runtime", "cudaLaunchKernel", 12, 2, 2),
        x("cuda_driver", "cuLaunchKernel", 13, 1, 2),
        x("cuda_driver", "cuLaunchKernel", 15, 2, 3),
        x("kernel", "a", 1000, 500, 2),
        x("kernel", "b", 1500, 9500, 3),
        mark(1, 20),
        x("cuda_runtime", "cudaGraphLaunch", 25, 2, 4),
        x("kernel", "c", 11_200, 800, 4),
        x("gpu_memcpy", "Memcpy DtoD", 12_000, 9000, 4),
        mark(2, 30),
        x("cuda_runtime", "cudaLaunchKernel", 35, 2, 5),
        x("kernel", "vae", 21_500, 100, 5),
    ]


def compared(intervals_ms, events=None):
    events = trace() if events is None else events
    return program.compare(intervals_ms, program.by_step(program.activities(events, True), program.marks(events)))


def test_kernels_belong_to_the_step_that_launched_them():
    ran = program.activities(trace(), on_gpu=True)
    assert program.marks(trace()) == [10, 20, 30]
    spans = program.by_step(ran, program.marks(trace()))
    assert spans == [(100, 200), (1000, 11_000), (11_200, 21_000), (21_500, 21_600)]


def test_intervals_stand_beside_the_steps_of_the_trace():
    first, second, loop = compared([10.1, 10.05])
    assert (first.kernels_ms, first.low_ms, first.high_ms) == (10.0, 10.0, 11.0)
    assert (second.kernels_ms, second.low_ms, second.high_ms) == (10.0, 9.8, 10.5)
    assert (loop.kernels_ms, loop.low_ms, loop.high_ms) == (20.0, 20.0, 21.3)
    assert loop.ms == pytest.approx(20.15)
    assert loop.deviation == pytest.approx(0.0075)
    assert [step.inside for step in (first, second, loop)] == [True, True, True]


def test_an_interval_that_cannot_be_is_seen():
    """A mark taken when the host came to it, not the device, as an unsynchronised stamp is."""
    first, second, loop = compared([0.01, 0.01])
    assert not first.inside
    assert not second.inside
    assert loop.deviation < -0.9
    assert [step.inside for step in compared([9.99, 10.51])] == [False, False, True]
    assert [step.inside for step in compared([9.996, 10.504])] == [True, True, True]  # within what clocks differ by


def test_a_kernel_without_a_launch_goes_with_the_one_before_it():
    events = [event for event in trace() if event["name"] != "cudaGraphLaunch"]
    ran = program.activities(events, on_gpu=True)
    assert [activity.launched is None for activity in ran] == [False, False, False, True, True, False]
    spans = program.by_step(ran, program.marks(events))
    assert spans == [(100, 200), (1000, 21_000), None, (21_500, 21_600)]


def test_a_trace_that_cannot_tell_is_refused():
    with pytest.raises(SystemExit, match="no kernel"):
        program.activities([event for event in trace() if event.get("cat") != "kernel"][:-5], on_gpu=True)
    with pytest.raises(SystemExit, match="3 steps timed, 2 traced"):
        compared([1, 1, 1])
    with pytest.raises(SystemExit, match=r"nothing ran in those of \[2\]"):
        compared([1, 1], [event for event in trace() if event.get("args", {}).get("correlation") != 4])


def test_a_call_is_within_one_percent_or_not():
    def state(intervals_ms):
        return program.state([program.traced_call(intervals_ms, trace(), True)], [10.0], [20.0])

    assert state([10.1, 10.05])["within_1_percent"] is True
    beyond = state([10.2, 10.05])
    assert beyond["within_1_percent"] is False
    assert beyond["worst_deviation"] == pytest.approx(0.0125)
    assert beyond["step_deviation_max"] == pytest.approx(0.02)
    assert beyond["step_deviation_median"] == pytest.approx(0.0125)
    assert (beyond["steps"], beyond["steps_within_1_percent"], beyond["steps_inside"]) == (2, 1, 2)
    assert beyond["traced_over_untraced"] == pytest.approx(2.025)


def test_a_real_call_is_in_its_brackets(tmp_path, monkeypatch, capsys):
    """On a CPU every mark lies between two operators, however slow the machine is."""
    output = tmp_path / "timing.json"
    flags = ["--scale", "tiny", "--device", "cpu", "--mode", "no-compile", "--steps", "2", "--calls", "1"]
    monkeypatch.setattr(sys, "argv", ["step_timing.py", *flags, "-o", str(output)])
    status = program.main()
    (told,) = json.loads(output.read_text())
    (call,) = told["calls"]
    assert call["inside"]
    assert call["steps_inside"] == told["steps"] == 2
    assert call["activities"] > 100
    assert status == (0 if told["within_1_percent"] else 1)
    assert capsys.readouterr().out.startswith("sd-txt2img.no-compile.current.b1.tiny-")
