"""What a cell will need of the GPU's memory: what it took before, else an estimate. Nothing is skipped for it.

At its most, torch's allocator holds the weights of every stage and the activations of one, which grow with the batch
and with the pixels of its images. docs/methodology.md says how far that is off where it was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sdtui.model.cell import Cell, Stage
from sdtui.model.vram import VramNeed


class Activations(NamedTuple):
    """Values that live at once, per pixel of an image: of each image of a batch, and however many there are."""

    each: int
    once: int = 0


ACTIVATIONS: Mapping[str, Activations] = {
    "StableDiffusionPipeline": Activations(1026, 284),
    "StableDiffusionImg2ImgPipeline": Activations(1026, 284),
    "StableDiffusionInpaintPipeline": Activations(1026, 284),
    "StableDiffusionControlNetPipeline": Activations(1082, 298),
    "IFPipeline": Activations(6700, 6400),
    "IFSuperResolutionPipeline": Activations(4740),
    "StableDiffusionUpscalePipeline": Activations(3860),
}
"""By the class of a stage's pipeline; from peaks of torch's allocator in float16 on an H100 and an H200.

Those of the first five from batch sizes 1 and 16, those of the last two, which run at no other, from batch size 1.
"""

IN_STEP_GRAPHS: Mapping[str, Activations] = {
    "StableDiffusionPipeline": Activations(674, 372),
    "StableDiffusionControlNetPipeline": Activations(800, 485),
    "IFPipeline": Activations(8396, 10072),
    "IFSuperResolutionPipeline": Activations(5861),
    "StableDiffusionUpscalePipeline": Activations(5434),
}
"""Likewise in `fast`: the VAE's decoder, which needs the most elsewhere, is compiled, and graphs keep their memory.

From its peaks on an H200; those of the last two from batch size 1.
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
    lives at once otherwise than `fast` does: vanilla attention, quantised layers, a VAE in slices or tiles, or a
    compiled one without step graphs, or they without it.
    """
    mode = cell.mode
    unlike = mode.attention_processor == "vanilla" or mode.vae_slicing or mode.vae_tiling or mode.quantization
    activations = IN_STEP_GRAPHS if mode.step_graphs else ACTIVATIONS
    counted = [counts.get(cell.slot.pipeline, {}).get(stage.name, {}).get("components") for stage in cell.stages]
    known = all(counted) and all(stage.pipeline_class in activations for stage in cell.stages)
    if cell.scale != "full" or unlike or mode.step_graphs != mode.compile_vae or not known:
        return None
    weights = sum(sum(components.values()) for components in counted)
    largest = max(_values(stage, activations[stage.pipeline_class], cell.slot.batch_size) for stage in cell.stages)
    return (weights + largest) * _BYTES[cell.dtype] / _MIB


def _values(stage: Stage, activations: Activations, batch_size: int) -> int:
    return (activations.once + batch_size * activations.each) * stage.width * stage.height
