"""Follows a run's folder and narrates it on stderr: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from sdtui import runs
from sdtui.model.events import (
    CellFinished,
    CellPhase,
    CellStarted,
    Event,
    Log,
    RunFinished,
    RunStarted,
    Stamped,
    Step,
    Telemetry,
)
from sdtui.report import text

_POLL_S = 0.1
_STARTUP_S = 60.0
_RECENT_STEPS = 10


def follow(folder: Path, console: Console, alive: Callable[[], bool], sitting: int) -> RunFinished | None:
    """Narrates a sitting until it has ended.

    Args:
        folder: Of the run.
        console: On stderr.
        alive: Whether the supervisor still lives; asked when the journal is quiet.
        sitting: Which one to follow; what earlier ones wrote is read in silence.

    Returns:
        How the sitting ended; ``None`` where its supervisor died without a word.
    """
    narrator = Narrator(folder, console, sitting)
    with narrator:
        for stamped in _events(folder, alive):
            narrator.take(stamped)
            if narrator.finished is not None:
                break
    return narrator.finished


def _events(folder: Path, alive: Callable[[], bool]) -> Iterator[Stamped]:
    tail = runs.Tail(folder)
    while True:
        living = alive()  # asked before the poll, so that the last lines of a supervisor that just ended are read
        found = False
        for stamped in tail.poll():
            found = True
            yield stamped
        if not found and not living:
            return
        time.sleep(_POLL_S)


class Narrator:
    """Turns events into a display; a context manager while it is live."""

    def __init__(self, folder: Path, console: Console, sitting: int) -> None:
        self._record = runs.RunRecord(folder)
        self._console = console
        self._sitting = sitting
        self._started = time.time()
        self._recent: list[float] = []
        self._gauges: dict[str, Any] = {}
        self._place = 0
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._run_task: TaskID = self._progress.add_task("run", total=1, note="")
        self._cell_task: TaskID = self._progress.add_task("", total=1, note="", visible=False)
        self.finished: RunFinished | None = None

    def __enter__(self) -> Narrator:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def take(self, stamped: Stamped) -> None:
        """Takes in the next event and shows what changed."""
        self._record.apply(stamped)
        if self._current_sitting() < self._sitting:
            return
        self._show(stamped.event, stamped.t)

    def _current_sitting(self) -> int:
        return self._record.sittings[-1].started.sitting if self._record.sittings else 0

    def _show(self, event: Event, t: float) -> None:
        if isinstance(event, RunStarted):
            self._started = t
            self._say(f"run {event.run} on {event.machine.device_name}")
        elif isinstance(event, Log):
            self._say(event.message, "yellow" if event.level != "info" else "")
        elif isinstance(event, CellStarted):
            self._begin(event)
        elif isinstance(event, CellPhase):
            self._enter(event)
        elif isinstance(event, Step):
            self._step(event)
        elif isinstance(event, Telemetry):
            self._gauges.update(event.changed)
            self._refresh()
        elif isinstance(event, CellFinished):
            self._end(event, t)
        elif isinstance(event, RunFinished):
            self.finished = event

    def _begin(self, event: CellStarted) -> None:
        self._recent.clear()
        self._gauges.clear()
        done = sum(1 for record in self._record.cells.values() if record.finished)
        self._place = done + 1
        self._progress.update(self._run_task, total=len(self._record.cells), completed=done, note=self._eta())
        self._progress.reset(self._cell_task, total=1, description=f"  {event.cell}", note="starting", visible=True)

    def _enter(self, event: CellPhase) -> None:
        self._recent.clear()
        self._progress.update(self._cell_task, completed=0, note=event.phase)
        if not self._console.is_terminal:
            self._say(f"[{self._place}/{len(self._record.cells)}] {event.cell}: {event.phase}")

    def _step(self, event: Step) -> None:
        self._recent = [*self._recent[1 - _RECENT_STEPS :], event.ms]
        self._progress.update(self._cell_task, total=event.steps, completed=event.step)
        self._refresh()

    def _refresh(self) -> None:
        phases = [
            record.phases[-1][1] for record in self._record.cells.values() if record.phases and not record.finished
        ]
        parts: list[str] = []
        if phases:
            call = f" call {phases[-1].call}" if phases[-1].call else ""
            parts.append(phases[-1].phase + call)
        if self._recent and sum(self._recent) > 0:
            rate = text.rate(1000 * len(self._recent) / sum(self._recent))
            parts.append(rate + ("/it" if rate.endswith("s") else " it/s"))
        parts += gauges(self._gauges)
        self._progress.update(self._cell_task, note=" · ".join(parts))

    def _end(self, event: CellFinished, t: float) -> None:
        record = self._record.cells[event.cell]
        self._progress.update(self._cell_task, visible=False)
        done = sum(1 for other in self._record.cells.values() if other.finished)
        self._progress.update(self._run_task, total=len(self._record.cells), completed=done, note=self._eta())
        its = [stage.loop_its for stage in event.summary.stages] if event.summary else []
        shown = text.outcome(event.status, event.call, its)
        figure = f"{shown} it/s" if event.status == "ok" and "s" not in shown else shown
        took = f" in {t - record.started:.0f} s" if record.started else ""
        reason = f": {event.reason}" if event.reason else ""
        style = {"ok": "green", "cancelled": "yellow", "unsupported": "yellow"}.get(event.status, "red")
        self._say(f"[{done}/{len(self._record.cells)}] {event.cell}: {figure}{took}{reason}", style)

    def _eta(self) -> str:
        """Estimates what is left from the cells that this sitting has finished."""
        mine = [r for r in self._record.cells.values() if r.finished and r.started and r.sitting == self._sitting]
        left = sum(1 for record in self._record.cells.values() if not record.finished)
        if not mine or not left:
            return ""
        seconds = (time.time() - self._started) / len(mine) * left
        return f"about {_duration(seconds)} left"

    def _say(self, message: str, style: str = "") -> None:
        self._console.print(Text(message, style=style), soft_wrap=True)


def gauges(fields: dict[str, Any]) -> list[str]:
    """Returns the readings worth a line: GPU utilisation and VRAM, or the worker's CPU and memory."""
    found = []
    for name, form in (
        ("gpu_utilisation_percent", "GPU {:.0f}%"),
        ("vram_used_mib", "VRAM {:.0f} MiB"),
        ("cpu_percent", "CPU {:.0f}%"),
        ("rss_mib", "RSS {:.0f} MiB"),
    ):
        if fields.get(name) is not None:
            found.append(form.format(fields[name]))
    return found


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
