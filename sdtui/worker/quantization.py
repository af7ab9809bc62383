"""Quantises the linear layers of a denoiser with torchao. Needs torch and torchao alone.

Both kinds scale activations as they come, step by step: nothing is calibrated. Convolutions stay in the dtype, and so
do layers that see a row per image, as those of timesteps, or the prompt's tokens alone: there is little to gain in
them, and where they are evaluated once per call, uncompiled, torchao's take longer.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

from sdtui.worker.prompt_layers import prompt_layers

_MULTIPLE = 16
"""What both sides of a weight must be a multiple of (``torch._scaled_mm``, ``torch._int_mm``)."""
_FP8_CAPABILITY = (8, 9)
_LEFT = ("time_emb", "_embedding", "encoder_hid", "embedder", "norm")
"""In names of layers that stay: of timesteps, of class labels and added conditions, of the prompt; in transformers the
last two, what embeds these and what scales norms by them."""


def quantize(denoiser: torch.nn.Module, kind: str) -> None:
    """Replaces weights of linear layers, in place.

    Args:
        denoiser: On its device, not compiled.
        kind: ``fp8`` (e4m3, one scale per tensor) or ``int8`` (a scale per row of activations and channel of weights).

    Raises:
        ValueError: torchao is not installed, or the device cannot multiply so.
    """
    if importlib.util.find_spec("torchao") is None:
        raise ValueError("torchao is not installed in this environment")
    device = next(denoiser.parameters()).device
    if kind == "fp8" and (device.type != "cuda" or torch.cuda.get_device_capability(device) < _FP8_CAPABILITY):
        raise ValueError("fp8 needs a GPU of compute capability 8.9 or more")
    from torchao.quantization import quantize_

    chosen = quantized_layers(denoiser)
    quantize_(denoiser, _config(kind), filter_fn=lambda module, _: module in chosen)


def _config(kind: str) -> Any:
    """Returns torchao's. Inductor's options stay the mode's: those of torchao would have every kernel tuned."""
    from torchao import quantization

    if kind == "int8":
        return quantization.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    whole = quantization.PerTensor()
    return quantization.Float8DynamicActivationFloat8WeightConfig(granularity=whole, set_inductor_config=False)


def quantized_layers(denoiser: torch.nn.Module) -> set[torch.nn.Module]:
    """Returns the linear layers that are quantised."""
    of_prompt = {getattr(attention, name) for attention, name in prompt_layers(denoiser)}
    return {
        module
        for name, module in denoiser.named_modules()
        if isinstance(module, torch.nn.Linear)
        and module not in of_prompt
        and not any(part in name for part in _LEFT)
        and not (module.in_features % _MULTIPLE or module.out_features % _MULTIPLE)
    }
