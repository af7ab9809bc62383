"""Applies a mode to a pipeline, or says why it cannot."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from diffusers.models import attention_processor as processors

from sdtui.model.cell import Mode, Stage


class UnsupportedError(Exception):
    """The pipeline cannot take an option of the mode; the message is one line."""


def apply_global(mode: Mode, device: str) -> None:
    """Sets the options that belong to the process.

    Raises:
        UnsupportedError: The device cannot take one.
    """
    on_gpu = device.startswith("cuda")
    if mode.tf32 is not None:
        if not on_gpu:
            raise UnsupportedError("tf32 needs a CUDA device")
        torch.backends.cuda.matmul.allow_tf32 = mode.tf32
        torch.backends.cudnn.allow_tf32 = mode.tf32
    if mode.cudnn_benchmark is not None:
        if not on_gpu:
            raise UnsupportedError("cudnn_benchmark needs a CUDA device")
        torch.backends.cudnn.benchmark = mode.cudnn_benchmark


def apply(mode: Mode, stage: Stage, pipe: Any) -> None:
    """Applies every option to one stage's pipeline; compilation comes last.

    Raises:
        UnsupportedError: The pipeline cannot take one.
    """
    for name in stage.denoisers:
        where = f"{name} of stage {stage.name}" if stage.name != "main" else name
        denoiser = getattr(pipe, name)
        if mode.memory_format == "channels_last":
            denoiser.to(memory_format=torch.channels_last)
        if mode.attention_processor is not None:
            _set_processor(denoiser, mode.attention_processor, where)
        if mode.attention_backend is not None:
            _set_backend(denoiser, mode.attention_backend, where)
        if mode.fuse_qkv:
            _fuse(denoiser, where)
    _apply_vae(mode, stage, pipe)
    if mode.compile is not None:
        for name in stage.denoisers:
            setattr(pipe, name, torch.compile(getattr(pipe, name), **mode.compile.arguments))


def _set_processor(denoiser: Any, kind: str, where: str) -> None:
    if kind == "vanilla":
        _call(denoiser, "set_default_attn_processor", where, f"{where} has no set_default_attn_processor")
        return
    if kind == "xformers":
        _use_xformers(denoiser, where)
        return
    if not hasattr(denoiser, "set_attn_processor"):
        raise UnsupportedError(f"{where} has no set_attn_processor")
    added = {name for name, module in denoiser.named_modules() if getattr(module, "added_kv_proj_dim", None)}
    denoiser.set_attn_processor(
        {
            name: processors.AttnAddedKVProcessor2_0()
            if name.removesuffix(".processor") in added
            else processors.AttnProcessor2_0()
            for name in denoiser.attn_processors
        }
    )


def _call(denoiser: Any, method: str, where: str, absence: str) -> None:
    if not hasattr(denoiser, method):
        raise UnsupportedError(absence)
    try:
        getattr(denoiser, method)()
    except ValueError as error:
        raise UnsupportedError(f"{where}: {error}") from error


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


def _fuse(denoiser: Any, where: str) -> None:
    _call(denoiser, "fuse_qkv_projections", where, f"{where} has no fused QKV projections")
    if not any(getattr(module, "fused_projections", False) for module in denoiser.modules()):  # ControlNetModel
        raise UnsupportedError(f"{where}: this diffusers' fuse_qkv_projections fuses nothing in it")


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
