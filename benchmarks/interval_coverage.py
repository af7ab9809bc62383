"""How often the interval of the median holds the true median, on made-up step times whose median is known.

    python benchmarks/interval_coverage.py

About a minute on one core, and the same figures every time. Each line is
a kind of noise; its figures are the share of trials in which sdtui's interval held the true median, and the same for
a bootstrap that draws single steps. docs/methodology.md says what to make of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import bootstrap

TRIALS = 200
STEPS = 49
MEDIAN_MS = 10.0
SCATTER = 0.03
"""Standard deviation of the steps of one call, relative to their median."""


def noise(generator: np.random.Generator, correlation: float) -> np.ndarray:
    """Standard normal values, one per step, of which neighbours correlate."""
    values = generator.standard_normal(STEPS + 100)
    for index in range(1, len(values)):
        values[index] = correlation * values[index - 1] + (1 - correlation**2) ** 0.5 * values[index]
    return values[100:]


def single_steps(calls: list[np.ndarray], generator: np.random.Generator) -> tuple[float, float]:
    """The usual bootstrap: steps drawn one by one, whichever call they are of."""
    samples = np.concatenate(calls)
    drawn = samples[generator.integers(len(samples), size=(bootstrap.RESAMPLES, len(samples)))]
    low, high = np.percentile(np.median(drawn, axis=1), (2.5, 97.5))
    return float(low), float(high)


def coverage(calls: int, correlation: float, apart: float) -> tuple[float, float]:
    """Returns how often each interval held the true median.

    Args:
        calls: How many are measured.
        correlation: Between neighbouring steps.
        apart: Standard deviation of the calls' own medians, relative to that of the steps.
    """
    generator = np.random.default_rng(1)
    ours = usual = 0
    for _ in range(TRIALS):
        shifts = apart * generator.standard_normal(calls)
        made = [MEDIAN_MS * (1 + SCATTER * (shift + noise(generator, correlation))) for shift in shifts]
        interval = bootstrap.median_interval(made)
        assert interval is not None
        ours += interval.low <= MEDIAN_MS <= interval.high
        low, high = single_steps(made, generator)
        usual += low <= MEDIAN_MS <= high
    return ours / TRIALS, usual / TRIALS


def main() -> None:
    """Prints the table."""
    print("| Neighbours correlate | Calls differ | Calls | sdtui's interval | single steps |")
    print("| --- | --- | --- | --- | --- |")
    for apart in (0.0, 0.5):
        for calls in (2, 10):
            for correlation in (0.0, 0.3, 0.7, 0.85):
                ours, usual = coverage(calls, correlation, apart)
                print(f"| {correlation:g} | {apart:g} | {calls} | {ours:.0%} | {usual:.0%} |", flush=True)


if __name__ == "__main__":
    main()
