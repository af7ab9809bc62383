"""What one run has come to: a line per cell."""

from __future__ import annotations

import json
from typing import Any

from sdtui.model.codec import encode
from sdtui.model.sizes import allocator_limited
from sdtui.records import RunRecord
from sdtui.report import precision, processes, text, tuning
from sdtui.report.detail import ending
from sdtui.report.json_report import figures
from sdtui.report.merge import Result, results_of


def show_text(record: RunRecord, state: str) -> str:
    """Writes a run as plain text: id, state, devices, sittings, a line per cell, then its flags with their evidence.

    Args:
        record: The run.
        state: As `runs.list_runs` words it: ``running``, ``waiting``, ``interrupted``, ``empty`` or how it finished.
    """
    results = results_of(record)
    devices = dict.fromkeys(sitting.started.machine.device_name for sitting in record.sittings)
    limits = filter(None, dict.fromkeys(allocator_limited(result.spec.vram_limit_bytes) for result in results))
    lines = [
        f"run       {record.id}",
        f"state     {state}{f'; {text.unreadable(record)}' if record.unreadable else ''}",
        f"device    {', '.join([*(devices or [text.NOT_AVAILABLE]), *limits])}",
        *(f"sitting   {line}" for line in _sittings(record)),
        f"cells     {_counts(results)}",
        "",
    ]
    width = max((len(result.spec.id) for result in results), default=0)
    lines += [f"{result.spec.id:<{width}}  {_outcome(result, state)}".rstrip() for result in results]
    raised = [f"{result.spec.id:<{width}}  {flag}" for result in results for flag in result.flags]
    lines += ["", "flags", *raised] if raised else []
    known = [f"{name:<{width}}  {what}" for result in results for name, what in _precisions(result)]
    lines += ["", "precision", *known] if known else []
    apart = [f"{result.spec.id:<{width}}  {spread}" for result in results for spread in processes.said(result)]
    lines += ["", "processes", *apart] if apart else []
    for outcome in tuning.outcomes(record):
        lines += ["", f"tuning    {outcome.heading}", *outcome.verdict()]
    return "\n".join(lines).rstrip("\n") + "\n"


def _precisions(result: Result) -> list[tuple[str, str]]:
    lines = [(process.name, precision.said(found)) for process, found in precision.reached(result)]
    together = precision.said_of_all(result)
    return [*lines, (result.spec.id, together)] if together else lines


def show_json(record: RunRecord, state: str) -> str:
    """Writes the same as JSON, with each cell's summary; raw samples are in the JSON report."""
    document = {
        "run": record.id,
        "state": state,
        "unreadable_lines": record.unreadable,
        "sittings": [
            {
                "started_at": sitting.started_at,
                "started": encode(sitting.started),
                "finished_at": sitting.finished_at,
                "finished": encode(sitting.finished),
            }
            for sitting in record.sittings
        ],
        "cells": [_cell(result, state) for result in results_of(record)],
        "logs": [{"t": t, **encode(log)} for t, log in record.logs],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _sittings(record: RunRecord) -> list[str]:
    lines = []
    for sitting in record.sittings:
        started = sitting.started
        end = f"{sitting.finished.status} {text.moment(sitting.finished_at)}" if sitting.finished else "no ending"
        reason = f" ({sitting.finished.reason})" if sitting.finished and sitting.finished.reason else ""
        lines.append(
            f"{started.sitting}: {text.moment(sitting.started_at)} on {started.machine.host}, "
            f"{started.device}; {end}{reason}"
        )
    return lines


def _counts(results: tuple[Result, ...]) -> str:
    counts: dict[str, int] = {}
    for result in results:
        status = result.status or "without a result"
        counts[status] = counts.get(status, 0) + 1
    return ", ".join(f"{count} {status}" for status, count in counts.items()) or "none"


def _progress(result: Result, state: str) -> str:
    """`detail.ending`, with where a cell is now that has no ending."""
    if result.status is not None:
        return ending(result) + (f" ({partial})" if (partial := processes.partial(result)) else "")
    if result.record.finished is not None:
        return f"{len(result.processes)} of {result.run.processes} processes"
    if result.record.started is None:
        return "queued" if state in ("running", "waiting") else "not run"
    phase = result.record.phases[-1][1] if result.record.phases else None
    where = "" if phase is None else f" in {phase.phase}" + (f", call {phase.call}" if phase.call else "")
    where += f", process {result.record.process} of {result.run.processes}" if result.run.processes > 1 else ""
    return f"{'running' if state == 'running' else 'interrupted'}{where}"


def _outcome(result: Result, state: str) -> str:
    figure = text.rates(result.its)
    unit = "" if not figure or figure.endswith("s") else " it/s"
    reason = " ".join(result.reason.split())
    parts = (_progress(result, state), f"{figure}{unit}", _achieved(result), reason)
    return "  ".join(part for part in parts if part)


def _achieved(result: Result) -> str:
    """Writes what each counted stage achieved: ``26.9 / 79.0 TFLOP/s in the median step (4 / 12 % of …)``."""
    if not result.roofline:
        return ""
    shares = [f"{100 * stage.share:.0f}" for stage in result.roofline if stage.share is not None]
    of_rate = f" ({' / '.join(shares)} % of the matrix rate)" if shares else ""
    rates = " / ".join(text.significant(stage.tflops, 3) for stage in result.roofline)
    return f"{rates} TFLOP/s in the median step{of_rate}"


def _cell(result: Result, state: str) -> dict[str, Any]:
    finished = result.ending
    return {
        "id": result.spec.id,
        "slot": encode(result.spec.slot),
        "variant": result.spec.variant,
        "status": result.status,
        "progress": _progress(result, state),
        "phase": finished.phase if finished else None,
        "call": result.call,
        "reason": result.reason,
        "torch": result.torch,
        **figures(result),
    }
