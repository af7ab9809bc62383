"""A loop whose steps are replayed computes what the pipeline's own does, whatever changes from call to call."""

import contextlib
import dataclasses
import gc
import types

import diffusers
import numpy as np
import pytest
import torch
from recorded_graphs import RecordedGraph
from tiny_cells import cell_of, pipe_of
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from sdtui.model.cell import Mode
from sdtui.worker import options
from sdtui.worker.call import arguments
from sdtui.worker.step_graphs import StepGraphs

PIPELINES = ("sd-txt2img", "sd-img2img", "sd-inpaint", "sd-controlnet", "if", "if-cascade")
SCHEDULERS = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerAncestralDiscreteScheduler",
    "EulerDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "PNDMScheduler",
    "UniPCMultistepScheduler",
)
GRAPHS = Mode("graphs", "graphs", step_graphs=True)
PRECOMPUTED = dataclasses.replace(GRAPHS, precompute=True)


@pytest.fixture(autouse=True)
def _no_gradients():
    RecordedGraph.made = 0
    with torch.no_grad():
        yield


def values(images):
    """Images of any kind as numbers from 0 to 1."""
    if isinstance(images, torch.Tensor):
        return images.double().numpy()
    return np.stack([np.asarray(image, dtype=np.float64) / 255 for image in images])


class Pair:
    """A stage's pipeline as it is, and another in a mode, with the same weights."""

    def __init__(self, cell, stage=0, mode=GRAPHS, scheduler=None):
        self._cell, self._stage, self._earlier = cell, cell.stages[stage], {}
        self.plain, self.pipe = pipe_of(cell, stage), pipe_of(cell, stage)
        for pipe in (self.plain, self.pipe):
            if scheduler:
                pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
            pipe.set_progress_bar_config(disable=True)
        self.applied = options.apply(mode, self._stage, self.pipe, RecordedGraph)

    def fed(self, earlier):
        self._earlier = earlier
        return self

    def apart(self, seed=0, **changes):
        """How far apart the images of the same call of both are, and how many graphs it took."""
        RecordedGraph.made = 0
        images = [values(made.images) for made in self.call(seed, **changes)]
        return float(np.abs(images[0] - images[1]).max()), RecordedGraph.made

    def call(self, seed=0, **changes):
        """What the same call of both returns."""
        made = []
        for call in (self.plain, self.applied.call):
            made.append(call(**self.given(generator=torch.Generator().manual_seed(seed), **changes)))
        return made

    def given(self, **changes):
        return arguments(self._cell, self._stage, "cpu", torch.float32, self._earlier) | changes

    def images(self):
        return self.plain(**self.given()).images


@pytest.mark.parametrize("mode", [GRAPHS, PRECOMPUTED], ids=["graphs", "precomputed"])
@pytest.mark.parametrize("pipeline", PIPELINES)
def test_every_pipeline_makes_the_same_images_call_after_call(pipeline, mode):
    cell = cell_of(pipeline, batch_size=2 if pipeline == "sd-txt2img" else 1, steps=3)
    earlier = {}
    for number, stage in enumerate(cell.stages):
        pair = Pair(cell, number, mode).fed(earlier)
        assert not pair.applied.left_out
        first, others = pair.apart(), [pair.apart(seed=1), pair.apart()]
        assert first[1] >= 2
        assert [graphs for _, graphs in others] == [0, 0], "what was captured is replayed"
        tolerance = 1e-3 + 1 / 255 if mode.precompute else 0.0  # sums in another order; images are rounded to bytes
        assert max(apart for apart, _ in (first, *others)) <= tolerance
        earlier[stage.name] = pair.images()


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_scheduler_makes_the_same_images(scheduler):
    pair = Pair(cell_of(steps=5), scheduler=scheduler)
    assert [pair.apart(seed)[0] for seed in (0, 1, 0)] == [0.0] * 3
    assert pair.apart()[1] == 0


def test_noise_that_a_step_draws_is_drawn_anew_in_each_call():
    pair = Pair(cell_of(steps=3), scheduler="DDIMScheduler")
    assert [pair.apart(seed, eta=1.0) for seed in (0, 1)][1] == (0.0, 0)


@pytest.mark.parametrize(
    ("pipeline", "changes"),
    [
        ("sd-txt2img", {"prompt": "quite another thing"}),
        ("sd-inpaint", {"prompt": "quite another thing"}),
        ("sd-txt2img", {"negative_prompt": "this"}),
    ],
)
@pytest.mark.parametrize("mode", [GRAPHS, PRECOMPUTED], ids=["graphs", "precomputed"])
def test_another_text_needs_at_most_another_capture(pipeline, changes, mode):
    pair = Pair(cell_of(pipeline), mode=mode)
    before = pair.apart()[0]
    apart, graphs = pair.apart(**changes)
    assert max(before, apart) <= (1.5 / 255 if mode.precompute else 0.0)
    assert bool(graphs) == ("negative_prompt" in changes)


