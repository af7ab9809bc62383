"""Checks the last output and keeps it: the image as PNG, the final latents as safetensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as save_tensors

from sdtui.worker.outcome import OutputError


def check(images: Any, latents: torch.Tensor | None, stage: str) -> None:
    """Checks that an output is made of numbers, and not of one number.

    Args:
        images: What the pipeline returned: a tensor or array, or PIL images.
        latents: What went into the VAE's decoder; ``None`` for a pipeline of pixels.
        stage: Whose output it is.

    Raises:
        OutputError: It holds NaN or infinity, or is constant.
    """
    where = "" if stage == "main" else f" of stage {stage}"
    if latents is not None:
        _check(f"final latents{where}", latents)
    _check(f"image{where}", _pixels(images))


def save(images: Any, latents: torch.Tensor | None, folder: Path, name: str) -> None:
    """Writes ``<name>.png`` (the first image) and ``<name>.safetensors`` (``latents``: those, or the pixels)."""
    pixels = _pixels(images)
    kept = pixels if latents is None else latents
    content = save_tensors({"latents": kept.detach().contiguous().cpu()})
    (folder / f"{name}.safetensors").write_bytes(content)  # `save_file` would let nobody else read it
    if isinstance(images, list):
        images[0].save(folder / f"{name}.png")
        return
    first = ((pixels[0].float() / 2 + 0.5).clamp(0, 1) * 255).round().byte()
    Image.fromarray(first.permute(1, 2, 0).cpu().numpy()).save(folder / f"{name}.png")


def _pixels(images: Any) -> torch.Tensor:
    if isinstance(images, torch.Tensor):
        return images
    return torch.from_numpy(np.stack([np.asarray(image) for image in images]))


def _check(what: str, values: torch.Tensor) -> None:
    values = values.detach().float()
    bad = int((~torch.isfinite(values)).sum())
    if bad:
        raise OutputError(f"output check: {bad} of {values.numel()} values are NaN or infinite in the {what}")
    if values.min() == values.max():
        raise OutputError(f"output check: the {what} is constant ({values.min().item():g})")
