"""What each option of the mode fast is worth: sd-txt2img, a rung at a time, all in one process, interleaved.

    python benchmarks/ladder.py --batch-size 1 --seconds 540 -o ladder-b1.json
    python benchmarks/ladder.py --modes no-compile,compile,graphs-layout,inductor-freezing -o freezing.json
    python benchmarks/ladder.py --scale tiny --device cpu --modes no-compile,channels-last --seconds 20

A rung is a mode: those of the catalog, and those of ``RUNGS``, which a person could have written into a plan. One after
another is built, compiled and captured, and then calls are made in rounds: each round calls every rung so far once, in
random order, so that a host or a clock that drifts meanwhile slows each alike. A rung's figure in a round is the median
of the call's steps by device events, without the first, in which PNDM evaluates the UNet twice; its figure is the
median over rounds, with the 95 % bootstrap interval. The ratio to ``compile`` is taken round by round.

``relative_l2`` is how far the final latents lie from those of ``no-compile``, the first rung, where it is among them.
A rung that cannot be had (unsupported, out of memory, does not compile) is written down with the reason, and the others
go on. Everything is written after each rung and each round: a run cut short still says what it found.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pipelines
import torch
from overhead_rounds import interval

from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.worker.reasons import one_line
from sdtui.worker.timing import StepTime

BASE, RECIPE, TOP = "no-compile", "compile", "graphs-layout"


def _inductor(**options: Any) -> dict[str, Any]:
    return {"extends": TOP, "compile": {"options": options}}


RUNGS: dict[str, dict[str, Any]] = {
    "graphs": {"step_graphs": True, "compile": {"backend": "inductor", "fullgraph": True}},
    "graphs-channels-last": {"extends": "graphs", "memory_format": "channels_last"},
    "graphs-fused": {"extends": "graphs-channels-last", "fuse_qkv": True},
    "graphs-precompute": {"extends": "graphs-fused", "precompute": True},
    TOP: {"extends": "graphs-precompute", "compile": {"options": {"layout_optimization": False}}},
    "sdpa-cudnn": {"extends": TOP, "sdpa_backends": ["cudnn", "flash", "efficient"]},
    "sdpa-flash": {"extends": TOP, "sdpa_backends": ["flash"]},
    "sdpa-efficient": {"extends": TOP, "sdpa_backends": ["efficient"]},
    "cudnn-benchmark": {"extends": TOP, "cudnn_benchmark": True},
    "inductor-pdl": _inductor(**{"triton.enable_pdl": True}),
    "inductor-combo-kernels": _inductor(combo_kernels=True),
    "inductor-cooperative-reductions": _inductor(**{"triton.cooperative_reductions": True}),
    "inductor-pointwise-autotune": _inductor(max_autotune_pointwise=True),
    "inductor-conv-1x1": _inductor(conv_1x1_as_mm=True),
    "inductor-no-epilogue-fusion": _inductor(epilogue_fusion=False),
    "inductor-shape-padding": _inductor(force_shape_pad=True),
    "inductor-freezing": _inductor(freezing=True),
    "inductor-aten-autotune": _inductor(max_autotune_gemm=True, max_autotune_gemm_backends="ATEN"),
    "inductor-coordinate-descent": _inductor(coordinate_descent_tuning=True),
    "inductor-gemm-autotune": _inductor(max_autotune_gemm=True, max_autotune_conv_backends="ATEN"),
    "inductor-gemm-conv-autotune": _inductor(max_autotune_gemm=True),
}
"""Modes by name, as their tables are written; the slowest to compile last. ``fast`` is `TOP` and a compiled VAE."""

LADDER = (BASE, RECIPE, *list(RUNGS)[:5], "fast", *list(RUNGS)[5:])
COMPILED_AT_ONCE = 64
"""Compiled forms of one UNet class that torch may keep: each rung has its own, and torch's limit is 8."""
FEWEST_CALLS = 6
"""Of fewer, a bootstrap interval of the median would cover it in less than 92 of 100 cases."""
ROUNDS_PER_RUNG = 2
"""Made as soon as a rung is there, with all before it."""

