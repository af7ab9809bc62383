"""Computes before the denoising loop what its steps would compute again and again. Needs torch alone.

In a UNet or ControlNet of diffusers the keys and values of cross attention depend on the prompt alone, and what each
residual block adds for the timestep depends on the timestep, the prompt and the class labels: neither on the latents.
Their linear layers are evaluated once per call, those of the timestep for all steps together, and replaced by what came
out.
"""

from __future__ import annotations

import inspect
import itertools
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from sdtui.worker.prompt_layers import prompt_layers

Before = Callable[[torch.Tensor], torch.Tensor]
"""What a block does to a layer's input before the layer."""

_VALUES: dict[int, torch.Tensor] = {}
"""What `Given` layers return. Tensors that hang on a module Inductor takes for weights, and may freeze; not these."""
_KEYS = itertools.count()

_PIXELS = 8
_RESIDUALS = (
    "down_block_additional_residuals",
    "down_intrablock_additional_residuals",
    "mid_block_additional_residual",
)
"""What others add to a UNet's: of the latents' size, and lists that its forward takes from."""


class Given(torch.nn.Module):
    """Stands for a linear layer whose output is known beforehand: ``value``."""

    def __init__(self, linear: torch.nn.Module) -> None:
        super().__init__()
        self.linear = linear
        self._key = next(_KEYS)
        weakref.finalize(self, _VALUES.pop, self._key, None)

    @property
    def value(self) -> torch.Tensor | None:
        """What is known; ``None`` before anything is."""
        return _VALUES.get(self._key)

    @value.setter
    def value(self, value: torch.Tensor) -> None:
        _VALUES[self._key] = value

    def forward(self, tensor: torch.Tensor, *_: Any) -> Any:
        """Returns what is known; before anything is, what the layer makes of ``tensor``."""
        return _VALUES[self._key] if self._key in _VALUES else self.linear(tensor)


class _FoundError(Exception):
    """Ends a denoiser's forward once what was looked for is there."""


