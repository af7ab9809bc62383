"""Chooses among torch's implementations of scaled dot-product attention. Needs torch alone."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch

_BACKENDS = {
    "cudnn": "CUDNN_ATTENTION",
    "efficient": "EFFICIENT_ATTENTION",
    "flash": "FLASH_ATTENTION",
    "math": "MATH",
}
_CHOSEN = contextlib.ExitStack()
"""What is chosen stays so to the end of the process."""


def choose_sdpa(backends: Sequence[str], device: str) -> None:
    """Has attention take the first of these that can do what it is given, and no other.

    What torch.compile compiles is kept apart from what it compiles with other choices: its caches do not tell them.

    Args:
        backends: ``cudnn``, ``efficient``, ``flash`` or ``math``.
        device: Such as ``cuda:0``.

    Raises:
        ValueError: This torch has none of that name, or takes no order.
    """
    try:
        from torch.compiler import config
        from torch.nn.attention import SDPBackend, sdpa_kernel

        context = sdpa_kernel([getattr(SDPBackend, _BACKENDS[name]) for name in backends], set_priority=True)
    except (ImportError, AttributeError, TypeError) as error:
        raise ValueError(f"torch {torch.__version__} cannot choose among SDPA backends in an order: {error}") from error
    first_attention(device)
    _CHOSEN.enter_context(context)
    if hasattr(config, "cache_key_tag"):
        config.cache_key_tag = f"sdpa: {', '.join(backends)}"


def first_attention(device: str) -> None:
    """Computes attention of next to nothing: at the first on a GPU, torch sets the order that it prefers there."""
    head = torch.zeros(1, 1, 8, 8, device=device, dtype=torch.float16)
    torch.nn.functional.scaled_dot_product_attention(head, head, head)
