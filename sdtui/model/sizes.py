"""Sizes of memory as people write them."""

from __future__ import annotations

import re

_UNITS = {"GiB": 2**30, "MiB": 2**20, "GB": 10**9, "MB": 10**6}


def parse_size(text: str) -> int | None:
    """Reads a size such as ``15GiB`` or ``1.5 GB``, in bytes; ``None`` where it is none from 1 MB to below 1 PiB."""
    found = re.fullmatch(r"(\d{1,10}(?:\.\d{1,9})?)\s*([GM]i?B)", text.strip(), re.ASCII)
    size = round(float(found[1]) * _UNITS[found[2]]) if found else 0
    return size if 10**6 <= size < 2**50 else None


def size_text(size: int) -> str:
    """Writes bytes in the unit that says them shortest, as `parse_size` reads them: ``15 GiB``, ``512 MiB``."""
    written = (f"{size / unit:.9f}".rstrip("0").rstrip(".") + f" {name}" for name, unit in _UNITS.items())
    exact = [text for text in written if parse_size(text) == size]
    return min(exact, key=lambda text: (text.startswith("0."), len(text)))


def allocator_limited(limit: int | None) -> str:
    """Says in tables and listings what a limit in bytes does; empty for none."""
    return "" if limit is None else f"allocator limited to {size_text(limit)}"
