"""What a cell needs of a GPU's memory, as far as that is known before it starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VramNeed:
    """Of one process of a cell.

    Attributes:
        mib: What it takes at its most: torch's allocator, and CUDA for itself.
        free_mib: What there is for it: what the device has free and, where the allocator is limited, no more than that
            and CUDA's own; ``None`` where it is not available.
        measured: Whether the cell took so much before on the same GPU model; else it is an estimate.
    """

    mib: float
    free_mib: float | None
    measured: bool

    @property
    def is_short(self) -> bool:
        """Whether it is more than there is."""
        return self.free_mib is not None and self.mib > self.free_mib
