"""What a cell will need of the GPU's memory: what it took before, else an estimate. Nothing is skipped for it.

At its most, torch's allocator holds the weights of every stage and the activations of one, which grow with the batch
and with the pixels of its images. docs/methodology.md says how far that is off where it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sdtui.model.cell import Cell
from sdtui.model.vram import VramNeed

VALUES_PER_PIXEL: Mapping[str, int] = {
    "StableDiffusionPipeline": 1310,
    "StableDiffusionImg2ImgPipeline": 1310,
    "StableDiffusionInpaintPipeline": 1310,
    "StableDiffusionControlNetPipeline": 1380,
    "IFPipeline": 21600,
    "IFSuperResolutionPipeline": 4740,
    "StableDiffusionUpscalePipeline": 3860,
}
"""Values of activations that live at once, per pixel of an image, by the class of a stage's pipeline.

From peaks of torch's allocator on an H100, in float16 at batch size 1, the larger one of ``no-compile`` and
``compile``; those of img2img and inpaint are taken to be those of txt2img, whose VAE they decode with.
"""

CUDA_MIB = 750.0
"""What CUDA takes for itself: by how much the device's memory in use exceeds what torch reserved (695 to 787 there)."""

_BYTES = {"float16": 2, "bfloat16": 2, "float32": 4}
_MIB = 2**20


def need(
    cell: Cell, estimated_mib: float | None, measured_mib: float | None, free_mib: float | None
) -> VramNeed | None:
    """Returns what a cell needs beside what there is; ``None`` where nothing tells.

    Args:
        cell: To be measured on a GPU.
        estimated_mib: As of `estimate_mib`.
        measured_mib: The highest that torch's allocator held when the cell was measured on the same GPU model before.
        free_mib: Of the device's memory.
    """
    allocator_mib = estimated_mib if measured_mib is None else measured_mib
    if allocator_mib is None:
        return None
    if free_mib is not None and cell.vram_limit_bytes is not None:
        free_mib = min(free_mib, cell.vram_limit_bytes / _MIB + CUDA_MIB)
    return VramNeed(allocator_mib + CUDA_MIB, free_mib, measured_mib is not None)


def estimate_mib(cell: Cell, counts: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Estimates the highest that torch's allocator holds while a cell is measured; ``counts`` are the catalog's.

    ``None`` at tiny scale, of pipelines whose parameters or activations were not counted, and of modes that change what
    lives at once: vanilla attention, a VAE that decodes in slices or tiles.
    """
    mode = cell.mode
    unlike = mode.attention_processor == "vanilla" or mode.vae_slicing or mode.vae_tiling
    counted = [counts.get(cell.slot.pipeline, {}).get(stage.name, {}).get("components") for stage in cell.stages]
    known = all(counted) and all(stage.pipeline_class in VALUES_PER_PIXEL for stage in cell.stages)
    if cell.scale != "full" or unlike or not known:
        return None
    weights = sum(sum(components.values()) for components in counted)
    image = max(VALUES_PER_PIXEL[stage.pipeline_class] * stage.width * stage.height for stage in cell.stages)
    return (weights + cell.slot.batch_size * image) * _BYTES[cell.dtype] / _MIB
