"""Telemetry of one cell: of its GPU through NVML, or of the worker's processes where there is no GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal

from sdtui.telemetry.nvml import Nvml
from sdtui.telemetry.process import Family, ProcessReader
from sdtui.telemetry.sampler import DEFAULT_HZ, Sampler


class Sampling:
    """A sampler with its source, made before the worker so that processes already on the GPU are known as others."""

    def __init__(self, nvml: Nvml | None, gpu_uuid: str | None, hz: float = DEFAULT_HZ) -> None:
        """Prepares to sample.

        Args:
            nvml: Opened, where the run uses a GPU.
            gpu_uuid: Of that GPU; ``None`` samples the worker's processes.
            hz: Samples per second.
        """
        self._reader = nvml.reader(gpu_uuid) if nvml is not None and gpu_uuid is not None else None
        if self._reader is not None:
            self._reader.remember_processes()
        self._hz = hz
        self.source: Literal["gpu", "process"] = "process" if self._reader is None else "gpu"

    def of_worker(self, pid: int) -> Sampler:
        """Returns the sampler of a worker that was just started."""
        reader = self._reader
        if reader is None:
            return Sampler(ProcessReader(pid).sample, self._hz)
        family = Family(pid)
        return Sampler(lambda: reader.sample({process.pid for process in family.processes(time.monotonic())}), self._hz)

    def free_mib(self) -> float | None:
        """Returns the GPU's free memory; ``None`` where it is not available."""
        return self._reader.free_mib() if self._reader is not None else None

    @property
    def take_trouble(self) -> Callable[[], str | None]:
        """Returns, once, what is wrong with the GPU, when called."""
        return self._reader.take_trouble if self._reader is not None else lambda: None
