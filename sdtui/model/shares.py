"""Shares as people write them."""

from __future__ import annotations

import re


def parse_share(text: str) -> float | None:
    """Reads a share of a whole, such as ``3%`` or ``0.03``; ``None`` where it is none from 0 to 1 (exclusive)."""
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*(%?)", text.strip(), re.ASCII)
    share = float(found[1]) / (100 if found[2] else 1) if found else 1.0
    return share if share < 1 else None
