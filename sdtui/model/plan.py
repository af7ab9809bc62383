"""A plan: which cells to measure, and how."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sdtui.model.cell import Dtype, Scale, Slot
from sdtui.model.results import Phase


@dataclass(frozen=True)
class Plan:
    """What a person asked for, complete; expands to ordered cells with the catalog's help.

    Attributes:
        slots: Measure these of the product alone, each written as ``str(Slot)``; ``None`` measures them all.
        weights: ``random``, a hub id, or an absolute folder.
        device: ``cuda:N`` (as nvidia-smi counts, within ``CUDA_VISIBLE_DEVICES``), ``cuda:GPU-…`` or ``cpu``.
        steps: ``None`` takes each pipeline's own; likewise size, guidance, dtype and prompt.
        size: Width and height of the output, in pixels.
        cold: Start every cell with an empty compile cache.
        trace: Make one more call per cell under torch.profiler.
        exclusive: Start every worker's interpreter anew, instead of forking it from a process that has imported torch.
        processes: Fresh processes that each cell is measured in, one after another, by turns with the other cells.
        tune: Look for the fastest mode: after each round of processes the slower half drops out; see `sdtui.tuning`.
        precision: Share of the median step within which its interval must lie before the calls end, such as 0.01;
            ``None`` makes ``calls`` calls.
        max_calls: Calls after which they end in any case; given where ``precision`` is.
        max_seconds: Of measured calls, likewise.
        vram_limit: Bytes that torch's allocator may take of the GPU's memory; ``None`` lets it take all.
        skip_larger_after_oom: Once a cell ran out of memory, leave out those of its pipeline, mode and environment with
            larger batches; see `sdtui.records.RunRecord.ruled_out_by`.
        budget: Seconds that a sitting may last: cells that would not end within it are left; ``None`` without a limit.
        timeouts: Longest silence of a worker by phase, in seconds; phases that are left out keep sdtui's own.
        mode_definitions: Modes of the person's own, by name: TOML tables of the catalog's schema.
        pipeline_definitions: Pipelines of the person's own, likewise.
    """

    pipelines: tuple[str, ...]
    modes: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    environments: tuple[str, ...] = ("current",)
    slots: tuple[str, ...] | None = None
    calls: int = 3
    scale: Scale = "full"
    weights: str = "random"
    device: str = "cuda:0"
    seed: int = 0
    steps: int | None = None
    size: int | None = None
    guidance: float | None = None
    dtype: Dtype | None = None
    prompt: str | None = None
    cold: bool = False
    trace: bool = False
    exclusive: bool = False
    processes: int = 1
    tune: bool = False
    precision: float | None = None
    max_calls: int | None = None
    max_seconds: float | None = None
    vram_limit: int | None = None
    skip_larger_after_oom: bool = False
    budget: float | None = None
    timeouts: Mapping[Phase, float] = field(default_factory=dict)
    mode_definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pipeline_definitions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def product(self) -> Iterator[Slot]:
        """Yields every slot of the lists: pipelines outermost, then batch sizes, then modes, then environments."""
        for pipeline in self.pipelines:
            for batch_size in self.batch_sizes:
                for mode in self.modes:
                    for environment in self.environments:
                        yield Slot(pipeline, mode, environment, batch_size)

    def chosen(self) -> Iterator[Slot]:
        """Yields the slots to measure, in the product's order."""
        for slot in self.product():
            if self.slots is None or str(slot) in self.slots:
                yield slot
