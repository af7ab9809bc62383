"""The six pipelines, at tiny scale on the CPU, from job to last event."""

import dataclasses
import os

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from tiny_cells import Measured, Recorder, cell_of

from sdtui.model.events import CallFinished, CellFinished, CellPhase, Step, from_line
from sdtui.model.job import Job
from sdtui.worker import measure
from sdtui.worker.emitter import Emitter

CALLS = 2
# By pipeline, batch size and asked steps: steps and evaluations of each stage. PNDM evaluates once more than it
# steps; img2img at strength 0.8 leaves 6 steps of 8.
WORK = {
    ("sd-txt2img", 1, 8): {"main": (8, 9)},
    ("sd-img2img", 2, 8): {"main": (6, 7)},
    ("sd-inpaint", 1, 8): {"main": (8, 8)},
    ("sd-controlnet", 2, 3): {"main": (3, 4)},
    ("if", 1, 2): {"I": (2, 2), "II": (2, 2), "III": (2, 2)},
    ("if", 2, 8): {"I": (8, 8)},
    ("if-cascade", 2, 2): {"I": (2, 2), "II": (2, 2), "III": (2, 2)},
}
LATENTS = {
    ("sd-txt2img", 1): (1, 4, 16, 16),
    ("sd-img2img", 2): (2, 4, 16, 16),
    ("sd-inpaint", 1): (1, 4, 16, 16),
    ("sd-controlnet", 2): (2, 4, 16, 16),
    ("if", 1): (1, 4, 16, 16),  # stage III enlarges stage I's 16 pixels
    ("if", 2): (2, 3, 16, 16),  # pixels: stage I has no latents
    ("if-cascade", 2): (2, 4, 64, 64),
}


@pytest.fixture(scope="module", params=WORK, ids=lambda key: "-".join(map(str, key)))
def run(request, tmp_path_factory):
    pipeline, batch_size, steps = request.param
    cell = cell_of(pipeline, batch_size=batch_size, steps=steps, calls=CALLS)
    with pytest.MonkeyPatch.context() as patch:
        return Measured(cell, tmp_path_factory.mktemp("outputs"), patch)


def work(run):
    slot = run.cell.slot
    return WORK[slot.pipeline, slot.batch_size, run.cell.stages[0].steps]


def test_cell_ends_ok_after_its_phases(run):
    assert run.end == CellFinished(run.cell.id, "ok", "measure", CALLS, flops=run.end.flops)
    assert run.of(CellPhase) == [CellPhase(run.cell.id, "warm-up", 1), CellPhase(run.cell.id, "measure", 2)]
    order = [type(event) for event in run.events if not isinstance(event, Step)]
    stages = len(run.cell.stages)
    assert order == [CellPhase, *[CallFinished] * stages, CellPhase, *[CallFinished] * stages, CellFinished]
    assert {event.cell for event in run.events} == {run.cell.id}


def test_every_call_runs_every_stage_in_order(run):
    expected = [(call, stage) for call in range(1, CALLS + 1) for stage in work(run)]
    assert [(event.call, event.stage) for event in run.of(CallFinished)] == expected


def test_steps_and_evaluations_are_those_of_the_scheduler(run):
    for event in run.of(CallFinished):
        assert (event.steps, event.forwards) == work(run)[event.stage]


def test_n_steps_give_n_intervals_that_make_up_the_loop(run):
    for call in run.of(CallFinished):
        steps = run.of(Step, call=call.call, stage=call.stage)
        assert [(step.step, step.steps) for step in steps] == [(n, call.steps) for n in range(1, call.steps + 1)]
        extra = call.forwards - call.steps
        assert [step.forwards for step in steps] == [1 + extra, *[1] * (call.steps - 1)]
        assert all(step.ms > 0 for step in steps)
        assert sum(step.ms for step in steps) == pytest.approx(call.loop_ms, abs=1e-3)