class Conditioning:
    """What one denoiser is given beforehand."""

    def __init__(self, denoiser: torch.nn.Module, forward: Callable[..., Any]) -> None:
        """Replaces the layers.

        Args:
            denoiser: A UNet or ControlNet of diffusers, before it is compiled.
            forward: Its own, uncompiled.
        """
        self._denoiser = denoiser
        self._forward = forward
        self._signature = inspect.signature(forward)
        self._blocks = [*denoiser.down_blocks, denoiser.mid_block]
        self._keys_and_values = list(_replace_keys_and_values(denoiser))
        self._times = list(_replace_times(denoiser))
        self._table: torch.Tensor | None = None
        self._current: torch.Tensor | None = None

    def prepare(self, timesteps: torch.Tensor, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Computes for a call, whose denoiser is called with these arguments but for the latents and timestep.

        Args:
            timesteps: Of its steps, in order; shape (steps,), on the denoiser's device.
            args: Of the denoiser's call.
            kwargs: Of the denoiser's call.

        Raises:
            RuntimeError: LoRAs are scaled for this call, which the denoiser's own forward would do.
        """
        given = self._signature.bind(*args, **kwargs).arguments
        if (given.get("cross_attention_kwargs") or {}).get("scale", 1.0) != 1.0:
            raise RuntimeError("precompute leaves a LoRA's scale out; set_adapters sets one that it takes")
        prompt = self._prompt(given)
        for layer, normalise in self._keys_and_values:
            _give(layer, layer.linear(normalise(prompt)))
        rows, steps = given["sample"].shape[0], timesteps.shape[0]
        embedding = self._embedding(timesteps.repeat_interleave(rows), steps, given)
        made = [layer.linear(activate(embedding)).view(steps, rows, -1) for layer, activate in self._times]
        table = torch.cat([each.reshape(steps, -1) for each in made], dim=1)
        if self._table is None or self._table.shape != table.shape:
            self._table = torch.empty_like(table)
        self._table.copy_(table)
        self._give_times(made, table)

    def at(self, step: int) -> None:
        """Gives what belongs to a step, counted from 0, of those that were prepared."""
        assert self._table is not None
        assert self._current is not None
        self._current.copy_(self._table[step])

    def _give_times(self, made: list[torch.Tensor], table: torch.Tensor) -> None:
        if self._current is not None and self._current.shape == table.shape[1:]:
            return
        self._current = torch.empty_like(table[0])
        sizes = [each[0].numel() for each in made]
        for (layer, _), part, each in zip(self._times, self._current.split(sizes), made, strict=True):
            layer.value = part.view(each.shape[1:])

    def _prompt(self, given: Mapping[str, Any]) -> torch.Tensor:
        """Returns the prompt's embeddings as cross attention sees them, which some UNets project first."""
        project = getattr(self._denoiser, "process_encoder_hidden_states", None)
        prompt: torch.Tensor = given["encoder_hidden_states"]
        if project is None:
            return prompt
        projected = project(encoder_hidden_states=prompt, added_cond_kwargs=given.get("added_cond_kwargs") or {})
        seen: torch.Tensor = projected[0] if isinstance(projected, tuple) else projected  # images of IP-Adapters follow
        return seen

    def _embedding(self, timesteps: torch.Tensor, steps: int, given: Mapping[str, Any]) -> torch.Tensor:
        """Returns what residual blocks are given for each timestep and row: shape (steps × rows, channels).

        The denoiser's own forward computes it, of latents of a few pixels, and is ended at its first block.
        """
        small = dict(given)
        sample = given["sample"]
        size = (timesteps.shape[0], sample.shape[1], _PIXELS, _PIXELS)
        small |= {"sample": sample.new_zeros(size), "timestep": timesteps}
        if "controlnet_cond" in given:
            image = given["controlnet_cond"]
            width = _PIXELS * image.shape[-1] // sample.shape[-1]
            small["controlnet_cond"] = image.new_zeros(timesteps.shape[0], image.shape[1], width, width)
        for name in ("encoder_hidden_states", "class_labels", "timestep_cond"):
            if isinstance(small.get(name), torch.Tensor):
                small[name] = small[name].repeat(steps, *[1] * (small[name].dim() - 1))
        if added := small.get("added_cond_kwargs"):
            small["added_cond_kwargs"] = {
                name: value.repeat(steps, *[1] * (value.dim() - 1)) if isinstance(value, torch.Tensor) else value
                for name, value in added.items()
            }
        for name in _RESIDUALS:
            small.pop(name, None)
        found: list[torch.Tensor] = []

        def stop(_: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
            found.append(kwargs["temb"] if "temb" in kwargs else args[1])
            raise _FoundError

        hook = self._blocks[0].register_forward_pre_hook(stop, with_kwargs=True)
        try:
            self._forward(**small)
        except _FoundError:
            pass
        finally:
            hook.remove()
        return found[0]


def _give(layer: Given, value: torch.Tensor) -> None:
    if layer.value is None or layer.value.shape != value.shape:
        layer.value = torch.empty_like(value)
    layer.value.copy_(value)


def _replace_keys_and_values(denoiser: torch.nn.Module) -> Iterator[tuple[Given, Before]]:
    """Replaces the layers that see the prompt alone."""
    for module, name in prompt_layers(denoiser):
        layer = Given(getattr(module, name))
        setattr(module, name, layer)
        yield layer, module.norm_encoder_hidden_states if module.norm_cross else _identity


def _replace_times(denoiser: torch.nn.Module) -> Iterator[tuple[Given, Before]]:
    """Replaces residual blocks' layers for the timestep."""
    for module in list(denoiser.modules()):
        if getattr(module, "time_emb_proj", None) is None:
            continue
        layer = Given(module.time_emb_proj)
        module.time_emb_proj = layer
        yield layer, _identity if getattr(module, "skip_time_act", False) else module.nonlinearity


def _identity(tensor: torch.Tensor) -> torch.Tensor:
    return tensor
