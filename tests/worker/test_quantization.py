"""Linear layers are quantised for real, or refused with a reason."""

import contextlib

import pytest
import torch
from diffusers import SD3Transformer2DModel
from tiny_cells import CONTROLNET, IF, SD, UPSCALER, applied, refused, relative_l2

from sdtui.worker import quantization
from sdtui.worker.conditioning import Conditioning, Given


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torchao.*", "ignore::UserWarning")
def test_int8_multiplies_linear_layers_in_int8_and_is_near(measured):
    pytest.importorskip("torchao")
    unet = applied(SD, quantization="int8").unet
    attention = unet.down_blocks[0].attentions[0].transformer_blocks[0].attn1
    assert "Int8" in type(attention.to_q.weight).__name__ + type(attention.to_q.weight.data).__name__
    kept = [unet.time_embedding.linear_1, unet.down_blocks[0].resnets[0].time_emb_proj]
    assert {type(layer.weight) for layer in kept} == {torch.nn.Parameter}
    plain = applied(SD).unet
    generator = torch.Generator().manual_seed(0)
    latents, prompt = torch.randn(2, 4, 16, 16, generator=generator), torch.randn(2, 77, 32, generator=generator)
    with torch.no_grad():
        one, other = (each(latents, 500, encoder_hidden_states=prompt).sample for each in (plain, unet))
    assert 1e-4 < relative_l2(other, one) < 0.05


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    ("place", "name"), [(SD, "unet"), (CONTROLNET, "controlnet"), (IF, "unet"), (UPSCALER, "unet")]
)
def test_what_is_computed_once_per_call_is_not_quantised(place, name, fused):
    """Uncompiled, 45 such layers in int8 took a quarter of a call's loop: `if`, stage I, batch size 1, on an H200."""
    denoiser = getattr(applied(place, fuse_qkv=fused, optional=("fuse_qkv",)), name)
    chosen = quantization.quantized_layers(denoiser)
    before = ("time_embedding", "class_embedding", "add_embedding", "encoder_hid_proj")
    parts = [part for part in (getattr(denoiser, each, None) for each in before) if part is not None]
    once = {module for part in parts for module in part.modules() if isinstance(module, torch.nn.Linear)}
    Conditioning(denoiser, denoiser.forward)
    given = {module.linear for module in denoiser.modules() if isinstance(module, Given)}
    assert len(once) >= 2
    assert given
    assert chosen - given - once
    assert not chosen & (given | once)


def test_a_transformers_blocks_are_quantised_and_what_embeds_and_scales_is_not():
    """What a block adds for the prompt sees what those before made of it, step by step."""
    size = {"num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16}
    dims = {"joint_attention_dim": 32, "caption_projection_dim": 32, "pooled_projection_dim": 32}
    transformer = SD3Transformer2DModel(sample_size=16, in_channels=4, out_channels=4, **size, **dims)
    chosen = quantization.quantized_layers(transformer)
    names = {name for name, module in transformer.named_modules() if module in chosen}
    blocks = {f"transformer_blocks.{number}" for number in (0, 1)}
    assert {f"{block}.attn.add_k_proj" for block in blocks} <= names
    assert {".".join(name.split(".")[:2]) for name in names} <= {*blocks, "proj_out"}
    assert not [name for name in names if name.endswith("norm1.linear")], "they see a row per image"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:torchao.*", "ignore::UserWarning")
@pytest.mark.parametrize("kind", ["fp8", "int8"])
def test_quantizing_leaves_inductors_options_to_the_mode(kind):
    """torchao's own choice has every kernel tuned: on an H200 a UNet was not compiled after nine minutes."""
    torchao = pytest.importorskip("torchao.quantization")
    linear = torch.nn.Linear(32, 32, dtype=torch.bfloat16)
    config = torch._inductor.config
    with config.patch(coordinate_descent_tuning=False, force_fuse_int_mm_with_mul=False):
        before = config.save_config_portable()
        with contextlib.suppress(AssertionError):  # fp8's, which sets options before this CPU refuses it
            torchao.quantize_(linear, quantization._config(kind))
        assert config.save_config_portable() == before


def test_a_quantization_that_cannot_be_had_is_refused(monkeypatch):
    assert refused(SD, quantization="fp8") == "unet: fp8 needs a GPU of compute capability 8.9 or more"
    monkeypatch.setattr(quantization.importlib.util, "find_spec", lambda name: None)
    assert refused(CONTROLNET, quantization="int8") == "unet: torchao is not installed in this environment"
