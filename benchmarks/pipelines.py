"""Pipelines built in this process as a worker builds them: what several of these programs begin with."""

from __future__ import annotations

import argparse
import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Concatenate, ParamSpec, TypeVar

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.worker import options
from sdtui.worker.attention import first_attention
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.clock import Clock, clock_for
from sdtui.worker.timing import PipelineTimer

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Loaded:
    """sd-txt2img in a mode, instrumented.

    Attributes:
        denoiser: As it was before it was compiled: the module that holds the parameters.
        call: Makes one call, the same image every time; takes further arguments of the pipeline.
    """

    cell: Cell
    pipe: Any
    denoiser: torch.nn.Module
    clock: Clock
    timer: PipelineTimer
    call: Callable[..., Any]


def add_arguments(parser: argparse.ArgumentParser, steps: int, batch_size: int) -> None:
    """Adds the flags that say which cells: mode, scale, device, steps and batch size."""
    parser.add_argument("--mode", action="append", help="default: no-compile and compile")
    parser.add_argument("--scale", default="full")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--steps", type=int, default=steps, help=f"of a call; default {steps}")
    parser.add_argument("--batch-size", type=int, default=batch_size, help=f"default {batch_size}")


def cells(chosen: argparse.Namespace, own: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> Iterator[Cell]:
    """Yields the cell of each mode that the flags of `add_arguments` name.

    Args:
        chosen: The flags.
        own: Tables of modes by name, beside those of the catalog.

    Raises:
        UserError: There is no such mode, scale or number of steps.
    """
    catalog = load_catalog().with_own(own, {}, "benchmark", Path())
    overrides = {
        "pipelines": ["sd-txt2img"],
        "modes": chosen.mode or ["no-compile", "compile"],
        "batch_sizes": [chosen.batch_size],
        "scale": chosen.scale,
        "steps": chosen.steps,
        "device": chosen.device,
    }
    yield from expand(resolve_plan(catalog, None, overrides, gpu_available=True), catalog)


def load(cell: Cell, device: str) -> Loaded:
    """Builds the cell's pipeline and applies its mode."""
    stage = cell.stages[0]
    dtype = getattr(torch, cell.dtype)
    if device.startswith("cuda"):
        torch.cuda.set_device(device)  # graphs and events are the current device's
    options.apply_global(cell.mode, device)
    pipe = build(stage, cell.seed, device, dtype)
    denoiser = getattr(pipe, stage.denoisers[0])
    applied = options.apply(cell.mode, stage, pipe)
    clock = clock_for(device)
    timer = PipelineTimer(pipe, stage.denoisers[0], clock)

    def call(**more: Any) -> Any:
        return applied.call(**{**arguments(cell, stage, device, dtype, {}), **more})

    return Loaded(cell, pipe, denoiser, clock, timer, call)


@contextlib.contextmanager
def own_process(device: str) -> Iterator[None]:
    """Takes back what a mode sets for its process: several can be built in one. What is compiled stays as it was."""
    first_attention(device)
    own_order = [SDPBackend(number) for number in torch._C._get_sdp_priority_order()]
    flags = [(torch.backends.cuda.matmul, "allow_tf32"), (torch.backends.cudnn, "allow_tf32")]
    flags.append((torch.backends.cudnn, "benchmark"))
    before = [getattr(holder, name) for holder, name in flags]
    with (
        sdpa_kernel(own_order, set_priority=True),
        torch._inductor.config.patch(freezing=torch._inductor.config.freezing),
        torch.compiler.config.patch(cache_key_tag=torch.compiler.config.cache_key_tag),
    ):
        try:
            yield
        finally:
            for (holder, name), value in zip(flags, before, strict=True):
                if getattr(holder, name) != value:  # what was set to the same is another key of compiled programs
                    setattr(holder, name, value)


def in_own_process(
    results: Callable[Concatenate[Cell, str, P], Iterator[T]],
) -> Callable[Concatenate[Cell, str, P], Iterator[T]]:
    """Has what yields the results of a cell on a device do so within `own_process`."""

    @functools.wraps(results)
    def within(cell: Cell, device: str, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        with own_process(device):
            yield from results(cell, device, *args, **kwargs)

    return within


def device_name(device: str) -> str:
    """Returns the GPU's name, or ``CPU``."""
    return torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
