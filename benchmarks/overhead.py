"""What sdtui's timing costs: sd-txt2img under it against a plain tqdm bar, in one process, alternating calls.

    python benchmarks/overhead.py --mode no-compile --mode compile -o overhead.json
    python benchmarks/overhead.py --scale tiny --device cpu --seconds 30

Every pair is one call of each kind, in random order; the ratio is plain seconds over timed seconds, so 0.99 means that
sdtui's timing slows the call by 1 %. Both are measured from outside in the same way: the device idle, the host's clock,
one call, the device idle. Pairs are added until the 95 % bootstrap interval of the median ratio is no wider than 0.5 %
to either side, or a limit is reached, which the answer then says.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
from tqdm import tqdm

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.model.events import Step
from sdtui.worker import options
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.clock import clock_for
from sdtui.worker.emitter import Emitter
from sdtui.worker.timing import PipelineTimer

HALF_WIDTH = 0.005
FIRST_LOOK = 20
RESAMPLES = 2000


class Bench:
    """One pipeline that can be called plainly and under sdtui's timing."""

    def __init__(self, cell: Cell, device: str) -> None:
        stage = cell.stages[0]
        dtype = getattr(torch, cell.dtype)
        self.pipe = build(stage, cell.seed, device, dtype)
        options.apply(cell.mode, stage, self.pipe)
        self.clock = clock_for(device)
        self.arguments = lambda: arguments(cell, stage, device, dtype, {})
        denoiser = getattr(self.pipe, stage.denoisers[0])
        self.holders = [self.pipe.__dict__, self.pipe.vae.__dict__, denoiser._forward_pre_hooks]
        plain = [dict(holder) for holder in self.holders]
        self.timer = PipelineTimer(self.pipe, stage.denoisers[0], self.clock)
        self.update_us: list[float] = []
        self.timer.end_step = self._clocked(self.timer.end_step)  # type: ignore[method-assign]
        self.timed_state = [dict(holder) for holder in self.holders]
        self.plain_state = plain
        self.emitter = Emitter(_drained_pipe())
        self.cell = cell.id

    def plain(self) -> float:
        """Returns the seconds of one call with a tqdm bar."""
        self._restore(self.plain_state)
        self.pipe.progress_bar = lambda iterable=None, total=None: tqdm(iterable, total=total, file=sys.stderr)
        return self._seconds(lambda: self.pipe(**self.arguments()))

    def timed(self) -> float:
        """Returns the seconds of one call under sdtui's timing, its events sent to another process."""
        self._restore(self.timed_state)
        return self._seconds(lambda: self.timer.time(lambda: self.pipe(**self.arguments()), self._on_step))

    def _on_step(self, step: int, steps: int, ms: float, forwards: int) -> None:
        self.emitter.emit(Step(self.cell, 1, "main", step, steps, ms, forwards))

    def _clocked(self, end_step: Callable[[], None]) -> Callable[[], None]:
        """Adds up what the host spends in sdtui's own code at each step: marking, reading marks, sending events."""

        def clocked() -> None:
            start = time.perf_counter()
            end_step()
            self.update_us.append((time.perf_counter() - start) * 1e6)

        return clocked

    def _restore(self, state: list[dict[Any, Any]]) -> None:
        for holder, saved in zip(self.holders, state, strict=True):
            holder.clear()
            holder.update(saved)

    def _seconds(self, call: Callable[[], Any]) -> float:
        self.clock.wait()
        start = time.perf_counter()
        call()
        self.clock.wait()
        return time.perf_counter() - start


def _drained_pipe() -> int:
    """Returns a descriptor whose reader is another process, as a supervisor is."""
    read, write = os.pipe()
    subprocess.Popen(["cat"], stdin=read, stdout=subprocess.DEVNULL)
    os.close(read)
    return write


def interval(ratios: list[float]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the median (seeded)."""
    chance = random.Random(0)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return medians[round(0.025 * RESAMPLES)], medians[round(0.975 * RESAMPLES) - 1]


def compare(cell: Cell, device: str, seconds: float, max_pairs: int) -> Iterator[dict[str, Any]]:
    """Alternates calls until the interval is narrow enough, or a limit is reached; yields the state at each look."""
    bench = Bench(cell, device)
    for _ in range(2):
        bench.plain()
        bench.timed()
    bench.update_us.clear()
    chance = random.Random(1)
    samples: list[dict[str, float]] = []
    deadline = time.monotonic() + seconds
    resolved = False
    while not resolved and len(samples) < max_pairs and time.monotonic() < deadline:
        kinds = ["plain", "timed"]
        chance.shuffle(kinds)
        samples.append({kind: getattr(bench, kind)() for kind in kinds})
        if len(samples) % 5 == 0:
            state = _state(cell, samples, bench.update_us)
            low, high = state["interval"]
            resolved = len(samples) >= FIRST_LOOK and (high - low) / 2 <= HALF_WIDTH
            yield {**state, "resolved": resolved}


def _state(cell: Cell, samples: list[dict[str, float]], update_us: list[float]) -> dict[str, Any]:
    ratios = [sample["plain"] / sample["timed"] for sample in samples]
    low, high = interval(ratios)
    return {
        "cell": cell.id,
        "pairs": len(samples),
        "ratio": statistics.median(ratios),
        "interval": [low, high],
        "at_least_0.99": low >= 0.99,
        "plain_s": statistics.median(sample["plain"] for sample in samples),
        "timed_s": statistics.median(sample["timed"] for sample in samples),
        "host_us_per_step": statistics.median(update_us),
        "samples": samples,
    }


def main() -> None:
    """Compares each mode and prints a line for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mode", action="append", help="default: no-compile and compile")
    parser.add_argument("--scale", default="full")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--steps", type=int, default=50, help="of a call: short calls pair better on a noisy host")
    parser.add_argument("--seconds", type=float, default=240, help="per mode, after warm-up")
    parser.add_argument("--pairs", type=int, default=1000, help="at most, per mode")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    catalog = load_catalog()
    overrides = {
        "pipelines": ["sd-txt2img"],
        "modes": chosen.mode or ["no-compile", "compile"],
        "batch_sizes": [1],
        "scale": chosen.scale,
        "steps": chosen.steps,
        "device": chosen.device,
    }
    plan = resolve_plan(catalog, None, overrides, gpu_available=True)
    device = torch.cuda.get_device_name() if chosen.device.startswith("cuda") else "CPU"
    results: list[dict[str, Any]] = []
    for cell in expand(plan, catalog):
        results.append({})
        for state in compare(cell, chosen.device, chosen.seconds, chosen.pairs):
            results[-1] = {"device": device, "torch": torch.__version__, "steps": chosen.steps, **state}
            if chosen.output:  # at each look, so that a run cut short still says what it found
                chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(_line(results[-1]))


def _line(result: dict[str, Any]) -> str:
    low, high = result["interval"]
    return (
        f"{result['cell']} on {result['device']}: plain / timed = {result['ratio']:.4f}, "
        f"95 % interval {low:.4f} to {high:.4f}, {result['pairs']} pairs, "
        f"{'resolved' if result['resolved'] else 'not resolved'} to 0.5 %; "
        f"median call of {result['steps']} steps {result['plain_s']:.4f} s plain, {result['timed_s']:.4f} s timed; "
        f"sdtui's own code {result['host_us_per_step']:.0f} us a step"
    )


if __name__ == "__main__":
    main()
