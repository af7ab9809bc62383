"""A report as JSON: every run whole, raw samples included, and the tables that follow from them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sdtui.model.codec import encode
from sdtui.records import CellRecord, RunRecord, SittingRecord
from sdtui.report import comparison, precision, tables
from sdtui.report.comparison import Comparison
from sdtui.report.cost import Price
from sdtui.report.merge import Result, merge, ordered
from sdtui.report.notes import plan_text
from sdtui.report.tables import Entry, Table

VERSION = 1
"""Of this document's own layout; what is inside ``runs`` is encoded as events are."""


def json_report(records: Iterable[RunRecord], reference: str | None = None, price: Price | None = None) -> str:
    """Writes the runs without loss, then what follows from them: the merged results with their figures, and the tables.

    Raises:
        UserError: The page has no GPU ``reference``.
    """
    runs = ordered(records)
    results = merge(runs)
    built = tables.build(results)
    document = {
        "sdtui_report": VERSION,
        "runs": [run_value(run) for run in runs],
        "price_per_hour": price.per_hour if price else None,
        "results": [_result(result, price) for result in results],
        "tables": [_table(table) for table in built],
        "reference": reference,
        "comparisons": [_comparison(compared) for compared in comparison.compare(built, reference)],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def run_value(run: RunRecord) -> dict[str, Any]:
    """Returns everything a run's record holds, its place on disk aside: ``cells`` has an entry per cell and process."""
    return {
        "id": run.id,
        "unreadable_lines": run.unreadable,
        "plan": plan_text(run),
        "sittings": [_sitting(sitting) for sitting in run.sittings],
        "cells": [_cell(process) for cell in run.cells.values() for process in cell.processes or (cell,)],
        "rungs": encode(run.rungs),
        "logs": [{"t": t, **encode(log)} for t, log in run.logs],
    }


def _sitting(sitting: SittingRecord) -> dict[str, Any]:
    return {
        "started_at": sitting.started_at,
        "started": encode(sitting.started),
        "finished_at": sitting.finished_at,
        "finished": encode(sitting.finished),
        "queue": encode(sitting.queue),
    }


def _cell(record: CellRecord) -> dict[str, Any]:
    return {
        "id": record.spec.id,
        "process": record.process,
        "spec": encode(record.spec),
        "sitting": record.sitting,
        "need": encode(record.need),
        "imports": record.imports,
        "started": record.started,
        "compile_cache": encode(record.compile_cache),
        "phases": [{"t": t, **encode(phase)} for t, phase in record.phases],
        "steps": encode(record.steps),
        "calls": [{"t": t, **encode(call)} for call, t in zip(record.calls, record.call_times, strict=True)],
        "telemetry": [{"t": t, **encode(telemetry)} for t, telemetry in record.telemetry],
        "finished": encode(record.finished),
        "finished_at": record.finished_at,
        "ended_in": record.ended_in,
        "checked": encode(record.checked),
    }


def figures(result: Result) -> dict[str, Any]:
    """Returns what follows from a cell's raw samples, in JSON's terms."""
    pooled = precision.pooled(result)
    return {
        "summary": encode(result.summary),
        "flags": encode(result.flags),
        "energy": encode(result.energy),
        "precision": [
            {"process": process.process, **encode(found), "unmet": list(found.unmet)}
            for process, found in precision.reached(result)
        ],
        "pooled_precision": pooled._asdict() if pooled else None,
        "roofline": encode(result.roofline),
        "check": encode(result.check),
    }


def _result(result: Result, price: Price | None) -> dict[str, Any]:
    each = price.of_thousand_images(result.summary.images_per_second) if price else None
    return {
        "cell": result.spec.id,
        "run": result.run.id,
        "device": result.device,
        "torch": result.torch,
        "status": result.status,
        **figures(result),
        "price_of_1000_images": each,
    }


def _table(table: Table) -> dict[str, Any]:
    return {
        "heading": table.heading,
        **encode(table.group),
        "batch_size": table.batch_size,
        "columns": encode(table.columns),
        "rows": [
            {
                "label": row.label,
                "pipeline": row.pipeline,
                "remark": row.remark,
                "entries": [_entry(entry) for entry in row.entries],
            }
            for row in table.rows
        ],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    result = entry.result
    return {
        "text": entry.text,
        "cell": result.spec.id if result else None,
        "run": result.run.id if result else None,
        "status": result.status if result else None,
        "call": result.call if result else None,
        "reason": result.reason if result else "",
        "its": list(result.its) if result else [],
    }


def _comparison(compared: Comparison) -> dict[str, Any]:
    return {"heading": compared.heading, "header": list(compared.header), "rows": [list(r) for r in compared.rows]}