Call = Callable[[], tuple[list[float], torch.Tensor]]
"""Makes one call: the milliseconds of its steps, and the final latents."""


@dataclass
class Rung:
    """A mode that is there to be called, or the reason why not.

    Attributes:
        build_s: Seconds to build, and for the first call: compilation, warm-up and capture.
    """

    mode: str
    cell: str
    call: Call | None = None
    reason: str = ""
    build_s: float | None = None
    relative_l2: float | None = None


@dataclass
class Ladder:
    """The rungs so far, and what their calls took: in each round, the milliseconds of the median step by mode."""

    rungs: list[Rung] = field(default_factory=list)
    rounds: list[dict[str, float]] = field(default_factory=list)
    latents: torch.Tensor | None = None

    def add(self, rung: Rung, build: Callable[[], Call]) -> None:
        """Builds a rung and makes its first call, which says what it puts out."""
        self.rungs.append(rung)
        start = time.perf_counter()
        with self._written_down(rung):
            call = build()
            _, latents = call()
            rung.build_s = time.perf_counter() - start
            rung.call = call
            if rung.mode == BASE:
                self.latents = latents.clone()
            elif self.latents is not None:
                rung.relative_l2 = relative_l2(latents, self.latents)

    def round(self, chance: random.Random) -> None:
        """Calls each rung once, in random order."""
        there = [rung for rung in self.rungs if rung.call]
        took: dict[str, float] = {}
        for rung in chance.sample(there, len(there)):
            with self._written_down(rung):
                assert rung.call is not None
                took[rung.mode] = step_ms(rung.call()[0])
        self.rounds.append(took)

    @contextlib.contextmanager
    def _written_down(self, rung: Rung) -> Iterator[None]:
        """Keeps what a rung dies of as its reason, and goes on without it."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            rung.call, rung.reason = None, one_line(f"{type(error).__name__}: {error}")


def step_ms(steps: Sequence[float]) -> float:
    """Returns the median of a call's steps but the first; of one step, that."""
    return statistics.median(steps[1:] or steps)


def relative_l2(latents: torch.Tensor, reference: torch.Tensor) -> float:
    """Returns the L2 norm of the difference over that of the reference."""
    latents, reference = latents.double(), reference.double()
    return float((latents - reference).norm() / reference.norm())


def findings(ladder: Ladder) -> list[dict[str, Any]]:
    """Returns what is known of each rung, in order."""
    return [_finding(rung, ladder.rounds) for rung in ladder.rungs]


def _finding(rung: Rung, rounds: Sequence[dict[str, float]]) -> dict[str, Any]:
    took = [each[rung.mode] for each in rounds if rung.mode in each]
    ratios = [each[RECIPE] / each[rung.mode] for each in rounds if rung.mode in each and RECIPE in each]
    return {
        "mode": rung.mode,
        "cell": rung.cell,
        "reason": rung.reason,
        "build_s": rung.build_s,
        "relative_l2": rung.relative_l2,
        "calls": len(took),
        "step_ms": _median(took),
        "faster_than_compile": _median(ratios),
    }


def _median(values: Sequence[float]) -> dict[str, Any] | None:
    """Returns a median with its interval, which fewer than `FEWEST_CALLS` do not give; ``None`` of nothing."""
    if not values:
        return None
    return {"median": statistics.median(values), "interval": interval(values) if len(values) >= FEWEST_CALLS else None}


