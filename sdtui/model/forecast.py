"""How long a cell may take, and what that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Basis = Literal["measured", "similar", "guess"]
"""The cell itself as it was measured before; others on this device and torch, scaled; or nothing that was measured."""


@dataclass(frozen=True)
class Forecast:
    """Of one process of a cell.

    Attributes:
        cell: Its id.
        seconds: From the worker's launch to its end; where a precision decides, at most.
        basis: What it rests on.
    """

    cell: str
    seconds: float
    basis: Basis

    @property
    def is_sure(self) -> bool:
        """Whether it rests on the cell itself."""
        return self.basis == "measured"