@pytest.mark.parametrize(
    ("pipeline", "changes"),
    [
        ("sd-txt2img", {"guidance_scale": 2.0}),
        ("sd-txt2img", {"guidance_scale": 1.0}),
        ("sd-txt2img", {"num_inference_steps": 5}),
        ("sd-txt2img", {"num_images_per_prompt": 3}),
        ("sd-img2img", {"strength": 0.4}),
        ("sd-controlnet", {"controlnet_conditioning_scale": 0.3}),
        ("sd-controlnet", {"guess_mode": True}),
        ("sd-controlnet", {"control_guidance_end": 0.5}),
    ],
)
@pytest.mark.parametrize("mode", [GRAPHS, PRECOMPUTED], ids=["graphs", "precomputed"])
def test_what_changes_the_loop_is_captured_anew(pipeline, changes, mode):
    pair = Pair(cell_of(pipeline, steps=4), mode=mode)
    pair.apart()
    for given in (changes, {}, changes):
        apart, graphs = pair.apart(**given)
        assert apart <= (1.5 / 255 if mode.precompute else 0.0)
        assert graphs


@pytest.mark.parametrize(
    ("pipeline", "name", "values"),
    [
        ("sd-txt2img", "guidance_scale", np.array([7.5, 2.0, 7.5])),
        ("sd-txt2img", "num_inference_steps", np.array([4, 3, 6])),
        ("sd-img2img", "strength", np.array([0.5, 0.75])),
        (
            "sd-img2img",
            "image",
            [np.full((1, *size, 3), 0.5, np.float32) for size in ((64, 128), (128, 64), (64, 128))],
        ),
    ],
)
def test_numbers_and_images_of_numpy_count_as_others_do(pipeline, name, values):
    pair = Pair(cell_of(pipeline, steps=4))
    assert [pair.apart(**{name: value})[0] for value in values] == [0.0] * len(values)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
def test_numbers_in_arrays_count_by_value(kind):
    pair = Pair(cell_of(steps=3), scheduler="DDPMScheduler")
    times = [kind(each) for each in ([900, 500, 100], [800, 400, 10], [900, 500, 100])]
    assert [pair.apart(timesteps=each)[0] for each in times] == [0.0] * 3
    assert [pair.apart(guidance_scale=torch.tensor(each))[0] for each in (7.5, 2.0)] == [0.0] * 2


@pytest.mark.parametrize(("pipeline", "kind"), [("sd-txt2img", "latent"), ("if", "pt")])
@pytest.mark.parametrize("as_dict", [True, False])
def test_what_a_call_returned_stays(pipeline, kind, as_dict):
    pair = Pair(cell_of(pipeline, steps=3))
    returned = [pair.call(seed, output_type=kind, return_dict=as_dict) for seed in (0, 1, 2)]
    for plain, replayed in returned:
        kept = [(each.images if as_dict else each[0]) for each in (plain, replayed)]
        assert torch.equal(*kept)


def test_graphs_hold_the_outputs_of_one_steps_denoisers():
    """A step's are as large as a ControlNet's residuals; a replay asks for their shapes alone."""
    pair = Pair(cell_of("sd-controlnet", steps=4))
    assert pair.apart()[0] == 0.0
    held = {id(step.returned) for step in pair.applied.call._steps}
    assert len(held) == 1


def test_a_call_without_a_generator_draws_what_the_pipeline_does():
    pair = Pair(cell_of(steps=3))
    for _ in range(2):
        torch.manual_seed(5)
        plain = pair.plain(**pair.given(generator=None)).images
        torch.manual_seed(5)
        assert np.array_equal(values(plain), values(pair.applied.call(**pair.given(generator=None)).images))


def test_nothing_is_kept_of_what_a_call_was_given():
    pair = Pair(cell_of("sd-controlnet", steps=3))
    pair.apart()
    assert not pair.applied.call._copied


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        Pair(cell_of(steps=3)).apart()
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_another_mask_is_read():
    cell = cell_of("sd-inpaint")
    pair = Pair(cell)
    given = arguments(cell, cell.stages[0], "cpu", torch.float32, {})
    assert pair.apart()[0] == 0.0
    inverted = given["mask_image"].point(lambda value: 255 - value)
    assert pair.apart(mask_image=inverted) == (0.0, 0)
    plain = (pair.plain(**given | {"mask_image": mask, "generator": torch.Generator().manual_seed(0)}).images
             for mask in (inverted, given["mask_image"]))  # fmt: skip
    one, other = map(values, plain)
    assert np.abs(one - other).max() > 0.05, "or the test could not fail"


