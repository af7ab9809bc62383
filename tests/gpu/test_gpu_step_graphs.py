"""Steps as CUDA graphs on a real card, by hand: ``python -m pytest -m gpu tests/gpu -k step_graphs``; tiny, float16."""

import dataclasses
import subprocess
import sys

import diffusers
import numpy as np
import pytest
import torch
from test_gpu import CATALOG, DEVICE, cell_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from sdtui import script_text
from sdtui.check import LIMITS
from sdtui.model.cell import CompileOptions, Mode
from sdtui.worker import options
from sdtui.worker.attention import first_attention
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.graphs import CudaGraphs
from sdtui.worker.step_graphs import StepGraphs

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that this torch can use"),
]
GRAPHS = Mode("graphs", "graphs", step_graphs=True)
PRECOMPUTED = dataclasses.replace(GRAPHS, precompute=True)
FAST = CATALOG.modes["fast"]
EAGER_FAST = dataclasses.replace(FAST, compile=None)
"""The mode fast without what takes long to compile."""
LIMIT = 6 * LIMITS["float16"].relative_l2
"""Of pipelines so narrow that float16's rounding weighs more in each of their sums; what a fault does is over 0.05."""


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    first_attention(DEVICE)
    own_order = [SDPBackend(number) for number in torch._C._get_sdp_priority_order()]
    with (
        sdpa_kernel(own_order, set_priority=True),
        torch.compiler.config.patch(cache_key_tag=""),
        torch._inductor.config.patch(freezing=False),
    ):
        yield
    torch.cuda.set_sync_debug_mode("default")
    torch.cuda.empty_cache()


class Pair:
    """A stage's pipeline as it is, and another in a mode, with the same weights."""

    def __init__(self, cell, stage=0, mode=GRAPHS):
        self._cell, self._stage, self.earlier = cell, cell.stages[stage], {}
        self.plain, self.pipe = (build(self._stage, cell.seed, DEVICE, torch.float16) for _ in range(2))
        for pipe in (self.plain, self.pipe):
            pipe.set_progress_bar_config(disable=True)
        options.apply_global(mode, DEVICE)
        self.call = options.apply(mode, self._stage, self.pipe).call

    def given(self, seed=0, **changes):
        given = arguments(self._cell, self._stage, DEVICE, torch.float16, self.earlier)
        return given | {"generator": torch.Generator(DEVICE).manual_seed(seed)} | changes

    def outputs(self, seed=0, **changes):
        """What both make of the same call: latents, or pixels where there is no VAE."""
        changes |= {} if "output_type" in self._stage.arguments else {"output_type": "latent"}
        return [call(**self.given(seed, **changes)).images for call in (self.plain, self.call)]

    def apart(self, seed=0, **changes):
        """Relative L2 of the two."""
        plain, ours = (each.double() for each in self.outputs(seed, **changes))
        assert plain.isfinite().all()
        return float((ours - plain).norm() / plain.norm())


def stages_of(pipeline, mode, **keys):
    """A pair of each stage, fed with what the plain stages before it make."""
    cell, earlier = cell_of(pipeline, **keys), {}
    for number, stage in enumerate(cell.stages):
        pair = Pair(cell, number, mode)
        pair.earlier = earlier
        yield pair
        earlier = earlier | {stage.name: pair.plain(**pair.given()).images}


@pytest.mark.parametrize("mode", [GRAPHS, PRECOMPUTED, EAGER_FAST], ids=["graphs", "precomputed", "fast uncompiled"])
@pytest.mark.parametrize("pipeline", sorted(CATALOG.pipelines))
def test_every_pipeline_makes_the_same_call_after_call(pipeline, mode):
    for pair in stages_of(pipeline, mode):
        distances = [pair.apart(seed) for seed in (0, 1, 0)]
        assert max(distances) <= LIMIT


@pytest.mark.parametrize("pipeline", ["sd-txt2img", "sd-controlnet"])
def test_fast_as_it_ships(pipeline):
    (pair,) = stages_of(pipeline, FAST, steps=4)
    assert (
        max(pair.apart(seed, prompt=prompt) for seed, prompt in ((0, "one"), (1, "another"), (2, "a third"))) <= LIMIT
    )
    images = [call(**pair.given()).images[0] for call in (pair.plain, pair.call)]
    one, other = (np.asarray(image).astype(int) for image in images)
    assert np.abs(one - other).mean() < 1, "the compiled VAE decodes as the eager one does"


