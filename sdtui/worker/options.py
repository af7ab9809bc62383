"""Applies a mode to a pipeline, or says why it cannot."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from diffusers.models import attention_processor as processors

from sdtui.model.cell import UNFUSED, LeftOut, Mode, SdpaBackend, Stage
from sdtui.model.denoisers import why_not_precomputed
from sdtui.worker import attention, quantization
from sdtui.worker.conditioning import Conditioning
from sdtui.worker.fused_projections import fuse_qkv, other_attention
from sdtui.worker.graphs import CudaGraphs, Graph
from sdtui.worker.step_graphs import StepGraphs

_ON_GPU = ("step_graphs", "tf32", "cudnn_benchmark", "sdpa_backends")
"""Options that a CPU cannot take, whatever else than their default they say."""


class UnsupportedError(Exception):
    """The pipeline cannot take an option of the mode; the message is one line."""


@dataclass(frozen=True)
class Applied:
    """A pipeline in its mode.

    Attributes:
        call: Calls it, with keyword arguments.
        left_out: Why it was left out, by option that the mode calls optional and the pipeline cannot take.
    """

    call: Callable[..., Any]
    left_out: dict[LeftOut, str]


def apply_global(mode: Mode, device: str) -> None:
    """Sets the options that belong to the process.

    Raises:
        UnsupportedError: The device cannot take one.
    """
    asked = [option for option in _ON_GPU if getattr(mode, option) is not getattr(Mode, option)]
    if asked and not device.startswith("cuda"):
        raise UnsupportedError(f"{asked[0]} needs a CUDA device")
    if mode.step_graphs and mode.compile and mode.compile.uses_cuda_graphs:
        raise UnsupportedError("step_graphs cannot capture torch.compile's own CUDA graphs")
    if mode.tf32 is not None:
        torch.backends.cuda.matmul.allow_tf32 = mode.tf32
        torch.backends.cudnn.allow_tf32 = mode.tf32
    if mode.cudnn_benchmark is not None:
        torch.backends.cudnn.benchmark = mode.cudnn_benchmark
    if mode.sdpa_backends is not None:
        _choose_sdpa(mode.sdpa_backends, device)
    if mode.compile and mode.compile.options.get("freezing"):
        from torch._inductor import config

        config.freezing = True


def _choose_sdpa(backends: Sequence[SdpaBackend], device: str) -> None:
    try:
        attention.choose_sdpa(backends, device)
    except ValueError as error:
        raise UnsupportedError(str(error)) from error


def apply(mode: Mode, stage: Stage, pipe: Any, new_graph: Callable[[], Graph] | None = None) -> Applied:
    """Applies every option to one stage's pipeline; compilation comes last, and graphs around it.

    Args:
        mode: To be applied.
        stage: Whose pipeline it is.
        pipe: A diffusers pipeline.
        new_graph: Makes the graphs of ``step_graphs``; ``None`` makes CUDA graphs.

    Raises:
        UnsupportedError: The pipeline cannot take an option that is not optional.
    """
    left_out: dict[LeftOut, str] = {}
    for name in stage.denoisers:
        where = f"{name} of stage {stage.name}" if stage.name != "main" else name
        _apply_to_denoiser(mode, getattr(pipe, name), where, left_out)
    _apply_vae(mode, stage, pipe)
    conditionings: dict[str, Conditioning] = {}
    if mode.precompute:
        _attempt(mode, "precompute", lambda: conditionings.update(_conditionings(mode, stage, pipe)), left_out)
    if mode.compile is not None:
        for name in stage.denoisers:
            setattr(pipe, name, torch.compile(getattr(pipe, name), **mode.compile.arguments))
    if mode.compile_vae:
        _attempt(mode, "compile_vae", lambda: _compile_vae(mode, stage, pipe), left_out)
    if not mode.step_graphs:
        return Applied(pipe, left_out)
    return Applied(StepGraphs(pipe, stage.denoisers, new_graph or CudaGraphs(), conditionings), left_out)


def _apply_to_denoiser(mode: Mode, denoiser: Any, where: str, left_out: dict[LeftOut, str]) -> None:
    if mode.memory_format == "channels_last":
        denoiser.to(memory_format=torch.channels_last)
    if mode.attention_processor is not None:
        _set_processor(denoiser, mode.attention_processor, where)
    if mode.attention_backend is not None:
        _set_backend(denoiser, mode.attention_backend, where)
    if mode.fuse_qkv:
        _attempt(mode, "fuse_qkv", lambda: _fuse(mode, denoiser, where), left_out)
    if mode.quantization is not None:
        _quantize(denoiser, mode.quantization, where)


def _attempt(mode: Mode, option: LeftOut, take: Callable[[], None], left_out: dict[LeftOut, str]) -> None:
    """Takes an option; one that the mode calls optional may be refused, which is noted."""
    try:
        take()
    except UnsupportedError as error:
        if option not in mode.optional:
            raise
        left_out[option] = str(error)


def _conditionings(mode: Mode, stage: Stage, pipe: Any) -> dict[str, Conditioning]:
    if not mode.step_graphs:
        raise UnsupportedError("precompute is a part of step_graphs, which the mode does without")
    denoisers = {name: getattr(pipe, name) for name in stage.denoisers}
    for name, denoiser in denoisers.items():
        if reason := why_not_precomputed(name, type(denoiser).__name__, getattr(denoiser, "config", {})):
            raise UnsupportedError(reason)
    return {name: Conditioning(denoiser, denoiser.forward) for name, denoiser in denoisers.items()}


def _compile_vae(mode: Mode, stage: Stage, pipe: Any) -> None:
    vae = getattr(pipe, "vae", None)
    if vae is None:
        raise UnsupportedError(f"stage {stage.name} has no VAE to compile")
    if mode.compile is None:
        raise UnsupportedError("compile_vae compiles as the denoisers are, and the mode compiles nothing")
    if mode.memory_format == "channels_last":
        if not hasattr(vae, "decoder"):
            raise UnsupportedError(f"{type(vae).__name__} has no decoder to lay out")
        vae.decoder.to(memory_format=torch.channels_last)
    vae.decode = torch.compile(vae.decode, **mode.compile.arguments)


def _set_processor(denoiser: Any, kind: str, where: str) -> None:
    if kind == "vanilla":
        _set_vanilla(denoiser, where)
        return
    if kind == "xformers":
        _use_xformers(denoiser, where)
        return
    if not hasattr(denoiser, "set_attn_processor"):
        raise UnsupportedError(f"{where} has no set_attn_processor")
    if other := other_attention(denoiser):
        raise UnsupportedError(f"{where} computes attention by {other}, which is of another kind")
    added = {name for name, module in denoiser.named_modules() if getattr(module, "added_kv_proj_dim", None)}
    denoiser.set_attn_processor(
        {
            name: processors.AttnAddedKVProcessor2_0()
            if name.removesuffix(".processor") in added
            else processors.AttnProcessor2_0()
            for name in denoiser.attn_processors
        }
    )


def _set_vanilla(denoiser: Any, where: str) -> None:
    if not hasattr(denoiser, "set_default_attn_processor"):
        raise UnsupportedError(f"{where} has no set_default_attn_processor")
    try:
        denoiser.set_default_attn_processor()
    except ValueError as error:  # whose words hold addresses
        raise UnsupportedError(f"{where} has attention of several kinds, of which diffusers has no default") from error
    written_out = {"AttnProcessor", "AttnAddedKVProcessor"}
    if others := {type(each).__name__ for each in denoiser.attn_processors.values()} - written_out:
        raise UnsupportedError(f"{where} computes attention by {min(others)}, which is not written out")


def _use_xformers(denoiser: Any, where: str) -> None:
    if importlib.util.find_spec("xformers") is None:
        raise UnsupportedError("xformers is not installed in this environment")
    try:
        denoiser.enable_xformers_memory_efficient_attention()
    except (ValueError, NotImplementedError, ModuleNotFoundError) as error:
        raise UnsupportedError(f"{where}: xformers: {error}") from error


def _set_backend(denoiser: Any, backend: str, where: str) -> None:
    dispatched = [p for p in getattr(denoiser, "attn_processors", {}).values() if hasattr(p, "_attention_backend")]
    if not dispatched or not hasattr(denoiser, "set_attention_backend"):
        raise UnsupportedError(f"{where} does not dispatch attention: no attention_backend applies to it")
    try:
        denoiser.set_attention_backend(backend)
    except (ValueError, ImportError, RuntimeError) as error:
        raise UnsupportedError(f"{where}: attention_backend {backend}: {error}") from error


def _quantize(denoiser: Any, kind: str, where: str) -> None:
    try:
        quantization.quantize(denoiser, kind)
    except ValueError as error:
        raise UnsupportedError(f"{where}: {error}") from error


def _fuse(mode: Mode, denoiser: Any, where: str) -> None:
    if mode.attention_processor in UNFUSED:
        raise UnsupportedError(f"{where}: {mode.attention_processor} attention has no fused projections")
    try:
        fuse_qkv(denoiser)
    except ValueError as error:
        raise UnsupportedError(f"{where}: {error}") from error


def _apply_vae(mode: Mode, stage: Stage, pipe: Any) -> None:
    if not (mode.vae_slicing or mode.vae_tiling):
        return
    vae = getattr(pipe, "vae", None)
    if vae is None:
        raise UnsupportedError(f"stage {stage.name} has no VAE: no VAE option applies to it")
    if mode.vae_slicing:
        vae.enable_slicing()
    if mode.vae_tiling:
        vae.enable_tiling()
