"""What of ours the docs page has, and how the two stand to each other; light, for whoever does not compute."""

from __future__ import annotations

from collections.abc import Sequence
from operator import truediv

from sdtui.model.cell import Scale

PAGE_MODES = {"no-compile": "no compile", "compile": "compile"}
"""Our modes that the page has, by its word for them at the end of its column names."""


def departure(scale: Scale, variant: str) -> str:
    """Says why work is not what the page measured; empty where it is. The page's own weights are no departure.

    Args:
        scale: Of a cell.
        variant: What differs from the docs protocol, as `sdtui.model.cell.Cell` words it.
    """
    if scale == "tiny":
        return "tiny scale measures nothing that the page did"
    return "" if variant in ("", "published weights") else "it departs from the docs protocol"


def page_columns(mode: str, names: Sequence[str]) -> tuple[int, ...]:
    """Returns which of the page's columns, by index, are of a mode of ours."""
    word = PAGE_MODES.get(mode)
    return tuple(index for index, name in enumerate(names) if name.partition(" - ")[2] == word)


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> tuple[float, ...]:
    """Returns ours ÷ the page's, stage by stage; empty where either has no figure or they differ in stages."""
    return tuple(map(truediv, ours, theirs)) if len(ours) == len(theirs) else ()


def times(ratio: float) -> str:
    """Two decimals, as our figures have; two digits below 0.1, where a CPU meets the page's GPUs."""
    return f"{ratio:.2f}×" if ratio >= 0.1 else f"{ratio:.2g}×"
