"""The live panel: the cell that runs now, its steps, and what the machine does meanwhile."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from sdtui.display import duration, live_rate
from sdtui.model.cell import Cell
from sdtui.model.machine import Machine
from sdtui.tui.meters import TEMPERATURE, UTILISATION, VRAM, Meter, meters_of
from sdtui.tui.plot import Figure
from sdtui.tui.snapshot import LiveView, RunView
from sdtui.tui.widgets.drawing import Drawing, Row, beside, spread
from sdtui.tui.widgets.gauge import Bar
from sdtui.tui.widgets.trace import Graph

_COMPACT = 22
"""With fewer rows there are gauges and one row of trace; from this height on there are graphs."""
_LEAST_GRAPH, _GRAPH, _LEAST_TRACE = 5, 6, 5
"""Rows of a graph with its title and the gap above: at least, with room to spare, and those of the steps' at least."""
_PAIRED = 76
"""Columns for two bars beside each other."""
_LEAST_AROUND = 4
"""Rows beside those of the bars: name, progress, steps and state."""
_GAP = " · "


class Live(Drawing):
    """Shows how far the running cell is, its step times, the machine's figures and what disturbs them.

    It fills the room it has: six rows of gauges, or graphs as high as the room allows.
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002, textual's name
        super().__init__(id=id, classes=classes)
        self._run: RunView | None = None

    def show(self, run: RunView | None) -> None:
        """Shows a run as it stands."""
        self._run = run
        self.redraw()

    def draw(self, width: int, height: int) -> list[Row]:
        """Returns the rows that fit."""
        run = self._run
        if run is None:
            return []
        if run.live is None or run.machine is None:
            return _waiting(run, width)
        if height < _COMPACT:
            return self._compact(run, run.live, run.machine, width, height)
        return self._graphs(run, run.live, run.machine, width, height)

    # ------------------------------------------------------------------------------------------------- small sizes

    def _compact(self, run: RunView, live: LiveView, machine: Machine, width: int, height: int) -> list[Row]:
        name, place = spread(f"▶ {_name(run, live)}", _where(live), width)
        bars = self._bars(live, machine, width, height)
        progress = self._progress(live, run, _step_of(live), _remaining(run, live), width)
        around = [((name, "title"), (place, "value")), progress, *bars, _joined(_states(live, machine))]
        room = height - len(around)
        steps = self._steps(live, width, room if room >= _LEAST_TRACE else 1)
        return [*around[:2], *steps, *around[2:]]

    def _bars(self, live: LiveView, machine: Machine, width: int, height: int) -> list[Row]:
        """Returns a bar for each figure: two in a row where they have room beside each other, or none below."""
        meters = [meter for meter in meters_of(machine) if meter is not TEMPERATURE]
        if width < _PAIRED and height >= len(meters) + _LEAST_AROUND:
            return [self._bar(meter, live, machine, width) for meter in meters]
        half = (width - 2) // 2
        bars = [*(self._bar(meter, live, machine, half) for meter in meters), *([()] if len(meters) % 2 else [])]
        return [beside(left, right, half) for left, right in zip(bars[::2], bars[1::2], strict=True)]

    def _steps(self, live: LiveView, width: int, height: int) -> list[Row]:
        return Graph("latency", "ms").rows(live.trace, _step_words(live), width, height, self.unicode)

    def _progress(self, live: LiveView, run: RunView, label: str, words: str, width: int) -> Row:
        share = _share(run.cells[live.cell].spec, live)
        return Bar(label, max(12, len(label)), len(words)).row(share, words, width, unicode=self.unicode)

    def _bar(self, meter: Meter, live: LiveView, machine: Machine, width: int) -> Row:
        value, whole = live.gauges.get(meter.field), meter.whole(machine)
        share = None if value is None or not whole else value / whole
        peak = live.peak_vram_mib / whole if meter is VRAM and live.peak_vram_mib and whole else None
        words = "" if meter is UTILISATION and value is not None else meter.words(value, machine)
        return Bar(meter.label, part="load").row(share, words, width, peak, self.unicode)

    # ------------------------------------------------------------------------------------------------- large sizes

    def _graphs(self, run: RunView, live: LiveView, machine: Machine, width: int, height: int) -> list[Row]:
        name, place = spread(f"▶ {_name(run, live)}", f"{run.done + 1} of {run.total} {run.unit}", width)
        head: list[Row] = [
            ((name, "title"), (place, "label")),
            ((_ribbon(run.cells[live.cell].spec, live), "value"),),
            self._progress(live, run, _call_words(live), _step_of(live), width),
            ((_remaining(run, live), "label"),),
            (),
        ]
        below, drawn = self._meters(live, machine, width, height - len(head) - 2 - len(live.warnings))
        foot = [(), *_states(live, machine, TEMPERATURE not in drawn)]
        room = height - len(head) - len(below) - len(foot)
        return [*head, *self._steps(live, width, room), *below, *foot]

    def _meters(self, live: LiveView, machine: Machine, width: int, room: int) -> tuple[list[Row], Sequence[Meter]]:
        """Returns what is below the steps' graph, and the meters that are graphs: all of them, or else the first."""
        meters = meters_of(machine)
        room -= _LEAST_TRACE
        drawn = meters if room >= len(meters) * _LEAST_GRAPH else meters[:1]
        each = min(_GRAPH, room // len(drawn))
        rows: list[Row] = []
        for meter in drawn:
            rows += self._graph(meter, live, machine, width, each)
        left = [meter for meter in meters if meter not in drawn and meter is not TEMPERATURE]
        if left:
            rows += [(), *(self._bar(meter, live, machine, width) for meter in left)]
        return rows, drawn

    def _graph(self, meter: Meter, live: LiveView, machine: Machine, width: int, height: int) -> list[Row]:
        value = live.gauges.get(meter.field)
        history: Sequence[Figure] = live.history.get(meter.field, ())
        shown = [None if figure is None else figure / meter.per_unit for figure in history]
        words = meter.words(value, machine)
        if meter is VRAM and live.peak_vram_mib is not None:
            words += f"{_GAP}peak {meter.written(live.peak_vram_mib)}"
        graph = Graph(meter.label, meter.unit, meter.end(machine), meter.filled, part="load")
        return [(), *graph.rows(shown, words, width, height - 1, self.unicode)]


# ---------------------------------------------------------------------------------------------------------- words


def _waiting(run: RunView, width: int) -> list[Row]:
    """Says what a run does while no cell of it runs."""
    words = textwrap.wrap(run.message or run.state, max(10, width - 2), break_on_hyphens=False) or [""]
    rows: list[Row] = [((f"{'▶' if index == 0 else ' '} {line}", "title"),) for index, line in enumerate(words)]
    return [*rows, ((f"  {run.done} of {run.total} {run.unit} done{_GAP}{duration(run.elapsed_s)}", "label"),)]


def _name(run: RunView, live: LiveView) -> str:
    spec = run.cells[live.cell].spec
    process = live.name.removeprefix(live.cell).lstrip(", ")
    words = [spec.pipeline_label, spec.mode.label, f"batch size {spec.slot.batch_size}", process, live.stage]
    return _GAP.join(word for word in words if word)


def _where(live: LiveView) -> str:
    return f"{live.phase}{_GAP}{_call_words(live)}" if live.call else f"{live.phase} {duration(live.phase_s)}"


def _call_words(live: LiveView) -> str:
    if live.call is None:
        return duration(live.phase_s)
    return f"call {live.call} of {live.calls}" if live.call <= live.calls else f"call {live.call}"


def _step_of(live: LiveView) -> str:
    return "" if live.step is None else f"step {live.step}/{live.steps}"


def _ribbon(spec: Cell, live: LiveView) -> str:
    """Writes the cell's phases: those that are over, the one that it is in, and those to come."""
    phases = ["import", "load", "warm-up" if spec.mode.compile is None else "compile", "measure"]
    now = phases.index(live.phase) if live.phase in phases else -1
    words = [f"✓ {phase}" for phase in phases[: max(0, now)]]
    words.append(f"▶ {live.phase} {duration(live.phase_s)}")
    return "   ".join([*words, *(f"· {phase}" for phase in phases[now + 1 :])])


def _share(spec: Cell, live: LiveView) -> float:
    """Returns how much of the cell's steps is done."""
    if live.call is None:
        return 0.0
    names = [stage.name for stage in spec.stages]
    before = spec.stages[: names.index(live.stage)] if live.stage in names else ()
    of_call = sum(stage.steps for stage in spec.stages)
    taken = (live.call - 1) * of_call + sum(stage.steps for stage in before) + (live.step or 0)
    return min(1.0, taken / (max(live.calls, live.call) * of_call)) if of_call else 0.0


def _remaining(run: RunView, live: LiveView) -> str:
    """Writes the estimates; an upper limit, and a guess of what the run takes, are said to be such."""
    parts = (("cell", live.remaining_s), ("run", run.remaining_s))
    words = [f"{name} {duration(seconds)}" for name, seconds in parts if seconds is not None]
    if not words:
        return f"run {duration(run.elapsed_s)} so far"
    guessed = ", a guess" if run.how_sure == "at a guess" and run.remaining_s is not None else ""
    return f"{'at most' if run.how_sure == 'up to' else 'ETA'} {_GAP.join(words)}{guessed}"


def _step_words(live: LiveView) -> str:
    if live.latest_ms is None or live.median_ms is None or live.p95_ms is None:
        return _GAP.join(filter(None, ("no step yet", live.need)))
    words = [f"{_ms(live.latest_ms)} ms", f"median {_ms(live.median_ms)}", f"p95 {_ms(live.p95_ms)}"]
    return _GAP.join([*words, *([] if live.its is None else [live_rate(live.its)])])


def _ms(value: float) -> str:
    return f"{value:.2f}" if value < 1000 else f"{value:,.0f}"


def _states(live: LiveView, machine: Machine, with_temperature: bool = True) -> list[Row]:
    """Returns the temperature, and what disturbs the figures, each in a row; that nothing does is said too."""
    if TEMPERATURE not in meters_of(machine):
        return [((f"{machine.cpu_count} CPUs, no GPU", "label"),)]
    degrees, gauges = live.gauges.get(TEMPERATURE.field), live.gauges
    warm = [f"{degrees} °C"] if with_temperature and degrees is not None else []
    if live.warnings:
        return [*(((word, "label"),) for word in warm), *(((f"⚑ {each}", "warning"),) for each in live.warnings)]
    calm = ["not throttled"] if gauges.get("clock_event_reasons") is not None else []
    alone = ["no other process on the GPU"] if gauges.get("other_processes") == 0 else []
    return [((_GAP.join([*warm, *calm, *alone]), "label"),)]


def _joined(rows: Sequence[Row]) -> Row:
    """Puts several rows into one."""
    return tuple(piece for index, row in enumerate(rows) for piece in (((_GAP, "label"),) if index else ()) + row)
