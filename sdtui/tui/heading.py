"""The lines above the matrix, and the words of a first start."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from rich.text import Text

from sdtui import runs
from sdtui.display import duration
from sdtui.tui.board import Board
from sdtui.tui.draft import AXES, Draft
from sdtui.tui.messages import MachineSeen
from sdtui.tui.options import FIELDS, as_text
from sdtui.tui.snapshot import RunView

LEAST = (60, 16)
"""Columns and rows that the matrix needs; the app's breakpoints are there."""
_GAP = " · "


def top_line(draft: Draft, seen: MachineSeen | None, run: RunView | None, width: int) -> Text:
    """Returns GPU, driver, torch, plan and the options that differ from it, in one line.

    Where there is not room for all, the driver is left out, then the end is cut off.
    """
    machine = (run.machine if run else None) or (seen.machine if seen else None)
    device = re.sub(r"^NVIDIA ", "", machine.device_name) if machine else "looking at the machine …"
    driver = f"driver {machine.gpu.driver}" if machine and machine.gpu and machine.gpu.driver else ""
    torch = _torch(seen, run)
    plan = f"plan {draft.name}" + (f" with {changed_words(draft)}" if changed_words(draft) else "")
    scale = "tiny scale" if draft.plan.scale == "tiny" and "scale" not in draft.overrides else ""
    words = [device, driver, f"torch {torch}" if torch else "", plan, scale]
    room = width - len(" sdtui  ")
    line = _joined(words)
    if len(line) > room:
        words[1] = ""
        line = _joined(words)
    return Text(" ").append("sdtui", style="bold").append("  " + cut(line, room))


def changed_words(draft: Draft) -> str:
    """Says which options differ from the plan's own: ``steps 20, cold on``; what the matrix shows is seen there."""
    changed = [(key, value) for key, value in draft.overrides.items() if key not in AXES]
    return ", ".join(f"{FIELDS[key].label} {as_text(key, value)}" for key, value in changed)


def cut(line: str, width: int) -> str:
    """Returns a line that fits, ended by an ellipsis where it was cut off."""
    return line if len(line) <= width else line[: max(0, width - 1)].rstrip(" ·") + "…"


def _torch(seen: MachineSeen | None, run: RunView | None) -> str | None:
    versions = [each.version for each in run.torch.values()] if run else []
    versions += [each.packages.get("torch") for each in seen.environments] if seen else []
    return next((version for version in versions if version), None)


def _joined(words: Iterable[str]) -> str:
    return _GAP.join(filter(None, words))


def run_line(run: RunView) -> Text:
    """Returns how far a run is; of one that has ended, how many of its cells have a result."""
    results = [view for view in run.cells.values() if view.state == "finished" and view.status != "cancelled"]
    cells = f"{run.done}/{run.total} {run.unit}" if run.is_live else f"{len(results)}/{len(run.cells)} cells"
    words = [f"run {run.id.rsplit('-', 1)[-1]}", run.state, cells]
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
    words = f"run {runs.short(run.folder)}{device} is {run.state}{reason}: {cells} in {duration(run.elapsed_s)}"
    return "; ".join([words, *map(_fastest_words, filter(None, run.fastest))])


def _fastest_words(best: Sequence[str]) -> str:
    """Writes ``fastest: fast, not told apart from compile``."""
    return f"fastest: {best[0]}" + (f", not told apart from {', '.join(best[1:])}" if len(best) > 1 else "")


def left_out_words(left_out: Mapping[str, str]) -> str:
    """Returns a line for each reason why modes are not tried out: ``fp8, int8: its output differs``."""
    modes: dict[str, list[str]] = {}
    for mode, reason in left_out.items():
        modes.setdefault(reason, []).append(mode)
    return "\n".join(f"{', '.join(names)}: {reason}" for reason, names in modes.items())


def batch_strip(draft: Draft, shown: int | None) -> Text:
    """Returns the batch sizes, the one that is shown in brackets, and how many cells are chosen."""
    line = Text(" batch size ")
    for size in (*draft.batch_sizes, None):
        word = "all" if size is None else str(size)
        line.append(f"[{word}]" if size == shown else f" {word} ", style="bold" if size == shown else "")
    count = len(draft.chosen)
    if count:
        line.append(f"   ● {count} selected", style="bold")
    return line


def filter_words(draft: Draft, board: Board, wanted: str) -> str:
    """Says what a filter leaves: ``   / if: 2 of 6 pipelines``; empty without one."""
    if not wanted.strip():
        return ""
    rows, columns = len({row.pipeline for row in board.rows}), len(board.headers)
    if not rows:
        return f"   / {wanted}: matches nothing"
    left = f"{rows} of {len(draft.pipelines)} pipelines" if rows < len(draft.pipelines) else ""
    of_columns = f"{columns} of {len(draft.columns)} columns" if columns < len(draft.columns) else ""
    return f"   / {wanted}: {', '.join(filter(None, (left, of_columns))) or 'matches all'}"


def too_small(width: int, height: int, run: RunView | None, key: Callable[[str], str]) -> Text:
    """Returns what a terminal shows that has no room for the matrix."""
    lines = [f"sdtui needs {LEAST[0]}×{LEAST[1]} characters.", f"This terminal has {width}×{height}."]
    lines.append(f"{key('quit')} quits.")
    if run is not None:
        lines += ["", run_line(run).plain.strip()]
    return Text("\n".join(lines))
