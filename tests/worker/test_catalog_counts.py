"""Rebuilds every component without memory and compares it with the counts that the catalog ships.

Run as a program, it writes the counts: ``python tests/worker/test_catalog_counts.py``.
"""

import functools
import json
import math
from pathlib import Path
from types import SimpleNamespace

import diffusers
import pytest
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

import sdtui.catalog
from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.worker import call
from sdtui.worker.build import build
from sdtui.worker.flops import Evaluations

COUNTS = Path(sdtui.catalog.__file__).parent / "counts.json"
CATALOG = load_catalog()
PIPELINES = sorted(CATALOG.pipelines)
SD_LATENT, X4_LATENT, CLIP_TOKENS = 8, 4, 77

# What published sources state: exact, or within the rounding of a published file size (both IF UNets).
PUBLISHED = {
    ("sd-txt2img", "main", "unet"): (859_520_964, 0),
    ("sd-txt2img", "main", "vae"): (83_653_863, 0),
    ("sd-txt2img", "main", "text_encoder"): (123_060_480, 0),
    ("sd-inpaint", "main", "unet"): (859_535_364, 0),
    ("sd-controlnet", "main", "controlnet"): (361_279_120, 0),
    ("if", "I", "unet"): (371_604_849, 1311),
    ("if", "II", "unet"): (461_064_110, 1311),
    ("if", "III", "unet"): (473_398_020, 0),
    ("if", "III", "vae"): (55_325_927, 0),
    ("if", "III", "text_encoder"): (340_387_840, 0),
}


@pytest.fixture
def one_thread():
    """Tiny work on several threads of a busy machine mostly spins."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def cell_of(pipeline, scale, batch_size=1, **overrides):
    matrix = {"pipelines": [pipeline], "modes": ["no-compile"], "batch_sizes": [batch_size], "scale": scale}
    (cell,) = expand(resolve_plan(CATALOG, None, matrix | overrides, gpu_available=True), CATALOG)
    return cell


@functools.cache
def _on_meta(library, class_name, config):
    cls, values = (
        getattr({"diffusers": diffusers, "transformers": transformers}[library], class_name),
        json.loads(config),
    )
    with torch.device("meta"):
        if library == "diffusers":
            return cls.from_config(values)
        notes = ("_class_name", "architectures", "model_type", "torch_dtype", "transformers_version")
        return cls(cls.config_class(**{key: value for key, value in values.items() if key not in notes})).eval()


def on_meta(component):
    return _on_meta(component.library, component.class_name, json.dumps(component.config))


def parameters(stage):
    modules = {part.name: on_meta(part) for part in stage.components if part.class_name != "CLIPTokenizer"}
    return {
        name: sum(parameter.numel() for parameter in module.parameters())
        for name, module in modules.items()
        if isinstance(module, torch.nn.Module)
    }


def evaluation(stage):
    """Shapes of one evaluation of each denoiser for one image with guidance: by denoiser, by argument."""
    unet = next(part.config for part in stage.components if part.name == "unet")
    if stage.pipeline_class.startswith("IF"):
        _, tokens, width = stage.inputs["prompt_embeds"].shape
        shapes = {"sample": (2, unet["in_channels"], stage.height, stage.width), "text": (2, tokens, width)}
        return {"unet": shapes | ({"class_labels": (2,)} if unet["class_embed_type"] else {})}
    factor = X4_LATENT if "Upscale" in stage.pipeline_class else SD_LATENT
    sample = (2, unet["in_channels"], stage.height // factor, stage.width // factor)
    shapes = {"sample": sample, "text": (2, CLIP_TOKENS, unet["cross_attention_dim"])}
    if "Upscale" in stage.pipeline_class:
        return {"unet": {**shapes, "class_labels": (2,)}}
    if "ControlNet" in stage.pipeline_class:
        return {"controlnet": {**shapes, "controlnet_cond": (2, 3, stage.height, stage.width)}, "unet": shapes}
    return {"unet": shapes}


def flops_per_step(stage):
    """Multiplications and additions of matrix products, convolutions and attention, guidance included."""
    parts = {part.name: part for part in stage.components}
    total = 0
    for name, shapes in evaluation(stage).items():
        module = on_meta(parts[name])
        tensors = {key: torch.zeros(shape, device="meta") for key, shape in shapes.items()}
        if "class_labels" in tensors and getattr(module.config, "num_class_embeds", None):
            tensors["class_labels"] = tensors["class_labels"].long()
        sample, text = tensors.pop("sample"), tensors.pop("text")
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(sample, torch.zeros((), device="meta"), encoder_hidden_states=text, **tensors)
        total += counter.get_total_flops()
    return total


def flops_by_the_worker(stage):
    """What a cell's worker counts, from denoisers that it sees at work."""
    parts = {part.name: on_meta(part) for part in stage.components if part.name in stage.denoisers}
    seen = Evaluations(SimpleNamespace(**parts), stage.denoisers)
    flops_per_step(stage)
    return seen.flops()