@pytest.mark.parametrize(
    ("pipeline", "changes"),
    [
        ("sd-txt2img", {"guidance_scale": 2.0}),
        ("sd-txt2img", {"guidance_scale": 1.0}),
        ("sd-txt2img", {"num_images_per_prompt": 3}),
        ("sd-img2img", {"strength": 0.4}),
        ("sd-controlnet", {"controlnet_conditioning_scale": 0.3}),
        ("sd-controlnet", {"control_guidance_end": 0.5}),
    ],
)
def test_what_changes_between_calls_counts(pipeline, changes):
    (pair,) = stages_of(pipeline, EAGER_FAST)
    for given in ({}, changes, {}, changes):
        assert pair.apart(**given) <= LIMIT
    before, after = pair.outputs()[1].clone(), pair.outputs(**changes)[1]
    assert before.shape != after.shape or not torch.allclose(before, after, rtol=0.05), "or the test could not fail"


def test_another_mask_is_read():
    (pair,) = stages_of("sd-inpaint", EAGER_FAST)
    mask = pair.given()["mask_image"]
    before = pair.outputs()[1].clone()
    inverted = mask.point(lambda value: 255 - value)
    assert pair.apart(mask_image=inverted) <= LIMIT
    assert not torch.allclose(before, pair.outputs(mask_image=inverted)[1], rtol=0.05)


@pytest.mark.parametrize("guidance", [7.5, 1.0])
@pytest.mark.parametrize("captured", [1.0, 0.3])
def test_latents_that_a_callback_replaces_in_some_calls_are_read(guidance, captured):
    (pair,) = stages_of("sd-txt2img", EAGER_FAST)
    factors = []

    def scale(pipe, number, timestep, given):
        return {"latents": given["latents"] * factors[-1]} if number == 1 and factors[-1] != 1.0 else {}

    for factor in (captured, 0.5, 1.0, captured):
        factors.append(factor)
        assert pair.apart(callback_on_step_end=scale, guidance_scale=guidance) <= LIMIT


def test_timesteps_of_a_batch_are_where_a_transformer_computes():
    kinds = {"num_layers": 1, "num_attention_heads": 4, "attention_head_dim": 8, "joint_attention_dim": 32}
    sizes = {"sample_size": 32, "patch_size": 1, "in_channels": 4, "out_channels": 4}
    parts = ("vae", *(f"{part}{number}" for part in ("text_encoder", "tokenizer") for number in ("", "_2", "_3")))
    pipes = []
    for _ in range(2):
        torch.manual_seed(0)
        net = diffusers.SD3Transformer2DModel(**kinds, **sizes, caption_projection_dim=32, pooled_projection_dim=64)
        pipe = diffusers.StableDiffusion3Pipeline(
            transformer=net.half().to(DEVICE),
            scheduler=diffusers.FlowMatchEulerDiscreteScheduler(),
            **dict.fromkeys(parts),
        )
        pipe.set_progress_bar_config(disable=True)
        pipes.append(pipe)
    graphs = StepGraphs(pipes[1], ("transformer",), CudaGraphs())
    shapes = {"latents": (1, 4, 32, 32), "prompt_embeds": (1, 7, 32), "negative_prompt_embeds": (1, 7, 32)}
    shapes |= dict.fromkeys(("pooled_prompt_embeds", "negative_pooled_prompt_embeds"), (1, 64))
    for seed in (0, 1, 2):
        torch.manual_seed(seed)
        given = {name: torch.randn(shape, device=DEVICE).half() for name, shape in shapes.items()}
        given |= {"num_inference_steps": 4, "output_type": "latent", "height": 256, "width": 256}
        plain, ours = (call(**given).images.double() for call in (pipes[0], graphs))
        assert float((ours - plain).norm() / plain.norm()) <= LIMIT


