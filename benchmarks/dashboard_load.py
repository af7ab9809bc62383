"""Run folders for benchmarks/dashboard.py, as a supervisor makes them, from events that a GPU's run recorded.

Started as a program it is the supervisor's stand-in: it holds a run's lock and appends to its journal,

    python benchmarks/dashboard_load.py RUNDIR --rate 100 --calls 1000

one cell's steps so many a second, with telemetry ten times a second, until it is killed; ``--events N`` appends about
so many events as fast as it can, over all cells of the recorded run, and ends.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import locks, runs
from sdtui.model.events import CellFinished, CellPhase, CellQueued, CellStarted, Event, Step, Telemetry
from sdtui.records import CellRecord, RunRecord
from sdtui.report.merge import results_of

ROOT = Path(__file__).resolve().parent.parent
RECORDED = ROOT / "docs/results/2026-11-24-h100-docs-batch-1"
"""Six cells on an H100: steps of 9 to 46 ms, telemetry at 10 Hz."""
SMALL = tuple(sorted(path.parent for path in (ROOT / "tests/fixtures/runs").glob("*/events.jsonl")))
CELL = "sd-controlnet.compile.current.b1-5682a881"
"""The cell that goes on and on."""
STEPS = 50
TELEMETRY_HZ = 10


def make_finished(runs_dir: Path, count: int) -> None:
    """Copies small recorded runs until there are so many, each a minute apart."""
    for number in range(count):
        source = SMALL[number % len(SMALL)]
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(1.79e9 + 60 * number))
        shutil.copytree(source, runs_dir / f"{at}-{source.name.split('-', 1)[1][:-6]}{number:06x}")


def make_empty(runs_dir: Path) -> Path:
    """Makes a run folder with the recorded run's plan and no event."""
    return runs.create(runs_dir, "NVIDIA H100 80GB HBM3", "vm", (RECORDED / runs.PLAN).read_text(encoding="utf-8"))


class Load:
    """The events of a run that has the recorded one's cells.

    Args:
        folder: Of the run.
        rate: Steps per second; the recorded steps are scaled to it.
        calls: How often each cell calls its pipeline.
    """

    def __init__(self, folder: Path, rate: float, calls: int) -> None:
        self.recorded: RunRecord = runs.read(RECORDED)
        self._run, self._calls, self._rate = folder.name, calls, rate
        self._sitting = self.recorded.sittings[-1].started.sitting
        self._summaries = {result.spec.id: result.summary for result in results_of(self.recorded)}

    def opening(self) -> Iterator[Event]:
        """Yields the start of the run and its cells."""
        started = self.recorded.sittings[-1].started
        yield dataclasses.replace(started, run=self._run)
        for cell in self.recorded.cells.values():
            yield CellQueued(cell.spec.id, dataclasses.replace(cell.spec, calls=self._calls))

    def finished_cells(self, until: str) -> Iterator[Event]:
        """Yields all of the cells that come before ``until``, as they were recorded."""
        for cell in itertools.takewhile(lambda cell: cell.spec.id != until, self.recorded.cells.values()):
            yield CellStarted(cell.spec.id, self._sitting, 1)
            yield from (phase for _, phase in cell.phases)
            yield from cell.steps
            yield from cell.calls
            yield from self._ending(cell)

    def cell(self, name: str) -> Iterator[Event]:
        """Yields a cell up to its last call: a step, and where one is due telemetry, at each turn of the clock."""
        cell = self.recorded.cells[name]
        yield CellStarted(name, self._sitting, 1)
        yield from (phase for _, phase in cell.phases[:-2])
        readings, every = _readings(cell), max(1, round(self._rate / TELEMETRY_HZ))
        steps, told = itertools.cycle(self._scaled(cell)), cell.calls[-1]
        for call in range(1, self._calls + 1):
            yield from [CellPhase(name, "warm-up" if call == 1 else "measure", call)] if call <= 2 else ()
            for number in range(1, STEPS + 1):
                yield dataclasses.replace(next(steps), call=call, step=number, steps=STEPS)
                if number % every == 0:
                    yield next(readings)
            yield dataclasses.replace(told, call=call, steps=STEPS, wall_ms=1000 * STEPS / self._rate)

    def all_cells(self) -> Iterator[Event]:
        """Yields every cell to its end, and the run's."""
        for cell in self.recorded.cells.values():
            yield from self.cell(cell.spec.id)
            yield from self._ending(cell)
        yield from [each.finished for each in self.recorded.sittings[-1:] if each.finished]

    def _ending(self, cell: CellRecord) -> Iterator[CellFinished]:
        if cell.finished:  # with all that a supervisor of today says
            yield dataclasses.replace(cell.finished, summary=self._summaries[cell.spec.id])

    def _scaled(self, cell: CellRecord) -> list[Step]:
        steps = [step for step in cell.steps if step.call > 1 and step.stage == cell.calls[-1].stage]
        factor = 1000 / self._rate / statistics.median(step.ms for step in steps)
        return [dataclasses.replace(step, ms=round(step.ms * factor, 4)) for step in steps]


def _readings(cell: CellRecord) -> Iterator[Telemetry]:
    """Yields telemetry of the measured calls again and again."""
    begin = cell.phases[-1][0]
    return itertools.cycle([cell.telemetry[0][1], *(event for t, event in cell.telemetry if t >= begin)])


def write(folder: Path, rate: float, calls: int) -> None:
    """Holds the run's lock and appends the cell that goes on, each step when it is due."""
    lock, journal = _held(folder), runs.Journal(folder)
    load = Load(folder, rate, calls)
    for event in itertools.chain(load.opening(), load.finished_cells(until=CELL)):
        journal.append(event)
    print("ready", flush=True)
    begin, taken = time.monotonic(), 0
    for event in load.cell(CELL):
        if isinstance(event, Step):
            time.sleep(max(0.0, begin + taken / rate - time.monotonic()))
            taken += 1
            lock.beat()
        journal.append(event)


def write_at_once(folder: Path, rate: float, events: int) -> None:
    """Holds the run's lock and appends about so many events, which end now and say that they came at the rate."""
    lock, journal = _held(folder), runs.Journal(folder)
    cells = len(runs.read(RECORDED).cells)
    load = Load(folder, rate, calls=max(2, round(events / cells / (STEPS * (1 + TELEMETRY_HZ / rate) + 1))))
    at = time.time() - events / (1 + TELEMETRY_HZ / rate) / rate
    print("ready", flush=True)
    for event in itertools.chain(load.opening(), load.all_cells()):
        at += isinstance(event, Step) / rate
        journal.append(event, at)
    lock.release()


def _held(folder: Path) -> locks.Lock:
    lock = locks.Lock(folder / runs.LOCK)
    if not lock.acquire(f"run {folder.name}"):
        raise SystemExit(f"{folder} is held")
    return lock


def main() -> int:
    """Runs the stand-in."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="RUNDIR")
    parser.add_argument("--rate", type=float, default=100.0, help="steps a second")
    parser.add_argument("--calls", type=int, default=1000, help="of the cell")
    parser.add_argument("--events", type=int, help="append about so many at once")
    chosen = parser.parse_args()
    if chosen.events is None:
        write(chosen.folder, chosen.rate, chosen.calls)
    else:
        write_at_once(chosen.folder, chosen.rate, chosen.events)
    return 0


if __name__ == "__main__":
    sys.exit(main())