def test_a_denoiser_that_a_step_calls_twice_is_given_no_prompt_beforehand():
    pair = Pair(cell_of(), mode=PRECOMPUTED)
    pipe = pair.pipe

    def also_evaluate(latents, timestep):
        pipe.unet(latents, timestep, encoder_hidden_states=torch.zeros(2, 77, 32))
        return latents

    plain = pipe.scheduler.scale_model_input
    pipe.scheduler.scale_model_input = also_evaluate
    with pytest.raises(RuntimeError, match="a step calls this one more than once"):
        pair.apart()
    pipe.scheduler.scale_model_input = plain
    assert pair.apart()[0] <= 1.5 / 255, "and what it had begun is over"


@pytest.mark.parametrize("failing", [1, 4])
def test_a_step_that_fails_leaves_nothing_behind(failing):
    """In the warm-up, and in the capture, of a call of three steps."""
    pair = Pair(cell_of(steps=3), scheduler="DDIMScheduler")
    convert, calls = pair.pipe.unet.conv_out.forward, []

    def fail(*args):
        calls.append(args)
        if len(calls) == failing:
            raise MemoryError
        return convert(*args)

    pair.pipe.unet.conv_out.forward = fail
    with pytest.raises(MemoryError):
        pair.apart()
    assert _get_current_function_mode_stack() == []
    assert _get_current_dispatch_mode_stack() == []
    assert pair.apart() == (0.0, 3)


class Scaling:
    """A callback that scales the latents after a step, or leaves them, by making others."""

    def __init__(self):
        self.by = 1.0

    def __call__(self, pipe, number, timestep, given):
        return {"latents": given["latents"] * self.by} if number == 1 and self.by != 1.0 else {}


@pytest.mark.parametrize("scheduler", ["DDIMScheduler", "EulerDiscreteScheduler", "PNDMScheduler"])
@pytest.mark.parametrize("guidance", [7.5, 1.0])
@pytest.mark.parametrize("captured", [1.0, 0.3])
def test_latents_that_a_callback_replaces_in_some_calls_are_read(scheduler, guidance, captured):
    pair, scale = Pair(cell_of(steps=4), scheduler=scheduler), Scaling()
    made = []
    for scale.by in (captured, 0.5, 1.0, captured):
        made.append(pair.apart(callback_on_step_end=scale, guidance_scale=guidance))
    assert [apart for apart, _ in made] == [0.0] * 4
    assert [graphs for _, graphs in made[1:]] == [0] * 3


