"""What a worker is handed: one JSON document with everything resolved."""

from __future__ import annotations

from dataclasses import dataclass

from sdtui.model.cell import Cell


@dataclass(frozen=True)
class Job:
    """One cell for one worker.

    Attributes:
        device: As the worker's torch counts: ``cuda:0`` (the supervisor shows it that GPU alone) or ``cpu``.
        outputs: Folder for the last image and final latents.
        trace: Whether to make one more call under torch.profiler.
    """

    cell: Cell
    device: str
    outputs: str
    trace: bool = False
