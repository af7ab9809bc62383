"""What torch.compile did, as torch's own counters tell it; the backend is "eager", which compiles in no time."""

from __future__ import annotations

import pytest
import torch

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


def found_on_second_try(folder, monkeypatch):
    """Compiles the same twice in a cache of its own, as two processes would; returns hits and misses of each."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder))
    meter = CompilationMeter()
    told = []
    for _ in range(2):
        torch._dynamo.reset()
        with torch.no_grad():
            torch.compile(torch.mm)(torch.ones(2, 2), torch.ones(2, 2))  # no kernel of Inductor's, so no C++ compiler
        told.append(meter.take())
    assert any(folder.rglob("*")), "the variable counts though torch was imported before it was set"
    return [(each.cache_hits, each.cache_misses) for each in told]


def test_a_graph_is_found_in_inductors_cache(tmp_path, monkeypatch):
    assert found_on_second_try(tmp_path, monkeypatch) == [(0, 1), (1, 0)]


def test_a_graph_is_found_in_a_cache_of_autograd_that_keeps_the_code_itself(tmp_path, monkeypatch):
    config = pytest.importorskip("torch._functorch.config")
    if not hasattr(config, "bundled_autograd_cache"):
        pytest.skip("this torch has no such cache")
    with config.patch(bundled_autograd_cache=True):
        assert found_on_second_try(tmp_path, monkeypatch) == [(0, 1), (1, 0)]


def test_a_graph_that_cannot_be_cached_is_a_miss(tmp_path, monkeypatch):
    with torch._inductor.config.patch(force_disable_caches=False, fx_graph_cache=True):
        monkeypatch.setattr(
            "torch._inductor.codecache.FxGraphCache._check_can_cache", staticmethod(_refuse), raising=True
        )
        assert found_on_second_try(tmp_path, monkeypatch) == [(0, 1), (0, 1)]


def _refuse(*_):
    from torch._inductor.codecache import BypassFxGraphCache

    raise BypassFxGraphCache("not this one")
