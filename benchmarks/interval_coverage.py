"""How often the interval of the median holds the true median, on made-up step times whose median is known.

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --precision
    python benchmarks/interval_coverage.py --processes

About a minute on one core, some ten with `--precision`, three with `--processes`, and the same figures every time.
Each line is a kind of noise; its figures are the share of trials in which sdtui's interval held the true median, and
the same for a bootstrap that draws single steps. With `--precision` it is the share at the call at which the rule
ended them, by the fewest measured calls that it asks for. With `--processes` it is the share for processes of two
calls each, whose true median is that over processes, and the same for an interval that takes all calls for those of
one process. docs/methodology.md says what to make of them.
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
STOPPED_TRIALS = 100
TARGET = 0.01
MOST = 50
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


def stopped(fewest: int, correlation: float, apart: float) -> tuple[float, float]:
    """Returns how often the interval held the true median where a precision ended the calls, and after how many.

    Args:
        fewest: Measured calls that there must be.
        correlation: See `coverage`.
        apart: See `coverage`.
    """
    generator = np.random.default_rng(2)
    held, made = 0, list[int]()
    for _ in range(STOPPED_TRIALS):
        calls: list[np.ndarray] = []
        while True:
            shift = apart * generator.standard_normal()
            calls.append(MEDIAN_MS * (1 + SCATTER * (shift + noise(generator, correlation))))
            if len(calls) < fewest:
                continue
            interval = bootstrap.median_interval(calls)
            assert interval is not None
            median = float(np.median(np.concatenate(calls)))
            if max(interval.high - median, median - interval.low) <= TARGET * median or len(calls) == MOST:
                break
        held += interval.low <= MEDIAN_MS <= interval.high
        made.append(len(calls))
    return held / STOPPED_TRIALS, float(np.mean(made))


def print_stopped() -> None:
    """Prints the table of `--precision`."""
    print("| Neighbours correlate | Calls differ | at least 2 calls | 3 calls | 5 calls |")
    print("| --- | --- | --- | --- | --- |")
    for apart in (0.0, 0.5):
        for correlation in (0.3, 0.85):
            found = [stopped(fewest, correlation, apart) for fewest in (2, 3, 5)]
            cells = (f"{held:.0%} ({calls:.1f} calls)" for held, calls in found)
            print(f"| {correlation:g} | {apart:g} | {' | '.join(cells)} |", flush=True)


def processes_coverage(processes: int, apart: float) -> tuple[float, float]:
    """Returns how often the interval held the median over processes: by process, and with all calls taken as one's.

    Args:
        processes: How many there are, of two calls each.
        apart: Standard deviation of the processes' own medians, relative to that of the steps; calls differ by half of
            the latter.
    """
    generator = np.random.default_rng(3)
    ours = flat = 0
    for _ in range(TRIALS):
        calls = []
        for shift in apart * generator.standard_normal(processes):
            for own in 0.5 * generator.standard_normal(2):
                calls.append(MEDIAN_MS * (1 + SCATTER * (shift + own + noise(generator, 0.3))))
        for of, is_ours in (([i // 2 for i in range(len(calls))], True), ([], False)):
            interval = bootstrap.median_interval(calls, of)
            assert interval is not None
            held = interval.low <= MEDIAN_MS <= interval.high
            ours, flat = ours + (held and is_ours), flat + (held and not is_ours)
    return ours / TRIALS, flat / TRIALS


def print_processes() -> None:
    """Prints the table of `--processes`."""
    print("| Processes differ | Processes | sdtui's interval | as one process |")
    print("| --- | --- | --- | --- |")
    for apart in (0.0, 1.0, 3.0):
        for processes in (2, 3, 5, 10):
            ours, flat = processes_coverage(processes, apart)
            print(f"| {apart:g} | {processes} | {ours:.0%} | {flat:.0%} |", flush=True)


def main() -> None:
    """Prints the table."""
    if "--precision" in sys.argv[1:]:
        print_stopped()
        return
    if "--processes" in sys.argv[1:]:
        print_processes()
        return
    print("| Neighbours correlate | Calls differ | Calls | sdtui's interval | single steps |")
    print("| --- | --- | --- | --- | --- |")
    for apart in (0.0, 0.5):
        for calls in (2, 10):
            for correlation in (0.0, 0.3, 0.7, 0.85):
                ours, usual = coverage(calls, correlation, apart)
                print(f"| {correlation:g} | {apart:g} | {calls} | {ours:.0%} | {usual:.0%} |", flush=True)


if __name__ == "__main__":
    main()