def climb(cells: Iterable[Cell], device: str, seconds: float, chance: random.Random) -> Iterator[Ladder]:
    """Builds and calls rung after rung, then goes on in rounds; yields the ladder after each rung and round.

    Args:
        cells: One for each rung, in order.
        device: Such as ``cuda:0``.
        seconds: In all; what has begun by then is ended.
        chance: Orders the calls of a round.
    """
    _keep_what_is_compiled()
    ladder = Ladder()
    deadline = time.monotonic() + seconds
    for cell in cells:
        if time.monotonic() > deadline:
            return
        with pipelines.own_process(device):
            ladder.add(Rung(cell.slot.mode, cell.id), lambda cell=cell: built(cell, device))  # type: ignore[misc]
        yield ladder
        for _ in range(ROUNDS_PER_RUNG):
            ladder.round(chance)
        yield ladder
    while time.monotonic() < deadline and any(rung.call for rung in ladder.rungs):
        ladder.round(chance)
        yield ladder


def built(cell: Cell, device: str) -> Call:
    """Builds a cell's pipeline in its mode, and returns what calls it."""
    loaded = pipelines.load(cell, device)

    def call() -> tuple[list[float], torch.Tensor]:
        times: list[StepTime] = []
        loaded.timer.time(loaded.call, times.extend)
        assert loaded.timer.final_latents is not None
        return [step.ms for step in times], loaded.timer.final_latents

    return call


def _keep_what_is_compiled() -> None:
    for limit in ("recompile_limit", "cache_size_limit"):  # by the later and the earlier name
        if hasattr(torch._dynamo.config, limit):
            setattr(torch._dynamo.config, limit, COMPILED_AT_ONCE)


def cells_of(chosen: argparse.Namespace) -> tuple[Cell, ...]:
    """Returns the cells of the rungs that were asked for.

    Raises:
        UserError: There is no such mode, scale or number of steps.
    """
    chosen.mode = chosen.modes.split(",") if chosen.modes else list(LADDER)
    return tuple(pipelines.cells(chosen, RUNGS))


def main() -> None:
    """Climbs the ladder, and prints a line for each rung."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--modes", help="rungs, separated by commas; default: " + ",".join(LADDER))
    parser.add_argument("--scale", default="full")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--steps", type=int, default=50, help="of a call; default 50")
    parser.add_argument("--batch-size", type=int, default=1, help="default 1")
    parser.add_argument("--seconds", type=float, default=540, help="in all; what has begun by then is ended")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    try:
        cells = cells_of(chosen)
    except UserError as error:
        parser.error(str(error))
    ladder = Ladder()
    for ladder in climb(cells, chosen.device, chosen.seconds, random.Random(1)):
        _write(chosen, ladder)
    for found in findings(ladder):
        print(_line(found))


def _write(chosen: argparse.Namespace, ladder: Ladder) -> None:
    if chosen.output is None:
        return
    result = {
        "device": pipelines.device_name(chosen.device),
        "torch": torch.__version__,
        **{key: getattr(chosen, key) for key in ("scale", "steps", "batch_size")},
        "rungs": findings(ladder),
        "rounds": ladder.rounds,
    }
    partial = chosen.output.with_name(f"{chosen.output.name}.partial")
    partial.write_text(json.dumps(result) + "\n", encoding="utf-8")
    partial.replace(chosen.output)


def _line(found: dict[str, Any]) -> str:
    if found["step_ms"] is None:
        return f"{found['mode']:<28} {found['reason'] or 'was not called'}"
    words = [f"{found['mode']:<28} {found['step_ms']['median']:8.3f} ms a step"]
    if ends := found["step_ms"]["interval"]:
        words[0] += f" ({ends[0]:.3f} to {ends[1]:.3f})"
    if found["faster_than_compile"]:
        words.append(f"{found['faster_than_compile']['median']:.3f} times as fast as compile")
    if found["relative_l2"] is not None:
        words.append(f"relative L2 {found['relative_l2']:.1e}")
    return ", ".join([*words, f"built in {found['build_s']:.0f} s"]) + (
        f"; then {found['reason']}" if found["reason"] else ""
    )


if __name__ == "__main__":
    main()
