"""How long cells took, and how much memory, kept per GPU model (or CPU) for the estimates of later runs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sdtui import runs, settings
from sdtui.model.cell import Cell, Dtype, Scale
from sdtui.model.codec import DecodeError, decode, encode
from sdtui.model.errors import UserError
from sdtui.ordering import work_of
from sdtui.records import CellRecord, RunRecord

MOST = 500
"""Durations that are kept per device, the newest."""


@dataclass(frozen=True)
class Duration:
    """How long one process of a cell took that ended ok.

    The whole is ``import_s``, ``start_s`` and, for every call after the first, ``call_s``.

    Attributes:
        cell: Its id.
        compiled: How many denoisers its mode compiles.
        work: Floating-point operations of a call: see `sdtui.ordering.work_of`.
        torch: Of its environment; ``None`` where it was not known.
        cold: Whether graphs had to be compiled that Inductor's cache did not hold; where this torch does not say,
            whether the cache was emptied before.
        traced: Whether there was a call under torch.profiler.
        import_s: From the worker's launch until its packages were imported.
        start_s: All else but the calls after the first: loading, the first call, what follows the last.
        call_s: A call after the first, on average; where there was none, the first without ``compile_s``.
        compile_s: What of ``start_s`` passed in torch.compile; 0 where nothing was compiled, or torch does not say.
        peak_mib: What torch's allocator held at its most during a call; ``None`` on a CPU.
        imports: Whether ``import_s`` holds the import of torch: not where a worker was forked once that was over.
        found_empty: Whether the compile cache held nothing when the worker began, of other cells neither.
        once: Whether there was one call alone, whose ``call_s`` has warming up and capturing in it.
    """

    cell: str
    pipeline: str
    mode: str
    scale: Scale
    dtype: Dtype
    compiled: int
    work: float
    torch: str | None
    cold: bool
    traced: bool
    import_s: float
    start_s: float
    call_s: float
    peak_mib: float | None = None
    compile_s: float = 0.0
    imports: bool = True
    found_empty: bool = False
    once: bool = False

    @property
    def key(self) -> tuple[object, ...]:
        """What two durations have in common of which the newer replaces the older."""
        return self.cell, self.torch, self.cold, self.found_empty, self.traced


@dataclass(frozen=True)
class _File:
    durations: tuple[Duration, ...]


def path_of(device_name: str) -> Path:
    """Returns the file of a GPU model, or of a CPU; it need not exist."""
    return settings.cache_dir() / "durations" / f"{runs.slug(device_name)}.json"


def known(device_name: str) -> tuple[Duration, ...]:
    """Returns what earlier runs on such a device took, oldest first.

    Raises:
        UserError: The file cannot be read, or is none of these.
    """
    path = path_of(device_name)
    try:
        return decode(_File, json.loads(path.read_bytes())).durations
    except (FileNotFoundError, NotADirectoryError):
        return ()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # a DecodeError is a ValueError
        what = str(error) if isinstance(error, DecodeError) else "it is not JSON"
        raise UserError(f"{path}: no durations of cells ({what}); remove the file") from error


def keep(duration: Duration, device_name: str) -> None:
    """Keeps a duration in place of an earlier one of its kind.

    Of two supervisors that keep one at the same moment, the later one's stays: that costs an estimate, and no more.

    Raises:
        UserError: What was kept before cannot be read.
        OSError: It cannot be written.
    """
    path = path_of(device_name)
    path.parent.mkdir(parents=True, exist_ok=True)
    file = _File(newest((*known(device_name), duration))[-MOST:])
    runs.write_atomically(path, json.dumps(encode(file), separators=(",", ":")) + "\n")


def newest(durations: Iterable[Duration]) -> tuple[Duration, ...]:
    """Returns of each kind the last one, in the order of their coming."""
    last: dict[tuple[object, ...], Duration] = {}
    for duration in durations:
        last.pop(duration.key, None)
        last[duration.key] = duration
    return tuple(last.values())


def taken(record: RunRecord, device_name: str) -> Iterator[Duration]:
    """Yields what the processes of a run took that ended ok on such a device."""
    for cell in record.cells.values():
        for process in cell.processes:
            duration = taken_by(record, process)
            sitting = record.sitting_of(process)
            if duration and sitting and sitting.started.machine.device_name == device_name:
                yield duration


def taken_by(record: RunRecord, process: CellRecord) -> Duration | None:
    """Returns what a process took; ``None`` where it did not end ok."""
    sitting, ending, spec = record.sitting_of(process), process.finished, process.spec
    if not (sitting and ending and ending.status == "ok" and process.started and process.finished_at and process.calls):
        return None
    later = [call.wall_ms / 1000 for call in process.calls if call.call > 1]
    first_s = sum(call.wall_ms for call in process.calls if call.call == 1) / 1000
    count = max(call.call for call in process.calls) - 1
    import_s = next((t for t, phase in process.phases if phase.phase != "import"), process.started) - process.started
    peaks = [call.peak_allocated_mib for call in process.calls if call.peak_allocated_mib is not None]
    packages = {each.name: each.packages for each in sitting.started.environments}
    emptied = bool(sitting.started.flags.get("cold"))
    compile_s = sum(call.compilation.seconds or 0.0 for call in process.calls if call.compilation)
    return Duration(
        cell=spec.id,
        pipeline=spec.slot.pipeline,
        mode=spec.mode.name,
        scale=spec.scale,
        dtype=spec.dtype,
        compiled=compiled_by(spec),
        work=work_of(spec),
        torch=packages.get(spec.slot.environment, {}).get("torch"),
        cold=_is_cold(process, emptied),
        traced=bool(sitting.started.flags.get("trace")),
        import_s=import_s,
        start_s=max(0.0, process.finished_at - process.started - import_s - sum(later)),
        call_s=sum(later) / count if count else max(0.0, first_s - compile_s),
        peak_mib=max(peaks, default=None),
        compile_s=compile_s,
        imports=process.imports,
        found_empty=process.compile_cache.empty if process.compile_cache else emptied and compiled_by(spec) > 0,
        once=count == 0,
    )


def compiled_by(cell: Cell) -> int:
    """Returns how many denoisers a cell compiles."""
    return sum(len(stage.denoisers) for stage in cell.stages) if cell.mode.compile else 0


def _is_cold(process: CellRecord, emptied: bool) -> bool:
    compilations = (call.compilation for call in process.calls if call.compilation)
    warmth = {compilation.warmth(process.compile_cache) for compilation in compilations} - {None}
    return warmth != {"warm"} if warmth else emptied and compiled_by(process.spec) > 0
