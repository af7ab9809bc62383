"""The live display of a run on a terminal: three lines that fit its width."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from sdtui.model.events import WAITING
from sdtui.progress import Progress, progress_of, rate_of, recent_steps
from sdtui.records import CellRecord, RunRecord
from sdtui.report import text

_GAUGES = (
    ("gpu_utilisation_percent", "GPU {:3.0f}%"),
    ("vram_used_mib", "VRAM {:5.0f} MiB"),
    ("cpu_percent", "CPU {:3.0f}%"),
    ("rss_mib", "RSS {:5.0f} MiB"),
)
_BAR_WIDTHS = range(4, 25)
_GAP = "  "


class Display:
    """Shows the lines of `lines` on a terminal; a context manager while it is live.

    It has no thread of its own, which would read a run while it changes: whoever takes in events also refreshes.
    """

    def __init__(self, record: RunRecord, gauges: Mapping[str, Any], console: Console) -> None:
        self._record = record
        self._gauges = gauges
        self._console = console
        self._live = Live(
            get_renderable=self._render,
            console=console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Display:
        self._live.start(refresh=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def refresh(self) -> None:
        """Shows the run as it is now."""
        self._live.refresh()

    def _render(self) -> Text:
        rows = lines(self._record, self._gauges, time.time(), self._console.width, self._console.encoding)
        return Text("\n", no_wrap=True, overflow="crop").join(rows)


def lines(
    record: RunRecord, gauges: Mapping[str, Any], now: float, width: int, encoding: str = "utf-8"
) -> tuple[Text, Text, Text]:
    """Returns the display: the cell; its phase, step, rate and gauges; the run with its estimate.

    Args:
        record: Of the run.
        gauges: Latest telemetry of the running cell, by field.
        now: Unix seconds.
        width: Of the terminal, in columns: no line is longer.
        encoding: Of the terminal; without UTF-8 the bars are plain.
    """
    progress = progress_of(record, now)
    bar = "━╌" if encoding.lower().startswith("utf") else "#-"
    cell = progress.current
    if cell is None:
        head, body = Text(_between(record, progress)), Text()
    else:
        head = Text(f"[{progress.done + 1}/{progress.total}] {cell.name}", style="bold")
        body = _cell_line(cell, gauges, now, width, bar)
    rows = (head, body, _run_line(record, progress, now, width, bar))
    for row in rows:
        row.truncate(width, overflow="ellipsis")
    return rows


def duration(seconds: float) -> str:
    """Writes a duration: ``2 h 05 min``, ``3 min 10 s``, ``40 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def _between(record: RunRecord, progress: Progress) -> str:
    sitting = record.sittings[-1] if record.sittings else None
    if sitting and sitting.finished:
        return "ending"
    if sitting and not any(cell.sitting == sitting.started.sitting for cell in record.cells.values()):
        waiting = any(t >= sitting.started_at and log.message.startswith(WAITING) for t, log in record.logs)
        return "waiting" if waiting else "starting"
    if not progress.done:
        return "starting"
    return "between cells" if progress.done < progress.total else "writing the report"


def _cell_line(cell: CellRecord, gauges: Mapping[str, Any], now: float, width: int, bar: str) -> Text:
    entered, phase = (cell.phases[-1][0], cell.phases[-1][1]) if cell.phases else (cell.started or now, None)
    steps = recent_steps(cell)
    left = _GAP + (phase.phase if phase else "launch")
    if phase and phase.call:
        left += f", call {steps[-1].call if steps else phase.call}"  # a phase may last several calls
    if steps and len(cell.spec.stages) > 1:
        left += f", {steps[-1].stage}"
    readings = [form.format(gauges[name]) for name, form in _GAUGES if gauges.get(name) is not None]
    if not steps:
        need = [text.vram_need(cell.need)] if cell.need else []
        return Text(_GAP.join([left, duration(now - entered), *readings, *need]))
    rate = rate_of(steps)
    step, of = steps[-1].step, steps[-1].steps
    right = [f"{step:{len(str(of))}}/{of}", *([] if rate is None else [f"{live_rate(rate):>11}"]), *readings]
    return _with_bar(left, step / of, _GAP.join(right), width, bar)


def _run_line(record: RunRecord, progress: Progress, now: float, width: int, bar: str) -> Text:
    parts = [f"{progress.done}/{progress.total} {progress.unit}"]
    if record.sittings:
        parts.append(duration(now - record.sittings[-1].started_at))
    if progress.remaining_s and progress.remaining_s >= 1:
        parts.append(f"{progress.how_sure} {duration(progress.remaining_s)} left")
    share = progress.done / progress.total if progress.total else 0.0
    return _with_bar(f"{_GAP}run", share, _GAP.join(parts), width, bar)


def live_rate(its: float) -> str:
    """Writes a rate with its unit: ``91.42 it/s``, or ``2.34s/it`` below one."""
    shown = text.rate(its)
    return f"{shown}/it" if shown.endswith("s") else f"{shown} it/s"


def _with_bar(left: str, share: float, right: str, width: int, bar: str) -> Text:
    """Puts a bar between two texts, as long as the width leaves room for; none where there is too little."""
    room = width - len(left) - len(right) - 2 * len(_GAP)
    if room < _BAR_WIDTHS.start:
        return Text(left + _GAP + right)
    length = min(room, _BAR_WIDTHS.stop - 1)
    full = round(share * length)
    return Text.assemble(left + _GAP, (bar[0] * full, "cyan"), (bar[1] * (length - full), "dim"), _GAP + right)
