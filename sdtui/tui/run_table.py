"""The list of runs in columns that fit a width."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.cells import cell_len
from rich.text import Text

from sdtui.report.text import moment
from sdtui.tui.columns import fit
from sdtui.tui.run_list import RunLine, size_in_words
from sdtui.tui.widgets.rows import Row

MARK = "●"
_STATES = {
    "running": ("▶", "active"),
    "waiting": ("◌", "active"),
    "ok": ("✓", "good"),
    "incomplete": ("◐", "warn"),
    "cancelled": ("⊘", "quiet"),
    "failed": ("✗", "bad"),
    "interrupted": ("!", "bad"),
    "empty": ("·", "quiet"),
}
_WIDE = 100
"""Columns from which on the year and the size have room."""


@dataclass(frozen=True)
class _Widths:
    run: int
    state: int
    cells: int
    started: int
    size: int
    device: int
    plan: int


def table(lines: Sequence[RunLine], marked: Collection[Path], width: int) -> tuple[str, tuple[Row, ...]]:
    """Returns the heading and a row for each run.

    Args:
        lines: The runs, in the order in which they are shown.
        marked: Folders of those that are marked.
        width: In columns.
    """
    devices, names = [cell_len(_device(line)) for line in lines], [cell_len(line.short) for line in lines]
    widths = _widths(width, max(devices, default=0), max(names, default=0))
    titles = ("run", "state", "cells", "started UTC", "size", "device", "plan")
    heading = "  " + "".join(fit(name, room) for name, room in zip(titles, vars(widths).values(), strict=True))
    return heading, tuple(_row(line, line.folder in marked, widths) for line in lines)


def _widths(width: int, device: int, run: int) -> _Widths:
    wide = width >= _WIDE
    run = min(max(run, 6) + 2, max(8, min(width // 5, 20)))
    fixed = _Widths(run, state=14, cells=8, started=18 if wide else 13, size=10 if wide else 0, device=0, plan=0)
    left = max(0, width - 2 - sum(vars(fixed).values()))
    device = min(max(device, len("device")) + 2, left // 3)
    return _Widths(fixed.run, fixed.state, fixed.cells, fixed.started, fixed.size, device, left - device)


def _row(line: RunLine, marked: bool, widths: _Widths) -> Row:
    glyph, tone = _STATES.get(line.state, ("?", "bad"))
    return Row(
        line.folder.name,
        (
            (f"{MARK if marked else ' '} {fit(line.short, widths.run)}", "plain"),
            (fit(f"{glyph} {line.state}", widths.state), tone),
            (
                fit(_cells(line), widths.cells)
                + fit(_started(line.started_at, widths.started), widths.started)
                + fit(size_in_words(line.size_bytes), widths.size)
                + fit(_device(line), widths.device)
                + fit(line.plan, widths.plan),
                "plain",
            ),
        ),
    )


def progress_words(line: RunLine) -> str:
    """Returns a run in two lines: its name, how far it is and its device; its plan."""
    cells = f"{_cells(line)} {line.unit}" if line.total is not None else ""
    return f"{_STATES[line.state][0]} {_joined((line.short, line.state, cells, _device(line)))}\n  {line.plan}"


def describe_run(line: RunLine) -> Text:
    """Returns what there is to say of the run under the cursor."""
    counts = ", ".join(f"{count} {status}" for status, count in line.counts.items())
    left = line.total - line.done if line.total is not None and line.done is not None else 0
    beat = f"judged by a heartbeat {line.heartbeat_age_s:.0f} s old" if line.heartbeat_age_s is not None else ""
    facts = (line.state, counts, f"{left} without a result" if left else "", beat, size_in_words(line.size_bytes))
    shown = Text()
    shown.append(f" {line.folder.name}\n", style="bold")
    shown.append(f" {_joined((*facts, f'began {moment(line.started_at)}'))}\n")
    shown.append(f" {_joined((line.device, line.plan))}\n")
    shown.append(f" {line.folder}", style="dim")
    return shown


def _cells(line: RunLine) -> str:
    return f"{line.done}/{line.total}" if line.total is not None else ""


def _device(line: RunLine) -> str:
    return line.device.removeprefix("NVIDIA ")


def _started(t: float | None, width: int) -> str:
    if t is None:
        return ""
    return datetime.fromtimestamp(t, tz=UTC).strftime(
        "%Y-%m-%d %H:%M" if width > len("2026-11-24 23:00") else "%m-%d %H:%M"
    )


def _joined(facts: Sequence[str]) -> str:
    return " · ".join(filter(None, facts))
