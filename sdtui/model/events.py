"""The events of a run and their JSON lines: the one schema that workers, the supervisor and every reader share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from sdtui.model.cell import Cell
from sdtui.model.codec import DecodeError, decode, encode, finite
from sdtui.model.forecast import Forecast
from sdtui.model.machine import Interpreter, Machine
from sdtui.model.precision import PrecisionReached, PrecisionRule
from sdtui.model.probe import Probe
from sdtui.model.results import CellSummary, Distance, Phase, Status
from sdtui.model.vram import VramNeed

SCHEMA_VERSION = 1

RunStatus = Literal["ok", "incomplete", "cancelled", "failed"]
Warmth = Literal["cold", "partly warm", "warm"]


@dataclass(frozen=True)
class RunStarted:
    """One sitting of a run begins; a resumed run has several.

    Attributes:
        probe: The device's matrix rates as they were known then; ``None`` where they were not.
        processes: How many fresh processes each cell is measured in.
        precision: Decides how often cells are called; ``None`` where their number of calls does.
        budget_s: How long the sitting may last: cells that would not end within it are left. ``None`` without a limit.
    """

    KIND: ClassVar[str] = "run.started"
    run: str
    sitting: int
    sdtui: str
    machine: Machine
    environments: tuple[Interpreter, ...]
    device: str
    pid: int
    flags: Mapping[str, Any] = field(default_factory=dict)
    probe: Probe | None = None
    processes: int = 1
    precision: PrecisionRule | None = None
    budget_s: float | None = None


@dataclass(frozen=True)
class RunForecast:
    """What a sitting has left to run; said when it begins, and anew just before the end of a cell that tells more.

    Attributes:
        queue: The cells that are due, in the order in which they run, and how long one process of each may take.
    """

    KIND: ClassVar[str] = "run.forecast"
    sitting: int
    queue: tuple[Forecast, ...]


@dataclass(frozen=True)
class RungFinished:
    """Of a row that is tuned, every candidate that is left was measured once more, or cannot be.

    Attributes:
        rung: How many processes that makes, counted from 1.
        closed: Why cells are not measured further, by id.
        best: The cells that may be the fastest, as far as is known; the one that seems to be comes first.
        until_more: Those that are closed only until a later sitting measures more of the row.
    """

    KIND: ClassVar[str] = "rung.finished"
    sitting: int
    rung: int
    pipeline: str
    environment: str
    batch_size: int
    closed: Mapping[str, str] = field(default_factory=dict)
    best: tuple[str, ...] = ()
    until_more: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunFinished:
    """A sitting ended.

    Attributes:
        status: ``ok`` (every cell ok), ``incomplete`` (some cell did not end ok), ``cancelled``, or ``failed`` (the
            supervisor could not go on, with the reason).
        counts: Cells of the run by status, counting every sitting.
        left: Why cells were not run that did not fit into the budget, by id.
    """

    KIND: ClassVar[str] = "run.finished"
    sitting: int
    status: RunStatus
    counts: Mapping[str, int]
    reason: str = ""
    left: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CellQueued:
    """A cell of the plan, in order; its spec leaves out component configs."""

    KIND: ClassVar[str] = "cell.queued"
    cell: str
    spec: Cell


@dataclass(frozen=True)
class CompileCache:
    """Where a worker finds and keeps what Inductor and Triton make, as it was when the worker was launched.

    Attributes:
        path: Of Inductor's part.
        empty: Whether neither part held anything.
    """

    path: str
    empty: bool


@dataclass(frozen=True)
class CellStarted:
    """A worker was launched for the cell; earlier samples of the same process of the cell are void.

    Attributes:
        process: Which of the cell's processes begins, counted from 1. What is said of the cell next is about this one.
        compile_cache: ``None`` where the cell's mode does not compile with Inductor, and in journals from before it was
            recorded.
        need: What it needs of the GPU's memory; ``None`` where nothing tells.
        imports: Whether its phase ``import`` holds that of torch: not where it was forked once that was over.
    """

    KIND: ClassVar[str] = "cell.started"
    cell: str
    sitting: int
    pid: int
    process: int = 1
    compile_cache: CompileCache | None = None
    need: VramNeed | None = None
    imports: bool = True


@dataclass(frozen=True)
class CellPhase:
    """The cell entered a phase; ``versions`` come with ``load``, as the imported packages state them."""

    KIND: ClassVar[str] = "cell.phase"
    cell: str
    phase: Phase
    call: int | None = None
    versions: Mapping[str, str | None] | None = None


@dataclass(frozen=True)
class Step:
    """One interval of the denoising loop.

    Attributes:
        call: Counted from 1.
        stage: Stage name.
        step: Counted from 1.
        steps: How many the call will have.
        ms: Milliseconds between two device events (host stamps without a GPU).
        forwards: Denoiser evaluations in the interval.
    """

    KIND: ClassVar[str] = "step"
    cell: str
    call: int
    stage: str
    step: int
    steps: int
    ms: float
    forwards: int


@dataclass(frozen=True)
class Compilation:
    """What torch.compile did during a call; ``None`` where this torch does not say.

    Attributes:
        graphs: How many were compiled.
        seconds: Spent on them, from the first frame to the compiled code, CUDA graph capture left out.
        recompiles: Why each graph after a frame's first had to be compiled.
        graph_breaks: Why tracing stopped, and how often.
        cache_hits: Graphs that were found compiled in a cache on disk, Inductor's or AOTAutograd's.
        cache_misses: Graphs that had to be compiled.
    """

    graphs: int
    seconds: float | None = None
    recompiles: tuple[str, ...] = ()
    graph_breaks: Mapping[str, int] = field(default_factory=dict)
    cache_hits: int | None = None
    cache_misses: int | None = None

    def warmth(self, found: CompileCache | None) -> Warmth | None:
        """Returns how much of the compiling was left out; ``None`` where torch does not say.

        Args:
            found: The cache when the cell started. What held something may, where no graph was found in it, still have
                held kernels, results of autotuning or checks of the compiler.
        """
        if self.cache_hits:
            return "partly warm" if self.cache_misses else "warm"
        if found is not None and found.empty:
            return "cold"
        if not self.cache_misses:
            return None
        return "partly warm" if found is not None else "cold"


@dataclass(frozen=True)
class KernelTime:
    """All launches of one kernel within a traced loop."""

    name: str
    ms: float
    launches: int


@dataclass(frozen=True)
class StageTrace:
    """One call of one stage under torch.profiler, after the measured calls and untimed.

    Attributes:
        loop_ms: Of the denoising loop, longer than a measured one: the profiler costs time.
        busy_ms: How long within it a kernel or copy ran on the GPU (union of their intervals); ``None`` without a GPU.
        launches: Kernels and copies within it.
        kernels: Those that took longest, longest first.
        file: The trace's name in the run's ``outputs/``, for a trace viewer.
    """

    stage: str
    loop_ms: float
    busy_ms: float | None
    launches: int
    kernels: tuple[KernelTime, ...]
    file: str


@dataclass(frozen=True)
class CallFinished:
    """One call of one stage.

    Attributes:
        loop_ms: From the start of step 1 to the last update, by device events.
        host_loop_ms: The same by the host's clock, from the bar's creation to its close (tqdm's figure).
        wall_ms: The whole call by the host's clock, device idle before and after.
        text_encoding_ms: By device events, as are the three below; the four sum to the call's device time.
        peak_allocated_mib: Of torch's allocator during the call; ``None`` without a GPU.
        peak_reserved_mib: Of torch's allocator during the call; ``None`` without a GPU.
        compilation: What was compiled during the call; ``None`` where nothing was.
    """

    KIND: ClassVar[str] = "call.finished"
    cell: str
    call: int
    stage: str
    steps: int
    forwards: int
    loop_ms: float
    host_loop_ms: float
    wall_ms: float
    text_encoding_ms: float
    denoising_ms: float
    vae_ms: float
    other_ms: float
    peak_allocated_mib: float | None = None
    peak_reserved_mib: float | None = None
    compilation: Compilation | None = None


@dataclass(frozen=True)
class Telemetry:
    """Device or process figures that changed since the cell's previous telemetry event.

    Attributes:
        source: ``gpu`` (NVML) or ``process`` (the worker's own, where there is no GPU).
        changed: Field name with its unit to the new value; ``None`` where it is not available.
    """

    KIND: ClassVar[str] = "telemetry"
    cell: str
    source: Literal["gpu", "process"]
    changed: Mapping[str, Any]


@dataclass(frozen=True)
class CellFinished:
    """A process of a cell ended, in whatever way.

    Attributes:
        phase: In which it ended.
        call: In which it ended, counted from 1; ``None`` before the first.
        reason: One line; empty where the status is ok.
        summary: Added by the supervisor.
        traces: One per stage, where the plan asked for them.
        precision: What it came to, where the plan asked for one and a cell ended ok. Added by the supervisor.
        flops: By stage, the floating-point operations of one evaluation of its denoisers: the whole batch, guidance
            included. Stages that could not be counted are missing.
        process: Which of the cell's processes it is, counted from 1. Added by the supervisor.
    """

    KIND: ClassVar[str] = "cell.finished"
    cell: str
    status: Status
    phase: Phase
    call: int | None = None
    reason: str = ""
    summary: CellSummary | None = None
    traces: tuple[StageTrace, ...] = ()
    precision: PrecisionReached | None = None
    flops: Mapping[str, float] = field(default_factory=dict)
    process: int = 1


@dataclass(frozen=True)
class CellChecked:
    """A cell's output was held against another's, both of this run.

    Attributes:
        against: The other cell.
        distance: Between the two; ``None`` where they do not compare.
        reason: Why they do not, in one line.
        readable: Whether both could be read; where they could and do not compare, the check has failed.
    """

    KIND: ClassVar[str] = "cell.checked"
    cell: str
    against: str
    distance: Distance | None
    reason: str = ""
    readable: bool = True


WAITING = "waiting for "
"""How a log begins that says that the run waits for its device, and for whom."""


@dataclass(frozen=True)
class Log:
    """A line worth keeping in the journal."""

    KIND: ClassVar[str] = "log"
    message: str
    level: Literal["info", "warning", "error"] = "info"
    cell: str | None = None


Event = (
    RunStarted
    | RunForecast
    | RungFinished
    | RunFinished
    | CellQueued
    | CellStarted
    | CellPhase
    | Step
    | CallFinished
    | Telemetry
    | CellFinished
    | CellChecked
    | Log
)
KINDS: dict[str, type[Any]] = {
    cls.KIND: cls
    for cls in (
        RunStarted,
        RunForecast,
        RungFinished,
        RunFinished,
        CellQueued,
        CellStarted,
        CellPhase,
        Step,
        CallFinished,
        Telemetry,
        CellFinished,
        CellChecked,
        Log,
    )
}


@dataclass(frozen=True)
class Stamped:
    """An event with the time it was made, in unix seconds."""

    t: float
    event: Event


_TO_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=encode).encode


def to_line(stamped: Stamped) -> str:
    """Returns the event as one JSON line, newline included.

    What is no Unicode, such as a file name's raw bytes in an error message, becomes ``?``.
    """
    head = {"v": SCHEMA_VERSION, "t": round(stamped.t, 6), "kind": stamped.event.KIND}
    line = _TO_JSON({**head, **vars(stamped.event)}) + "\n"
    return line.encode(errors="replace").decode()


class OtherSchemaError(DecodeError):
    """A line is of another version of sdtui, whose events this one does not know."""


def from_line(line: str | bytes) -> Stamped:
    """Reads one JSON line.

    Raises:
        OtherSchemaError: The line is of another schema, or of a kind that this one does not have.
        DecodeError: The line is no event.
    """
    try:
        value = json.loads(line if isinstance(line, str) else line.decode())
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"not JSON: {error}") from error
    if not isinstance(value, dict):
        raise DecodeError("not an object")
    version, kind, t = value.get("v"), value.get("kind"), value.get("t")
    if version != SCHEMA_VERSION:
        raise OtherSchemaError(f"schema version {version!r}, this sdtui reads {SCHEMA_VERSION}")
    if not isinstance(kind, str) or kind not in KINDS:
        raise OtherSchemaError(f"unknown kind {kind!r}")
    if not isinstance(t, (int, float)) or isinstance(t, bool):
        raise DecodeError("'t' is no time")
    return Stamped(finite(t, "'t'"), decode(KINDS[kind], value))
