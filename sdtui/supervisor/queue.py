"""What a sitting has left to run: in which order, how long it may take, and what of it fits into the budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

from sdtui import durations
from sdtui.durations import Duration
from sdtui.forecasts import Manner, forecast
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.events import CellFinished, Log, RunForecast
from sdtui.model.forecast import Forecast
from sdtui.model.spans import span_text
from sdtui.ordering import ordered
from sdtui.records import RunRecord, row_of
from sdtui.supervisor.sitting import Sitting

FIRST_RUNG_SHARE = 2 / 3
"""Of a budget, what the first rung of what is tuned may take: figures of one process each are a poor end of it."""


class Queue:
    """The processes of a sitting's cells that are due, which are yielded one by one as they come to be run.

    They come by rounds, the first process of every cell before the second of any: what is compared takes turns.
    """

    def __init__(self, sitting: Sitting, record: RunRecord) -> None:
        """Begins with what is known of how long cells take; a budget counts from here.

        Args:
            sitting: What is measured.
            record: Of the run, which the supervisor keeps up to date.
        """
        self._sitting = sitting
        self._record = record
        self._began = time.monotonic()
        self._cells = ordered(sitting.cells)
        self._device = sitting.machine.device_name
        self._known = list(durations.newest((*sitting.durations, *durations.taken(record, self._device))))
        self._said: tuple[Forecast, ...] = ()
        self._to_keep: list[Duration] = []
        self._keeps = True
        self._forks = sitting.forks
        self._has_learned = False
        self._manner = Manner(
            on_gpu=sitting.machine.gpu is not None,
            torch={each.name: each.packages.get("torch") for each in sitting.environments},
            cold=sitting.cold,
            traced=sitting.trace,
            precision=sitting.precision,
        )

    def rounds(self) -> Iterator[tuple[int, Iterator[Cell]]]:
        """Yields the number of each round's processes, and the cells whose process of this number is due.

        What does not fit into the budget is passed over. The first rung of what is tuned leaves a third of the budget
        to the later ones, or what these take of the cells that it has measured, where that is known to be less. What it
        passed over for that comes after them, as far as it fits then, and before them in a row that has fewer than two
        cells left to compare: no later rung has anything to tell there.
        """
        processes = range(1, self._sitting.processes + 1)
        if self._sitting.tune and self._sitting.budget_s is not None and len(processes) > 1:
            yield 1, chain(self._round(1, self._fits_first_rung), self._round(1, self._fits_beside_later_rungs))
            while self._next(self._cells, 1, self._fits_lonely) is not None:
                yield 1, self._round(1, self._fits_lonely)
            yield from ((process, self._round(process, self._fits)) for process in processes[1:])
        yield from ((process, self._round(process, self._fits)) for process in processes)

    def _round(self, process: int, fits: Callable[[Cell], bool]) -> Iterator[Cell]:
        waiting = list(self._cells)
        while (cell := self._next(waiting, process, fits)) is not None:
            waiting.remove(cell)
            yield cell

    def forecast(self) -> RunForecast:
        """Returns what is due, in order, and how long it may take."""
        due = [cell for cell in self._cells if self._is_due(cell)]
        self._said = tuple(self._forecast(cell, is_next=cell is due[0]) for cell in due)
        return RunForecast(self._record.sittings[-1].started.sitting, self._said)

    def peak_mib(self, cell: Cell) -> float | None:
        """Returns what torch's allocator held at its most when the cell was last measured on such a device."""
        peaks = (each.peak_mib for each in reversed(self._known) if each.cell == cell.id)
        return next((peak for peak in peaks if peak is not None), None)

    def learn(self, ending: CellFinished, t: float | None) -> Iterator[RunForecast]:
        """Takes in how long the process took that ends now, for the rest of the sitting.

        Args:
            ending: Which the record does not have yet.
            t: When it ended, in unix seconds; ``None`` where it never ran.

        Yields:
            The forecast, where this changes it.
        """
        process = replace(self._record.cells[ending.cell], finished=ending, finished_at=t)
        duration = durations.taken_by(self._record, process)
        if duration is None:
            return
        if self._has_learned:  # the sitting's first waits for imports in any case
            self._forks = not duration.imports
        self._has_learned = True
        self._known.append(duration)
        self._to_keep.append(duration)
        before, now = self._said, self.forecast()
        is_over = self._record.due(self._record.cells[ending.cell]) == (ending.process,)
        if not {each for each in now.queue if not (is_over and each.cell == ending.cell)} <= {*before}:
            yield now

    def keep(self) -> Iterator[Log]:
        """Keeps what was learned for later runs; once that has failed, which it yields a word of, no longer."""
        while self._to_keep and self._keeps:
            try:
                durations.keep(self._to_keep.pop(), self._device)
            except (OSError, UserError) as error:
                self._keeps = False
                reason = error if isinstance(error, UserError) else f"{error.filename}: {error.strerror}"
                yield Log(f"how long cells take is not kept for later runs: {reason}", "warning")

    def is_over(self) -> bool:
        """Whether nothing fits into the budget any more, however little it takes."""
        return self._left_s() == 0.0

    def left(self) -> dict[str, str]:
        """Returns why each cell that is still due was not run, by id; empty where there is no budget."""
        if self._sitting.budget_s is None:
            return {}
        cells = (cell for cell in self._cells if self._is_due(cell))
        return {cell.id: self._why_not(self._forecast(cell)) for cell in cells}

    def _next(self, waiting: Sequence[Cell], process: int, fits: Callable[[Cell], bool]) -> Cell | None:
        due = (cell for cell in waiting if self._record.due(self._record.cells[cell.id])[:1] == (process,))
        return next((cell for cell in due if fits(cell)), None)

    def _fits(self, cell: Cell, share: float = 1.0, spared_s: float = 0.0) -> bool:
        left_s = self._left_s(share)
        return left_s is None or self._forecast(cell).seconds <= left_s - spared_s

    def _fits_first_rung(self, cell: Cell) -> bool:
        return self._fits(cell, FIRST_RUNG_SHARE)

    def _fits_beside_later_rungs(self, cell: Cell) -> bool:
        """Says whether it leaves what the later rungs take of cells that were measured, should none drop out."""
        begun = [each for each in self._cells if self._record.cells[each.id].processes]
        due = ((each, len(self._record.due(self._record.cells[each.id]))) for each in begun)
        return self._fits(cell, spared_s=sum(self._forecast(each).seconds * count for each, count in due))

    def _fits_lonely(self, cell: Cell) -> bool:
        """Says whether it fits, and fewer than two cells of its row were measured and are left to compare."""
        row = [self._record.cells[each.id] for each in self._cells if row_of(each.slot) == row_of(cell.slot)]
        left = (each for each in row if not self._record.why_closed(each))
        measured = (any(one.finished and one.finished.status == "ok" for one in each.processes) for each in left)
        return sum(measured) < 2 and self._fits(cell)

    def _left_s(self, share: float = 1.0) -> float | None:
        """Returns what is left of a share of the budget, from the sitting's start on; ``None`` where there is none."""
        if self._sitting.budget_s is None:
            return None
        return max(0.0, share * self._sitting.budget_s - (time.monotonic() - self._began))

    def _why_not(self, expected: Forecast) -> str:
        budget, guess = span_text(self._sitting.budget_s or 0.0), "" if expected.is_sure else ", at a guess"
        takes, left = span_text(math.ceil(expected.seconds)), span_text(math.floor(self._left_s() or 0.0))
        return f"did not fit into the budget of {budget}: it takes {takes}{guess}; {left} was left"

    def _is_due(self, cell: Cell) -> bool:
        return bool(self._record.due(self._record.cells[cell.id]))

    def _forecast(self, cell: Cell, is_next: bool = True) -> Forecast:
        imports = not self._forks or (is_next and not self._has_begun())
        return forecast(cell, self._known, self._manner, imports)

    def _has_begun(self) -> bool:
        now = self._record.sittings[-1].started.sitting
        return any(cell.sitting == now for cell in self._record.cells.values())
