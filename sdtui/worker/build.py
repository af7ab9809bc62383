"""Builds a stage's diffusers pipeline, with random or real weights."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers

from sdtui.model.cell import Component, Stage
from sdtui.worker.random_weights import EmptyOnMeta, fill


class WeightsError(Exception):
    """Real weights cannot be had; the message is one line."""


def build(stage: Stage, seed: int, device: str, dtype: torch.dtype) -> Any:
    """Returns the stage's pipeline on ``device``.

    Raises:
        WeightsError: Its real weights cannot be loaded.
    """
    return _load(stage, device, dtype) if stage.weights else _make(stage, seed, device, dtype)


def byte_tokenizer(model_max_length: int) -> Any:
    """Returns a CLIP tokenizer whose vocabulary is the 256 bytes, alone and at a word's end: no file is needed."""
    symbols = sorted(set(_byte_symbols()))
    tokens = ["<|startoftext|>", "<|endoftext|>", *symbols, *(symbol + "</w>" for symbol in symbols)]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
        (Path(folder) / "merges.txt").write_text("#version: 0.2\n")
        return transformers.CLIPTokenizer.from_pretrained(folder, model_max_length=model_max_length)


def _byte_symbols() -> list[str]:
    """The printable characters that byte-level BPE writes bytes as (Radford et al., 2019, GPT-2's ``encoder.py``)."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + i) for i in range(len(others))]


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
        with EmptyOnMeta():
            module = cls.from_config(config)
    else:
        cls = getattr(transformers, component.class_name)
        with EmptyOnMeta():
            module = cls(cls.config_class(**{k: v for k, v in config.items() if k not in _CONFIG_NOTES}))
    return fill(module, component.name, seed, device, dtype)


_CONFIG_NOTES = ("_class_name", "architectures", "model_type", "torch_dtype", "transformers_version")


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
