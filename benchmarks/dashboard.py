"""What the dashboard costs, on a pseudo-terminal of its own: the limits that docs/dashboard.md promises.

    python benchmarks/dashboard.py -o dashboard.json
    python benchmarks/dashboard.py start live --seconds 10

The dashboard is started as a person starts it over SSH (xterm with 256 colours, ``SSH_CONNECTION`` set, 120×40); what
it sends goes through a terminal emulator, and "shown" is what can be read on the emulated screen. A stand-in for the
supervisor (dashboard_load.py) appends recorded events. Measures:

- ``start``: from the start of the process to the painted matrix, with 200 run folders, after one start that is not
  counted;
- ``live``: a worker that steps 100 times a second, its telemetry 10 times a second: bytes to the terminal, processor
  time of the dashboard, from an event's writing to the screen that shows it or a later one, and from a key press that
  moves the cursor to the screen on which it has moved;
- ``memory``: resident and unique set size after following a million events that are written as fast as can be, and
  after opening such a run when it has ended;
- ``hang-up``: from the loss of the terminal to the end of the dashboard, with the run going on.

Exit status 1: a limit is missed. Other load on the machine lengthens all times: its load average is told.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
from dashboard_load import ROOT, STEPS, make_empty, make_finished
from dashboard_terminal import NotShownError, Terminal

from sdtui import runs
from sdtui.model.events import Step
from sdtui.version import VERSION

SIZE = (120, 40)
RATE = 100.0
SETTLE_S = 3.0
BUSY_PERCENT = 10
"""Of all processors: a start is not begun while others use more."""
CALLS = 1000
MATRIX = re.compile(r"SD - controlnet")
CURSOR = re.compile(r"^.{14,24}.*\[.+\]")
CALL, STEP = re.compile(rf"(\d+)(?:/| of ){CALLS}\b"), re.compile(rf"\b(\d+)/{STEPS}\b")


@dataclass(frozen=True)
class Figure:
    """One figure.

    Attributes:
        limit: At most so much; ``None`` where nothing is promised.
        samples: What it was taken from.
    """

    what: str
    value: float
    unit: str
    limit: float | None = None
    samples: tuple[float, ...] = ()

    @property
    def met(self) -> bool:
        """Whether it keeps its limit."""
        return self.limit is None or self.value <= self.limit


@dataclass(frozen=True)
class Place:
    """A person's account that has nothing but this benchmark's files."""

    home: Path

    @property
    def runs_dir(self) -> Path:
        """Where its runs live."""
        return self.home / "runs"

    @property
    def environ(self) -> dict[str, str]:
        """The whole environment of what is started there."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22",
            "PYTHONPATH": str(ROOT),
            "SDTUI_RUNS_DIR": str(self.runs_dir),
            "SDTUI_LOCKS_DIR": str(self.home / "locks"),
            **{f"XDG_{kind}_HOME": str(self.home / kind.lower()) for kind in ("DATA", "CONFIG", "CACHE", "STATE")},
        }

    def open(self, *arguments: str) -> Terminal:
        """Starts the dashboard."""
        return Terminal([sys.executable, "-m", "sdtui", *arguments], self.environ, SIZE)

    @contextmanager
    def load(self, *arguments: str) -> Iterator[tuple[Path, subprocess.Popen[str]]]:
        """Has a new run written meanwhile; yields its folder and the writer."""
        folder = make_empty(self.runs_dir)
        command = [sys.executable, str(Path(__file__).with_name("dashboard_load.py")), str(folder), *arguments]
        writer = subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE, text=True)
        try:
            if writer.stdout is None or writer.stdout.readline() != "ready\n":
                raise SystemExit("the load did not start")
            yield folder, writer
        finally:
            writer.kill()
            writer.wait()


# -------------------------------------------------------------------------------------------------------- measures


def start(place: Place, chosen: argparse.Namespace) -> Iterator[Figure]:
    """Starts the dashboard again and again."""
    make_finished(place.runs_dir, chosen.folders)
    took = [_one_start(place, chosen.patience) for _ in range(chosen.times + 1)][1:]
    what = f"start to painted matrix, {chosen.folders} run folders"
    walls, busy = zip(*took, strict=True)
    yield Figure(f"{what}: median of {len(took)}", statistics.median(walls), "s", 0.7, walls)
    yield Figure(f"{what}: least", min(walls), "s")
    yield Figure(f"{what}: most", max(walls), "s")
    yield Figure(f"{what}: processor time, median", statistics.median(busy), "s", samples=busy)


