"""Bootstrap intervals over step times: calls are drawn first, then stretches of consecutive steps within each.

Steps of one call are not independent (see docs/methodology.md for how much), and calls differ. Drawing single steps
would promise intervals several times too narrow; blocks of consecutive steps keep what neighbours have in common, and
drawing calls keeps what a call has for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sdtui.model.results import Interval

RESAMPLES = 1000
"""How many times everything is drawn anew."""

FEWEST_SAMPLES = 6
"""Below six, not even the whole range of the samples holds their median with 95 %: 1 − 2 · 0.5⁵ = 93.75 %."""

_SAMPLES_AT_ONCE = 1 << 20  # what is drawn at once: many calls need no more memory than a few

_PERCENTS = (2.5, 97.5)
_SEED = 20230316  # any constant: the same samples have the same interval, always


def median_interval(calls: Sequence[Sequence[float]]) -> Interval | None:
    """Returns the interval of the median of all samples together; ``None`` where they are too few.

    Args:
        calls: Samples of each call, in the order they were taken, in any unit.
    """
    medians = _medians(calls, stream=0)
    return None if medians is None else _interval(medians)


def sum_interval(calls: Sequence[Sequence[float]], fixed: Sequence[float]) -> Interval | None:
    """Returns the interval in which one call's sum lies; ``None`` where the samples are too few.

    Args:
        calls: Samples of each call, which are drawn.
        fixed: What each call's sum holds besides its samples, which is not drawn.
    """
    if not _enough(calls):
        return None
    generator = np.random.default_rng(_SEED)
    chosen = generator.integers(len(calls), size=(RESAMPLES, 1))
    return _interval(_drawn(calls, chosen, generator).sum(axis=1) + np.asarray(fixed)[chosen[:, 0]])


def ratio_interval(above: Sequence[Sequence[float]], below: Sequence[Sequence[float]]) -> Interval | None:
    """Returns the interval of the ratio of two medians, both resampled; ``None`` where either has too few samples.

    Args:
        above: Samples of each call whose median is divided.
        below: Samples of each call whose median divides.
    """
    medians = _medians(above, stream=1), _medians(below, stream=2)
    if medians[0] is None or medians[1] is None or not np.all(medians[1] > 0):
        return None
    return _interval(medians[0] / medians[1])


def _enough(calls: Sequence[Sequence[float]]) -> bool:
    return sum(len(samples) for samples in calls) >= FEWEST_SAMPLES and all(len(samples) > 0 for samples in calls)


def _medians(calls: Sequence[Sequence[float]], stream: int) -> Any:
    if not _enough(calls):
        return None
    generator = np.random.default_rng([_SEED, stream])
    chosen = generator.integers(len(calls), size=(RESAMPLES, len(calls)))
    rows = max(1, _SAMPLES_AT_ONCE // (len(calls) * max(map(len, calls))))
    parts = (_drawn(calls, chosen[begin : begin + rows], generator) for begin in range(0, RESAMPLES, rows))
    return np.concatenate([np.median(part, axis=1, overwrite_input=True) for part in parts])


def _drawn(calls: Sequence[Sequence[float]], chosen: Any, generator: Any) -> Any:
    """Draws the samples of the chosen calls: blocks that begin anywhere, the call's end joined to its beginning.

    A block is as long as the square root of the number of samples.

    Args:
        calls: Samples of each call.
        chosen: Indices of calls, of shape (resamples, calls drawn).
        generator: Of random numbers.

    Returns:
        Of shape (resamples, calls drawn × samples of the longest call).
    """
    lengths = np.array([len(samples) for samples in calls])
    offsets = np.cumsum(lengths) - lengths
    width = int(lengths.max())
    block = max(1, round(width**0.5))
    begins = generator.random((*chosen.shape, -(-width // block))) * lengths[chosen][..., None]
    places = begins.astype(np.intp)[..., None] + np.arange(block)
    places = places.reshape(*chosen.shape, -1)[..., :width] % lengths[chosen][..., None]
    return np.concatenate(calls)[offsets[chosen][..., None] + places].reshape(len(chosen), -1)


def _interval(values: Any) -> Interval:
    low, high = np.percentile(values, _PERCENTS)
    return Interval(_rounded(low), _rounded(high))


def _rounded(value: float) -> float:
    """Six digits: more would be the machine's arithmetic, and differ between machines."""
    return float(f"{value:.6g}")
