"""Quantises the linear layers of a denoiser with torchao. Needs torch and torchao alone.

Both kinds scale activations as they come, step by step: nothing is calibrated. Convolutions stay in the dtype, and so
do layers that see a row per image, as those of timesteps: there is nothing to gain in them.
"""

from __future__ import annotations

import importlib.util
from typing import Any

import torch

_MULTIPLE = 16
"""What both sides of a weight must be a multiple of (``torch._scaled_mm``, ``torch._int_mm``)."""
_FP8_CAPABILITY = (8, 9)


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

    quantize_(denoiser, _config(kind), filter_fn=_is_worth_it)


def _config(kind: str) -> Any:
    """Returns torchao's. Inductor's options stay the mode's: those of torchao would have every kernel tuned."""
    from torchao import quantization

    if kind == "int8":
        return quantization.Int8DynamicActivationInt8WeightConfig(set_inductor_config=False)
    whole = quantization.PerTensor()
    return quantization.Float8DynamicActivationFloat8WeightConfig(granularity=whole, set_inductor_config=False)


def _is_worth_it(module: torch.nn.Module, name: str) -> bool:
    if not isinstance(module, torch.nn.Linear) or "time_emb" in name or "_embedding" in name:
        return False
    return not (module.in_features % _MULTIPLE or module.out_features % _MULTIPLE)
