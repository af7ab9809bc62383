"""What torch.compile did, as torch's own counters tell it; the backend is "eager", which compiles in no time."""

from __future__ import annotations

import pytest
import torch

from sdtui.model.events import Compilation
from sdtui.worker.compilation import CompilationMeter


@pytest.fixture(autouse=True)
def _fresh_dynamo():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def test_nothing_compiled_is_none():
    meter = CompilationMeter()
    torch.nn.Linear(2, 2)(torch.randn(1, 2))
    assert meter.take() is None


def test_a_first_call_compiles_one_graph_and_a_second_none():
    meter = CompilationMeter()
    compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager", fullgraph=True)
    compiled(torch.randn(1, 2))
    told = meter.take()
    assert told is not None
    assert told.graphs == 1
    assert told.seconds > 0
    assert told.recompiles == ()
    assert told.graph_breaks == {}
    compiled(torch.randn(1, 2))
    assert meter.take() is None


def test_a_recompile_is_counted_and_says_why():
    meter = CompilationMeter()
    compiled = torch.compile(torch.nn.Linear(2, 2), backend="eager", dynamic=False)
    compiled(torch.randn(2, 2))
    meter.take()
    compiled(torch.randn(3, 2))
    told = meter.take()
    assert told.graphs == 1
    assert len(told.recompiles) == 1
    assert "size mismatch" in told.recompiles[0]


def test_a_graph_break_is_counted_and_says_why():
    def broken(x):
        y = x + 1
        torch._dynamo.graph_break()
        return y * 2

    meter = CompilationMeter()
    torch.compile(broken, backend="eager")(torch.randn(3))
    told = meter.take()
    assert told.graphs == 2
    assert sum(told.graph_breaks.values()) == 1
    assert all(reason for reason in told.graph_breaks)


@pytest.mark.parametrize(
    ("hits", "misses", "cache"),
    [(None, None, None), (0, 3, "cold"), (3, 0, "warm"), (2, 1, "partly warm")],
)
def test_the_caches_state_is_read_from_hits_and_misses(hits, misses, cache):
    assert Compilation(1, cache_hits=hits, cache_misses=misses).cache == cache
