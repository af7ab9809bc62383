"""Does it matter that weights are random? The denoiser's speed with weights of several kinds, swapped in place.

    python benchmarks/weights.py --batch-size 16 --seconds 150 -o weights-16.json
    python benchmarks/weights.py --batch-size 1 --seconds 60 --mode compile
    python benchmarks/weights.py --scale tiny --device cpu --mode no-compile --seconds 20

One process and one pipeline per mode: weights are copied into its parameters, so nothing is built or compiled again.
What a GPU computes does not depend on its operands, but its power does, and so may its clock. The kinds:

- ``default``: sdtui's own, normal with variance 1 / fan-in;
- ``again``: the same once more, which shows what chance does;
- ``seed-N``: drawn with another seed;
- ``xF``: every matrix and kernel of the default times F;
- ``trained-like``: every matrix and kernel at its own Frobenius norm, but with singular values that fall with the
  square root of their rank, and rows and columns of unequal size. Such an eigenvalue density falls with exponent 2, the
  value that Martin and Mahoney ("Universality and Capacity Metrics in Deep Neural Networks", 2019) found the best
  trained networks to come near to, of 2 to 5 in all;
- ``zeros``: every parameter zero, the least that the hardware can have to switch.

A round makes one call with each kind, in random order. The figure of a call is the it/s of the second half of its
steps: the first half is for power and clocks to settle. Kinds are compared within a round; rounds are added until every
ratio's 95 % bootstrap interval is no wider than 0.2 % to either side, or the time is over, which the answer says.
Every kind stays on the device, a copy of the denoiser each: ``--kind`` names fewer.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pipelines
import torch
from gpu_series import GpuSeries

from sdtui import bootstrap
from sdtui.model.cell import Cell
from sdtui.worker.compilation import CompilationMeter
from sdtui.worker.random_weights import draw
from sdtui.worker.timing import StepTime

KINDS = ("default", "again", "seed-1", "seed-2", "seed-3", "x0.1", "x3", "trained-like", "zeros")
HALF_WIDTH = 0.002
FEWEST_ROUNDS = 8
_SEED = re.compile(r"seed-(\d+)")
_FACTOR = re.compile(r"x(\d+(?:\.\d+)?)")


def trained_like(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Returns a matrix or kernel of the shape and norm of ``like``, with few strong directions and heavy tails.

    Singular values that fall as ``rank ** -0.5`` between random directions; rows and columns are then scaled
    log-normally. Float32.
    """
    rows, columns = like.shape[0], like[0].numel()
    rank = min(rows, columns)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, device=like.device)

    values = torch.arange(1, rank + 1, device=like.device) ** -0.5
    left, right = (torch.linalg.qr(normal(size, rank)).Q for size in (rows, columns))
    matrix = (left * values) @ right.T
    matrix *= torch.exp(0.5 * normal(rows, 1)) * torch.exp(0.5 * normal(1, columns))
    return (matrix * (like.float().norm() / matrix.norm())).reshape(like.shape)


