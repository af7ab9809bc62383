"""Small runs built by hand through the model, told to the reducer as a journal would tell them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from sdtui import statistics
from sdtui.model.cell import Cell, CompileOptions, Mode, Slot, Stage
from sdtui.model.events import (
    CallFinished,
    CellFinished,
    CellPhase,
    CellQueued,
    CellStarted,
    Event,
    Log,
    RunFinished,
    RunStarted,
    Stamped,
    Step,
    Telemetry,
)
from sdtui.model.machine import Gpu, Interpreter, Machine
from sdtui.model.precision import PrecisionReached
from sdtui.model.results import Phase, Status
from sdtui.records import RunRecord

NO_COMPILE = Mode("no-compile", "no compile", "Eager.")
COMPILE = Mode(
    "compile", "compile", "torch.compile, as the page did.", CompileOptions(mode="reduce-overhead", fullgraph=True)
)
BF16 = Mode("bf16", "bf16", dtype="bfloat16")
MODES = {mode.name: mode for mode in (NO_COMPILE, COMPILE, BF16)}
LABELS = {
    "sd-txt2img": "SD - txt2img",
    "sd-img2img": "SD - img2img",
    "if": "IF",
    "if-cascade": "IF - cascade",
}
STAGES = {"if": ("I", "II", "III"), "if-cascade": ("I", "II", "III")}
H100 = Machine(
    host="box",
    boot_id="b",
    system="Linux 6.1",
    cpu="Xeon",
    cpu_count=32,
    memory_mib=128000.0,
    governor=None,
    gpu=Gpu("NVIDIA H100 80GB HBM3", "GPU-1234", 0, 81559.0, "580.1", "13.0", power_limit_w=700.0, persistence=True),
)
CPU = Machine(host="laptop", boot_id="c", system="Linux 6.1", cpu="EPYC 7B13", cpu_count=2, governor="performance")


def make_cell(
    pipeline: str = "sd-txt2img",
    mode: str = "no-compile",
    batch_size: int = 1,
    environment: str = "current",
    work: str = "00000000",
    **changes: object,
) -> Cell:
    slot = Slot(pipeline, mode, environment, batch_size)
    tiny = ".tiny" if changes.get("scale") == "tiny" else ""
    stages = tuple(
        Stage(name, "StableDiffusionPipeline", (), {}, ("unet",), 2, 7.5, 512, 512, True, True)
        for name in STAGES.get(pipeline, ("main",))
    )
    spec = Cell(
        id=f"{slot}{tiny}-{work}",
        slot=slot,
        pipeline_label=LABELS[pipeline],
        mode=MODES[mode],
        scale="full",
        calls=3,
        dtype="float16",
        weights="random",
        seed=0,
        prompt="a photo",
        stages=stages,
    )
    return dataclasses.replace(spec, **changes)  # type: ignore[arg-type]


@dataclass
class Told:
    """A run being told, a second per event."""

    run: RunRecord
    machine: Machine
    torch: str
    t: float
    sitting: int = 0
    specs: dict[str, Cell] = field(default_factory=dict)

    def tell(self, *events: Event) -> Told:
        for event in events:
            self.run.apply(Stamped(self.t, event))
            self.t += 1.0
        return self

    def sit(
        self,
        name: str = "20261124T090000Z-box-h100-abcdef",
        processes: int = 1,
        label: str | None = None,
        **interpreters: str,
    ) -> Told:
        self.sitting += 1
        packages = {"torch": self.torch, "diffusers": "0.42.1", "xformers": None}
        environments = (
            Interpreter("current", "/venv/bin/python", "3.11.9", packages, "13.0", label),
            *(
                Interpreter(key, f"/{key}/bin/python", "3.12.1", {"torch": value, "diffusers": "0.42.1"})
                for key, value in interpreters.items()
            ),
        )
        device = "cuda:0" if self.machine.gpu else "cpu"
        flags = {"retry": ["oom"], "force": False} if self.sitting > 1 else {"retry": []}
        return self.tell(
            RunStarted(name, self.sitting, "0.1.0", self.machine, environments, device, 7, flags, processes=processes)
        )

    def queue(self, *specs: Cell) -> Told:
        for spec in specs:
            self.specs[spec.id] = spec
            self.tell(CellQueued(spec.id, spec))
        return self

    def call(self, spec: Cell, number: int, its: Iterable[float]) -> Told:
        gpu = self.machine.gpu is not None
        for stage, rate in zip(spec.stages, its, strict=False):
            ms = 1000 / rate
            events: list[Event] = [
                Step(spec.id, number, stage.name, step, 2, ms, 2 if step == 1 else 1) for step in (1, 2)
            ]
            done = CallFinished(spec.id, number, stage.name, 2, 3, 2 * ms, 2 * ms + 1, 2 * ms + 10, 1, 2 * ms, 4, 5)
            if gpu:
                done = dataclasses.replace(done, peak_allocated_mib=2600.4, peak_reserved_mib=3000.0)
            self.tell(*events, done)
        return self

    def measure(
        self,
        spec: Cell,
        *its: float,
        status: Status = "ok",
        phase: Phase = "measure",
        call: int | None = 3,
        reason: str = "",
        torch: str | None = None,
        process: int = 1,
        precision: PrecisionReached | None = None,
    ) -> Told:
        """Runs the cell: whole calls at these rates (one per stage) until it ends in ``call``."""
        if spec.id not in self.specs:
            self.queue(spec)
        self.tell(CellStarted(spec.id, self.sitting, 11, process), CellPhase(spec.id, "import"))
        versions: Mapping[str, str | None] = {"torch": torch or self.torch, "diffusers": "0.42.1"}
        self.tell(CellPhase(spec.id, "load", versions=versions))
        whole = 0 if call is None else call if status == "ok" else call - 1
        for number in range(1, whole + 1):
            self.tell(CellPhase(spec.id, "warm-up" if number == 1 else "measure", number))
            self.call(spec, number, its)
        source = "gpu" if self.machine.gpu else "process"
        self.tell(Telemetry(spec.id, source, {"power_w": 350.5, "ecc_errors": None}))
        summary = self._summary(spec)
        return self.tell(
            CellFinished(spec.id, status, phase, call, reason, summary, precision=precision, process=process)
        )

    def finish(self, status: str = "ok") -> Told:
        return self.tell(RunFinished(self.sitting, status, {"ok": len(self.run.cells)}))  # type: ignore[arg-type]

    def warn(self, message: str) -> Told:
        return self.tell(Log(message, "warning"))

    def _summary(self, spec: Cell):
        record, gpu = self.run.cells[spec.id], self.machine.gpu is not None
        return statistics.summarise(
            spec,
            record.steps,
            record.calls,
            record.phases,
            record.started or 0.0,
            self.t,
            gpu_utilisation_percent=97.25 if gpu else None,
            cpu_percent=None if gpu else 187.5,
            peak_vram_mib=4021.0 if gpu else None,
            peak_rss_mib=None if gpu else 1234.5,
        )


@pytest.fixture
def cell_spec() -> Callable[..., Cell]:
    return make_cell


@pytest.fixture
def cpu() -> Machine:
    return CPU


@pytest.fixture
def tell(tmp_path: Path) -> Callable[..., Told]:
    def begin(
        machine: Machine = H100, torch: str = "2.11.0+cu130", t: float = 1_795_500_000.0, name: str = "a"
    ) -> Told:
        folder = tmp_path / name
        folder.mkdir()
        return Told(RunRecord(folder), machine, torch, t)

    return begin


@pytest.fixture
def docs_run(tell: Callable[..., Told]) -> RunRecord:
    """A run on a GPU that met every outcome the page has, and was resumed."""
    pairs = [(mode, size) for mode in ("no-compile", "compile") for size in (1, 4)]
    text2img = [make_cell("sd-txt2img", mode, size) for mode, size in pairs]
    img2img = [make_cell("sd-img2img", mode, size) for mode, size in pairs]
    stages = [make_cell("if", mode, 1) for mode in ("no-compile", "compile")]
    told = tell().sit().queue(*text2img, *img2img, *stages)
    (told.run.path / "plan.toml").write_text('pipelines = ["sd-txt2img"]\nprompt = "```"\n')
    oom = "CUDA out of memory. Tried to allocate 2.00 GiB | <GPU 0>"
    told.measure(text2img[0], 28.1).measure(text2img[1], 0.4273)
    told.measure(text2img[2], 91.4).measure(text2img[3], 40.0, status="oom", call=2, reason=oom)
    told.measure(img2img[0], 27.5).measure(img2img[1], 9.0, status="oom", call=3, reason=oom)
    told.measure(img2img[2], status="oom", phase="load", call=None, reason="cannot load 'unet'")
    told.tell(RunFinished(1, "cancelled", {})).sit()
    told.measure(img2img[3], status="timeout", phase="warm-up", call=1, reason="no event for 600 s")
    told.measure(stages[0], 40.0, 20.5, 10.25)
    told.measure(stages[1], status="unsupported", phase="compile", call=None, reason="needs a GPU of __sm_70__")
    return told.warn("GPU clocks were limited: SW power cap").finish("incomplete").run


@pytest.fixture
def tiny_run(tell: Callable[..., Told]) -> RunRecord:
    """A run on a CPU at tiny scale, cut short."""
    told = tell(CPU, "2.13.0+cpu", t=1_795_600_000.0, name="tiny").sit("20261125T094640Z-laptop-epyc-7b13-123456")
    cells = [make_cell(name, scale="tiny", dtype="float32") for name in ("sd-txt2img", "if-cascade", "sd-img2img")]
    told.queue(*cells).measure(cells[0], 31.0).measure(cells[1], 50.0, 40.0, 30.0)
    return told.tell(CellStarted(cells[2].id, 1, 12), CellPhase(cells[2].id, "import")).run
