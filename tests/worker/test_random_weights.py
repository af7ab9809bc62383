"""Random weights: the same network in every dtype and layout, seeded by run and name, and nowhere in memory twice."""

import pytest
import torch
from tiny_cells import cell_of, pipe_of

from sdtui.worker import random_weights
from sdtui.worker.build import build
from sdtui.worker.random_weights import EmptyOnMeta, draw, fill

MODULES = ("unet", "vae", "text_encoder")


def parameters(pipe):
    return {f"{part}.{name}": p for part in MODULES for name, p in getattr(pipe, part).named_parameters()}


@pytest.fixture(scope="module")
def reference():
    return parameters(pipe_of(cell_of()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_every_dtype_has_the_same_network(reference, dtype):
    cast = parameters(pipe_of(cell_of(dtype=dtype)))
    assert cast.keys() == reference.keys()
    for name, values in cast.items():
        assert values.dtype == getattr(torch, dtype)
        assert torch.equal(values, reference[name].to(values.dtype)), name


def test_both_layouts_have_the_same_network(reference):
    unet = pipe_of(cell_of()).unet.to(memory_format=torch.channels_last)
    for name, values in unet.named_parameters():
        assert torch.equal(values, reference[f"unet.{name}"])


def test_draws_are_contiguous_single_precision(reference):
    assert all(values.is_contiguous() and values.dtype == torch.float32 for values in reference.values())
    assert not any(values.requires_grad for values in reference.values())


def test_seed_and_name_make_the_values(reference):
    cell = cell_of(seed=1)
    other = parameters(pipe_of(cell))
    drawn = [name for name, values in reference.items() if values.dim() > 1 or name.endswith("bias")]
    assert len(drawn) > 100
    assert all(not torch.equal(other[name], reference[name]) for name in drawn)
    shape = torch.Size((4, 4))
    assert torch.equal(draw("unet.a", shape, 0, "cpu"), draw("unet.a", shape, 0, "cpu"))
    assert not torch.equal(draw("unet.a", shape, 0, "cpu"), draw("unet.b", shape, 0, "cpu"))


def test_scale_keeps_the_variance_and_norms_do_nothing():
    kernel = draw("conv.weight", torch.Size((256, 64, 3, 3)), 0, "cpu")
    assert float(kernel.std()) == pytest.approx((64 * 9) ** -0.5, rel=0.02)
    assert torch.equal(draw("norm.weight", torch.Size((8,)), 0, "cpu"), torch.ones(8))
    assert float(draw("conv.bias", torch.Size((10_000,)), 0, "cpu").std()) == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("pipeline", ["sd-controlnet", "if"])
def test_parameters_hold_nothing_before_they_are_drawn_and_buffers_are_real(monkeypatch, pipeline):
    seen = []

    def looking(module, name, *args):
        seen.append(name)
        large = [p for p in module.parameters() if p.numel() > 4096]
        assert large
        assert all(parameter.device.type == "meta" for parameter in large)
        assert all(buffer.device.type == "cpu" for buffer in module.buffers())
        return fill(module, name, *args)

    monkeypatch.setattr(random_weights, "fill", looking)
    for stage in cell_of(pipeline).stages:
        pipe = build(stage, 0, "cpu", torch.float16)
        for module in (part for part in pipe.components.values() if isinstance(part, torch.nn.Module)):
            assert not module.training
            assert all(p.device.type == "cpu" and p.dtype == torch.float16 for p in module.parameters())
            assert all(buffer.device.type == "cpu" for buffer in module.buffers())
    assert set(seen) >= {"unet"}


def test_buffers_keep_their_values():
    encoder = pipe_of(cell_of()).text_encoder
    positions = dict(encoder.named_buffers())[
        "text_model.embeddings.position_ids" if hasattr(encoder, "text_model") else "embeddings.position_ids"
    ]
    assert torch.equal(positions, torch.arange(77)[None])


def test_empty_on_meta_leaves_named_devices_and_other_functions_alone():
    with EmptyOnMeta():
        assert torch.empty(2).device.type == "meta"
        assert torch.empty(2, device="cpu").device.type == "cpu"
        assert torch.zeros(2).device.type == "cpu"
    assert torch.empty(2).device.type == "cpu"


def test_shared_parameters_stay_shared():
    with EmptyOnMeta():
        one, two = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        two.weight = one.weight
        pair = torch.nn.Sequential(one, two)
    fill(pair, "pair", 0, "cpu", torch.float32)
    assert pair[0].weight is pair[1].weight
    assert torch.equal(pair[0].weight, draw("pair.0.weight", torch.Size((4, 4)), 0, "cpu"))


@pytest.mark.parametrize("pipeline", ["sd-controlnet", "if-cascade"])
def test_activations_stay_far_within_half_precision(pipeline):
    """At tiny scale. At full width, in single precision, no activation passed 142 (bound: 65504)."""
    cell, largest = cell_of(pipeline), []
    for number, stage in enumerate(cell.stages):
        pipe = pipe_of(cell, number)
        for module in pipe.unet.modules():
            module.register_forward_hook(lambda _m, _a, out: largest.append(magnitude(out)))
        unet = pipe.unet.config
        labels = {"class_labels": torch.tensor([20])} if stage.name in ("II", "III") else {}
        text = torch.randn(1, 7, unet.encoder_hid_dim or unet.cross_attention_dim)
        pipe.unet(torch.randn(1, unet.in_channels, 16, 16), 500, text, **labels)
    assert 1 < max(largest) < 1000


def magnitude(out):
    return float(out.abs().max()) if isinstance(out, torch.Tensor) else 0.0


def test_prompt_and_negative_prompt_encode_differently():
    pipe = pipe_of(cell_of())
    prompt, negative = pipe.encode_prompt("a yellow cat", "cpu", 1, True, negative_prompt="")
    assert float((prompt - negative).norm() / prompt.norm()) > 0.5