def count(pipeline):
    return {
        stage.name: {"components": parameters(stage), "flops_per_step": flops_per_step(stage)}
        for stage in cell_of(pipeline, "full").stages
    }


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_shipped_counts_are_those_of_the_rebuilt_components(pipeline):
    assert CATALOG.counts[pipeline] == count(pipeline)


@pytest.mark.parametrize("pipeline", ["if", "sd-controlnet"])
def test_a_worker_counts_the_same(pipeline):
    for stage in cell_of(pipeline, "full").stages:
        assert flops_by_the_worker(stage) == CATALOG.counts[pipeline][stage.name]["flops_per_step"]


@pytest.mark.parametrize("key", PUBLISHED, ids="/".join)
def test_parameter_counts_are_the_published_ones(key):
    pipeline, stage, component = key
    published, tolerance = PUBLISHED[key]
    assert math.isclose(CATALOG.counts[pipeline][stage]["components"][component], published, abs_tol=tolerance)


def test_full_scale_cells_carry_the_flops():
    assert cell_of("sd-txt2img", "full").stages[0].flops_per_step == 1_606_546_882_560
    assert cell_of("sd-txt2img", "tiny").stages[0].flops_per_step is None


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.usefixtures("one_thread")
def test_tiny_pipelines_run_and_evaluate_denoisers_as_counted(pipeline, batch_size):
    cell, earlier = cell_of(pipeline, "tiny", batch_size, steps=2), {}
    for stage in cell.stages:
        pipe, seen = build(stage, 0, "cpu", torch.float32), {}
        pipe.set_progress_bar_config(disable=True)
        for name in stage.denoisers:
            getattr(pipe, name).register_forward_pre_hook(functools.partial(record, seen, name), with_kwargs=True)
        images = pipe(**call.arguments(cell, stage, "cpu", torch.float32, earlier)).images
        expected = {
            name: {key: (shape[0] * batch_size, *shape[1:]) for key, shape in shapes.items()}
            for name, shapes in evaluation(stage).items()
        }
        assert seen == expected
        assert len(images) == batch_size
        assert {size(image) for image in images} == {(stage.width, stage.height)}
        earlier[stage.name] = images


def record(seen, name, module, args, kwargs):
    tensors = {"sample": args[0], "text": kwargs["encoder_hidden_states"]}
    tensors |= {key: kwargs[key] for key in ("controlnet_cond", "class_labels") if kwargs.get(key) is not None}
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    assert seen.setdefault(name, shapes) == shapes


def size(image):
    return (image.shape[-1], image.shape[-2]) if isinstance(image, torch.Tensor) else image.size


@pytest.mark.parametrize("pipeline", PIPELINES)
@pytest.mark.parametrize("scale", ["full", "tiny"])
def test_components_keep_the_class_and_every_key_of_their_config(pipeline, scale):
    for stage in cell_of(pipeline, scale).stages:
        for part in stage.components:
            if part.class_name == "CLIPTokenizer":
                continue
            assert part.config["_class_name"] == part.class_name
            if part.library == "diffusers":
                known = set(on_meta(part).config)
                unknown = {key for key in part.config if not key.startswith("_")} - known
                assert not unknown, (stage.name, part.name, unknown)


if __name__ == "__main__":
    COUNTS.write_text(json.dumps({name: count(name) for name in PIPELINES}, indent=1) + "\n", encoding="utf-8")
