"""NVML: what a GPU is and what it does now. Every figure may be missing, and none takes another with it."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu
from sdtui.telemetry.devices import Board, DeviceChoice, choose

MIB = 2**20
CLOCK_EVENT_REASONS: dict[int, str] = {
    0x001: "gpu_idle",
    0x002: "applications_clocks_setting",
    0x004: "sw_power_cap",
    0x008: "hw_slowdown",
    0x010: "sync_boost",
    0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown",
    0x080: "hw_power_brake_slowdown",
    0x100: "display_clock_setting",
}
"""Bits of ``nvmlClocksEventReasons`` (nvml.h). ``gpu_idle`` is benign."""

_CLOCK_SM, _CLOCK_MEMORY = 1, 2  # nvmlClockType_t
_TEMPERATURE_GPU = 0  # nvmlTemperatureSensors_t
_MEMORY_V2 = 0x02000028  # nvmlMemory_v2: 'used' without what the driver reserves, as nvidia-smi prints it
_GONE = (15, 16)  # NVML_ERROR_GPU_IS_LOST, NVML_ERROR_RESET_REQUIRED


class NvmlUnavailableError(Exception):
    """NVML cannot be used; the message says why, in NVML's words."""


class Nvml:
    """A connection to NVML that answers ``None`` where NVML answers with an error."""

    def __init__(self, module: Any) -> None:
        """Wraps ``pynvml`` or what behaves like it, already initialised."""
        self._module = module
        self._errors = (module.NVMLError, getattr(module, "NVMLLibraryMismatchError", module.NVMLError))
        self.trouble: str | None = None

    def query(self, function: str, *arguments: Any) -> Any:
        """Calls ``pynvml``'s function; returns ``None`` where it is missing, not supported or not permitted.

        A GPU that is gone is noted in ``trouble``.
        """
        call = getattr(self._module, function, None)
        if call is None:
            return None
        try:
            return call(*arguments)
        except self._errors as error:
            if getattr(error, "value", None) in _GONE:
                self.trouble = str(error)
            return None

    def boards(self) -> list[Board]:
        """Lists the physical GPUs, in PCI order as nvidia-smi counts them, with their MIG instances."""
        boards = []
        for index in range(self.query("nvmlDeviceGetCount") or 0):
            handle = self.query("nvmlDeviceGetHandleByIndex", index)
            if handle is not None:
                gpu = self._describe(handle, index)
                boards.append(Board(gpu, self._instances(handle, index) if gpu.mig else ()))
        return boards

    def reader(self, uuid: str) -> NvmlReader:
        """Opens a GPU or MIG instance for sampling.

        Raises:
            UserError: NVML does not find it any more.
        """
        handle = self.query("nvmlDeviceGetHandleByUUID", uuid)
        if handle is None:
            raise UserError(f"device 'cuda:{uuid}': NVML does not find this GPU any more")
        return NvmlReader(self, handle)

    def close(self) -> None:
        """Ends the connection."""
        self.query("nvmlShutdown")

    def _instances(self, handle: Any, index: int) -> tuple[Gpu, ...]:
        slots = range(self.query("nvmlDeviceGetMaxMigDeviceCount", handle) or 0)
        handles = [self.query("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot) for slot in slots]
        return tuple(self._describe(instance, index) for instance in handles if instance is not None)

    def _describe(self, handle: Any, index: int) -> Gpu:
        memory = self.memory(handle)
        version = self.query("nvmlSystemGetCudaDriverVersion_v2") or self.query("nvmlSystemGetCudaDriverVersion")
        capability = self.query("nvmlDeviceGetCudaComputeCapability", handle)
        pci = self.query("nvmlDeviceGetPciInfo", handle)
        limit = self.query("nvmlDeviceGetEnforcedPowerLimit", handle)
        return Gpu(
            name=_text(self.query("nvmlDeviceGetName", handle)) or "GPU",
            uuid=_text(self.query("nvmlDeviceGetUUID", handle)) or "",
            index=index,
            memory_mib=None if memory is None else memory.total / MIB,
            driver=_text(self.query("nvmlSystemGetDriverVersion")),
            cuda_driver=None if version is None else f"{version // 1000}.{version % 1000 // 10}",
            compute_capability=None if capability is None else ".".join(str(part) for part in capability),
            pci_bus_id=None if pci is None else _text(pci.busId),
            power_limit_w=None if limit is None else limit / 1000,
            max_sm_clock_mhz=self.query("nvmlDeviceGetMaxClockInfo", handle, _CLOCK_SM),
            max_memory_clock_mhz=self.query("nvmlDeviceGetMaxClockInfo", handle, _CLOCK_MEMORY),
            persistence=_flag(self.query("nvmlDeviceGetPersistenceMode", handle)),
            mig=_flag(self.query("nvmlDeviceGetMigMode", handle)),
            ecc=_flag(self.query("nvmlDeviceGetEccMode", handle)),
        )

    def memory(self, handle: Any) -> Any:
        """Returns a structure with ``total``, ``free`` and ``used`` in bytes, or ``None``."""
        found = self.query("nvmlDeviceGetMemoryInfo", handle, _MEMORY_V2)
        return self.query("nvmlDeviceGetMemoryInfo", handle) if found is None else found

    def processes(self, handle: Any) -> dict[int, int | None] | None:
        """Returns the GPU memory in bytes of each compute process by PID, or ``None`` where NVML does not list them."""
        for function in ("nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetComputeRunningProcesses_v2"):
            listed = self.query(function, handle)
            if listed is not None:
                return {process.pid: process.usedGpuMemory for process in listed}
        return None


class NvmlReader:
    """Samples one GPU."""

    def __init__(self, nvml: Nvml, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        self._before: frozenset[int] | None = None
        self._mapped = False

    def remember_processes(self) -> None:
        """Takes the list of compute processes; call it before the worker starts, so that others are known as such."""
        listed = self._nvml.processes(self._handle)
        self._before = None if listed is None else frozenset(listed)
        self._mapped = False

    def sample(self, worker_pids: Set[int]) -> dict[str, Any]:
        """Reads every figure; one that is not available is ``None``.

        Args:
            worker_pids: The worker and its descendants, as this process numbers them.

        Returns:
            ``gpu_utilisation_percent``, ``memory_utilisation_percent`` (share of NVML's own sampling period with a
            kernel running, with memory being read or written), ``vram_used_mib`` (device), ``worker_vram_mib``,
            ``power_w``, ``energy_j`` (counter since the driver was loaded), ``sm_clock_mhz``, ``memory_clock_mhz``,
            ``temperature_c``, ``clock_event_reasons`` (names), ``compute_processes`` and ``other_processes``
            (counts).
        """
        ask, handle = self._nvml.query, self._handle
        utilisation = ask("nvmlDeviceGetUtilizationRates", handle)
        memory = self._nvml.memory(handle)
        return {
            "gpu_utilisation_percent": None if utilisation is None else utilisation.gpu,
            "memory_utilisation_percent": None if utilisation is None else utilisation.memory,
            "vram_used_mib": None if memory is None else round(memory.used / MIB, 1),
            "power_w": _thousandth(ask("nvmlDeviceGetPowerUsage", handle)),
            "energy_j": _thousandth(ask("nvmlDeviceGetTotalEnergyConsumption", handle)),
            "sm_clock_mhz": ask("nvmlDeviceGetClockInfo", handle, _CLOCK_SM),
            "memory_clock_mhz": ask("nvmlDeviceGetClockInfo", handle, _CLOCK_MEMORY),
            "temperature_c": ask("nvmlDeviceGetTemperature", handle, _TEMPERATURE_GPU),
            "clock_event_reasons": self._clock_event_reasons(),
            **self._processes(worker_pids),
        }

    def free_mib(self) -> float | None:
        """Returns the free device memory."""
        memory = self._nvml.memory(self._handle)
        return None if memory is None else memory.free / MIB

    def processes(self) -> int | None:
        """Returns how many compute processes use the GPU."""
        listed = self._nvml.processes(self._handle)
        return None if listed is None else len(listed)

    def take_trouble(self) -> str | None:
        """Returns, once, NVML's words for a GPU that is gone; ``None`` where nothing is wrong or it was said."""
        trouble, self._nvml.trouble = self._nvml.trouble, None
        return trouble

    def _clock_event_reasons(self) -> list[str] | None:
        for function in ("nvmlDeviceGetCurrentClocksEventReasons", "nvmlDeviceGetCurrentClocksThrottleReasons"):
            bits = self._nvml.query(function, self._handle)
            if bits is not None:
                return _reason_names(bits)
        return None

    def _processes(self, worker_pids: Set[int]) -> dict[str, Any]:
        listed = self._nvml.processes(self._handle)
        if listed is None:
            return {"worker_vram_mib": None, "compute_processes": None, "other_processes": None}
        before = self._before or frozenset()
        own = (listed.keys() & worker_pids) - before  # a number that was there before is another PID namespace's
        self._mapped = self._mapped or bool(own)
        return {
            "worker_vram_mib": _worker_vram_mib({pid: listed[pid] for pid in own}),
            "compute_processes": len(listed),
            "other_processes": self._others(listed.keys() - own, before),
        }

    def _others(self, pids: Set[int], before: frozenset[int]) -> int | None:
        """Counts compute processes that are surely not the worker.

        Once the worker was seen under its own number, every other number is another process. Until then (it has no
        CUDA context yet, or NVML counts in another PID namespace) only those listed before it started are.
        """
        if self._mapped:
            return len(pids)
        return len(pids & before) or None


def connect() -> Nvml:
    """Opens NVML.

    Raises:
        NvmlUnavailableError: There is no driver, or it does not answer.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise NvmlUnavailableError(str(error)) from error
    return Nvml(pynvml)


def open_nvml() -> Nvml | None:
    """Opens NVML, or returns ``None`` where there is no NVIDIA driver."""
    try:
        return connect()
    except NvmlUnavailableError:
        return None


def resolve_device(device: str, environ: Mapping[str, str]) -> DeviceChoice:
    """Finds the device that a person named, see `sdtui.telemetry.devices.choose`; ``cpu`` needs no NVML.

    Raises:
        UserError: It is no device name, or there is no such device; the message says what there is.
    """
    if device == "cpu":
        return DeviceChoice("cpu")
    try:
        nvml = connect()
    except NvmlUnavailableError as error:
        return choose(device, (), environ, absence=str(error))
    try:
        return choose(device, nvml.boards(), environ)
    finally:
        nvml.close()


def gpu_available(environ: Mapping[str, str]) -> bool:
    """Whether there is a usable GPU."""
    try:
        resolve_device("cuda", environ)
    except UserError:
        return False
    return True


def _worker_vram_mib(own: Mapping[int, int | None]) -> float | None:
    known = [used for used in own.values() if used is not None]
    return round(sum(known) / MIB, 1) if known else None


def _reason_names(bits: int) -> list[str]:
    known = [name for bit, name in CLOCK_EVENT_REASONS.items() if bits & bit]
    rest = bits & ~sum(CLOCK_EVENT_REASONS)
    return [*known, f"unknown_{rest:#x}"] if rest else known


def _text(value: Any) -> str | None:
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _flag(value: Any) -> bool | None:
    if isinstance(value, (list, tuple)):  # current and pending
        value = value[0]
    return None if value is None else bool(value)


def _thousandth(value: int | None) -> float | None:
    return None if value is None else value / 1000
