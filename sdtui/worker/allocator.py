"""Limits torch's allocator."""

from __future__ import annotations

import torch


def limit_allocator(limit: int, device: str) -> None:
    """Lets the allocator take so many bytes of a GPU's memory: beyond them torch raises that it is out of memory."""
    total = torch.cuda.get_device_properties(device).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), device)
