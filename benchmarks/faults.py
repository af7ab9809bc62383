"""How far a mode's output lies from no-compile's, and how far a deliberate fault's: what the output check rests on.

    python benchmarks/faults.py --steps 8 50 -o faults.json
    python benchmarks/faults.py --pipeline sd-controlnet --mode compile --steps 50
    python benchmarks/faults.py --scale tiny --device cpu --mode no-compile bf16

In one process, per pipeline and number of steps: each mode's output as it should be, and each fault's, made without
compiling, once in the dtype that no-compile has and once in that of each other mode. Every output is held against that
of no-compile, through the files that a worker keeps, by the same code as in a run. All eager modes and all faults come
first, the compiling modes last. A row is printed, and the JSON written, as soon as it is known.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pipelines
import torch

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.check import Limits, limits_for, too_far
from sdtui.distance import OutputsError, distance
from sdtui.model.cell import Cell, Dtype, Stage
from sdtui.worker import options, outputs
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.clock import clock_for
from sdtui.worker.timing import PipelineTimer

PIPELINES = ("sd-txt2img", "sd-controlnet")
MODES = (
    "no-compile",
    "channels-last",
    "sdpa-attention",
    "vanilla-attention",
    "bf16",
    "compile",
    "compile-channels-last",
)
COARSER = {"float32": "float16", "float16": "bfloat16"}
"""The wrong dtype of each: the next one that holds fewer digits."""

Kwargs = dict[str, Any]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong in a call.

    Attributes:
        arguments: Of each stage's call, replaced.
        timesteps: What the scheduler's timesteps become.
        denoiser: Changes the positional and keyword arguments of each call of a denoiser; made afresh for each call of
            a stage.
        pipelines: Those that it can go wrong in; empty means all.
    """

    arguments: Mapping[str, Any] = field(default_factory=dict)
    timesteps: Callable[[torch.Tensor], torch.Tensor] | None = None
    denoiser: Callable[[], Callable[[list[Any], Kwargs], None]] | None = None
    pipelines: tuple[str, ...] = ()


def stuck_timestep() -> Callable[[list[Any], Kwargs], None]:
    """Gives the denoiser the first timestep at every step; its callers pass the timestep second."""
    first: list[Any] = []

    def change(args: list[Any], kwargs: Kwargs) -> None:  # noqa: ARG001
        if not first:
            first.append(args[1].clone())
        args[1] = first[0]

    return change


