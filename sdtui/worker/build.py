"""Builds a stage's diffusers pipeline, with random or real weights."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from sdtui.model.cell import Component, Stage
from sdtui.worker.random_weights import random_module
from sdtui.worker.reasons import chain
from sdtui.worker.tokenizer import byte_tokenizer

_UNREACHABLE = (ConnectionError, TimeoutError, socket.gaierror, ssl.SSLError)


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
    if folder.is_absolute():
        _check_folder(folder)
    for component in stage.components:
        if component.weights and not (folder / component.name).is_dir():
            cls = getattr(diffusers, component.class_name)
            parts[component.name] = _from_pretrained(cls, component.weights, options)
    variant = {"variant": stage.variant} if stage.variant else {}
    cls = getattr(diffusers, stage.pipeline_class)
    return _from_pretrained(cls, stage.weights, {**options, **variant, **parts}).to(device)


def _check_folder(folder: Path) -> None:
    """Refuses a folder that is no pipeline, or holds Python code, which older diffusers runs without asking."""
    try:
        index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsError(f"weights {folder}: no pipeline there (model_index.json is missing)") from None
    except (OSError, ValueError) as error:
        raise WeightsError(f"weights {folder}: model_index.json cannot be read: {error}") from error
    if not isinstance(index, dict) or "_class_name" not in index:
        raise WeightsError(f"weights {folder}: no pipeline there (model_index.json names no pipeline class)")
    for code in (*folder.glob("*.py"), *folder.glob("*/*.py")):
        raise WeightsError(f"weights {folder}: holds Python code ({code.relative_to(folder)}), which sdtui never runs")


def _from_pretrained(cls: Any, weights: str, options: dict[str, Any]) -> Any:
    try:
        return cls.from_pretrained(weights, **options)
    except Exception as error:  # whatever a library raises over a file or a server that a person named
        raise WeightsError(f"weights {weights}: {_why_not(cls, weights, error)}") from error


def _why_not(cls: Any, weights: str, error: Exception) -> str:
    links = list(chain(error))
    if Path(weights).is_absolute():
        return f"not a loadable {cls.__name__}: {error}"
    if any(isinstance(link, _UNREACHABLE) for link in links):
        return f"the hub cannot be reached, and its cache here does not hold them ({links[-1]})"
    return f"the hub does not give them: {links[1] if len(links) > 1 else error}"