def _one_start(place: Place, patience_s: float) -> tuple[float, float]:
    _wait_for_rest(patience_s)
    with place.open() as terminal:
        took = terminal.wait_for(_has(MATRIX)) - terminal.started
        busy = _cpu_s(psutil.Process(terminal.process.pid))
        terminal.press("q")
        terminal.wait()
    return took, busy


def live(place: Place, chosen: argparse.Namespace) -> Iterator[Figure]:
    """Follows a run that steps 100 times a second; then moves the cursor meanwhile."""
    with place.load("--rate", str(RATE), "--calls", str(CALLS)) as (folder, _), place.open("attach", folder.name) as it:
        it.wait_for(lambda lines: _sequence(lines) is not None)
        it.read_for(min(SETTLE_S, chosen.seconds))
        shown: list[tuple[float, int]] = []

        def see(at: float) -> None:
            sequence = _sequence(it.lines)
            if sequence is not None and (not shown or sequence > shown[-1][1]):
                shown.append((at, sequence))

        process, begin = psutil.Process(it.process.pid), time.time()
        bytes_before, cpu_before = it.bytes_read, _cpu_s(process)
        it.read_for(chosen.seconds, see)
        elapsed = time.time() - begin
        yield Figure("bytes to the terminal", (it.bytes_read - bytes_before) / elapsed / 1024, "KiB/s", 20)
        yield Figure(
            "processor time of the dashboard", 100 * (_cpu_s(process) - cpu_before) / elapsed, "% of a core", 10
        )
        yield Figure("screens on which the step has moved on", len(shown) / elapsed, "per s")
        yield from _percentiles("event written to shown", delays(_written(folder), shown), "s", 0.5)
        yield from _percentiles(
            "key press to repaint", [1000 * each for each in _presses(it, chosen.presses)], "ms", 50
        )


def delays(written: Sequence[tuple[float, int]], shown: Sequence[tuple[float, int]]) -> list[float]:
    """Returns for each event how long it took until a screen showed it or a later one, in seconds.

    Args:
        written: When each was written, and its number, ascending.
        shown: When each new number was read on the screen, ascending. Events before the first and after the last are
            left out.
    """
    found, screens = [], iter(shown)
    before, current = None, next(screens, None)
    for at, number in written:
        while current is not None and current[1] < number:
            before, current = current, next(screens, None)
        if current is None:
            break
        if before is not None:
            found.append(current[0] - at)
    return found


def _presses(terminal: Terminal, count: int) -> Iterator[float]:
    chance = random.Random(0)
    for number in range(count):
        terminal.read_for(chance.uniform(0.03, 0.13))
        before = _cursor(terminal.lines)
        pressed = terminal.press("j" if number % 2 == 0 else "k")
        yield terminal.wait_for(lambda lines, was=before: _cursor(lines) not in (None, was)) - pressed


def memory(place: Place, chosen: argparse.Namespace) -> Iterator[Figure]:
    """Follows a long run that is written as fast as can be, and opens it when it has ended."""
    with place.load("--events", str(chosen.events)) as (folder, writer):
        with place.open("attach", folder.name) as terminal:
            yield from _when_read(terminal, "followed", folder)
        writer.wait()
    with place.open("attach", folder.name) as terminal:
        yield from _when_read(terminal, "opened", folder)


def _when_read(terminal: Terminal, how: str, folder: Path) -> Iterator[Figure]:
    took = terminal.wait_for(_has(re.compile(r"\b6/6\b")), 180) - terminal.started
    with open(folder / runs.JOURNAL, "rb") as journal:
        events = sum(chunk.count(b"\n") for chunk in iter(lambda: journal.read(1 << 20), b""))
    used = psutil.Process(terminal.process.pid).memory_full_info()
    what = f"{events:,} events {how}"
    yield Figure(f"{what}: resident set", used.rss / 2**20, "MiB", 150)
    yield Figure(f"{what}: unique set", used.uss / 2**20, "MiB")
    yield Figure(f"{what}: start to the last one shown", took, "s")


def hang_up(place: Place, chosen: argparse.Namespace) -> Iterator[Figure]:
    """Takes the terminal away while a run is followed."""
    took = []
    for _ in range(chosen.hang_ups):
        with place.load() as (folder, writer), place.open("attach", folder.name) as terminal:
            terminal.wait_for(lambda lines: _sequence(lines) is not None)
            lost = terminal.hang_up()
            terminal.process.wait(30)
            took.append(time.time() - lost)
            left = [each for each in psutil.pids() if _session(each) == terminal.process.pid]
            size = (folder / runs.JOURNAL).stat().st_size
            time.sleep(0.5)
            if left or writer.poll() is not None or (folder / runs.JOURNAL).stat().st_size <= size:
                raise SystemExit(f"after the hang-up processes {left} are left, and the run has ended or stands still")
    yield Figure(f"loss of the terminal to the end: most of {len(took)}", max(took), "s", 1.0, tuple(took))