def zeroed_embeddings() -> Callable[[list[Any], Kwargs], None]:
    """Zeroes the prompt's embeddings; with guidance they are the second half of the batch."""

    def change(args: list[Any], kwargs: Kwargs) -> None:  # noqa: ARG001
        zeroed = kwargs["encoder_hidden_states"].clone()
        zeroed[len(zeroed) // 2 :] = 0
        kwargs["encoder_hidden_states"] = zeroed

    return change


def without(index: float) -> Callable[[torch.Tensor], torch.Tensor]:
    """Leaves out one timestep: the first at 0, the last at 1, that in the middle at 0.5."""

    def change(timesteps: torch.Tensor) -> torch.Tensor:
        at = round(index * (len(timesteps) - 1))
        return torch.cat([timesteps[:at], timesteps[at + 1 :]])

    return change


FAULTS = {
    "guidance dropped": Fault(arguments={"guidance_scale": 1.0}),
    "timestep stuck": Fault(denoiser=stuck_timestep),
    "first step missing": Fault(timesteps=without(0)),
    "middle step missing": Fault(timesteps=without(0.5)),
    "last step missing": Fault(timesteps=without(1)),
    "prompt embeddings zeroed": Fault(denoiser=zeroed_embeddings),
    "ControlNet residuals dropped": Fault(
        arguments={"controlnet_conditioning_scale": 0.0}, pipelines=("sd-controlnet",)
    ),
}
OTHER_SEED = "other seed (for scale, no fault)"


@dataclass(frozen=True)
class Loaded:
    """A stage with its pipeline, and what calls that in its mode."""

    stage: Stage
    pipe: Any
    call: Callable[..., Any]
    timer: PipelineTimer


class Bench:
    """One cell's pipelines, in this process."""

    def __init__(self, cell: Cell, device: str, dtype: str | None = None) -> None:
        self._cell = cell
        self._device = device
        self._dtype: torch.dtype = getattr(torch, dtype or cell.dtype)
        options.apply_global(cell.mode, device)
        self._stages = [self._load(stage) for stage in cell.stages]

    def _load(self, stage: Stage) -> Loaded:
        pipe = build(stage, self._cell.seed, self._device, self._dtype)
        call = options.apply(self._cell.mode, stage, pipe).call
        return Loaded(stage, pipe, call, PipelineTimer(pipe, stage.denoisers[0], clock_for(self._device)))

    def write(self, folder: Path, name: str, steps: int, fault: Fault | None = None, seed: int | None = None) -> int:
        """Calls every stage, keeps the output as a worker does, under ``name``, and returns denoiser evaluations."""
        cell = self._cell if seed is None else dataclasses.replace(self._cell, seed=seed)
        fault = fault or Fault()
        images: dict[str, Any] = {}
        forwards = 0
        for loaded in self._stages:
            kwargs = arguments(cell, loaded.stage, self._device, self._dtype, images)
            kwargs |= {"num_inference_steps": steps, **fault.arguments}
            with _going_wrong(loaded, fault):
                output, timing = loaded.timer.time(functools.partial(loaded.call, **kwargs), lambda _: None)
            images[loaded.stage.name] = output.images
            forwards += timing.forwards
        outputs.save(output.images, loaded.timer.final_latents, folder, name)
        return forwards

    def round_weights_to_fp8(self) -> None:
        """Rounds the denoisers' matrices and kernels to e4m3, each tensor scaled to its range as fp8 inference does."""
        for parameter in (each for loaded in self._stages for each in _parameters(loaded)):
            if parameter.dim() >= 2:
                scale = parameter.abs().max().float() / torch.finfo(torch.float8_e4m3fn).max
                rounded = (parameter.float() / scale).to(torch.float8_e4m3fn).float() * scale
                parameter.data.copy_(rounded.to(parameter.dtype))


def _parameters(loaded: Loaded) -> Iterator[torch.nn.Parameter]:
    for name in loaded.stage.denoisers:
        yield from getattr(loaded.pipe, name).parameters()


@contextlib.contextmanager
def _going_wrong(loaded: Loaded, fault: Fault) -> Iterator[None]:
    """Goes wrong as ``fault`` says while this is open."""
    with contextlib.ExitStack() as stack:
        if fault.denoiser:
            change = fault.denoiser()
            for name in loaded.stage.denoisers:
                hook = getattr(loaded.pipe, name).register_forward_pre_hook(_hook(change), with_kwargs=True)
                stack.callback(hook.remove)
        if fault.timesteps:
            scheduler = loaded.pipe.scheduler
            scheduler.set_timesteps = _changed(type(scheduler).set_timesteps.__get__(scheduler), fault.timesteps)
            stack.callback(delattr, scheduler, "set_timesteps")
        yield


def _hook(change: Callable[[list[Any], Kwargs], None]) -> Callable[..., tuple[tuple[Any, ...], Kwargs]]:
    def hook(_: Any, args: tuple[Any, ...], kwargs: Kwargs) -> tuple[tuple[Any, ...], Kwargs]:
        listed, changed = list(args), dict(kwargs)
        change(listed, changed)
        return tuple(listed), changed

    return hook


def _changed(set_timesteps: Callable[..., None], change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[..., None]:
    """Wraps a scheduler's ``set_timesteps``, which a pipeline calls to have the timesteps that it then goes along."""

    def changed(*args: Any, **kwargs: Any) -> None:
        set_timesteps(*args, **kwargs)
        scheduler = set_timesteps.__self__  # type: ignore[attr-defined]
        scheduler.timesteps = change(scheduler.timesteps)

    return changed


@dataclass(frozen=True)
class Row:
    """One output's distance from that of no-compile.

    Attributes:
        steps: Of every stage.
        kind: ``rightful`` for a mode's own output, ``fault``, or ``scale`` for what is neither.
        what: The mode, or the fault.
        dtype: Of the mode that it is held against no-compile as; a wrong dtype is made in another.
        forwards: Denoiser evaluations of the call.
        verdict: Whether the output check passes it, and where not, why.
    """

    pipeline: str
    steps: int
    kind: str
    what: str
    dtype: Dtype
    relative_l2: float | None
    psnr_db: float | None
    max_difference: int | None
    forwards: int
    verdict: str
    seconds: float


class Table:
    """Makes the rows of one pipeline, for one or more numbers of steps."""

    def __init__(self, cells: Mapping[str, Cell], device: str, steps: Sequence[int], folder: Path) -> None:
        """Takes the cells by mode; ``no-compile`` is among them.

        Args:
            cells: Of one pipeline.
            device: Where they run.
            steps: Of each call.
            folder: For the outputs.
        """
        self._cells = cells
        self._base = cells["no-compile"]
        self._device = device
        self._steps = steps
        self._folder = folder
        self._forwards: dict[int, int] = {}

    def eager(self) -> Iterator[Row]:
        """Yields no-compile against itself, every eager mode, and every fault in every dtype."""
        bench = Bench(self._base, self._device)
        for steps in self._steps:
            self._forwards[steps] = bench.write(self._folder, self._against(steps), steps)
            yield self._row(bench, steps, "rightful", "no-compile, once more", self._base.dtype)
            yield self._row(bench, steps, "scale", OTHER_SEED, self._base.dtype, seed=self._base.seed + 1)
        del bench
        for name, cell in self._cells.items():
            if not cell.mode.compile:
                yield from self._mode(f"{name}, built anew" if name == "no-compile" else name, cell)
        for dtype in dict.fromkeys(cell.dtype for cell in self._cells.values()):
            yield from self._faults(dtype)

    def compiled(self) -> Iterator[Row]:
        """Yields every compiling mode; its second call is taken, as the first may not replay CUDA graphs yet."""
        for name, cell in self._cells.items():
            if cell.mode.compile:
                torch._dynamo.reset()
                yield from self._mode(name, cell)

    def _mode(self, name: str, cell: Cell) -> Iterator[Row]:
        with pipelines.own_process(self._device):
            bench = Bench(cell, self._device)
            if cell.mode.compile:
                bench.write(self._folder, "warm-up", self._steps[0])
            for steps in self._steps:
                yield self._row(bench, steps, "rightful", name, cell.dtype)

    def _faults(self, dtype: Dtype) -> Iterator[Row]:
        bench = Bench(self._base, self._device, dtype)
        for name, fault in FAULTS.items():
            if not fault.pipelines or self._base.slot.pipeline in fault.pipelines:
                for steps in self._steps:
                    yield self._row(bench, steps, "fault", name, dtype, fault)
        name = "weights rounded to fp8 (e4m3)"
        bench.round_weights_to_fp8()
        for steps in self._steps:
            yield self._row(bench, steps, "fault", name, dtype)
        del bench
        if wrong := COARSER.get(dtype):
            bench = Bench(self._base, self._device, wrong)
            for steps in self._steps:
                yield self._row(bench, steps, "fault", f"{wrong} in place of {dtype}", dtype)

    def _against(self, steps: int) -> str:
        return f"no-compile-{steps}"

    def _row(
        self,
        bench: Bench,
        steps: int,
        kind: str,
        what: str,
        dtype: Dtype,
        fault: Fault | None = None,
        seed: int | None = None,
    ) -> Row:
        start = time.perf_counter()
        forwards = bench.write(self._folder, "output", steps, fault, seed)
        more = forwards - self._forwards[steps]
        reasons = [f"{more:+} denoiser evaluations"] if more else []
        try:
            found = dataclasses.asdict(apart := distance(self._folder, "output", self._against(steps)))
            reasons.append(too_far(apart, self._limits(dtype)))
        except OutputsError as error:
            found = {"relative_l2": None, "psnr_db": None, "max_difference": None}
            reasons.append(str(error))
        reason = ", ".join(filter(None, reasons))
        return Row(
            pipeline=self._base.slot.pipeline,
            steps=steps,
            kind=kind,
            what=what,
            dtype=dtype,
            **found,
            forwards=forwards,
            verdict=f"failed: {reason}" if reason else "passed",
            seconds=round(time.perf_counter() - start, 2),
        )

    def _limits(self, dtype: Dtype) -> Limits:
        return limits_for(dataclasses.replace(self._base, dtype=dtype), self._base, self._device != "cpu")


def cells(pipeline: str, modes: Sequence[str], scale: str, device: str, size: int | None, seed: int) -> dict[str, Cell]:
    """Returns the cells of one pipeline by mode, ``no-compile`` first."""
    catalog = load_catalog()
    wanted = {"pipelines": [pipeline], "modes": list(dict.fromkeys(["no-compile", *modes])), "batch_sizes": [1]}
    given = {"scale": scale, "device": device, "seed": seed, **({"size": size} if size else {})}
    plan = resolve_plan(catalog, None, wanted | given, gpu_available=True)
    return {cell.mode.name: cell for cell in expand(plan, catalog)}


def rows(tables: Sequence[Table]) -> Iterator[Row]:
    """Yields the rows of all tables, those of compiling modes last."""
    for make in (Table.eager, Table.compiled):
        for table in tables:
            yield from make(table)
            gc.collect()


def line(row: Row) -> str:
    """Writes a row for people."""
    psnr = f"{row.psnr_db:.1f} dB" if row.psnr_db is not None else "equal" if row.relative_l2 is not None else "none"
    relative = "none" if row.relative_l2 is None else f"{row.relative_l2:.3g}"
    return (
        f"{row.pipeline:<14} {row.steps:>3} steps  {row.kind:<8}  {row.dtype:<8}  {row.what:<34} "
        f"rel L2 {relative:<9} {psnr:>8}  max {row.max_difference!s:>4}  {row.seconds:6.1f} s  {row.verdict}"
    )


def main() -> None:
    """Prints every row, and writes them all as JSON after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pipeline", nargs="+", default=list(PIPELINES))
    parser.add_argument("--mode", nargs="+", default=list(MODES), help="default: %(default)s")
    parser.add_argument("--scale", default="full")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--steps", nargs="+", type=int, default=[8])
    parser.add_argument("--size", type=int, help="of the image in pixels; default: the pipeline's own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    device = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else "CPU"
    head = {"device": device, "torch": torch.__version__, "scale": chosen.scale, "seed": chosen.seed}
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for pipeline in chosen.pipeline:
            (Path(folder) / pipeline).mkdir()
            measured = cells(pipeline, chosen.mode, chosen.scale, chosen.device, chosen.size, chosen.seed)
            tables.append(Table(measured, chosen.device, chosen.steps, Path(folder) / pipeline))
        for row in rows(tables):
            print(line(row), flush=True)
            found.append(dataclasses.asdict(row))
            if chosen.output:
                chosen.output.write_text(json.dumps({**head, "rows": found}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
