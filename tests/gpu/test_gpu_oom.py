"""Running out of a real card's memory, by hand: ``python -m pytest tests/gpu -m gpu -k oom``."""

import re

import pytest
import torch
from test_gpu import CATALOG, DEVICE, Recorder, cell_of

from sdtui import runs
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.model.events import CallFinished
from sdtui.model.job import Job
from sdtui.report import text
from sdtui.supervisor.launch import start_supervisor
from sdtui.worker.measure import measure

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that this torch can use"),
]
MIB = 2**20


@pytest.fixture(autouse=True)
def _whole_card():
    """The limit is the process's: the next test has the whole card again."""
    torch.cuda.empty_cache()
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


class Limiting(Recorder):
    """Lets the allocator have no more than it holds when a call has ended."""

    def __init__(self, call):
        super().__init__()
        self._call = call

    def emit(self, *events):
        super().emit(*events)
        if any(isinstance(event, CallFinished) and event.call == self._call for event in events):
            torch.cuda.empty_cache()
            total = torch.cuda.get_device_properties(DEVICE).total_memory
            torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / total)


@pytest.mark.parametrize(("call", "label"), [(1, "OOM after warmup"), (2, "OOM after 2nd iteration")])
def test_a_later_call_that_runs_out_of_memory_is_labelled_as_on_the_page(call, label, tmp_path):
    recorder = Limiting(call)
    measure(Job(cell_of(size=1024, batch_sizes=[4], calls=4, steps=2), DEVICE, str(tmp_path)), recorder)
    ending = recorder.events[-1]
    assert (ending.status, ending.phase, ending.call) == ("oom", "measure", call + 1)
    assert ending.reason.startswith("CUDA out of memory")
    assert text.outcome(ending.status, ending.call, ()) == label
    assert [event.call for event in recorder.of(CallFinished)] == list(range(1, call + 1))


def test_a_limit_holds_and_torch_itself_says_so(tmp_path):
    recorder = Recorder()
    limit = torch.cuda.memory_reserved() + 256 * MIB
    cell = cell_of(size=1024, batch_sizes=[16], calls=1, vram_limit=f"{limit / 10**6:.6f} MB")
    measure(Job(cell, DEVICE, str(tmp_path)), recorder)
    ending = recorder.events[-1]
    assert (ending.status, ending.phase) == ("oom", "warm-up")
    assert ending.reason.startswith("CUDA out of memory")
    assert torch.cuda.max_memory_reserved() <= limit


def test_the_cell_after_one_that_ran_out_of_memory_is_unharmed(tmp_path):
    """Attention written out takes 4 GiB for its scores at this size, and runs first; the other mode takes a part."""
    for package in ("psutil", "pynvml"):  # of the supervising side
        pytest.importorskip(package)
    keys = {
        "pipelines": ["sd-txt2img"],
        "modes": ["vanilla-attention", "sdpa-attention"],
        "batch_sizes": [1],
        "size": 1024,
        "steps": 2,
        "calls": 2,
        "scale": "tiny",
        "device": DEVICE,
        "vram_limit": "2GiB",
    }
    plan = resolve_plan(CATALOG, None, keys, gpu_available=True)
    folder = runs.create(tmp_path, "gpu", "host", plan_to_toml(plan))
    assert start_supervisor(folder, []).wait() == 1, (folder / "logs" / "supervisor.log").read_text()
    written_out, fused = runs.read(folder).cells.values()
    assert (written_out.finished.status, written_out.finished.reason[:18]) == ("oom", "CUDA out of memory")
    assert fused.finished.status == "ok", fused.finished.reason
    assert fused.started > written_out.started
    assert all(0 < call.peak_reserved_mib <= 2048 for call in fused.calls)
    report = (folder / runs.REPORT).read_text()
    assert "tiny · 2 steps, 1024 px, 2 calls, allocator limited to 2 GiB (batch size: 1)" in report
    assert re.search(r"^\| SD - txt2img \| OOM\[\^\d+\] \| \d", report, re.MULTILINE)
