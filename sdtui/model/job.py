"""What a worker is handed: one JSON document with everything resolved."""

from __future__ import annotations

from dataclasses import dataclass

from sdtui.model.cell import Cell

MORE = b"more\n"
ENOUGH = b"enough\n"
"""The answers that a worker gets on its control descriptor."""
READY = b"ready"
"""What a fork server says once it can fork workers; anything else is why it cannot."""


@dataclass(frozen=True)
class Job:
    """One cell for one worker.

    Attributes:
        device: As the worker's torch counts: ``cuda:0`` (the supervisor shows it that GPU alone) or ``cpu``.
        outputs: Folder for the last image and final latents.
        trace: Whether to make one more call under torch.profiler.
        process: Which of the cell's processes this is, counted from 1.
        control: Descriptor on which the supervisor answers, after each call from the cell's last on, whether there is
            another one (`MORE`, `ENOUGH`); ``None`` makes the cell's calls and no more.
    """

    cell: Cell
    device: str
    outputs: str
    trace: bool = False
    process: int = 1
    control: int | None = None

    @property
    def stem(self) -> str:
        """What the names of the files that it writes begin with."""
        return stem(self.cell.id, self.process)


def stem(cell: str, process: int) -> str:
    """Returns what the names of a cell's files in a run's folder begin with; those of the first process plainly so."""
    return cell if process == 1 else f"{cell}.p{process}"
