"""The call under torch.profiler that a plan can ask for; on a CPU there is a trace, and no GPU that was busy."""

from __future__ import annotations

import gzip
import json

import pytest
from tiny_cells import Recorder, cell_of

from sdtui.model.events import CallFinished, CellFinished, Log
from sdtui.model.job import Job
from sdtui.worker import measure
from sdtui.worker.tracing import LOOP


@pytest.fixture
def traced(tmp_path):
    def run(**overrides):
        recorder = Recorder()
        cell = cell_of(steps=2, calls=1, **overrides)
        measure.measure(Job(cell, "cpu", str(tmp_path), trace=True), recorder)
        return recorder, recorder.events[-1]

    return run


def test_every_stage_is_traced_in_a_call_that_is_not_timed(traced, tmp_path):
    recorder, finished = traced(pipeline="if")
    assert isinstance(finished, CellFinished)
    assert finished.status == "ok"
    assert [trace.stage for trace in finished.traces] == ["I", "II", "III"]
    assert [event.call for event in recorder.events if isinstance(event, CallFinished)] == [1, 1, 1]
    assert all(trace.loop_ms > 0 and trace.busy_ms is None and not trace.kernels for trace in finished.traces)
    assert len({trace.file for trace in finished.traces}) == 3
    for trace in finished.traces:
        events = json.loads(gzip.open(tmp_path / trace.file).read())["traceEvents"]
        assert sum(event.get("name") == LOOP for event in events) == 1


def test_a_trace_that_fails_is_said_and_costs_the_cell_nothing(traced, monkeypatch):
    def fail(*_):
        raise RuntimeError("the profiler is in use")

    monkeypatch.setattr(measure, "trace", fail)
    recorder, finished = traced()
    assert (finished.status, finished.traces) == ("ok", ())
    (log,) = [event for event in recorder.events if isinstance(event, Log)]
    assert log.level == "warning"
    assert log.message.startswith("no trace: RuntimeError: the profiler is in use")
