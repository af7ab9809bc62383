"""Watches what is done while a step is captured: which tensors it makes, and what it draws. Needs torch alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from sdtui.worker.graphs import Graph


@dataclass
class Draw:
    """Random numbers that a scheduler's step draws: into ``into``, by the call's generator of that number."""

    into: torch.Tensor
    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any]
    generator: int | None


class Made(TorchFunctionMode):
    """Knows the tensors that are made while it is on, and refuses what is made of others on the device.

    What the host has, such as timesteps, is a part of what is captured. It is off while denoisers compute, and so
    leaves alone what torch.compile traces.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tensors: dict[int, torch.Tensor] = {}
        self._on = False

    def on(self) -> None:
        """Begins to look, or goes on."""
        if not self._on:
            self._on = True
            self.__enter__()

    def off(self) -> None:
        """Looks away."""
        if self._on:
            self._on = False
            self.__exit__(None, None, None)

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if _tensors(result):
            for tensor in _tensors((args, kwargs)):
                if tensor.device.type != "cpu" and tensor not in self:
                    raise RuntimeError(
                        f"between its denoisers and its scheduler's step a loop reads a tensor of shape "
                        f"{tuple(tensor.shape)} that they are not given, which step_graphs cannot follow"
                    )
        self.add(result)
        return result

    def add(self, made: Any) -> None:
        """Takes the tensors in ``made`` for such."""
        self._tensors |= {id(tensor): tensor for tensor in _tensors(made)}

    def clear(self) -> None:
        """Forgets all."""
        self._tensors.clear()

    def __contains__(self, tensor: object) -> bool:
        return id(tensor) in self._tensors


class Drawing(TorchFunctionMode):
    """Notes what is drawn while a graph is captured, and leaves the drawing for later."""

    def __init__(self, graph: Graph, generators: Sequence[Any]) -> None:
        super().__init__()
        self._graph = graph
        self._generators = list(generators)
        self.draws: list[Draw] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        keywords = dict(kwargs or {})
        if func is not torch.randn:
            return func(*args, **keywords)
        generator = keywords.pop("generator", None)
        with self._graph.outside():
            into = torch.empty(*args, **keywords)
        number = None if generator is None else self._generators.index(generator)
        self.draws.append(Draw(into, args, keywords, number))
        return into


def _tensors(what: Any) -> list[torch.Tensor]:
    return [leaf for leaf in pytree.tree_leaves(what) if isinstance(leaf, torch.Tensor)]


def draw_anew(draws: Sequence[Draw], generators: Sequence[torch.Generator]) -> None:
    """Draws what was noted, where it was to lie."""
    for draw in draws:
        generator = None if draw.generator is None else generators[draw.generator]
        draw.into.copy_(torch.randn(*draw.arguments, **draw.keywords, generator=generator))
