"""The figures of telemetry that are shown: how each is named, what the whole of it is, and how it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sdtui.model.machine import Machine

Whole = Callable[[Machine], float | None]

MIB_PER_GIB = 1024.0


@dataclass(frozen=True)
class Meter:
    """One field of telemetry.

    Attributes:
        field: Its name there.
        label: What it is called on screens.
        unit: In which it is shown.
        per_unit: What of the field's unit makes one of ``unit``.
        whole: What the machine has of it, in the field's unit; ``None`` where it does not say.
        decimals: As it is written.
        top: Of the axis, in ``unit``, where there is no whole.
        filled: Whether what is below its line is drawn too: a load is, a state is not.
    """

    field: str
    label: str
    unit: str
    whole: Whole
    per_unit: float = 1.0
    decimals: int = 0
    top: float | None = None
    filled: bool = True

    def end(self, machine: Machine) -> float | None:
        """Returns the end of an axis for it, in ``unit``; ``None`` where nothing says."""
        whole = self.whole(machine)
        return whole / self.per_unit if whole else self.top

    def written(self, value: float | None) -> str:
        """Writes a figure without its unit."""
        return "–" if value is None else f"{value / self.per_unit:.{self.decimals}f}"

    def words(self, value: float | None, machine: Machine) -> str:
        """Writes a figure of the whole with its unit, such as ``12.3/80.0 GiB``; percent need none."""
        if value is None:
            return "not available"
        whole = None if self.unit == "%" else self.whole(machine)
        return f"{self.written(value)}{f'/{self.written(whole)}' if whole else ''} {self.unit}"


def _of_gpu(figure: str) -> Whole:
    return lambda machine: getattr(machine.gpu, figure) if machine.gpu else None


UTILISATION = Meter("gpu_utilisation_percent", "GPU", "%", lambda _: 100.0)
VRAM = Meter("vram_used_mib", "VRAM", "GiB", _of_gpu("memory_mib"), MIB_PER_GIB, 1)
TEMPERATURE = Meter("temperature_c", "temperature", "°C", lambda _: None, top=100.0, filled=False)

GPU_METERS = (
    UTILISATION,
    VRAM,
    Meter("power_w", "power", "W", _of_gpu("power_limit_w")),
    Meter("sm_clock_mhz", "SM clock", "MHz", _of_gpu("max_sm_clock_mhz"), filled=False),
    TEMPERATURE,
)
CPU_METERS = (
    Meter("cpu_percent", "CPU", "%", lambda machine: 100.0 * machine.cpu_count),
    Meter("rss_mib", "RSS", "GiB", lambda machine: machine.memory_mib, MIB_PER_GIB, 1),
)
"""Without a GPU: of the worker's processes."""


def meters_of(machine: Machine) -> tuple[Meter, ...]:
    """Returns what there is to show on a machine."""
    return GPU_METERS if machine.gpu else CPU_METERS
