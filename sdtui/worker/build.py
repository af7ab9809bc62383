"""Builds a stage's diffusers pipeline, with random or real weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from sdtui.model.cell import Component, Stage
from sdtui.worker.random_weights import random_module
from sdtui.worker.tokenizer import byte_tokenizer


class WeightsError(Exception):
    """Real weights cannot be had; the message is one line."""


def build(stage: Stage, seed: int, device: str, dtype: torch.dtype) -> Any:
    """Returns the stage's pipeline on ``device``.

    Raises:
        WeightsError: Its real weights cannot be loaded.
    """
    return _load(stage, device, dtype) if stage.weights else _make(stage, seed, device, dtype)


def _make(stage: Stage, seed: int, device: str, dtype: torch.dtype) -> Any:
    parts = {component.name: _component(component, seed, device, dtype) for component in stage.components}
    return getattr(diffusers, stage.pipeline_class)(**parts, **stage.constructor)


def _component(component: Component, seed: int, device: str, dtype: torch.dtype) -> Any:
    config = dict(component.config)
    if component.class_name == "CLIPTokenizer":
        return byte_tokenizer(config["model_max_length"])
    if component.library == "diffusers":
        cls = getattr(diffusers, component.class_name)
        if not issubclass(cls, torch.nn.Module):
            return cls.from_config(config)
    else:
        cls = getattr(transformers, component.class_name)
    return random_module(cls, config, component.name, seed, device, dtype)


def _load(stage: Stage, device: str, dtype: torch.dtype) -> Any:
    """Loads real weights: safetensors only, no remote code."""
    assert stage.weights is not None
    options: dict[str, Any] = {"torch_dtype": dtype, "use_safetensors": True}
    parts: dict[str, Any] = dict(stage.constructor)
    folder = Path(stage.weights)
    if folder.is_absolute() and not (folder / "model_index.json").is_file():
        raise WeightsError(f"weights {stage.weights}: no pipeline there (model_index.json is missing)")
    for component in stage.components:
        if component.weights and not (folder / component.name).is_dir():
            cls = getattr(diffusers, component.class_name)
            parts[component.name] = _from_pretrained(cls, component.weights, options)
    variant = {"variant": stage.variant} if stage.variant else {}
    cls = getattr(diffusers, stage.pipeline_class)
    return _from_pretrained(cls, stage.weights, {**options, **variant, **parts}).to(device)


def _from_pretrained(cls: Any, weights: str, options: dict[str, Any]) -> Any:
    try:
        return cls.from_pretrained(weights, **options)
    except (OSError, ValueError, ImportError) as error:
        if Path(weights).is_absolute():
            raise WeightsError(f"weights {weights}: not a loadable {cls.__name__}: {_first_line(error)}") from error
        raise WeightsError(
            f"weights {weights}: cannot be loaded from the hub or its cache: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