def make(kind: str, component: str, default: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the values of every parameter by name.

    Args:
        kind: As the module's text says.
        component: What the denoiser is called in its pipeline, part of each parameter's seed.
        default: sdtui's own values.

    Raises:
        SystemExit: There is no such kind.
    """
    seed, factor = _SEED.fullmatch(kind), _FACTOR.fullmatch(kind)
    generator = torch.Generator(next(iter(default.values())).device).manual_seed(0)

    def values(name: str, own: torch.Tensor) -> torch.Tensor:
        if seed:
            return draw(f"{component}.{name}", own.shape, int(seed[1]), str(own.device))
        if kind == "zeros":
            return torch.zeros_like(own)
        if own.dim() < 2:
            return own
        return own * float(factor[1]) if factor else trained_like(own, generator)

    if kind in ("default", "again"):
        return dict(default)
    if not (seed or factor or kind in KINDS):
        raise SystemExit(f"--kind {kind}: unknown; choose from {', '.join(KINDS)}")
    # empty_like keeps a parameter's memory format
    return {name: torch.empty_like(own).copy_(values(name, own)) for name, own in default.items()}


class Bench:
    """One pipeline whose denoiser takes weights of every kind."""

    def __init__(self, cell: Cell, device: str, kinds: Sequence[str], series: GpuSeries) -> None:
        self._loaded = pipelines.load(cell, device)
        self._series = series
        self._parameters = dict(self._loaded.denoiser.named_parameters())
        default = {name: parameter.detach().clone() for name, parameter in self._parameters.items()}
        start = time.monotonic()
        self._values = {kind: make(kind, cell.stages[0].denoisers[0], default) for kind in kinds}
        self._loaded.clock.wait()
        self.making_s = time.monotonic() - start

    @torch.no_grad()
    def call(self, kind: str) -> dict[str, Any]:
        """Makes one call with weights of a kind, up to the final latents; returns what it showed."""
        for name, values in self._values[kind].items():
            self._parameters[name].copy_(values)
        steps: list[StepTime] = []
        result, _ = self._loaded.timer.time(lambda: self._loaded.call(output_type="latent"), steps.extend)
        end = time.monotonic()
        settled = [step.ms for step in steps[len(steps) // 2 :] if step.forwards == 1]
        figures = self._series.between(end - sum(settled) / 1e3, end)
        return {
            "its": len(settled) * 1e3 / sum(settled),
            "finite": bool(result.images.isfinite().all()),
            "latents_std": float(result.images.float().std()),
            **figures._asdict(),
        }


@pipelines.in_own_process
def measure(cell: Cell, device: str, kinds: Sequence[str], seconds: float) -> Iterator[dict[str, Any]]:
    """Adds rounds until every ratio is known well enough, or the time is over; yields the state after each."""
    series = GpuSeries(device)
    bench = Bench(cell, device, kinds, series)
    for _ in range(3):
        bench.call("default")
    meter = CompilationMeter()
    chance = random.Random(1)
    rounds: list[dict[str, dict[str, Any]]] = []
    compiled = 0
    deadline = time.monotonic() + seconds
    resolved = False
    while not resolved and time.monotonic() < deadline:
        order = list(kinds)
        chance.shuffle(order)
        rounds.append({kind: bench.call(kind) for kind in order})
        compiled += taken.graphs if (taken := meter.take()) else 0
        told = {kind: summary(kind, rounds) for kind in kinds}
        resolved = len(rounds) >= FEWEST_ROUNDS and all(narrow(kind["interval"]) for kind in told.values())
        yield {
            "cell": cell.id,
            "rounds": len(rounds),
            "resolved": resolved,
            "graphs_compiled_meanwhile": compiled,
            "making_s": bench.making_s,
            "kinds": told,
            "samples": rounds,
        }
    series.close()


def summary(kind: str, rounds: Sequence[Mapping[str, Mapping[str, Any]]]) -> dict[str, Any]:
    """Returns a kind's figures: medians over the rounds, and its it/s over the default's of the same round."""
    ratios = [made[kind]["its"] / made["default"]["its"] for made in rounds]
    interval = bootstrap.median_interval([ratios])

    def median(key: str) -> float | None:
        values = [made[kind][key] for made in rounds if made[kind][key] is not None]
        return statistics.median(values) if values else None

    return {
        "its": median("its"),
        "over_default": statistics.median(ratios),
        "interval": [interval.low, interval.high] if interval else None,
        "power_w": median("power_w"),
        "sm_clock_mhz": median("sm_clock_mhz"),
        "power_capped": median("power_capped"),
        "finite": all(made[kind]["finite"] for made in rounds),
        "latents_std": median("latents_std"),
    }


def narrow(interval: Sequence[float] | None) -> bool:
    """Says whether an interval is known and narrow enough."""
    return interval is not None and (interval[1] - interval[0]) / 2 <= HALF_WIDTH


def table(state: Mapping[str, Any]) -> str:
    """Returns a mode's figures as a Markdown table."""
    lines = [
        f"{state['cell']} on {state['device']}, torch {state['torch']}: {state['rounds']} rounds, "
        f"{'resolved' if state['resolved'] else 'not resolved'} to {HALF_WIDTH:.1%}; "
        f"{state['graphs_compiled_meanwhile']} graphs compiled meanwhile; kinds made in {state['making_s']:.1f} s",
        "",
        "| weights | it/s | over default | 95 % interval | W | SM MHz | power-capped | finite |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, told in state["kinds"].items():
        low, high = told["interval"] or (None, None)
        shown = [_shown(told["its"], ".2f"), _shown(told["over_default"], ".4f")]
        shown += [f"{_shown(low, '.4f')} to {_shown(high, '.4f')}", _shown(told["power_w"], ".0f")]
        shown += [_shown(told["sm_clock_mhz"], ".0f"), _shown(told["power_capped"], ".0%")]
        lines.append(f"| {kind} | {' | '.join(shown)} | {'yes' if told['finite'] else 'no'} |")
    return "\n".join(lines)


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else format(value, form)


def main() -> None:
    """Compares the kinds in each mode and prints a table for it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pipelines.add_arguments(parser, steps=10, batch_size=16)
    parser.add_argument("--kind", action="append", help=f"beside default; by default {', '.join(KINDS[1:])}")
    parser.add_argument("--seconds", type=float, default=150, help="per mode, after warm-up; default 150")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    kinds = list(dict.fromkeys(["default", *(chosen.kind or KINDS)]))
    results: list[dict[str, Any]] = []
    for cell in pipelines.cells(chosen):
        results.append({})
        for state in measure(cell, chosen.device, kinds, chosen.seconds):
            results[-1] = {"device": pipelines.device_name(chosen.device), "torch": torch.__version__, **state}
            if chosen.output:  # at each look, so that a run cut short still says what it found
                chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        print(table(results[-1]), flush=True)


if __name__ == "__main__":
    main()
