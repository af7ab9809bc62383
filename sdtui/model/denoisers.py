"""What the class and config of a denoiser say of the options that it can take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNETS = ("UNet2DConditionModel", "ControlNetModel")
"""Classes of diffusers that have a UNet's blocks, also where their config leaves these out."""


def why_not_precomputed(name: str, class_name: str, config: Mapping[str, Any]) -> str:
    """Returns why a denoiser cannot be given beforehand what no step changes; empty where it can.

    Args:
        name: Of the component.
        class_name: Of diffusers.
        config: As diffusers writes it; may leave out what is the default.
    """
    if class_name not in UNETS:
        return f"{name} is no UNet or ControlNet that precompute knows"
    if config.get("addition_embed_type") == "image_hint":
        return f"{name} joins an image to its latents, whose size precompute changes"
    if any(block.startswith("K") for block in config.get("down_block_types") or ()):
        return f"{name} has blocks that add the timestep otherwise than precompute knows"
    return ""
