"""Stand-ins for the ``pynvml`` module: one that is made up, and one that replays a recording of a real card."""

from __future__ import annotations

import ctypes
import json
from collections import defaultdict, deque
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

NOT_SUPPORTED, NO_PERMISSION, NOT_FOUND, FUNCTION_NOT_FOUND, GPU_IS_LOST = 3, 4, 6, 13, 15
MIB = 2**20


class NVMLError(Exception):
    """As pynvml's: carries NVML's code."""

    def __init__(self, value: int | None, text: str = "") -> None:
        super().__init__(text or f"NVML error {value}")
        self.value = value


class Memory(ctypes.Structure):
    """As pynvml's ``c_nvmlMemory_v2_t``."""

    _fields_ = (
        ("version", ctypes.c_uint),
        ("total", ctypes.c_ulonglong),
        ("reserved", ctypes.c_ulonglong),
        ("free", ctypes.c_ulonglong),
        ("used", ctypes.c_ulonglong),
    )


class Utilisation(ctypes.Structure):
    """As pynvml's ``c_nvmlUtilization_t``."""

    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Device(ctypes.Structure):
    pass


Handle = ctypes.POINTER(_Device)


@dataclass
class Card:
    """A made-up GPU; ``errors`` maps a function's name to the code that it fails with."""

    uuid: str = "GPU-11111111-aaaa-bbbb-cccc-000000000000"
    name: str = "NVIDIA H100 80GB HBM3"
    gpu_percent: int = 0
    used_mib: int = 512
    power_mw: int = 71_250
    energy_mj: int = 1_234_567
    reasons: int = 1
    processes: dict[int, int | None] = field(default_factory=dict)
    instances: list[Card] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)


