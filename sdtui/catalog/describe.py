"""The catalog for people (plain text) and for programs (JSON values)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from sdtui.catalog.load import Catalog
from sdtui.catalog.schema import PipelineTable, StageTable, WeightsTable
from sdtui.model.codec import encode

_WIDTH = 100


def catalog_json(catalog: Catalog) -> dict[str, Any]:
    """Returns pipelines (with stages, components, parameters and FLOPs per step), modes and presets, by name.

    Counts are ``None`` where a pipeline is the person's own, or a component has no parameters.
    """
    return {
        "pipelines": {
            name: _pipeline(pipeline, catalog.counts.get(name, {}), catalog.pipeline_entries[name].shipped)
            for name, pipeline in catalog.pipelines.items()
        },
        "modes": {
            name: {"shipped": catalog.mode_entries[name].shipped, **encode(mode)}
            for name, mode in catalog.modes.items()
        },
        "presets": {name: _given(preset) for name, preset in catalog.presets.items()},
    }


def catalog_lines(catalog: Catalog) -> str:
    """Returns the same as text, for reading; no newline at the end."""
    lines = ["PIPELINES"]
    for name, pipeline in catalog.pipelines.items():
        lines += ["", *_pipeline_lines(name, pipeline, catalog.counts.get(name, {}))]
    lines += ["", "MODES", ""]
    lines += _columns({name: mode.description or mode.label for name, mode in catalog.modes.items()})
    lines += ["", "PRESETS", ""]
    lines += _columns({name: preset.description for name, preset in catalog.presets.items()})
    return "\n".join(lines)


# ----------------------------------------------------------------------------------------------------------- JSON


def _pipeline(pipeline: PipelineTable, counts: Mapping[str, Any], shipped: bool) -> dict[str, Any]:
    return {
        "label": pipeline.label,
        "description": pipeline.description,
        "shipped": shipped,
        "prompt": pipeline.prompt,
        "notes": list(pipeline.notes),
        "batched_stages": list(pipeline.batched_stages or pipeline.stages),
        "stages": {name: _stage(stage, counts.get(name, {})) for name, stage in pipeline.stages.items()},
    }


def _stage(stage: StageTable, counts: Mapping[str, Any]) -> dict[str, Any]:
    parameters = counts.get("components", {})
    tiny = stage.tiny
    return {
        "pipeline_class": stage.pipeline_class,
        "denoisers": list(stage.denoisers),
        "steps": stage.steps,
        "guidance": stage.guidance,
        "width": stage.width,
        "height": stage.height,
        "flops_per_step": counts.get("flops_per_step"),
        "components": {
            name: {
                "library": part.library,
                "class_name": part.class_name,
                "parameters": parameters.get(name),
                "weights": vars(part.weights) if part.weights else None,
            }
            for name, part in stage.components.items()
        },
        "arguments": stage.arguments,
        "inputs": {name: _given(made) for name, made in stage.inputs.items()},
        "weights": vars(stage.weights) if stage.weights else None,
        "tiny": {"steps": tiny.steps, "width": tiny.width, "height": tiny.height} if tiny else None,
    }


def _given(table: Any) -> dict[str, Any]:
    """Returns the keys of a table that have a value."""
    return {
        key: _given(value) if is_dataclass(value) else value for key, value in vars(table).items() if value is not None
    }


# ----------------------------------------------------------------------------------------------------------- text


def _pipeline_lines(name: str, pipeline: PipelineTable, counts: Mapping[str, Any]) -> Iterator[str]:
    yield f"{name} ({pipeline.label}){f': {pipeline.description}' if pipeline.description else ''}"
    for stage_name, stage in pipeline.stages.items():
        counted = counts.get(stage_name, {})
        yield "  " + ", ".join(_stage_words(stage_name, stage, counted))
        yield from _component_lines(stage, counted.get("components", {}))
        if stage.weights:
            yield f"      weights: {_weights_words(stage.weights)}"
    for note in pipeline.notes:
        yield from textwrap.wrap(note, _WIDTH, initial_indent="  Note: ", subsequent_indent="  ")


def _stage_words(name: str, stage: StageTable, counts: Mapping[str, Any]) -> Iterator[str]:
    yield stage.pipeline_class if name == "main" else f"{name}: {stage.pipeline_class}"
    yield f"{stage.steps} steps"
    yield f"guidance {stage.guidance:g}"
    yield f"{stage.width}×{stage.height}"
    if "flops_per_step" in counts:
        yield f"{counts['flops_per_step'] / 1e12:.3f} TFLOP per step"


def _component_lines(stage: StageTable, parameters: Mapping[str, int]) -> Iterator[str]:
    for name, part in stage.components.items():
        if name in parameters or part.weights:
            count = f"{parameters[name]:>13,}" if name in parameters else " " * 13
            own = f"  weights: {_weights_words(part.weights)}" if part.weights else ""
            yield f"      {name:<18} {part.class_name:<22} {count}{own}"


def _weights_words(weights: WeightsTable) -> str:
    variant = f" ({weights.variant})" if weights.variant else ""
    return weights.id + variant + (f", formerly {weights.formerly}" if weights.formerly else "")


def _columns(descriptions: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, descriptions), default=0) + 2
    for name, description in descriptions.items():
        yield f"{name:<{width}}{description}".rstrip()
