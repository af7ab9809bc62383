"""From a plan to its cells, in the order they are measured."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from sdtui.catalog.load import Catalog
from sdtui.catalog.schema import ComponentTable, InputTable, PipelineTable, StageTable
from sdtui.model.cell import Cell, Component, Dtype, Input, Mode, Slot, Stage, cell_id
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan
from sdtui.model.sizes import allocator_limited

DOCS_CALLS = 3
_SHARD = r"(?:-\d+-of-\d+)?"
_WEIGHT_FILE = re.compile(rf"(?:diffusion_pytorch_)?model{_SHARD}(?:\.(?P<variant>\w+))?{_SHARD}\.safetensors")
_PICTURES = ("image", "mask", "edges")


def expand(plan: Plan, catalog: Catalog) -> tuple[Cell, ...]:
    """Returns the plan's cells: pipelines outermost, then batch sizes, then modes, then environments.

    Where the plan chooses slots, only those; what does not fit a pipeline that is left out does not matter.

    Args:
        plan: With every name known to the catalog or defined in itself.
        catalog: What there is to measure.

    Raises:
        UserError: An option does not fit a pipeline: a size where it is fixed, too few steps, weights of the wrong
            kind, no tiny scale.
    """
    catalog = catalog.with_own(plan.mode_definitions, plan.pipeline_definitions, "plan", Path())
    return tuple(_cells(plan, catalog))


def default_dtype(device: str) -> Dtype:
    """Returns what a cell runs in where neither mode nor plan says: half precision, but single on a CPU."""
    return "float32" if device == "cpu" else "float16"


def _cells(plan: Plan, catalog: Catalog) -> Iterator[Cell]:
    for (name, batch_size), slots in groupby(plan.chosen(), lambda slot: (slot.pipeline, slot.batch_size)):
        pipeline = catalog.pipelines[name]
        stages = _stages(plan, name, pipeline, batch_size, catalog.counts.get(name, {}))
        for slot in slots:
            yield _cell(plan, slot, pipeline, catalog.modes[slot.mode], stages)


def _cell(plan: Plan, slot: Slot, pipeline: PipelineTable, mode: Mode, stages: tuple[Stage, ...]) -> Cell:
    dtype = mode.dtype or plan.dtype or default_dtype(plan.device)
    identity = cell_id(
        slot,
        mode=mode,
        scale=plan.scale,
        calls=plan.calls,
        dtype=dtype,
        weights=plan.weights,
        stages=stages,
        vram_limit_bytes=plan.vram_limit,
    )
    return Cell(
        id=identity,
        slot=slot,
        pipeline_label=pipeline.label,
        mode=mode,
        scale=plan.scale,
        calls=plan.calls,
        dtype=dtype,
        weights=plan.weights,
        seed=plan.seed,
        prompt=pipeline.prompt if plan.prompt is None else plan.prompt,
        stages=stages,
        variant=_variant(plan, pipeline, mode),
        vram_limit_bytes=plan.vram_limit,
    )


def _variant(plan: Plan, pipeline: PipelineTable, mode: Mode) -> str:
    """Names what differs from the docs protocol at the plan's scale."""
    stages = [stage.tiny if plan.scale == "tiny" and stage.tiny else stage for stage in pipeline.stages.values()]
    words = []
    if plan.steps is not None and any(stage.steps != plan.steps for stage in stages):
        words.append(f"{plan.steps} steps" if plan.steps > 1 else "1 step")
    if plan.size is not None and any((stage.width, stage.height) != (plan.size, plan.size) for stage in stages):
        words.append(f"{plan.size} px")
    if plan.guidance is not None and any(stage.guidance != plan.guidance for stage in pipeline.stages.values()):
        words.append(f"guidance {plan.guidance:g}")
    if mode.dtype is None and plan.dtype not in (None, default_dtype(plan.device)):
        words.append(str(plan.dtype))
    if plan.calls != DOCS_CALLS:
        words.append(f"{plan.calls} calls" if plan.calls > 1 else "1 call")
    if plan.weights != "random":
        name = Path(plan.weights).name if plan.weights.startswith("/") else plan.weights
        words.append("published weights" if name == "published" else f"weights {name}")
    if plan.vram_limit is not None:
        words.append(allocator_limited(plan.vram_limit))
    return ", ".join(words)


# --------------------------------------------------------------------------------------------------------- stages


def _stages(
    plan: Plan, name: str, pipeline: PipelineTable, batch_size: int, counts: Mapping[str, Any]
) -> tuple[Stage, ...]:
    names = pipeline.batched_stages if batch_size > 1 and pipeline.batched_stages else tuple(pipeline.stages)
    _check_fit(plan, name, pipeline)
    return tuple(_stage(plan, name, pipeline, stage, counts.get(stage, {})) for stage in names)


