"""Says which layers of a denoiser see the prompt alone. Needs torch alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


def prompt_layers(denoiser: torch.nn.Module) -> Iterator[tuple[Any, str]]:
    """Yields linear layers that see the prompt alone, each as its attention module and its name there.

    Those are of cross attention, and of self attention with a prompt added, in UNets and ControlNets of diffusers. A
    transformer, whose blocks change the prompt's tokens on their way, has none.
    """
    if not hasattr(denoiser, "down_blocks"):
        return
    for module in list(denoiser.modules()):
        if getattr(module, "add_k_proj", None) is not None:
            names: tuple[str, ...] = ("add_k_proj", "add_v_proj")
        elif getattr(module, "is_cross_attention", False):
            names = ("to_kv",) if getattr(module, "fused_projections", False) else ("to_k", "to_v")
        else:
            continue
        for name in names:
            yield module, name