def test_a_prompt_that_a_callback_changes_in_place_is_read():
    pair, plain = Pair(cell_of(steps=4)), Pair(cell_of(steps=4))

    def fade(pipe, number, timestep, given):
        given["prompt_embeds"].mul_(0.1)
        return {}

    changes = {"callback_on_step_end": fade, "callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]}
    assert [pair.apart(**changes)[0] for _ in range(3)] == [0.0] * 3
    faded, whole = plain.plain(**plain.given(**changes)).images, plain.images()
    assert np.abs(values(faded) - values(whole)).max() > 0.05, "or the test could not fail"


def test_tensors_without_a_version_are_read_in_every_step():
    """Which inference mode's are: whether one has changed is not known."""
    pair, inputs = Pair(cell_of(steps=4)), ["latents", "prompt_embeds"]

    def fade(pipe, number, timestep, given):
        given["prompt_embeds"].mul_(0.1)
        return {}

    with torch.inference_mode():
        changes = {"callback_on_step_end": fade, "callback_on_step_end_tensor_inputs": inputs}
        assert [pair.apart(seed, **changes)[0] for seed in (0, 1, 0)] == [0.0] * 3


def test_the_call_after_one_that_was_interrupted_is_captured_anew():
    pair, interrupted = Pair(cell_of(steps=4)), [True]

    def stop(pipe, number, timestep, given):
        pipe._interrupt = interrupted[0] and number == 1
        return {}

    pair.apart(callback_on_step_end=stop)
    interrupted[0] = False
    assert pair.apart(callback_on_step_end=stop) == (0.0, 5)
    assert pair.apart(callback_on_step_end=stop) == (0.0, 0)


def test_a_callback_that_changes_shapes_is_refused():
    pair = Pair(cell_of(steps=4), scheduler="EulerDiscreteScheduler")

    def end_guidance(pipe, number, timestep, given):
        pipe._guidance_scale = 0.0
        return {"prompt_embeds": given["prompt_embeds"][-1:]}

    inputs = ["latents", "prompt_embeds"]
    with pytest.raises(RuntimeError, match=r"shape \(1, 4, 16, 16\) where its graph reads \(2, 4, 16, 16\)"):
        pair.apart(callback_on_step_end=end_guidance, callback_on_step_end_tensor_inputs=inputs)


def test_a_unet_that_is_built_otherwise_is_left_to_compute_all_itself():
    unet = diffusers.Kandinsky3UNet(
        time_embedding_dim=4,
        groups=2,
        attention_head_dim=4,
        block_out_channels=(32, 64),
        cross_attention_dim=4,
        encoder_hid_dim=32,
    )
    pipe = types.SimpleNamespace(unet=unet, scheduler=diffusers.DDPMScheduler())
    (stage,) = cell_of().stages
    mode = dataclasses.replace(PRECOMPUTED, optional=("precompute",))
    applied = options.apply(mode, stage, pipe, RecordedGraph)
    assert applied.left_out == {"precompute": "unet is no UNet or ControlNet that precompute knows"}


class Drawn:
    """Stands for a graph where nothing is computed."""

    def begin(self):
        pass

    end = replay = begin
    outside = staticmethod(contextlib.nullcontext)


def transformer_pipe(device):
    kinds = {"num_layers": 1, "num_attention_heads": 4, "attention_head_dim": 8, "joint_attention_dim": 32}
    sizes = {"sample_size": 32, "patch_size": 1, "in_channels": 4, "out_channels": 4}
    torch.manual_seed(0)
    net = diffusers.SD3Transformer2DModel(**kinds, **sizes, caption_projection_dim=32, pooled_projection_dim=64)
    nothing = dict.fromkeys(("vae", "text_encoder", "text_encoder_2", "text_encoder_3"))
    nothing |= dict.fromkeys(("tokenizer", "tokenizer_2", "tokenizer_3"))
    scheduler = diffusers.FlowMatchEulerDiscreteScheduler()
    pipe = diffusers.StableDiffusion3Pipeline(transformer=net.to(device), scheduler=scheduler, **nothing)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def given_to_transformer(device, seed=0):
    torch.manual_seed(seed)
    given = {f"{name}_embeds": torch.randn(1, 7, 32) for name in ("prompt", "negative_prompt")}
    given |= {f"{name}_prompt_embeds": torch.randn(1, 64) for name in ("pooled", "negative_pooled")}
    given["latents"] = torch.randn(1, 4, 32, 32)
    given = {name: tensor.to(device) for name, tensor in given.items()}
    return given | {"num_inference_steps": 3, "output_type": "latent", "height": 256, "width": 256}


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_timesteps_of_a_batch_are_where_the_denoiser_computes(device):
    """As transformers are given them. On ``meta``, a device like any but the host, shapes alone are computed."""
    plain, pipe = transformer_pipe(device), transformer_pipe(device)
    graphs = StepGraphs(pipe, ("transformer",), RecordedGraph if device == "cpu" else Drawn)
    for seed in (0, 1):
        given = given_to_transformer(device, seed)
        made = graphs(**given).images
        assert made.shape == (1, 4, 32, 32)
        if device == "cpu":
            assert torch.equal(made, plain(**given).images)


@pytest.mark.parametrize("beside", ["meta", "cpu"])
def test_what_a_loop_reads_of_the_device_beside_its_denoiser_and_scheduler_is_refused(beside):
    """As some read the latents of before the step, whose memory no replay knows; what the host has is captured."""
    pipe = transformer_pipe("meta")
    graphs = StepGraphs(pipe, ("transformer",), Drawn)
    forward, outside = pipe.transformer.forward, torch.ones(2, device=beside)

    def between(*args, **kwargs):
        made = forward(*args, **kwargs)
        assert (outside / 1000).device == outside.device
        return made

    pipe.transformer.forward = between
    refusal = pytest.raises(RuntimeError, match=r"reads a tensor of shape \(2,\) that they are not given")
    with refusal if beside == "meta" else contextlib.nullcontext():
        graphs(**given_to_transformer("meta"))
    assert _get_current_function_mode_stack() == []
    pipe.transformer.forward = forward
    assert graphs(**given_to_transformer("meta")).images.shape == (1, 4, 32, 32)


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_no_shipped_loop_is_refused_on_a_device(pipeline):
    cell = cell_of(pipeline, steps=3)
    earlier = {stage.name: torch.zeros(1, 3, stage.height, stage.width) for stage in cell.stages}
    for number, stage in enumerate(cell.stages):
        pipe = pipe_of(cell, number).to("meta")
        pipe.set_progress_bar_config(disable=True)
        applied = options.apply(PRECOMPUTED, stage, pipe, Drawn)
        given = arguments(cell, stage, "cpu", torch.float32, earlier) | {"generator": None}
        given |= {name: value.to("meta") for name, value in given.items() if name.endswith("_embeds")}
        given["output_type"] = "latent" if hasattr(pipe, "vae") else "pt"
        for _ in range(2):
            assert applied.call(**given).images[0].is_meta
