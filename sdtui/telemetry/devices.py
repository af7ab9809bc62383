"""Which GPU a device name means: counted as nvidia-smi counts, and named by UUID so that nothing can take another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu

VISIBLE = "CUDA_VISIBLE_DEVICES"
_HINT = "without a GPU, use --scale tiny --device cpu"
_DEVICE = re.compile(r"cpu|cuda(?::(?P<ordinal>\d+|(?:GPU|MIG)-\S+))?")
_UUID_PREFIXES = ("GPU-", "MIG-")


@dataclass(frozen=True)
class DeviceChoice:
    """The device that a run measures on.

    Attributes:
        kind: ``cuda`` or ``cpu``.
        uuid: Of the GPU or MIG instance, for the worker's ``CUDA_VISIBLE_DEVICES``; ``None`` for the CPU.
        gpu: As NVML describes it; ``None`` for the CPU.
    """

    kind: Literal["cuda", "cpu"]
    uuid: str | None = None
    gpu: Gpu | None = None


@dataclass(frozen=True)
class Board:
    """A physical GPU and, where MIG is on, its instances, which are then the devices."""

    gpu: Gpu
    instances: tuple[Gpu, ...] = ()

    @property
    def devices(self) -> tuple[Gpu, ...]:
        """What CUDA can use of it."""
        return self.instances if self.gpu.mig else (self.gpu,)


def visible(boards: Sequence[Board], environ: Mapping[str, str]) -> list[Gpu]:
    """Returns the devices that CUDA may use.

    Follows ``CUDA_VISIBLE_DEVICES`` as the CUDA C++ programming guide and ``torch.cuda`` read it: indices, UUIDs or
    unique beginnings of UUIDs; the list ends at its first invalid entry; a repeated entry makes it empty. Without the
    variable every device is visible. Indices count in PCI order, which is CUDA's own only where
    ``CUDA_DEVICE_ORDER=PCI_BUS_ID``: without it CUDA puts the fastest GPU first.
    """
    value = environ.get(VISIBLE)
    if value is None:
        return [device for board in boards for device in board.devices]
    chosen: list[Gpu] = []
    for entry in value.split(","):
        device = _entry(entry.strip(), boards)
        if device is None:
            break
        if device in chosen:
            return []
        chosen.append(device)
    return chosen


def choose(device: str, boards: Sequence[Board], environ: Mapping[str, str], absence: str = "") -> DeviceChoice:
    """Finds the device that a person named.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:N`` (N counts the visible devices) or ``cuda:<UUID or its beginning>``.
        boards: What NVML lists, in PCI order.
        environ: Whose ``CUDA_VISIBLE_DEVICES`` counts.
        absence: Why NVML lists nothing, where it is out of reach.

    Raises:
        UserError: It is no device name, or there is no such device; the message says what there is.
    """
    match = _DEVICE.fullmatch(device)
    if match is None:
        names = _listing(visible(boards, environ)) or "cuda:0"
        raise UserError(f"device '{device}': unknown; choose from cpu, cuda, {names}")
    if device == "cpu":
        return DeviceChoice("cpu")
    there = visible(boards, environ)
    if not there:
        raise UserError(f"device '{device}': {_why_none(boards, environ, absence)}; {_HINT}")
    ordinal = match["ordinal"] or "0"
    found = _by_uuid(ordinal, there) if ordinal.startswith(_UUID_PREFIXES) else there[int(ordinal) :][:1]
    if len(found) != 1:
        which = "more than one GPU begins so" if found else "there is no such GPU"
        limits = f" ({VISIBLE}={environ[VISIBLE]})" if VISIBLE in environ else ""
        raise UserError(f"device '{device}': {which}; choose from {_listing(there)}{limits}")
    return DeviceChoice("cuda", found[0].uuid, found[0])


def _entry(text: str, boards: Sequence[Board]) -> Gpu | None:
    if text.startswith(_UUID_PREFIXES):
        found = _by_uuid(text, [device for board in boards for device in (board.gpu, *board.instances)])
        board = next((board for board in boards if found == [board.gpu]), None)
        return found[0] if len(found) == 1 and board is None else _first(board)
    digits = re.match(r"\+?(\d+)", text)  # CUDA reads as strtoul does: "1abc" is 1
    if digits is None or int(digits[1]) >= len(boards):
        return None
    return _first(boards[int(digits[1])])


def _first(board: Board | None) -> Gpu | None:
    return next(iter(board.devices), None) if board else None


def _by_uuid(beginning: str, devices: Sequence[Gpu]) -> list[Gpu]:
    return [device for device in devices if device.uuid.startswith(beginning)]


def _why_none(boards: Sequence[Board], environ: Mapping[str, str], absence: str) -> str:
    if absence:
        return f"there is no NVIDIA driver here ({absence})"
    if not boards:
        return "the NVIDIA driver lists no GPU"
    if VISIBLE in environ:
        return f"{VISIBLE}='{environ[VISIBLE]}' leaves no GPU visible"
    return "MIG is on and no instance was made"


def _listing(devices: Sequence[Gpu]) -> str:
    return ", ".join(f"cuda:{index} ({device.name})" for index, device in enumerate(devices))
