"""How a report says how far the processes of a cell are apart."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.model.results import ProcessSpread, StageSummary
from sdtui.report import text
from sdtui.report.merge import Result, sitting_of

NOTE = (
    "A cell that was measured in several processes has, as its figure, the median of theirs; its step times are pooled "
    "over them, each process weighing as much as any other, and its intervals draw processes first, then calls, then "
    "steps: they say what the median over fresh processes is, which one process by itself cannot. Two or three "
    "processes do not show well how much processes differ, and their interval is too narrow. Processes without a call "
    "after the first enter no figure where another has one."
)
_MOST_PROCESSES = 4  # whose medians are listed one by one


def cards(result: Result) -> str:
    """Says where a cell's processes ran on several cards, of one model; empty where they did not."""
    sittings = [sitting_of(result.run, process.record) for process in result.counted]
    machines = [sitting.started.machine for sitting in sittings if sitting]
    found = dict.fromkeys(machine.gpu.uuid if machine.gpu else machine.cpu for machine in machines)
    if len(found) < 2:
        return ""
    return f"{result.spec.id}: its processes ran on different cards of one model ({', '.join(found)})."


def table(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Returns header and rows of the stages that were measured in several processes."""
    header = ["Cell", "Stage", "Processes", "Median of each ms", "Loop it/s of each", "First call of each s"]
    header += ["Between: standard deviation", "Between: lowest to highest", "Within: half a process's own interval"]
    rows = []
    for result in results:
        for stage in result.summary.stages:
            if stage.processes:
                rows.append([result.spec.id, stage.stage, str(len(stage.processes)), *_each(stage), *_apart(stage)])
    return header, rows


def said(result: Result) -> list[str]:
    """Writes of each stage how far the processes' medians are apart, beside how sure each is of its own."""
    return [
        f"{'' if stage.stage == 'main' else f'{stage.stage}: '}{_said(stage.spread)}"
        for stage in result.summary.stages
        if stage.spread
    ]


def partial(result: Result) -> str:
    """Writes ``8 of 10 processes`` where a cell's figures are not of all its processes yet, or never will be."""
    return f"{len(result.counted)} of {result.run.processes} processes" if result.is_partial else ""


def _said(spread: ProcessSpread) -> str:
    within = f", within one ±{text.percent(spread.within)}" if spread.within is not None else ""
    medians = f"median steps of {spread.count} processes around {spread.median_ms:.2f} ms"
    return f"{medians}: sd {text.percent(spread.sd)}, range {text.percent(spread.range)}{within}"


def _each(stage: StageSummary) -> list[str]:
    medians = [process.step_ms.median_ms for process in stage.processes if process.step_ms]
    firsts = [process.first_call_s for process in stage.processes]
    rates = [process.loop_its for process in stage.processes]
    return [
        _listed(medians, lambda ms: text.number(ms, 2)),
        _listed(rates, text.rate),
        _listed(firsts, lambda s: text.number(s, 2)),
    ]


def _listed(values: Sequence[float], write: text.Writer) -> str:
    if len(values) > _MOST_PROCESSES:
        return f"{write(min(values))} to {write(max(values))}"
    return ", ".join(map(write, values)) or text.NONE


def _apart(stage: StageSummary) -> list[str]:
    if stage.spread is None:
        return [text.NONE] * 3
    within = text.NONE if stage.spread.within is None else f"±{text.percent(stage.spread.within)}"
    return [text.percent(stage.spread.sd), text.percent(stage.spread.range), within]
