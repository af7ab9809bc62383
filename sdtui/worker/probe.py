"""``python -m sdtui.worker.probe DEVICE RESULT_FD PARENT_PID``: how fast the device multiplies large matrices."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from itertools import pairwise

import torch

from sdtui.model.codec import encode
from sdtui.model.probe import MatrixPrecision, MatrixRate, MatrixRates
from sdtui.worker.clock import Clock, clock_for
from sdtui.worker.lifeline import die_with_parent
from sdtui.worker.reasons import one_line

GPU_SIZE = 8192
CPU_SIZE = 2048
GPU_PRECISIONS: tuple[MatrixPrecision, ...] = ("float16", "bfloat16", "float32", "tf32")
CPU_PRECISIONS: tuple[MatrixPrecision, ...] = ("float32",)
_BUDGET_S = 1.8
_WARM_UP_SHARE = 0.2
_FEWEST = 5


def main() -> None:
    """Probes the device and writes what was found to the descriptor, as JSON."""
    device, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    die_with_parent(parent)
    found = probe(device)
    with os.fdopen(descriptor, "w", encoding="utf-8") as result:
        json.dump(encode(found), result)


def probe(device: str, budget_s: float = _BUDGET_S, size: int | None = None) -> MatrixRates:
    """Measures the rate in every precision that the device is asked for.

    Args:
        device: ``cuda:0`` or ``cpu``, on which float32 alone is measured.
        budget_s: About how long to multiply, all precisions together.
        size: Of the matrices; ``None`` takes `GPU_SIZE` or `CPU_SIZE`.
    """
    on_gpu = device.startswith("cuda")
    precisions = GPU_PRECISIONS if on_gpu else CPU_PRECISIONS
    size = size or (GPU_SIZE if on_gpu else CPU_SIZE)
    rates: list[MatrixRate] = []
    failures: dict[str, str] = {}
    for precision in precisions:
        try:
            rates.append(_rate(precision, device, size, budget_s / len(precisions)))
        except RuntimeError as error:  # out of memory, or a product that this GPU does not have
            failures[precision] = one_line(str(error))
    return MatrixRates(torch.__version__, tuple(rates), failures)


def _rate(precision: MatrixPrecision, device: str, size: int, budget_s: float) -> MatrixRate:
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    dtype: torch.dtype = torch.float32 if precision == "tf32" else getattr(torch, precision)
    generator = torch.Generator(device).manual_seed(0)
    # Normal values, not zeros: on zeros, whose bits never change, a GPU draws less power and clocks higher.
    a, b = (torch.randn(size, size, generator=generator, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(a)
    clock = clock_for(device)
    each_s = _warm_up(a, b, out, clock, budget_s * _WARM_UP_SHARE)
    count = max(_FEWEST, int(budget_s * (1 - _WARM_UP_SHARE) / each_s))
    tflops = [2 * size**3 / (ms * 1e9) for ms in _products_ms(a, b, out, clock, count)]
    median = statistics.median(tflops)
    mad = statistics.median(abs(value - median) for value in tflops)
    return MatrixRate(precision, size, median, mad, count)


def _warm_up(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, clock: Clock, least_s: float) -> float:
    """Multiplies until the clocks have had time to rise; returns how long one product takes, in seconds."""
    torch.matmul(a, b, out=out)  # loads the library and its kernels
    clock.wait()
    begin, count = time.perf_counter(), 0
    while not count or time.perf_counter() - begin < least_s:
        torch.matmul(a, b, out=out)
        clock.wait()
        count += 1
    return (time.perf_counter() - begin) / count


def _products_ms(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor, clock: Clock, count: int) -> list[float]:
    """Multiplies back to back and returns how long each product took, in milliseconds by the device's clock."""
    marks = [clock.mark()]
    for _ in range(count):
        torch.matmul(a, b, out=out)
        marks.append(clock.mark())
    clock.wait()
    return [clock.between_ms(start, end) for start, end in pairwise(marks)]


if __name__ == "__main__":
    main()
