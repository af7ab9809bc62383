"""The lines above the matrix, and the words of a first start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rich.text import Text

from sdtui import runs
from sdtui.display import duration
from sdtui.tui.draft import Draft
from sdtui.tui.messages import MachineSeen
from sdtui.tui.snapshot import RunView

LEAST = (60, 16)
"""Columns and rows that the matrix needs; the app's breakpoints are there."""
_GAP = " · "


def top_line(draft: Draft, seen: MachineSeen | None, run: RunView | None) -> Text:
    """Returns GPU, driver, torch and plan in one line, and the run where one is shown."""
    plan = draft.plan
    machine = (run.machine if run else None) or (seen.machine if seen else None)
    parts = [machine.device_name if machine else "…"]
    if machine and machine.gpu and machine.gpu.driver:
        parts.append(f"driver {machine.gpu.driver}")
    torch = next((version for version in run.torch.values() if version), None) if run else None
    if seen and not torch:
        torch = next((each.packages.get("torch") for each in seen.environments), None)
    if torch:
        parts.append(f"torch {torch}")
    name = draft.source.rsplit("/", 2)[-2] if "/" in draft.source else draft.source
    parts += [f"plan {name}", plan.scale, plan.device]
    line = Text(" ")
    line.append("sdtui", style="bold")
    line.append("  " + _GAP.join(parts))
    return line


def run_line(run: RunView) -> Text:
    """Returns how far a run is."""
    words = [f"run {run.id.rsplit('-', 1)[-1]}", run.state, f"{run.done}/{run.total} {run.unit}"]
    words.append(duration(run.elapsed_s))
    if run.remaining_s and run.remaining_s >= 1:
        words.append(f"{run.how_sure} {duration(run.remaining_s)} left")
    if run.message:
        words.append(run.message)
    return Text(" " + _GAP.join(words))


def ended_words(run: RunView) -> str:
    """Returns how a run has ended: ``run 6c1239 on H100 is incomplete: 5 ok, 1 oom in 4 min 34 s``."""
    counts = Counter(view.status or "not run" for view in run.cells.values())
    device = f" on {run.machine.device_name}" if run.machine else ""
    cells = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no cell"
    reason = f" ({run.reason})" if run.reason else ""
    return f"run {runs.short(run.folder)}{device} is {run.state}{reason}: {cells} in {duration(run.elapsed_s)}"


def batch_strip(draft: Draft, shown: int | None, wanted: str) -> Text:
    """Returns the batch sizes, the one that is shown in brackets, and how many cells are chosen."""
    line = Text(" batch size ")
    for size in (*draft.batch_sizes, None):
        word = "all" if size is None else str(size)
        line.append(f"[{word}]" if size == shown else f" {word} ", style="bold" if size == shown else "")
    count = len(draft.chosen)
    if count:
        line.append(f"   ● {count} selected", style="bold")
    if wanted:
        line.append(f"   / {wanted}")
    return line


def first_words(key: Callable[[str], str]) -> Text:
    """Returns what a first start says of itself; ``key`` writes the key of an id of `sdtui.tui.keys`."""
    return Text(
        f"\n Each square is a pipeline in one mode: {key('select.cell')} selects it, {key('select.row')} and"
        f" {key('select.column')} its row and column, {key('batch.next')} the batch size.\n"
        f" {key('run.start')} measures what is selected, in random weights: no download, no account; the figures land"
        f" in the table.\n {key('plan.preset')} takes a preset, {key('plan.options')} sets options,"
        f" {key('export')} writes the report, {key('help')} lists every key.",
    )


def too_small(width: int, height: int, run: RunView | None, key: Callable[[str], str]) -> Text:
    """Returns what a terminal shows that has no room for the matrix."""
    lines = [f"sdtui needs {LEAST[0]}×{LEAST[1]} characters.", f"This terminal has {width}×{height}."]
    lines.append(f"{key('quit')} quits.")
    if run is not None:
        lines += ["", run_line(run).plain.strip()]
    return Text("\n".join(lines))