def test_a_calls_time_goes_to_its_parts(run):
    for call in run.of(CallFinished):
        parts = call.text_encoding_ms + call.denoising_ms + call.vae_ms + call.other_ms
        assert parts <= call.wall_ms
        assert parts == pytest.approx(call.wall_ms, rel=0.1, abs=20)
        assert call.denoising_ms == call.loop_ms <= call.host_loop_ms < call.wall_ms
        assert call.text_encoding_ms > 0
        assert call.other_ms > 0
        assert (call.vae_ms > 0) == (call.stage in ("main", "III"))
        assert call.peak_allocated_mib is call.peak_reserved_mib is None  # no GPU here


def test_every_call_makes_the_same_images(run):
    for stage in run.cell.stages:
        first, second = (np.stack([np.asarray(image) for image in images]) for images in run.images[stage.name])
        assert np.array_equal(first, second)
        if run.cell.slot.batch_size == 2:
            assert not np.array_equal(first[0], first[1])


def test_last_image_and_latents_are_kept(run):
    kept = sorted(path.name for path in run.outputs.iterdir())
    assert kept == [f"{run.cell.id}.png", f"{run.cell.id}.safetensors"]
    assert len({path.stat().st_mode for path in run.outputs.iterdir()}) == 1, "who may read one may read the other"
    last = run.cell.stages[-1]
    with Image.open(run.outputs / kept[0]) as image:
        assert image.size == (last.width, last.height)
        if isinstance(run.images[last.name][-1], list):
            assert np.array_equal(np.asarray(image), np.asarray(run.images[last.name][-1][0]))
    latents = load_file(run.outputs / kept[1])["latents"]
    assert latents.shape == LATENTS[run.cell.slot.pipeline, run.cell.slot.batch_size]
    assert latents.isfinite().all()


def test_another_seed_makes_another_image(measured):
    one, two = (measured(cell_of(seed=seed, steps=1)).images["main"][0][0] for seed in (0, 1))
    assert not np.array_equal(np.asarray(one), np.asarray(two))


@pytest.mark.parametrize("changed", [{"prompt": "a fox"}, {"guidance": 1.0}])
def test_prompt_and_guidance_reach_the_image(measured, changed):
    one, two = (measured(cell_of(**keys)).images["main"][0][0] for keys in ({}, changed))
    assert not np.array_equal(np.asarray(one), np.asarray(two))


def test_the_first_of_one_call_is_warm_up_alone(measured):
    run = measured(cell_of())
    assert run.end == CellFinished(run.cell.id, "ok", "warm-up", 1, flops=run.end.flops)


def test_events_through_a_pipe_are_those_of_the_schema(tmp_path):
    cell = cell_of()
    reader, writer = os.pipe()
    measure.measure(Job(cell, "cpu", str(tmp_path)), Emitter(writer))
    os.close(writer)
    with open(reader, "rb") as lines:
        stamped = [from_line(line) for line in lines]
    assert [line.event.KIND for line in stamped] == ["cell.phase", "step", "step", "call.finished", "cell.finished"]
    assert [line.t for line in stamped] == sorted(line.t for line in stamped)


def test_steps_are_sent_while_the_call_runs_and_flushed_after_it(tmp_path, monkeypatch):
    seen = []

    class Watching:
        def emit(self, *events):
            seen.extend(event.KIND for event in events)

        def flush(self):
            seen.append("flush")

    measure.measure(Job(cell_of(calls=2, steps=1), "cpu", str(tmp_path)), Watching())
    call = ["cell.phase", "step", "call.finished", "flush"]
    assert seen == [*call, *call, "cell.finished", "flush"]


# ------------------------------------------------------------------------------------------------- bad endings


@pytest.fixture
def broken(monkeypatch, measured):
    """Measures a cell whose pipelines are spoilt after they are built."""

    def run(cell, spoil, stage=None):
        build = measure.build

        def spoilt(built, *args):
            pipe = build(built, *args)
            if stage in (None, built.name):
                spoil(pipe)
            return pipe

        monkeypatch.setattr(measure, "build", spoilt)
        return measured(cell)

    return run


