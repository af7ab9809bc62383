"""Where a run was measured: host, GPU and interpreters. ``None`` means not available, everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Gpu:
    """A GPU as NVML describes it."""

    name: str
    uuid: str
    index: int | None = None
    memory_mib: float | None = None
    driver: str | None = None
    cuda_driver: str | None = None
    compute_capability: str | None = None
    pci_bus_id: str | None = None
    power_limit_w: float | None = None
    max_sm_clock_mhz: int | None = None
    max_memory_clock_mhz: int | None = None
    persistence: bool | None = None
    mig: bool | None = None
    ecc: bool | None = None


@dataclass(frozen=True)
class Interpreter:
    """An environment: a Python interpreter with its packages.

    Attributes:
        name: ``current`` or the name it was registered under.
        packages: Version of each package that matters, ``None`` where it is not installed.
        cuda: CUDA version that its torch was built for; ``None`` for a CPU build.
        label: What the tables' columns call it; ``None`` lets its torch say so.
    """

    name: str
    python: str
    python_version: str
    packages: Mapping[str, str | None] = field(default_factory=dict)
    cuda: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Machine:
    """A host and, where the run uses one, its GPU."""

    host: str
    boot_id: str | None
    system: str
    cpu: str
    cpu_count: int
    memory_mib: float | None = None
    governor: str | None = None
    gpu: Gpu | None = None

    @property
    def device_name(self) -> str:
        """What table headings print: the GPU's name, or the CPU's."""
        return self.gpu.name if self.gpu else self.cpu
