"""Smoke on a real card, by hand: ``python -m pytest -m gpu tests/gpu``. Tiny pipelines in float16, in this process."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.events import CallFinished, CellFinished, CellPhase, Step
from sdtui.model.job import Job
from sdtui.worker.build import build
from sdtui.worker.clock import CudaClock
from sdtui.worker.measure import measure

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that this torch can use"),
]
CATALOG = load_catalog()
DEVICE = "cuda:0"


def cell_of(pipeline="sd-txt2img", mode="no-compile", **overrides):
    keys = {"pipelines": [pipeline], "modes": [mode], "batch_sizes": [1], "scale": "tiny", "device": DEVICE}
    (cell,) = expand(resolve_plan(CATALOG, None, keys | overrides, gpu_available=True), CATALOG)
    return cell


class Recorder:
    def __init__(self):
        self.events = []

    def emit(self, *events):
        self.events.extend(events)

    def flush(self):
        """Has kept nothing."""

    def of(self, kind):
        return [event for event in self.events if isinstance(event, kind)]


def measured(cell, outputs: Path, trace=False):
    recorder = Recorder()
    measure(Job(cell, DEVICE, str(outputs), trace), recorder)
    return recorder


def latents_of(cell, outputs):
    return load_file(outputs / f"{cell.id}.safetensors")["latents"].float()


def ended(run):
    [end] = run.of(CellFinished)
    return end.status, end.phase, end.call


def check_timing(run, cell):
    calls = run.of(CallFinished)
    assert len(calls) == cell.calls * len(cell.stages)
    for call in calls:
        steps = [step for step in run.of(Step) if (step.call, step.stage) == (call.call, call.stage)]
        assert [step.step for step in steps] == list(range(1, call.steps + 1))
        assert all(step.ms > 0 for step in steps)
        assert sum(step.ms for step in steps) == pytest.approx(call.loop_ms, abs=1e-3)
        assert sum(step.forwards for step in steps) == call.forwards
        parts = (call.text_encoding_ms, call.denoising_ms, call.vae_ms, call.other_ms)
        assert all(part >= 0 for part in parts)
        assert sum(parts) == pytest.approx(call.wall_ms, rel=0.1, abs=5)
        assert call.loop_ms == pytest.approx(call.host_loop_ms, rel=0.5, abs=20)
        assert 0 < call.peak_allocated_mib <= call.peak_reserved_mib


def test_events_tell_time_in_order_and_add_up():
    clock = CudaClock()
    matrix = torch.ones(2048, 2048, device=DEVICE)
    marks = [clock.mark()]
    for _ in range(5):
        matrix = matrix @ matrix * 0
        marks.append(clock.mark())
    clock.wait()
    assert all(clock.reached(mark) for mark in marks)
    intervals = [clock.between_ms(start, end) for start, end in itertools.pairwise(marks)]
    assert all(ms > 0 for ms in intervals)
    assert sum(intervals) == pytest.approx(clock.between_ms(marks[0], marks[-1]), abs=0.02)
    clock.restart()
    assert [clock.mark() for _ in marks] == marks  # the same events, recorded again
    assert clock.mark() not in marks
    clock.wait()
    assert clock.between_ms(marks[0], marks[-1]) < sum(intervals)


@pytest.mark.parametrize("pipeline", sorted(CATALOG.pipelines))
def test_every_pipeline_in_half_precision(pipeline, tmp_path):
    cell = cell_of(pipeline)
    assert cell.dtype == "float16"
    run = measured(cell, tmp_path)
    assert ended(run) == ("ok", "measure", 3)
    check_timing(run, cell)
    assert latents_of(cell, tmp_path).isfinite().all()


def test_the_pages_recipe_at_tiny_scale(tmp_path):
    """CUDA graphs: queries of events inside updates must not break a capture."""
    torch._dynamo.reset()
    eager, compiled = cell_of(), cell_of(mode="compile", calls=4)
    assert measured(eager, tmp_path).events[-1].status == "ok"
    run = measured(compiled, tmp_path)
    assert ended(run) == ("ok", "measure", 4)
    assert [phase.phase for phase in run.of(CellPhase)] == ["compile", "measure"]
    check_timing(run, compiled)
    assert [(call.steps, call.forwards) for call in run.of(CallFinished)] == [(8, 9)] * 4
    reference, latents = latents_of(eager, tmp_path), latents_of(compiled, tmp_path)
    assert float((latents - reference).norm() / reference.norm()) < 0.05


def test_controlnet_compiles_both_denoisers(tmp_path):
    torch._dynamo.reset()
    cell = cell_of("sd-controlnet", "compile")
    run = measured(cell, tmp_path)
    assert ended(run) == ("ok", "measure", 3)
    check_timing(run, cell)


@pytest.mark.parametrize("options", [{"tf32": True}, {"cudnn_benchmark": True}])
def test_options_of_the_process_are_set(options, tmp_path):
    flags = (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark)
    try:
        cell = dataclasses.replace(cell_of(calls=1), mode=Mode("mine", "mine", **options))
        assert measured(cell, tmp_path).events[-1].status == "ok"
        if "tf32" in options:
            assert torch.backends.cuda.matmul.allow_tf32
            assert torch.backends.cudnn.allow_tf32
        else:
            assert torch.backends.cudnn.benchmark
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = flags[:2]
        torch.backends.cudnn.benchmark = flags[2]


def test_weights_are_drawn_on_the_card_and_not_copied_from_the_host():
    stage = cell_of().stages[0]
    first = build(stage, 0, DEVICE, torch.float16).unet.conv_in.weight
    again = build(stage, 0, DEVICE, torch.float32).unet.conv_in.weight
    assert first.device.type == "cuda"
    assert torch.equal(first, again.half())


def test_peak_memory_is_each_stages_own(tmp_path):
    run = measured(cell_of("if-cascade", calls=2), tmp_path)
    last = {call.stage: call.peak_allocated_mib for call in run.of(CallFinished)}
    assert last["I"] < last["II"]  # 16 and 64 pixels
    assert len(set(last.values())) == 3


def test_running_out_of_memory_ends_the_cell_as_oom(tmp_path):
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(64 * 2**20 / total)
    try:
        cell = cell_of(size=1024, batch_sizes=[16], calls=1)
        run = measured(cell, tmp_path)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert run.events[-1].status == "oom"
    assert run.events[-1].phase in ("load", "warm-up")  # in load where an earlier test left the allocator full
    assert run.events[-1].reason.startswith("CUDA out of memory")


def test_a_graph_break_is_a_compile_failure(tmp_path, monkeypatch):
    torch._dynamo.reset()
    from sdtui.worker import measure as module

    def breaking(*args):
        pipe = build(*args)
        forward = pipe.unet.conv_in.forward
        pipe.unet.conv_in.forward = lambda sample: torch._dynamo.graph_break() or forward(sample)
        return pipe

    monkeypatch.setattr(module, "build", breaking)
    wish = CompileOptions(mode="reduce-overhead", fullgraph=True)
    cell = dataclasses.replace(cell_of(), mode=Mode("mine", "mine", compile=wish))
    end = measured(cell, tmp_path).events[-1]
    assert (end.status, end.phase, end.call) == ("failed", "compile", 1)
    assert end.reason.startswith("torch.compile: ")


def test_a_trace_says_how_busy_the_card_was(tmp_path):
    run = measured(cell_of(), tmp_path, trace=True)
    (finished,) = run.of(CellFinished)
    (traced,) = finished.traces
    assert 0 < traced.busy_ms <= traced.loop_ms
    assert traced.launches >= sum(kernel.launches for kernel in traced.kernels) > 0
    assert all(kernel.ms > 0 and not kernel.name.startswith(("sdtui", "aten::")) for kernel in traced.kernels)
    assert (tmp_path / traced.file).stat().st_size > 0


def test_inductor_says_what_it_compiled_and_what_its_cache_held(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "triton"))
    torch._dynamo.reset()
    first, *others = measured(cell_of(mode="compile"), tmp_path).of(CallFinished)
    assert first.compilation.graphs == 1
    assert first.compilation.warmth(None) == "cold"
    assert first.compilation.seconds > 0
    assert not first.compilation.recompiles
    assert all(call.compilation is None for call in others)
    torch._dynamo.reset()
    again, *_ = measured(cell_of(mode="compile"), tmp_path).of(CallFinished)
    assert again.compilation.warmth(None) == "warm"
    assert again.compilation.seconds < first.compilation.seconds