def test_an_argument_that_the_pipeline_does_not_have_fails_the_cell():
    """StableDiffusionPipeline takes any name, and does nothing with it."""
    cell = cell_of()
    (stage,) = cell.stages
    misspelt = dataclasses.replace(stage, arguments={"guidance_rescal": 0.7})
    recorder = Recorder()
    measure.measure(Job(dataclasses.replace(cell, stages=(misspelt,)), "cpu", ""), recorder)
    end = recorder.events[-1]
    reason = "StableDiffusionPipeline takes no argument 'guidance_rescal'; did you mean 'guidance_rescale'?"
    assert (end.status, end.phase, end.reason) == ("failed", "load", reason)


def test_not_a_number_fails_the_cell(broken):
    def poison(pipe):
        pipe.unet.conv_out.weight.data[0, 0, 0, 0] = torch.nan

    run = broken(cell_of(calls=2), poison)
    assert (run.end.status, run.end.phase, run.end.call) == ("failed", "measure", 2)
    assert run.end.reason == "output check: 1024 of 1024 values are NaN or infinite in the final latents"


def test_constant_image_fails_the_cell(broken):
    def flatten(pipe):
        torch.nn.init.zeros_(pipe.vae.decoder.conv_out.weight)
        torch.nn.init.zeros_(pipe.vae.decoder.conv_out.bias)

    run = broken(cell_of(), flatten)
    assert (run.end.status, run.end.phase, run.end.call) == ("failed", "warm-up", 1)
    assert run.end.reason == "output check: the image is constant (128)"


def test_stage_whose_output_no_other_takes_is_checked_too(broken):
    def poison(pipe):
        pipe.unet.conv_out.bias.data[:] = torch.nan

    run = broken(cell_of("if", steps=1), poison, stage="II")
    assert run.end.status == "failed"
    assert run.end.reason.endswith("are NaN or infinite in the image of stage II")


def fail_in(call, error):
    """Spoils a pipeline: its denoiser raises in the given call."""
    calls = []

    def spoil(pipe):
        original = pipe.scheduler.set_timesteps

        def counted(*args, **kwargs):
            calls.append(None)
            return original(*args, **kwargs)

        def hook(*_):
            if len(calls) == call:
                raise error

        pipe.scheduler.set_timesteps = counted
        pipe.unet.register_forward_pre_hook(hook)

    return spoil


@pytest.mark.parametrize(("call", "phase"), [(1, "warm-up"), (2, "measure"), (3, "measure")])
def test_running_out_of_memory_says_in_which_call(broken, call, phase):
    error = torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has …")
    run = broken(cell_of(calls=3, steps=1), fail_in(call, error))
    reason = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …"
    assert run.end == CellFinished(run.cell.id, "oom", phase, call, reason)
    assert len(run.of(CallFinished)) == call - 1


def test_running_out_of_memory_while_loading_is_before_any_call(broken):
    def spoil(pipe):
        raise MemoryError

    run = broken(cell_of(), spoil)
    assert run.end == CellFinished(run.cell.id, "oom", "load", None, "out of memory")
    assert len(run.events) == 1


def test_any_exception_ends_the_cell_with_its_phase_and_one_line(broken, capfd):
    run = broken(cell_of(calls=2, steps=1), fail_in(2, KeyError("so\n\nlong " * 400)))
    assert (run.end.status, run.end.phase, run.end.call) == ("failed", "measure", 2)
    assert run.end.reason.startswith("KeyError: ")
    assert run.end.reason.endswith("… (in measure)")
    assert "\n" not in run.end.reason
    assert len(run.end.reason) < 450
    assert "Traceback" in capfd.readouterr().err  # for the cell's log


def test_outputs_that_cannot_be_kept_end_the_cell(tmp_path, monkeypatch):
    run = Measured(cell_of(steps=1), tmp_path / "gone", monkeypatch)
    assert (run.end.status, run.end.call) == ("failed", 1)
    assert "gone" in run.end.reason


def test_later_stages_are_fed_with_the_earlier_ones_images(measured):
    cascade = measured(cell_of("if-cascade", steps=1))
    as_on_the_page = measured(cell_of("if", steps=1))
    assert [image.size for image in cascade.images["III"][0]] == [(256, 256)]
    assert [image.size for image in as_on_the_page.images["III"][0]] == [(64, 64)]
