"""How long a cell may take: from what it and others like it took before, on the same GPU model or CPU.

A cell that was never measured is estimated from the one that is most like it, its calls scaled by their floating-point
operations. Where nothing like it was measured, constants stand in: round figures from the H100 runs in docs/results/.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sdtui.durations import Duration, compiled_by
from sdtui.model.cell import Cell
from sdtui.model.forecast import Basis, Forecast
from sdtui.model.precision import PrecisionRule
from sdtui.ordering import work_of

IMPORT_S = 20.0
"""From a worker's launch until torch and diffusers are imported."""
LOAD_S = 5.0
"""Building a pipeline, and what is left to do after its calls."""
COMPILE_S = 70.0
"""For each denoiser that is compiled, with an empty cache."""
WARM_SHARE = 0.2
"""Of the time in torch.compile with an empty cache, what it takes again once the cache holds what was compiled."""
GPU_RATE = 40e12
"""Floating-point operations per second of a GPU, whatever it is."""
CPU_RATE = 0.2e12
"""Of a CPU."""


@dataclass(frozen=True)
class Manner:
    """What of a sitting changes how long a cell takes.

    Attributes:
        on_gpu: Whether cells run on a GPU.
        torch: Version by environment.
        cold: Whether the compile cache is emptied before each cell.
        traced: Whether there is one more call, under torch.profiler.
        precision: Decides how often cells are called.
    """

    on_gpu: bool
    torch: Mapping[str, str | None] = field(default_factory=dict)
    cold: bool = False
    traced: bool = False
    precision: PrecisionRule | None = None


def forecast(cell: Cell, known: Sequence[Duration], manner: Manner, imports: bool = True) -> Forecast:
    """Returns how long a process of a cell may take.

    Args:
        cell: To be measured.
        known: What cells took on the same GPU model or CPU, oldest first.
        manner: How it will be measured.
        imports: Whether its process imports torch, or waits for that.
    """
    compiled, torch = compiled_by(cell), manner.torch.get(cell.slot.environment)
    emptied = compiled > 0 and manner.cold
    cold = compiled > 0 and _meets_cold_cache(cell, known, manner)
    wanted = _Wanted(cell, torch, cold, emptied, manner.traced, work_of(cell))
    of_scale = [each for each in reversed(known) if each.scale == cell.scale]
    told = min(of_scale, key=wanted.unlikeness, default=None)
    call_s = told.call_s * wanted.work / told.work if told else wanted.work / (GPU_RATE if manner.on_gpu else CPU_RATE)
    begun = min(of_scale, key=wanted.unlikeness_of_start, default=None)
    if told and begun and wanted.is_alike(begun):
        start_s = begun.start_s - wanted.spares_s(begun)
        around_s = max(0.0, start_s - begun.call_s) * (compiled / begun.compiled if begun.compiled else 1.0)
        basis: Basis = "measured" if wanted.is_met_by(told) else "similar"
    else:
        around_s, basis = LOAD_S + compiled * COMPILE_S, "guess"
    alike = (each.import_s for each in reversed(known) if (each.torch, each.imports) == (torch, imports))
    import_s = next(alike, IMPORT_S if imports else 0.0)
    seconds = import_s + around_s + call_s + _later_calls_s(cell, call_s, manner.precision)
    return Forecast(cell.id, round(seconds, 1), basis)


@dataclass(frozen=True)
class _Wanted:
    """A cell as it will be measured."""

    cell: Cell
    torch: str | None
    cold: bool
    emptied: bool
    traced: bool
    work: float

    def is_alike(self, known: Duration) -> bool:
        """Says whether a duration has compilation in it where the cell has."""
        return (known.compiled > 0) == (self.cell.mode.compile is not None)

    def unlikeness(self, known: Duration) -> tuple[float, ...]:
        """Returns how far a duration is from telling of the cell, what counts most first."""
        return (
            not self.is_alike(known),
            known.cell != self.cell.id,
            known.pipeline != self.cell.slot.pipeline,
            known.dtype != self.cell.dtype,
            known.once,
            known.mode != self.cell.mode.name,
            abs(math.log(known.work / self.work)),
            known.torch != self.torch,
            known.traced != self.traced,
            known.cold != self.cold,
            known.found_empty != self.emptied,
        )

    def unlikeness_of_start(self, known: Duration) -> tuple[float, ...]:
        """Returns it for what surrounds the calls: mostly compiling, all of it where the cache is emptied."""
        spared = self.emptied and (not known.cold) + (not known.found_empty)
        return (not self.is_alike(known), spared, *self.unlikeness(known))

    def spares_s(self, known: Duration) -> float:
        """Returns what compiling takes less than it did for the same cell when nothing was in the cache."""
        has_compiled = known.cell == self.cell.id and known.cold and known.found_empty
        return (1 - WARM_SHARE) * known.compile_s if has_compiled and not self.cold else 0.0

    def is_met_by(self, known: Duration) -> bool:
        """Says whether a duration is the cell's own, measured as it will be."""
        asked = (self.cell.id, self.torch, self.traced, self.cold, self.emptied)
        return (known.cell, known.torch, known.traced, known.cold, known.found_empty) == asked


def _meets_cold_cache(cell: Cell, known: Sequence[Duration], manner: Manner) -> bool:
    """Whether the cell's graphs have yet to be compiled: before it has run for the first time, they are in no cache."""
    torch = manner.torch.get(cell.slot.environment)
    return manner.cold or not any((each.cell, each.torch) == (cell.id, torch) for each in known)


def _later_calls_s(cell: Cell, call_s: float, rule: PrecisionRule | None) -> float:
    """Returns what the calls after the first take; where a precision decides how many there are, at most."""
    least = (cell.calls - 1) * call_s
    return max(least, min((rule.max_calls - 1) * call_s, rule.max_seconds)) if rule else least
