"""The same cell in many fresh processes: how far they are apart, and what the interval of one of them promises.

    sdtui run docs --pipeline sd-txt2img --batch-size 1 --calls 11 --processes 10 --runs-dir ten
    python benchmarks/processes.py ten/* -o processes.json

Every run given has each cell measured in a process of its own, or in several with ``--processes``; cells of the same
id on the same GPU model belong together. Nothing is measured here: the same runs have the same figures. By stage it
says

- the spread within: half the width of a process's own 95 % interval of the median step, and the MAD of its steps, as
  shares of its own median (as in reports), the processes' median of each;
- the spread between: the standard deviation and the range of the processes' medians, as shares of their median; and how
  many times the standard deviation is what the processes' own intervals lead one to expect;
- how many of the processes' intervals hold the median of all processes' medians;
- in how many ways of halving the processes sdtui's interval of one half (processes are drawn, then calls, then steps)
  holds the median step of the other half. That median has its own error: an interval that holds the true median 95
  times in 100 holds the other half's about 83 times (two equal normal errors: P(|Z| < 1.96 / √2)).
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import bootstrap, runs
from sdtui.model.errors import UserError
from sdtui.model.results import Interval, StepStatistics
from sdtui.processes import spread
from sdtui.statistics import measured_steps, step_statistics

MOST_HALVES = 252
"""Ten processes can be halved in so many ways; of more, as many are drawn."""

FEWEST = 4
Calls = tuple[tuple[float, ...], ...]
"""Step times of one process in milliseconds, call by call."""


def read(folders: Sequence[Path]) -> Iterator[tuple[str, str, str, str, Calls]]:
    """Yields cell id, stage, GPU (or CPU), process and step times of all processes that ended ok, as the runs began.

    Raises:
        UserError: A folder holds no readable run.
    """
    for record in sorted(
        (runs.read(folder) for folder in {folder.resolve() for folder in folders}), key=lambda record: record.id
    ):
        for cell, told in ((cell, told) for cell, last in record.cells.items() for told in last.processes):
            sitting = record.sitting_of(told)
            if sitting is None or told.finished is None or told.finished.status != "ok":
                continue
            machine = sitting.started.machine
            for stage in told.spec.stages:
                calls = [call for call in told.calls if call.stage == stage.name]
                steps = [step for step in told.steps if step.stage == stage.name]
                device = machine.gpu.name if machine.gpu else machine.cpu
                yield cell, stage.name, device, f"{record.id}, process {told.process}", measured_steps(calls, steps)


def pooled(processes: Sequence[Calls]) -> tuple[StepStatistics, Interval]:
    """Returns the steps of processes together, and the 95 % interval of their median.

    Both are as ``sdtui run --processes`` has them: processes weigh alike; in the interval they are drawn, then calls,
    then stretches of steps.

    Raises:
        UserError: They have too few steps.
    """
    numbers = [number for number, calls in enumerate(processes) for _ in calls]
    found = step_statistics([call for calls in processes for call in calls], numbers)
    if found is None or found.median_interval_ms is None:
        raise UserError(f"a process has under {bootstrap.FEWEST_SAMPLES} measured steps")
    return found, found.median_interval_ms


def halves(count: int) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Returns the ways of halving so many processes, each with the half that gives an interval first; at most 252."""
    everyone = range(count)
    ways = list(itertools.combinations(everyone, count // 2)) if count <= 12 else []
    if not ways:
        chance = random.Random(0)
        ways = [tuple(sorted(chance.sample(everyone, count // 2))) for _ in range(MOST_HALVES)]
    elif len(ways) > MOST_HALVES:
        ways = random.Random(0).sample(ways, MOST_HALVES)
    return [(half, tuple(number for number in everyone if number not in half)) for half in ways]


def figures(processes: Sequence[Calls]) -> dict[str, Any]:
    """Returns the spread within and between, and how often each interval holds what it should.

    Raises:
        UserError: They are too few, or one has too few steps.
    """
    if len(processes) < FEWEST:
        raise UserError(f"{len(processes)} processes: at least {FEWEST} are needed")
    own = [pooled([calls]) for calls in processes]
    apart = spread([steps for steps, _ in own])
    if apart is None or apart.within is None:
        raise UserError("the clock saw no time pass")
    held, ways = 0, halves(len(processes))
    for half, other in ways:
        _, promised = pooled([processes[number] for number in half])
        steps, _ = pooled([processes[number] for number in other])
        held += promised.low <= steps.median_ms <= promised.high
    _, whole = pooled(processes)
    return {
        "processes": len(processes),
        "median_ms": apart.median_ms,
        "medians_ms": [steps.median_ms for steps, _ in own],
        "intervals_ms": [[each.low, each.high] for _, each in own],
        "within_half_width": apart.within,
        "within_mad": statistics.median(steps.mad_ms / steps.median_ms for steps, _ in own),
        "between_deviation": apart.sd,
        "between_range": apart.range,
        "between_over_expected": apart.sd / (apart.within / 1.96),
        "own_intervals_hold": sum(each.low <= apart.median_ms <= each.high for _, each in own),
        "hierarchical_interval_ms": [whole.low, whole.high],
        "halves": len(ways),
        "halves_hold": held,
    }


def table(results: Sequence[Mapping[str, Any]]) -> str:
    """Returns the figures as a Markdown table."""
    lines = [
        "| cell, stage, device | processes | median step ms | hierarchical interval | within: half-width, MAD "
        "| between: deviation, range | between ÷ expected | own intervals that hold the median | halves that hold |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for told in results:
        low, high = told["hierarchical_interval_ms"]
        lines.append(
            f"| {told['cell']}, {told['stage']}, {told['device']} | {told['processes']} | {told['median_ms']:.3f} "
            f"| {low:.3f} to {high:.3f} | {told['within_half_width']:.2%}, {told['within_mad']:.2%} "
            f"| {told['between_deviation']:.2%}, {told['between_range']:.2%} | {told['between_over_expected']:.1f} "
            f"| {told['own_intervals_hold']} of {told['processes']} "
            f"| {told['halves_hold']} of {told['halves']} ({told['halves_hold'] / told['halves']:.0%}) |"
        )
    return "\n".join(lines)


def main() -> int:
    """Prints a table over the cells that were measured in enough processes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    measured: dict[tuple[str, str, str], list[tuple[str, Calls]]] = defaultdict(list)
    try:
        for cell, stage, device, run, calls in read(chosen.runs):
            measured[cell, stage, device].append((run, calls))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    results = []
    for (cell, stage, device), processes in measured.items():
        try:
            told = figures([calls for _, calls in processes])
        except UserError as error:
            print(f"{cell}, {stage}, {device}: {error}", file=sys.stderr)
            continue
        named = {"cell": cell, "stage": stage, "device": device, "runs": [run for run, _ in processes]}
        results.append({**named, **told})
        if chosen.output:
            chosen.output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results))
    return 0 if results else 1


if __name__ == "__main__":
    sys.exit(main())