@pytest.mark.parametrize("pipeline", sorted(CATALOG.pipelines))
def test_nothing_waits_for_the_device_in_the_loop(pipeline):
    for pair in stages_of(pipeline, EAGER_FAST):
        pair.call(**pair.given())
        pair.pipe.progress_bar = StrictBar
        pair.call(**pair.given(seed=1))
        assert StrictBar.steps > 0


class StrictBar:
    """From its beginning to its last update, to wait for the device is an error."""

    steps = 0

    def __init__(self, iterable=None, total=None):
        self._iterable = iterable
        self._left = total if total is not None else len(iterable)

    def __enter__(self):
        type(self).steps = 0
        torch.cuda.set_sync_debug_mode("error")
        return self

    def __exit__(self, *_):
        torch.cuda.set_sync_debug_mode("default")

    def __iter__(self):
        with self:
            for item in self._iterable:
                yield item
                self.update()

    def update(self, n=1):
        type(self).steps += n


def test_a_wait_in_the_loop_would_be_seen():
    (pair,) = stages_of("sd-txt2img", EAGER_FAST)
    pair.call(**pair.given())
    pair.pipe.progress_bar = StrictBar

    def wait(pipe, number, timestep, given):
        given["latents"].cpu()
        return {}

    with pytest.raises(RuntimeError, match="synchroniz"):
        pair.call(**pair.given(), callback_on_step_end=wait)


def test_memory_does_not_grow_from_call_to_call():
    (pair,) = stages_of("sd-txt2img", EAGER_FAST)
    for _ in range(2):
        pair.call(**pair.given())
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
    for seed in range(10):
        pair.call(**pair.given(seed))
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() <= before[0]
    assert torch.cuda.memory_reserved() <= before[1]


def test_captures_give_their_memory_back():
    """Each other guidance is captured anew, in the place of the last."""
    (pair,) = stages_of("sd-txt2img", EAGER_FAST)
    allocated = []
    for number in range(6):
        pair.call(**pair.given(guidance_scale=2.0 + number))
        torch.cuda.synchronize()
        allocated.append(torch.cuda.memory_allocated())
    assert allocated[-1] <= allocated[1] * 1.05


def test_its_script_runs_by_itself(tmp_path):
    cell = dataclasses.replace(cell_of("sd-controlnet", steps=4), mode=FAST, calls=2)
    program = tmp_path / "fast.py"
    saving = "\nimport numpy\nnumpy.save('image.npy', numpy.asarray(images[0]))\n"
    program.write_text(script_text.write(cell, DEVICE) + saving)
    ended = subprocess.run([sys.executable, str(program)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    (pair,) = stages_of("sd-controlnet", GRAPHS, steps=4)
    plain = np.asarray(pair.plain(**pair.given(cell.seed)).images[0]).astype(int)
    assert np.abs(np.load(tmp_path / "image.npy").astype(int) - plain).mean() < 1


@pytest.mark.parametrize("backends", [("flash",), ("efficient",), ("math",), ("cudnn", "efficient")])
def test_attention_of_a_chosen_backend_computes_the_same(backends):
    (pair,) = stages_of("sd-txt2img", dataclasses.replace(GRAPHS, sdpa_backends=backends))
    assert pair.apart() <= LIMIT


def test_attention_is_chosen_in_the_order_of_the_mode_in_a_process_that_has_computed_none():
    program = """
import torch
from sdtui.worker.attention import choose_sdpa
choose_sdpa(("flash", "cudnn"), "cuda:0")
head = torch.zeros(2, 8, 64, 64, device="cuda:0", dtype=torch.float16)
print(torch._fused_sdp_choice(head, head, head))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(ended.stdout) == int(SDPBackend.FLASH_ATTENTION)


def test_inductor_that_freezes_weights_reads_what_was_precomputed():
    """A table that were frozen with the weights would give every call the first call's prompt."""
    recipe = CompileOptions(fullgraph=True, options={"freezing": True})
    (pair,) = stages_of("sd-txt2img", dataclasses.replace(FAST, compile=recipe), steps=4)
    assert max(pair.apart(prompt=prompt) for prompt in ("one", "quite another thing")) <= LIMIT