class FakeNvml:
    """A made-up driver with the cards it is given."""

    NVMLError = NVMLError

    def __init__(self, *cards: Card, missing: tuple[str, ...] = ()) -> None:
        self.cards = list(cards)
        self._missing = missing
        self._by_address: dict[int, Card] = {}
        everything = [card for board in cards for card in (board, *board.instances)]
        self._handles = {id(card): _handle(number) for number, card in enumerate(everything, start=1)}
        for card in everything:
            self._by_address[_address(self._handles[id(card)])] = card

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("nvml") and name in self._missing:
            raise AttributeError(name)
        return super().__getattribute__(name)

    def nvmlInit(self) -> None: ...
    def nvmlShutdown(self) -> None: ...
    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.65.06"

    def nvmlSystemGetCudaDriverVersion_v2(self) -> int:
        return 13000

    def nvmlDeviceGetCount(self) -> int:
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        return self._handles[id(self.cards[index])]

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> Any:
        for card in self._by_address.values():
            if card.uuid == uuid:
                return self._handles[id(card)]
        raise NVMLError(NOT_FOUND, "Not Found")

    def nvmlDeviceGetMaxMigDeviceCount(self, handle: Any) -> int:
        return 7 if self._card(handle, "nvmlDeviceGetMaxMigDeviceCount").instances else 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle: Any, index: int) -> Any:
        instances = self._card(handle, "nvmlDeviceGetMigDeviceHandleByIndex").instances
        if index >= len(instances):
            raise NVMLError(NOT_FOUND, "Not Found")
        return self._handles[id(instances[index])]

    def nvmlDeviceGetName(self, handle: Any) -> str:
        return self._card(handle, "nvmlDeviceGetName").name

    def nvmlDeviceGetUUID(self, handle: Any) -> str:
        return self._card(handle, "nvmlDeviceGetUUID").uuid

    def nvmlDeviceGetMigMode(self, handle: Any) -> list[int]:
        on = int(bool(self._card(handle, "nvmlDeviceGetMigMode").instances))
        return [on, on]

    def nvmlDeviceGetMemoryInfo(self, handle: Any, version: int = 0) -> Memory:
        card = self._card(handle, f"nvmlDeviceGetMemoryInfo{'_v2' if version else ''}")
        reserved_mib = 0 if version else 300  # which version 1 counts as used
        used_mib = card.used_mib + reserved_mib
        return Memory(version, 81559 * MIB, 0, (81559 - used_mib) * MIB, used_mib * MIB)

    def nvmlDeviceGetCudaComputeCapability(self, handle: Any) -> tuple[int, int]:
        self._card(handle, "nvmlDeviceGetCudaComputeCapability")
        return (9, 0)

    def nvmlDeviceGetPciInfo(self, handle: Any) -> Any:
        self._card(handle, "nvmlDeviceGetPciInfo")
        return SimpleNamespace(busId=b"00000000:19:00.0")

    def nvmlDeviceGetEnforcedPowerLimit(self, handle: Any) -> int:
        self._card(handle, "nvmlDeviceGetEnforcedPowerLimit")
        return 700_000

    def nvmlDeviceGetMaxClockInfo(self, handle: Any, clock: int) -> int:
        self._card(handle, "nvmlDeviceGetMaxClockInfo")
        return {1: 1980, 2: 2619}[clock]

    def nvmlDeviceGetClockInfo(self, handle: Any, clock: int) -> int:
        self._card(handle, "nvmlDeviceGetClockInfo")
        return {1: 345, 2: 2619}[clock]

    def nvmlDeviceGetPersistenceMode(self, handle: Any) -> int:
        self._card(handle, "nvmlDeviceGetPersistenceMode")
        return 1

    def nvmlDeviceGetEccMode(self, handle: Any) -> list[int]:
        self._card(handle, "nvmlDeviceGetEccMode")
        return [1, 1]

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Utilisation:
        return Utilisation(self._card(handle, "nvmlDeviceGetUtilizationRates").gpu_percent, 7)

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int:
        return self._card(handle, "nvmlDeviceGetPowerUsage").power_mw

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: Any) -> int:
        return self._card(handle, "nvmlDeviceGetTotalEnergyConsumption").energy_mj

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int:
        assert sensor == 0
        self._card(handle, "nvmlDeviceGetTemperature")
        return 34

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: Any) -> int:
        return self._card(handle, "nvmlDeviceGetCurrentClocksEventReasons").reasons

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle: Any) -> int:
        return self._card(handle, "nvmlDeviceGetCurrentClocksThrottleReasons").reasons

    def nvmlDeviceGetComputeRunningProcesses_v3(self, handle: Any) -> list[Any]:
        return self._processes(handle, "nvmlDeviceGetComputeRunningProcesses_v3")

    def nvmlDeviceGetComputeRunningProcesses_v2(self, handle: Any) -> list[Any]:
        return self._processes(handle, "nvmlDeviceGetComputeRunningProcesses_v2")

    def _processes(self, handle: Any, function: str) -> list[Any]:
        listed = self._card(handle, function).processes
        return [SimpleNamespace(pid=pid, usedGpuMemory=used, gpuInstanceId=0) for pid, used in listed.items()]

    def _card(self, handle: Any, function: str) -> Card:
        card = self._by_address[_address(handle)]
        code = card.errors.get(function) or card.errors.get("*")
        if code:
            raise NVMLError(code, {GPU_IS_LOST: "GPU is lost", NOT_SUPPORTED: "Not Supported"}.get(code, ""))
        return card


def _handle(number: int) -> Any:
    return ctypes.cast(ctypes.c_void_p(number * 4096), Handle)


def _address(handle: Any) -> int:
    return ctypes.cast(handle, ctypes.c_void_p).value or 0


class ReplayNvml:
    """Serves a recording of ``benchmarks/record_nvml.py`` under pynvml's names.

    Calls of one function with the same arguments get their results in the recorded order.
    """

    NVMLError = NVMLError

    def __init__(self, path: Path) -> None:
        self.recording = json.loads(path.read_text(encoding="utf-8"))
        self._results: dict[tuple[str, str], deque[list[Any]]] = defaultdict(deque)
        for function, arguments, *outcome in self.recording["calls"]:
            self._results[self.recording["functions"][function], json.dumps(arguments)].append(outcome)

    def __getattr__(self, name: str) -> Any:
        if name not in self.recording["functions"]:
            raise AttributeError(name)

        def call(*arguments: Any) -> Any:
            kind, *outcome = self._results[name, json.dumps(arguments)].popleft()
            if kind == "error":
                raise NVMLError(*outcome)
            return _objects(outcome[0])

        return call

    def left(self) -> int:
        """Returns how many recorded calls nobody has made yet."""
        return sum(len(results) for results in self._results.values())


def _objects(value: Any) -> Any:
    if isinstance(value, list):
        return [_objects(item) for item in value]
    if isinstance(value, dict) and "struct" in value:
        return SimpleNamespace(**{name: _objects(item) for name, item in value["struct"].items()})
    return value
