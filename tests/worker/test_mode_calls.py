"""What is told of a mode without a pipeline is what the worker does to one."""

import dataclasses

import pytest
import torch
from recorded_graphs import RecordedGraph
from tiny_cells import CATALOG, cell_of, pipe_of

from sdtui import mode_calls
from sdtui.model.cell import Mode
from sdtui.worker import options

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


def refused(mode, **config):
    """The options that are refused of a pipeline whose UNet has keys of its config replaced, or left out."""
    stage = cell_of().stages[0]
    changed = []
    for part in stage.components:
        own = {key: value for key, value in {**part.config, **config}.items() if value is not None}
        changed.append(dataclasses.replace(part, config=own) if part.name == "unet" else part)
    told = mode_calls.of_stage(mode, dataclasses.replace(stage, components=tuple(changed)), "pipe")
    return {calls.option for calls in told if calls.refusal}


def test_a_unet_whose_config_leaves_out_its_blocks_is_one():
    assert refused(CATALOG.modes["fast"], down_block_types=None) == set()


def test_a_middle_block_may_have_added_projections_too():
    assert refused(Mode("mine", "mine", fuse_qkv=True)) == set()
    assert refused(Mode("mine", "mine", fuse_qkv=True), mid_block_type="UNetMidBlock2DSimpleCrossAttn") == {"fuse_qkv"}


def test_fp8_needs_a_gpu():
    for kind in ("fp8", "int8"):
        told = mode_calls.of_stage(Mode("mine", "mine", quantization=kind), cell_of().stages[0], "pipe")
        assert [calls.needs_gpu for calls in told] == [kind == "fp8"]
