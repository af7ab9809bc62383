"""The limit of torch's allocator, as far as it can be seen without a GPU; tests/gpu has the rest."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from tiny_cells import cell_of

from sdtui.worker import measure
from sdtui.worker.allocator import limit_allocator

GIB = 2**30


@pytest.mark.parametrize(("limit", "fraction"), [(20 * GIB, 0.25), (80 * GIB, 1.0), (81 * GIB, 1.0)])
def test_a_limit_is_a_share_of_the_whole_memory(limit, fraction, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(total_memory=80 * GIB))
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *arguments: asked.append(arguments))
    limit_allocator(limit, "cuda:0")
    assert asked == [(fraction, "cuda:0")]


def test_a_cell_is_limited_before_it_loads_and_only_where_it_has_a_limit(measured, monkeypatch):
    seen = []

    def refuse(*arguments):
        seen.append(arguments)
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(measure, "limit_allocator", refuse)
    assert measured(cell_of(steps=1)).end.status == "ok"
    limited = measured(dataclasses.replace(cell_of(steps=1), vram_limit_bytes=15 * GIB))
    assert (limited.end.status, limited.end.phase) == ("oom", "load")
    assert seen == [(15 * GIB, "cpu")]
