"""What one sitting of a run measures, and where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sdtui.durations import Duration
from sdtui.model.cell import Cell
from sdtui.model.machine import Interpreter, Machine
from sdtui.model.precision import PrecisionRule
from sdtui.model.probe import Probe
from sdtui.model.results import Phase, Status
from sdtui.supervisor import limits


@dataclass(frozen=True)
class Sitting:
    """What one sitting measures, and where.

    Attributes:
        cells: All cells of the plan, in order.
        device: Of the plan, such as ``cuda:0``.
        probe: The device's matrix rates, where they were measured before.
        retry: Statuses whose cells run again, besides those without a result.
        cold: Start every cell with an empty compile cache.
        trace: Make one more call per cell under torch.profiler.
        processes: How many fresh processes each cell is measured in.
        tune: Look for the fastest mode of each row: after each round of processes the slower half drops out.
        exclusive: Let every worker import torch anew, instead of forking it from a process that has.
        precision: Decides how often cells are called; ``None`` where their number of calls does.
        skip_larger_after_oom: Leave out cells that are larger than one that ran out of memory.
        estimated_mib: What torch's allocator may take at its most, by cell, as far as `sdtui.supervisor.vram` tells.
        budget_s: How long it may last; ``None`` without a limit.
        durations: What cells took before on such a device.
        silence_s: Longest silence of a worker by phase, in seconds.
    """

    cells: Sequence[Cell]
    machine: Machine
    environments: Sequence[Interpreter]
    device: str
    sdtui: str
    probe: Probe | None = None
    retry: frozenset[Status] = frozenset()
    cold: bool = False
    trace: bool = False
    processes: int = 1
    tune: bool = False
    exclusive: bool = False
    precision: PrecisionRule | None = None
    skip_larger_after_oom: bool = False
    estimated_mib: Mapping[str, float] = field(default_factory=dict)
    budget_s: float | None = None
    durations: Sequence[Duration] = ()
    silence_s: Mapping[Phase, float] = field(default_factory=lambda: limits.SILENCE_S)

    @property
    def forks(self) -> bool:
        """Whether workers are forked: not exclusive ones, nor several of a cell, whose spread is to be seen.

        A common memory layout would hide it.
        """
        return not self.exclusive and self.processes == 1
