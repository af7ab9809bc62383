"""Fuses the projections of attention: queries, keys and values in one matrix. Needs torch and diffusers alone."""

from __future__ import annotations

import torch
from diffusers.models import attention_processor as processors

_SAME = ("AttnProcessor", "AttnAddedKVProcessor", "XFormersAttnProcessor", "SlicedAttnProcessor", "FusedAttnProcessor")
"""Processors of diffusers that compute one thing, each in its way; some are called so with ``2_0`` behind."""


def fuse_qkv(denoiser: torch.nn.Module) -> None:
    """Calls the denoiser's own ``fuse_qkv_projections``, or does what a UNet's does.

    The latter where it has none, or one that fuses nothing. diffusers' ControlNets are such: their attention is that of
    a UNet, and can be fused.

    Raises:
        ValueError: Its attention cannot be fused.
    """
    if hasattr(denoiser, "fuse_qkv_projections"):
        try:
            denoiser.fuse_qkv_projections()
        except AttributeError as error:  # of attention without such projections
            raise ValueError(f"{type(denoiser).__name__}.fuse_qkv_projections: {error}") from error
        if any(getattr(module, "fused_projections", False) for module in denoiser.modules()):
            return
    attentions = [module for module in denoiser.modules() if isinstance(module, processors.Attention)]
    if not attentions or not hasattr(denoiser, "set_attn_processor"):
        raise ValueError("there is no attention whose projections could be fused")
    if not hasattr(processors, "FusedAttnProcessor2_0"):
        raise ValueError("this diffusers has no fused projections")
    if any(getattr(attention, "added_kv_proj_dim", None) is not None for attention in attentions):
        raise ValueError("added projections of keys and values cannot be fused")
    if other := other_attention(denoiser):
        raise ValueError(f"{other} computes attention of another kind, which has no fused projections")
    for attention in attentions:
        attention.fuse_projections(fuse=True)
    denoiser.set_attn_processor(processors.FusedAttnProcessor2_0())


def other_attention(denoiser: torch.nn.Module) -> str:
    """Returns a processor of the denoiser that is no plain scaled dot-product attention; empty where all are."""
    kinds = {type(each).__name__ for each in denoiser.attn_processors.values()}
    return min((kind for kind in kinds if kind.removesuffix("2_0") not in _SAME), default="")
