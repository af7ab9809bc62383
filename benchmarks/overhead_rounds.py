"""The rounds of `overhead.py`: what their calls took, what follows from them, and how sittings are read and joined."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdtui.model.errors import UserError

HALF_WIDTH = 0.005
FEWEST_ROUNDS = 20
RESAMPLES = 2000


@dataclass(frozen=True)
class Took:
    """What a call took: seconds from outside, the calling thread's CPU seconds, and its loop's where it was timed."""

    seconds: float
    cpu_s: float
    loop_s: float | None = None

    @staticmethod
    def mean(first: Took, second: Took) -> Took:
        """Returns what the mean of two calls of a kind took."""
        loop_s = None if first.loop_s is None or second.loop_s is None else (first.loop_s + second.loop_s) / 2
        return Took((first.seconds + second.seconds) / 2, (first.cpu_s + second.cpu_s) / 2, loop_s)


Round = dict[str, Took]
"""What the mean of two calls of each kind took."""


def ratio(kind: str, took: Round) -> float:
    """Returns the ratio that a kind is judged by; under 1 where what sdtui does costs something."""
    one, timed = took[kind], took["timed"]
    if kind.startswith("sampled"):
        assert one.loop_s is not None
        assert timed.loop_s is not None
        return timed.loop_s / one.loop_s
    return one.seconds / timed.seconds


def interval(ratios: Sequence[float]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the median (seeded)."""
    drawn = np.random.default_rng(0).choice(np.asarray(ratios), (RESAMPLES, len(ratios)))
    low, high = np.percentile(np.median(drawn, axis=1), [2.5, 97.5])
    return float(low), float(high)


def interval_of_sittings(sittings: Sequence[Sequence[float]]) -> tuple[float, float]:
    """Returns it where sittings are drawn first, then rounds of each: it holds what several processes differ by."""
    generator = np.random.default_rng(0)
    medians = [
        np.median(np.concatenate([generator.choice(sittings[n], len(sittings[n])) for n in drawn]))
        for drawn in generator.integers(len(sittings), size=(RESAMPLES, len(sittings)))
    ]
    low, high = np.percentile(medians, [2.5, 97.5])
    return float(low), float(high)


def resolved(found: dict[str, Any]) -> bool:
    """Whether the interval of each kind's calls is narrow enough."""
    return all(each["resolved"] for each in found["ratios"].values())


def findings(rounds: Sequence[Round]) -> dict[str, Any]:
    """Returns what follows from rounds, and the rounds."""
    return {
        "rounds": len(rounds),
        "ratios": {kind: _ratio(kind, rounds) for kind in rounds[0] if kind != "timed"},
        "median_s": {kind: float(np.median([each[kind].seconds for each in rounds])) for kind in rounds[0]},
        "samples": [
            {kind: [value and round(value, 6) for value in astuple(took)] for kind, took in each.items()}
            for each in rounds
        ],
    }


def _ratio(kind: str, rounds: Sequence[Round]) -> dict[str, Any]:
    ratios = [ratio(kind, each) for each in rounds]
    low, high = interval(ratios)
    cpu = [each[kind].cpu_s / each["timed"].cpu_s for each in rounds]
    return {
        "median": float(np.median(ratios)),
        "interval": [low, high],
        "resolved": len(rounds) >= FEWEST_ROUNDS and (high - low) / 2 <= HALF_WIDTH,
        "cpu": [float(np.median(cpu)), *interval(cpu)],
    }


def read(path: Path, flag: str) -> list[dict[str, Any]]:
    """Reads what a sitting wrote: a result for each cell.

    Raises:
        UserError: It cannot be read; ``flag`` is what named it.
    """
    try:
        results: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{flag} {path}: cannot be read: {error}") from error
    return results


def rounds_of(result: dict[str, Any]) -> list[Round]:
    """Returns the rounds of one cell's result."""
    return [{kind: Took(*took) for kind, took in sample.items()} for sample in result["samples"]]


def refuse_others(path: Path, flag: str, result: dict[str, Any], now: tuple[str, Sequence[str]]) -> None:
    """Raises a `UserError` where a file's rounds are of another torch or other kinds than ``now``."""
    was, wanted = (result["torch"], sorted(result["ratios"])), (now[0], sorted(now[1]))
    if was != wanted:
        raise UserError(f"{flag} {path}: its rounds of {result['cell']} are of {was}, the others of {wanted}")


def joined(paths: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """Yields for each cell one result of the rounds of all files, in their order.

    Their devices may differ, and are named: each ratio is of one round, and so of one device.

    Raises:
        UserError: Files cannot be read, or measured a cell with another torch, or by other kinds.
    """
    of_cell: dict[str, list[dict[str, Any]]] = {}
    for path in paths:
        for result in read(path, "--join"):
            sittings = of_cell.setdefault(result["cell"], [])
            sittings.append(result)
            first = sittings[0]
            refuse_others(path, "--join", result, (first["torch"], list(first["ratios"])))
    for cell, sittings in of_cell.items():
        rounds = [rounds_of(each) for each in sittings]
        counts = [each["rounds"] for each in sittings]
        host_us = float(np.average([each["host_us_per_step"] for each in sittings], weights=counts))
        yield {
            "device": ", ".join(dict.fromkeys(each["device"] for each in sittings)),
            **{key: sittings[0][key] for key in ("torch", "steps")},
            "cell": cell,
            "sittings": [
                {
                    "device": each["device"],
                    "rounds": each["rounds"],
                    "medians": {kind: found["median"] for kind, found in each["ratios"].items()},
                }
                for each in sittings
            ],
            "interval_of_sittings": {
                kind: interval_of_sittings([[ratio(kind, each) for each in sitting] for sitting in rounds])
                for kind in sittings[0]["ratios"]
            },
            "host_us_per_step": round(host_us, 1),
            **findings([each for sitting in rounds for each in sitting]),
        }