def _check_fit(plan: Plan, name: str, pipeline: PipelineTable) -> None:
    if plan.scale == "tiny" and not all(stage.tiny for stage in pipeline.stages.values()):
        raise UserError(f"scale: pipeline '{name}' has no tiny scale; use --scale full")
    if plan.scale == "tiny" and plan.weights == "published":
        raise UserError("weights: published weights are of full scale; use --scale full, or --weights random")
    if plan.size is not None and not any(_resizable(stage) for stage in pipeline.stages.values()):
        raise UserError(f"size: pipeline '{name}' has a fixed size; leave out --size, or the pipeline")
    for stage in pipeline.stages.values():
        strength = stage.arguments.get("strength", 1.0)
        if plan.steps is not None and int(plan.steps * strength) < 1:
            least = math.ceil(1 / strength)
            least += int(least * strength) < 1  # where the product is rounded to less than 1
            raise UserError(
                f"steps: {plan.steps} at strength {strength} leaves pipeline '{name}' no step; the least is {least}"
            )


def _resizable(stage: StageTable) -> bool:
    return stage.takes_size or any(made.source in _PICTURES for made in stage.inputs.values())


def _stage(plan: Plan, name: str, pipeline: PipelineTable, stage_name: str, counts: Mapping[str, Any]) -> Stage:
    table = pipeline.stages[stage_name]
    tiny = table.tiny if plan.scale == "tiny" else None
    shrunk = tiny or table
    size = plan.size if _resizable(table) else None
    width, height = size or shrunk.width, size or shrunk.height
    guidance = table.guidance if plan.guidance is None else plan.guidance
    counted = tiny is None and (width, height) == (table.width, table.height)
    weights, variant = _weights(plan, name, pipeline, stage_name)
    return Stage(
        name=stage_name,
        pipeline_class=table.pipeline_class,
        components=tuple(_component(plan, key, part, table) for key, part in table.components.items()),
        constructor={**dict.fromkeys(table.absent), **table.constructor},
        denoisers=table.denoisers,
        steps=plan.steps or shrunk.steps,
        guidance=guidance,
        width=width,
        height=height,
        takes_size=table.takes_size,
        takes_prompt=table.takes_prompt,
        arguments=table.arguments,
        inputs={key: _input(key, made, table, tiny is not None, size) for key, made in table.inputs.items()},
        weights=weights,
        variant=variant,
        flops_per_step=_flops(counts, guidance) if counted else None,
    )


def _flops(counts: Mapping[str, Any], guidance: float) -> float | None:
    """Counts are with guidance, which doubles the batch; at a scale of 1 or less diffusers leaves it out."""
    flops = counts.get("flops_per_step")
    return None if flops is None else flops / (1 if guidance > 1 else 2)


def _input(key: str, made: InputTable, stage: StageTable, tiny: bool, size: int | None) -> Input:
    shrunk = stage.tiny.inputs.get(key) if tiny and stage.tiny else None
    width, height, shape = made.width or 0, made.height or 0, made.shape
    if shrunk:
        width, height, shape = shrunk.width or width, shrunk.height or height, shrunk.shape or shape
    if size and made.source in _PICTURES:
        width = height = size
    return Input(source=made.source, width=width, height=height, shape=shape, stage=made.stage)


def _component(plan: Plan, name: str, table: ComponentTable, stage: StageTable) -> Component:
    shrunk = stage.tiny.components.get(name, {}) if plan.scale == "tiny" and stage.tiny else {}
    weights = None
    if table.weights and plan.weights != "random" and not (Path(plan.weights) / name).is_dir():
        weights = table.weights.id
    return Component(
        name=name,
        library=table.library,
        class_name=table.class_name,
        config={**table.config, **shrunk},
        weights=weights,
    )


def _weights(plan: Plan, name: str, pipeline: PipelineTable, stage_name: str) -> tuple[str | None, str | None]:
    """Returns where the stage's real weights are, and their variant."""
    if plan.weights == "random":
        return None, None
    if plan.weights == "published":
        published = pipeline.stages[stage_name].weights
        if published is None:
            raise UserError(f"weights: pipeline '{name}' names no published weights; write a folder or hub id")
        return published.id, published.variant
    folder, components = Path(plan.weights), pipeline.stages[stage_name].components
    if len(pipeline.stages) == 1:
        return plan.weights, _variant_in(folder, components) if folder.is_absolute() else None
    if folder.is_absolute() and (folder / stage_name).is_dir():
        return str(folder / stage_name), _variant_in(folder / stage_name, components)
    stages = ", ".join(pipeline.stages)
    raise UserError(
        f"weights: '{plan.weights}': pipeline '{name}' has several stages; write 'published', or a folder that holds "
        f"one folder for each ({stages})"
    )


def _variant_in(folder: Path, components: Iterable[str]) -> str | None:
    """Returns the variant that a folder of weights was saved as, such as ``fp16``; ``None`` where plain files do.

    It is the one variant that every component without a plain file has: diffusers takes plain files where a component
    has no other.
    """
    common: set[str] | None = None
    for name in components:
        if not (folder / name).is_dir():
            continue
        found = [_WEIGHT_FILE.fullmatch(file.name) for file in (folder / name).iterdir()]
        variants = {match["variant"] for match in found if match}
        if variants and None not in variants:
            common = variants if common is None else common & variants
    return common.pop() if common and len(common) == 1 else None
