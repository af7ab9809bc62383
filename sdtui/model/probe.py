"""How fast a device multiplies large matrices, as it was measured: what achieved FLOP rates are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

MatrixPrecision = Literal["float16", "bfloat16", "float32", "tf32"]
"""``float32`` is without TF32; ``tf32`` is float32 matrices multiplied in TF32, which only GPUs have."""


@dataclass(frozen=True)
class MatrixRate:
    """The rate in one precision. A multiplication and an addition are two operations.

    Attributes:
        size: Rows and columns of the square matrices.
        tflops: Median over the products, in 10¹² operations per second.
        mad_tflops: Median absolute deviation from it, unscaled.
        count: Products that were timed, after warming up.
    """

    precision: MatrixPrecision
    size: int
    tflops: float
    mad_tflops: float
    count: int


@dataclass(frozen=True)
class MatrixRates:
    """What a probe process found.

    Attributes:
        torch: Its full version.
        rates: One per precision that works.
        failures: Why the others do not, in one line each.
    """

    torch: str
    rates: tuple[MatrixRate, ...]
    failures: Mapping[str, str] = field(default_factory=dict)

    def of(self, precision: MatrixPrecision) -> MatrixRate | None:
        """Returns the rate in a precision; ``None`` where it was not measured."""
        return next((rate for rate in self.rates if rate.precision == precision), None)


@dataclass(frozen=True)
class Probe:
    """The measured rates of one device.

    Attributes:
        device: The GPU's name, or the CPU's.
        uuid: Of the GPU; ``None`` of a CPU.
        host: Where it was measured.
        driver: Of the GPU.
        measured_at: In unix seconds.
    """

    device: str
    uuid: str | None
    host: str
    driver: str | None
    measured_at: float
    found: MatrixRates