MEASURES: dict[str, Callable[[Place, argparse.Namespace], Iterator[Figure]]] = {
    "start": start,
    "live": live,
    "memory": memory,
    "hang-up": hang_up,
}


# ---------------------------------------------------------------------------------------------- what is on a screen


def _has(pattern: re.Pattern[str]) -> Callable[[list[str]], bool]:
    return lambda lines: any(pattern.search(line) for line in lines)


def _sequence(lines: Sequence[str]) -> int | None:
    """Returns the number of the step that is shown, counted from the first call's first."""
    call = next((match for line in lines if (match := CALL.search(line))), None)
    step = next((match for line in lines if (match := STEP.search(line))), None)
    return (int(call[1]) - 1) * STEPS + int(step[1]) if call and step else None


def _cursor(lines: Sequence[str]) -> int | None:
    """Returns the line that the matrix' cursor is in."""
    top = next((at for at, line in enumerate(lines) if line.startswith("Pipeline")), 0)
    return next((at for at, line in enumerate(lines) if at > top and CURSOR.match(line)), None)


def _written(folder: Path) -> list[tuple[float, int]]:
    steps = [(each.t, each.event) for each in runs.Tail(folder).poll() if isinstance(each.event, Step)]
    return [
        (t, (step.call - 1) * STEPS + step.step)
        for t, step in steps
        if step.steps == STEPS and step.cell == steps[-1][1].cell
    ]


def _wait_for_rest(patience_s: float) -> None:
    """Waits until nobody else uses the machine, or no longer."""
    end = time.monotonic() + patience_s
    while psutil.cpu_percent(0.2) > BUSY_PERCENT and time.monotonic() < end:
        pass


def _cpu_s(process: psutil.Process) -> float:
    used = process.cpu_times()
    return float(used.user + used.system)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _percentiles(what: str, samples: Sequence[float], unit: str, limit: float) -> Iterator[Figure]:
    samples = sorted(samples)
    yield Figure(f"{what}: median of {len(samples)}", statistics.median(samples), unit)
    p95 = statistics.quantiles(samples, n=20, method="inclusive")[-1]
    yield Figure(f"{what}: p95", p95, unit, limit, tuple(round(each, 5) for each in samples))


# --------------------------------------------------------------------------------------------------------- telling


def table(figures: Sequence[Figure]) -> str:
    """Returns the figures as a Markdown table."""
    lines = ["| what | measured | limit | |", "| --- | ---: | ---: | --- |"]
    for each in figures:
        limit = "" if each.limit is None else f"{each.limit:g} {each.unit}"
        verdict = "" if each.limit is None else "met" if each.met else "missed"
        lines.append(f"| {each.what} | {each.value:.3g} {each.unit} | {limit} | {verdict} |")
    return "\n".join(lines)


def machine() -> dict[str, object]:
    """Says where this was measured, and how busy it was."""
    return {
        "sdtui": VERSION,
        "python": platform.python_version(),
        "processors": os.cpu_count(),
        "load_average": os.getloadavg(),
    }


def main() -> int:
    """Measures what was chosen, prints a table, and says whether all limits are kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help="of " + ", ".join(MEASURES) + "; else all")
    parser.add_argument("--folders", type=int, default=200, help="run folders that are there at the start")
    parser.add_argument("--times", type=int, default=10, help="how often it is started")
    parser.add_argument("--patience", type=float, default=3.0, help="seconds to wait for a machine at rest, per start")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long a run is followed")
    parser.add_argument("--presses", type=int, default=120, help="key presses")
    parser.add_argument("--events", type=int, default=1_000_000, help="of the long run")
    parser.add_argument("--hang-ups", type=int, default=3, help="how often the terminal is lost")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    unknown = [name for name in chosen.measures if name not in MEASURES]
    if unknown:
        parser.error(f"unknown measure '{unknown[0]}'; there are {', '.join(MEASURES)}")
    told = {"before": machine(), "figures": (figures := [])}
    for name in chosen.measures or MEASURES:
        with tempfile.TemporaryDirectory() as home:
            place = Place(Path(home))
            place.runs_dir.mkdir()
            try:
                figures += MEASURES[name](place, chosen)
            except NotShownError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
    print(table(figures))
    print(f"load average {told['before']['load_average']} before, {os.getloadavg()} after", file=sys.stderr)
    if chosen.output:
        told = {**told, "after": machine(), "figures": [dataclasses.asdict(each) for each in figures]}
        chosen.output.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return 0 if all(each.met for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
