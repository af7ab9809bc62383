"""Follows a run's folder and narrates it on stderr: a live display on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from sdtui import runs
from sdtui.check import check_output
from sdtui.display import Display, duration
from sdtui.model.cell import Slot
from sdtui.model.events import (
    CellChecked,
    CellFinished,
    CellPhase,
    CellStarted,
    Event,
    Log,
    RunForecast,
    RungFinished,
    RunStarted,
    Stamped,
    Telemetry,
)
from sdtui.model.spans import span_text
from sdtui.model.vram import VramNeed
from sdtui.progress import progress_of
from sdtui.records import RunRecord
from sdtui.report import precision, text

_POLL_S = 0.1
_STYLES = {"ok": "green", "cancelled": "yellow", "unsupported": "yellow"}
_INDENT = 6


class Narrator:
    """Turns a run's events into a narration; a context manager while its display is live.

    Attributes:
        record: The run, as far as it was read.
    """

    def __init__(self, folder: Path, console: Console) -> None:
        self.record = RunRecord(folder)
        self._tail = runs.Tail(folder)
        self._console = console
        self._gauges: dict[str, Any] = {}
        self._on_terminal = console.is_terminal and not console.is_dumb_terminal
        self._display = Display(self.record, self._gauges, console) if self._on_terminal else None

    def __enter__(self) -> Narrator:
        if self._display:
            self._display.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self._display:
            self._display.__exit__()

    def catch_up(self) -> None:
        """Reads what there is, in silence."""
        for stamped in self._tail.poll():
            self._apply(stamped)

    def follow(self, alive: Callable[[], bool], leave: Callable[[], bool]) -> None:
        """Narrates until the supervisor is gone and all that it wrote is read.

        Args:
            alive: Whether the supervisor still lives.
            leave: Asked at every poll, ten times a second; whether to return at once.
        """
        while not leave():
            living = alive()  # asked before the poll, so that the last lines of a supervisor that just ended are read
            for stamped in self._tail.poll():
                self.take(stamped)
            if self._display:
                self._display.refresh()
            if not living:
                return
            time.sleep(_POLL_S)

    def take(self, stamped: Stamped) -> None:
        """Takes in the next event and says what is worth a line."""
        self._apply(stamped)
        self._tell(stamped.event, stamped.t)

    def say(self, message: str, style: str = "") -> None:
        """Writes a line of narration: whole to a file; on a terminal wrapped between words, but a path stays whole."""
        whole = not self._on_terminal or " " not in message
        self._console.print(Text(message, style=style), soft_wrap=whole)

    def say_position(self) -> None:
        """Says where the run stands, for who joins late: between cells with the last thing that it had to say."""
        progress = progress_of(self.record, time.time())
        sitting = self.record.sittings[-1] if self.record.sittings else None
        device = f" on {sitting.started.machine.device_name}" if sitting else ""
        self.say(f"run {self.record.id}{device}: {progress.done} of {progress.total} {progress.unit} done")
        if sitting and progress.current is None and self.record.logs and self.record.logs[-1][0] >= sitting.started_at:
            self._tell(self.record.logs[-1][1], self.record.logs[-1][0])

    def _apply(self, stamped: Stamped) -> None:
        self.record.apply(stamped)
        if isinstance(stamped.event, CellStarted):
            self._gauges.clear()
        elif isinstance(stamped.event, Telemetry):
            self._gauges.update(stamped.event.changed)

    def _tell(self, event: Event, t: float) -> None:
        if isinstance(event, RunStarted):
            sitting = f", sitting {event.sitting}" if event.sitting > 1 else ""
            self.say(f"run {event.run} on {event.machine.device_name}{sitting}")
        elif isinstance(event, RunForecast):
            self._tell_order(event, t)
        elif isinstance(event, Log):
            self.say(event.message, "yellow" if event.level != "info" else "")
        elif isinstance(event, CellStarted) and event.need:
            self._tell_need(event, event.need, t)
        elif isinstance(event, CellPhase) and not self._on_terminal:
            progress = progress_of(self.record, t)
            call = f", call {event.call}" if event.call else ""
            name = self.record.cells[event.cell].name
            self.say(f"[{progress.done + 1}/{progress.total}] {name}: {event.phase}{call}")
        elif isinstance(event, CellFinished):
            self._tell_ending(event, t)
        elif isinstance(event, CellChecked):
            self._tell_check(event)
        elif isinstance(event, RungFinished):
            self._tell_rung(event)

    def _tell_need(self, event: CellStarted, need: VramNeed, t: float) -> None:
        """Says what a cell needs; on a terminal, whose display has it, only where that is more than there is."""
        if not self._on_terminal or need.is_short:
            progress = progress_of(self.record, t)
            head = f"[{progress.done + 1}/{progress.total}] {self.record.cells[event.cell].name}"
            style = "yellow" if need.is_short else ""
            words = text.vram_need(need)
            self.say(f"{head}: {words}: it may run out of memory" if need.is_short else f"{head}: {words}", style)

    def _tell_order(self, event: RunForecast, t: float) -> None:
        """Says once in a sitting what it runs, in which order; later forecasts are seen in what is left."""
        if any(cell.sitting == event.sitting for cell in self.record.cells.values()):
            return
        progress, budget_s = progress_of(self.record, t), self.record.sittings[-1].started.budget_s
        takes = f", {progress.how_sure} {duration(progress.remaining_s)}" if progress.remaining_s else ""
        budget = f" as far as a budget of {span_text(budget_s)} goes" if budget_s is not None else ""
        left = progress.total - progress.done
        unit = progress.unit if left > 1 else progress.unit.replace("processes", "process").replace("cells", "cell")
        self.say(f"{left} {unit} to run{budget}{takes}, in this order:")
        cells = [self.record.cells[each.cell] for each in event.queue]
        if self.record.is_tuned:  # who is measured in a later rung is not known
            rung = min((self.record.due(cell)[:1] for cell in cells), default=())
            cells = [cell for cell in cells if self.record.due(cell)[:1] == rung]
        for line in _order([cell.spec.slot for cell in cells]):
            self.say(line)

    def _tell_rung(self, event: RungFinished) -> None:
        """Says who is out, and who leads."""
        modes = {cell: record.spec.slot.mode for cell, record in self.record.cells.items()}
        of = f"rung {event.rung} of {self.record.processes}"
        for cell, reason in event.closed.items():
            self.say(f"{modes[cell]}: {reason}")
        best = ", ".join(modes[cell] for cell in event.best)
        leads = "leads" if len(event.best) == 1 else "lead, not told apart"
        self.say(
            f"{of}, {event.pipeline} at batch size {event.batch_size}: {f'{best} {leads}' if best else 'none leads'}"
        )

    def _tell_check(self, event: CellChecked) -> None:
        told = check_output(self.record, self.record.cells[event.cell])
        if told and told.verdict == "failed":
            self.say(f"{event.cell}: differs: {told.reason}", "yellow")

    def _tell_ending(self, event: CellFinished, t: float) -> None:
        progress = progress_of(self.record, t)
        cell = self.record.cells[event.cell]
        head, started = f"[{progress.done}/{progress.total}] {cell.name}:", cell.started
        took = f" in {duration(t - started)}" if started else ""
        why = event.reason or (precision.said(event.precision) if event.precision else "")
        reason = f": {why}" if why else ""
        left = f" ({progress.how_sure} {duration(progress.remaining_s)} left)" if progress.remaining_s else ""
        tail = f"{_outcome(event)}{took}{reason}"
        style = _STYLES.get(event.status, "red")
        if not self._on_terminal:
            self.say(f"{head} {tail}{left}", style)
        elif len(head) + 1 + len(tail) <= self._console.width:
            self.say(f"{head} {tail}", style)
        else:
            self.say(head, style)
            self._console.print(Padding(Text(tail, style=style), (0, 0, 0, _INDENT)))


def _order(slots: Sequence[Slot]) -> Iterator[str]:
    """Writes a line for each batch size: its pipelines, and in brackets the modes, where needed with environments."""
    several = len({slot.environment for slot in slots}) > 1
    for size, of_size in groupby(slots, key=lambda slot: slot.batch_size):
        rows = [
            f"{pipeline} ({', '.join(f'{s.mode}.{s.environment}' if several else s.mode for s in row)})"
            for pipeline, row in groupby(of_size, key=lambda slot: slot.pipeline)
        ]
        yield f"{' ' * _INDENT}batch size {size}: {', '.join(rows)}"


def _outcome(event: CellFinished) -> str:
    its = [stage.loop_its for stage in event.summary.stages] if event.summary else []
    shown = text.outcome(event.status, event.call, its)
    if event.status == "cancelled":
        return event.status
    return f"{shown} it/s" if event.status == "ok" and "s" not in shown else shown
