"""What is told of a mode without a pipeline is what the worker does to one."""

import dataclasses
from types import SimpleNamespace

import pytest
import torch
from recorded_graphs import RecordedGraph
from tiny_cells import CATALOG, cell_of, pipe_of

from sdtui import mode_calls
from sdtui.model.cell import Mode
from sdtui.worker import options
from sdtui.worker.fused_projections import fuse_qkv

MODES = {
    **{
        name: mode
        for name, mode in CATALOG.modes.items()
        if mode.attention_processor != "xformers" and mode.quantization is None  # which other packages decide
    },
    "precompute alone": Mode("mine", "mine", precompute=True),
    "optional precompute": Mode("mine", "mine", precompute=True, optional=("precompute",)),
    "VAE of no compile": Mode("mine", "mine", compile_vae=True),
    "tiling": Mode("mine", "mine", vae_tiling=True),
    "backend": Mode("mine", "mine", attention_backend="native"),
}


@pytest.mark.parametrize("name", MODES)
@pytest.mark.parametrize("pipeline", CATALOG.pipelines)
def test_what_a_pipeline_cannot_take_is_told_without_it(monkeypatch, pipeline, name):
    monkeypatch.setattr(torch, "compile", lambda module, **_: module)
    cell = cell_of(pipeline)
    for number, stage in enumerate(cell.stages):
        told = list(mode_calls.of_stage(MODES[name], stage, "pipe"))
        pipe = pipe_of(cell, number)
        if any(calls.refusal and not calls.optional for calls in told):
            with pytest.raises(options.UnsupportedError):
                options.apply(MODES[name], stage, pipe, RecordedGraph)
        else:
            applied = options.apply(MODES[name], stage, pipe, RecordedGraph)
            assert set(applied.left_out) == {calls.option for calls in told if calls.left_out}


def test_every_option_of_a_mode_is_told():
    wishes = {
        "compile": CATALOG.modes["compile"].compile,
        "memory_format": "channels_last",
        "attention_processor": "sdpa",
        "attention_backend": "native",
        "dtype": "bfloat16",
        "sdpa_backends": ("flash",),
        "quantization": "int8",
        "optional": ("fuse_qkv",),
    }
    fields = {field.name for field in dataclasses.fields(Mode)} - {"name", "label", "description"}
    mode = Mode("mine", "mine", **{name: wishes.get(name, True) for name in fields})
    told = [*mode_calls.of_process(mode), *mode_calls.of_stage(mode, cell_of().stages[0], "pipe")]
    assert {calls.option for calls in told} == fields - {"dtype", "optional"}


def told_of(mode, class_name="UNet2DConditionModel", **config):
    """What is told of a pipeline whose UNet is another class, or has keys of its config replaced, or left out."""
    stage = cell_of().stages[0]
    changed = []
    for part in stage.components:
        own = {key: value for key, value in {**part.config, **config}.items() if value is not None}
        other = dataclasses.replace(part, config=own, class_name=class_name)
        changed.append(other if part.name == "unet" else part)
    return list(mode_calls.of_stage(mode, dataclasses.replace(stage, components=tuple(changed)), "pipe"))


def refused(mode, **changes):
    """The options that are refused of it."""
    return {calls.option for calls in told_of(mode, **changes) if calls.refusal}


def test_a_unet_whose_config_leaves_out_its_blocks_is_one():
    assert refused(CATALOG.modes["fast"], down_block_types=None) == set()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"class_name": "ControlNetUnionModel"}, "unet is no UNet or ControlNet that precompute knows"),
        ({"addition_embed_type": "image_hint"}, "unet joins an image to its latents, whose size precompute changes"),
        (
            {"down_block_types": ["KDownBlock2D", "KCrossAttnDownBlock2D"]},
            "unet has blocks that add the timestep otherwise than precompute knows",
        ),
    ],
)
def test_a_denoiser_that_precompute_does_not_know_does_without(changes, reason):
    told = told_of(CATALOG.modes["fast"], **changes)
    assert [calls.refusal for calls in told if calls.left_out] == [reason]


def test_of_attention_that_no_config_tells_of_a_script_finds_out():
    own, tried = (
        next(calls for calls in told_of(CATALOG.modes["fast"], name) if calls.option == "fuse_qkv").code
        for name in ("UNet2DConditionModel", "CogView4Transformer2DModel")
    )
    assert own == ("pipe.unet.fuse_qkv_projections()",)
    unet = torch.nn.Linear(2, 2)
    space = {"pipe": SimpleNamespace(unet=unet), "fuse_qkv": fuse_qkv}
    exec("\n".join(tried), space)
    with pytest.raises(ValueError, match="there is no attention"):
        exec(tried[1].strip(), space)


def test_a_middle_block_may_have_added_projections_too():
    assert refused(Mode("mine", "mine", fuse_qkv=True)) == set()
    assert refused(Mode("mine", "mine", fuse_qkv=True), mid_block_type="UNetMidBlock2DSimpleCrossAttn") == {"fuse_qkv"}


def test_fp8_needs_a_gpu():
    for kind in ("fp8", "int8"):
        told = mode_calls.of_stage(Mode("mine", "mine", quantization=kind), cell_of().stages[0], "pipe")
        assert [calls.needs_gpu for calls in told] == [kind == "fp8"]
