"""Random weights: the published architecture without the download. Needs torch alone; scripts carry it verbatim."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import torch
from torch.overrides import TorchFunctionMode


class EmptyOnMeta(TorchFunctionMode):
    """Within it ``torch.empty`` allocates nothing: parameters are born on the meta device, buffers are real."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.empty and kwargs.get("device") is None:
            kwargs["device"] = "meta"
        return func(*args, **kwargs)


def draw(name: str, shape: torch.Size, seed: int, device: str) -> torch.Tensor:
    """Draws one parameter, float32 and contiguous, the same for every dtype and memory format.

    Matrices, kernels and embeddings are normal with variance 1 / fan-in, which keeps activations finite in float16;
    the scales of norms are 1; biases are small.

    Args:
        name: The parameter's full name; with ``seed`` it seeds the draw.
        shape: Of the parameter.
        seed: The run's.
        device: Where to draw.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator(device).manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    if len(shape) < 2 and name.endswith("weight"):
        return torch.ones(shape, device=device)
    scale = 1 / math.sqrt(math.prod(shape[1:])) if len(shape) >= 2 else 0.02
    return torch.randn(shape, generator=generator, device=device) * scale


def fill(module: torch.nn.Module, name: str, seed: int, device: str, dtype: torch.dtype) -> torch.nn.Module:
    """Gives every parameter of ``module`` random values on ``device``, tensor by tensor, and moves buffers there.

    Args:
        module: Built within `EmptyOnMeta`; returned in evaluation mode.
        name: The component's, such as ``unet``: part of each parameter's seed.
        seed: The run's.
        device: Where the parameters go.
        dtype: What they are cast to after the draw.
    """
    filled: dict[int, torch.nn.Parameter] = {}
    for path, child in module.named_modules():
        for key, parameter in child._parameters.items():
            if parameter is None:
                continue
            if id(parameter) not in filled:
                full_name = ".".join(part for part in (name, path, key) if part)
                values = draw(full_name, parameter.shape, seed, device).to(dtype)
                filled[id(parameter)] = torch.nn.Parameter(values, requires_grad=False)
            child._parameters[key] = filled[id(parameter)]
    module.to(device)
    return module.eval()


def random_module(
    cls: Any, config: dict[str, Any], name: str, seed: int, device: str, dtype: torch.dtype
) -> torch.nn.Module:
    """Builds a diffusers or transformers module from its config, with random weights and no copy of them elsewhere."""
    with EmptyOnMeta():
        if hasattr(cls, "from_config"):
            module = cls.from_config(config)
        else:
            notes = ("_class_name", "architectures", "model_type", "torch_dtype", "transformers_version")
            module = cls(cls.config_class(**{key: value for key, value in config.items() if key not in notes}))
    return fill(module, name, seed, device, dtype)
