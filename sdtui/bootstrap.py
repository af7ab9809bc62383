"""Bootstrap intervals over step times: calls are drawn first, then stretches of consecutive steps within each.

Where calls are of several processes, processes are drawn before calls.

Steps of one call are not independent (see docs/methodology.md for how much), and calls differ. Drawing single steps
would promise intervals several times too narrow; blocks of consecutive steps keep what neighbours have in common, and
drawing calls keeps what a call has for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sdtui.model.results import Interval

RESAMPLES = 1000
"""How many times everything is drawn anew."""

FEWEST_SAMPLES = 6
"""Below six, not even the whole range of the samples holds their median with 95 %: 1 − 2 · 0.5⁵ = 93.75 %."""

_SAMPLES_AT_ONCE = 1 << 20  # what is drawn at once: many calls need no more memory than a few

_PERCENTS = (2.5, 97.5)
_SEED = 20230316  # any constant: the same samples have the same interval, always


class Loop(NamedTuple):
    """The denoising loop of one stage.

    Attributes:
        evaluations: Of the denoisers, in one call.
        calls: How long each took, call by call, in the order they were taken, in any unit.
        processes: Which process each call is of; empty where all are of one.
    """

    evaluations: int
    calls: Sequence[Sequence[float]]
    processes: Sequence[int] = ()


def median_interval(calls: Sequence[Sequence[float]], processes: Sequence[int] = ()) -> Interval | None:
    """Returns the interval of the median of all samples together; ``None`` where they are too few.

    Args:
        calls: Samples of each call, in the order they were taken, in any unit.
        processes: Which process each call is of; empty where all are of one.
    """
    medians = _medians(calls, 0, processes)
    return None if medians is None else _interval(medians)


def sum_interval(
    calls: Sequence[Sequence[float]], fixed: Sequence[float], processes: Sequence[int] = ()
) -> Interval | None:
    """Returns the interval in which one call's sum lies; ``None`` where the samples are too few.

    Args:
        calls: Samples of each call, which are drawn.
        fixed: What each call's sum holds besides its samples, which is not drawn.
        processes: As of `median_interval`.
    """
    if not _enough(calls):
        return None
    generator = np.random.default_rng(_SEED)
    chosen = _chosen(processes or [0] * len(calls), generator, one=True)
    return _interval(_drawn(calls, chosen, generator).sum(axis=1) + np.asarray(fixed)[chosen[:, 0]])


def ratio_interval(
    above: Sequence[Sequence[float]],
    below: Sequence[Sequence[float]],
    processes: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Interval | None:
    """Returns the interval of the ratio of two medians, both resampled; ``None`` where either has too few samples.

    Args:
        above: Samples of each call whose median is divided.
        below: Samples of each call whose median divides.
        processes: Of the calls of each, as of `median_interval`.
    """
    return loops_ratio_interval([Loop(1, above, processes[0])], [Loop(1, below, processes[1])])


def loops_ratio_interval(above: Sequence[Loop], below: Sequence[Loop]) -> Interval | None:
    """Returns the interval of the ratio of two calls' loops; ``None`` where a stage has too few samples.

    What a call's loops take is the sum over its stages of the evaluations times their median, which is what is drawn:
    each stage by itself.

    Args:
        above: The stages of the call that is divided.
        below: The stages of the one that divides, as many.
    """
    totals = [_total(loops, side) for side, loops in enumerate((above, below), 1)]
    if totals[0] is None or totals[1] is None or not np.all(totals[1] > 0):
        return None
    return _interval(totals[0] / totals[1])


def _total(loops: Sequence[Loop], side: int) -> Any:
    medians = [_medians(loop.calls, 2 * stage + side, loop.processes) for stage, loop in enumerate(loops)]
    if not loops or any(each is None for each in medians):
        return None
    return sum(loop.evaluations * each for loop, each in zip(loops, medians, strict=True))


def _enough(calls: Sequence[Sequence[float]]) -> bool:
    return sum(len(samples) for samples in calls) >= FEWEST_SAMPLES and all(len(samples) > 0 for samples in calls)


def _medians(calls: Sequence[Sequence[float]], stream: int, processes: Sequence[int] = ()) -> Any:
    if not _enough(calls):
        return None
    generator = np.random.default_rng([_SEED, stream])
    chosen = _chosen(processes or [0] * len(calls), generator)
    rows = max(1, _SAMPLES_AT_ONCE // (chosen.shape[1] * max(map(len, calls))))
    parts = (_drawn(calls, chosen[begin : begin + rows], generator) for begin in range(0, RESAMPLES, rows))
    return np.concatenate([np.median(part, axis=1, overwrite_input=True) for part in parts])


def _chosen(processes: Sequence[int], generator: Any, one: bool = False) -> Any:
    """Draws calls: as many as there are, or one. Of several processes, processes first, then calls of each.

    A process of fewer calls than another is drawn as often and gives as many, so that all weigh alike.

    Args:
        processes: Which process each call is of.
        generator: Of random numbers.
        one: Draw one process, and one call of it.

    Returns:
        Indices of calls, of shape (resamples, calls drawn).
    """
    places: dict[int, list[int]] = {}
    for index, process in enumerate(processes):
        places.setdefault(process, []).append(index)
    if len(places) == 1:
        return generator.integers(len(processes), size=(RESAMPLES, 1 if one else len(processes)))
    counts = np.array([len(of) for of in places.values()])
    most = int(counts.max())
    table = np.array([(of * most)[:most] for of in places.values()])
    of = generator.integers(len(places), size=(RESAMPLES, 1 if one else len(places), 1))
    ranks = generator.random((*of.shape[:2], 1 if one else most)) * counts[of]
    return table[of, ranks.astype(np.intp)].reshape(RESAMPLES, -1)


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
