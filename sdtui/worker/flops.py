"""Counts the floating-point operations of a stage's denoisers, with the shapes that its pipeline really gave them."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from sdtui.worker.random_weights import EmptyOnMeta


class Evaluations:
    """Notes what each denoiser was given in its first evaluation: shapes, and no memory."""

    def __init__(self, pipe: Any, denoisers: Iterable[str]) -> None:
        """Hooks into the denoisers of a pipeline in its mode (compiled or not); each hook goes when it has noted."""
        self._modules = {name: getattr(pipe, name) for name in denoisers}
        self._given: dict[str, tuple[Any, Any]] = {}
        self._hooks = {
            name: module.register_forward_pre_hook(functools.partial(self._note, name), with_kwargs=True)
            for name, module in self._modules.items()
        }

    def flops(self) -> float:
        """Returns the operations of one evaluation of every denoiser together, at the batch size that was given.

        Counted where nothing is computed: on a copy without memory, built from the config, so that neither compilation
        nor a mode's attention hides or changes what is counted. Matrix products, convolutions and attention count, a
        multiplication and an addition as two; norms, activations and sums do not (`torch.utils.flop_counter`).
        """
        return float(sum(_count(self._modules[name], *given) for name, given in self._given.items()))

    def _note(self, name: str, _: torch.nn.Module, args: Any, kwargs: Any) -> None:
        self._hooks.pop(name).remove()
        self._given[name] = _without_memory(args), _without_memory(kwargs)


def _count(module: Any, args: Any, kwargs: Any) -> int:
    original = getattr(module, "_orig_mod", module)  # within what torch.compile returns
    with EmptyOnMeta():
        copy = type(original).from_config(original.config)
    copy.to("meta").eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        copy(*args, **kwargs)
    return int(counter.get_total_flops())


def _without_memory(value: Any) -> Any:
    """Returns tensors as float32 (or their whole-number type) on the meta device, within whatever holds them."""
    if isinstance(value, torch.Tensor):
        return torch.empty(
            value.shape, dtype=torch.float32 if value.is_floating_point() else value.dtype, device="meta"
        )
    if isinstance(value, dict):
        return {key: _without_memory(item) for key, item in value.items()}
    return type(value)(map(_without_memory, value)) if isinstance(value, (list, tuple)) else value
