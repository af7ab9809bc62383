"""A comparison of two runs as Markdown and as JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import get_args

from sdtui.model.codec import encode
from sdtui.model.errors import UserError, nearest
from sdtui.report import text
from sdtui.report.compare import MEANINGS, NotCompared, Pair, RunComparison, Side, Verdict

FORMATS = ("md", "json")
VERSION = 1
"""Of the JSON document's layout."""

_FIGURE = (
    "Speed of B ÷ speed of A, by the median step of the calls after the first (above 1, B is faster), with the 95 % "
    "bootstrap interval of the ratio. It holds what varied within the processes that were measured, and between those "
    "of a cell in the same run; where a cell had one process, not what another would differ by."
)


def render_comparison(comparison: RunComparison, fmt: str = "md", threshold: float | None = None) -> str:
    """Writes a comparison; the same runs give the same bytes.

    Args:
        comparison: Of two runs.
        fmt: One of `FORMATS`.
        threshold: Share of speed whose loss is a regression; ``None`` looks for none.

    Raises:
        UserError: The format is unknown.
    """
    if fmt == "json":
        return _json(comparison, threshold)
    if fmt == "md":
        return _markdown(comparison, threshold)
    raise UserError(f"--format: unknown format '{fmt}'; {nearest(fmt, FORMATS)}")


def regression_line(comparison: RunComparison, threshold: float) -> str:
    """Says which cells are slower beyond the threshold."""
    found = comparison.regressions(threshold)
    cells = ", ".join(f"{pair.cell} ({pair.stage})" for pair in found)
    return f"{_counted(len(found), 'regression')} beyond {_percent(threshold)}: {cells}" if found else ""


def _json(comparison: RunComparison, threshold: float | None) -> str:
    document = {
        "sdtui_comparison": VERSION,
        **encode(comparison),
        "figure": "speed of B over speed of A, by the median step of the calls after the first",
        "threshold": threshold,
        "regressions": [{"cell": pair.cell, "stage": pair.stage} for pair in comparison.regressions(threshold)],
    }
    return json.dumps(document, ensure_ascii=False, indent=1) + "\n"


def _markdown(comparison: RunComparison, threshold: float | None) -> str:
    lines = ["# sdtui compare", "", f"- A: {comparison.a}", f"- B: {comparison.b}", f"- {_counts(comparison)}"]
    if threshold is not None:
        none = f"no regression beyond {_percent(threshold)}" if comparison.pairs else "no cell compares"
        lines.append(f"- {regression_line(comparison, threshold) or none}")
    lines += ["", _FIGURE, ""]
    for device in dict.fromkeys(pair.device for pair in comparison.pairs):
        pairs = [pair for pair in comparison.pairs if pair.device == device]
        lines += [f"## {text.inline(device)}", "", *_table(pairs), ""]
    lines += _section("Not compared", [_not_compared(cell) for cell in comparison.not_compared])
    lines += _section("Only in A", comparison.only_a)
    lines += _section("Only in B", comparison.only_b)
    lines += ["## What differs", "", *_differences(comparison), ""]
    lines += _section("Verdicts", [f"{verdict}: {meaning}." for verdict, meaning in MEANINGS.items()])
    return "\n".join(lines).rstrip("\n") + "\n"


def _counts(comparison: RunComparison) -> str:
    counts = Counter(pair.verdict for pair in comparison.pairs)
    verdicts: tuple[Verdict, ...] = get_args(Verdict)
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in verdicts)


def _table(pairs: Sequence[Pair]) -> list[str]:
    header = ["Cell", "Stage", "A median step ms", "B median step ms", "B ÷ A in speed", "95 % interval", "Verdict"]
    rows = [
        [
            pair.cell,
            text.inline(pair.stage),
            _step(pair.a),
            _step(pair.b),
            f"{pair.ratio:.3f}",
            f"{pair.interval.low:.3f} to {pair.interval.high:.3f}",
            pair.verdict,
            f"{text.rate(pair.a.loop_its)} / {text.rate(pair.b.loop_its)}",
            f"{_flags(pair.a)} / {_flags(pair.b)}",
        ]
        for pair in pairs
    ]
    return text.table_lines([*header, "Loop it/s A / B", "Flags A / B"], rows)


def _step(side: Side) -> str:
    interval = side.step_ms.median_interval_ms
    around = f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
    return f"{side.step_ms.median_ms:.2f}{around}"


def _flags(side: Side) -> str:
    return ", ".join(flag.name for flag in side.flags) or text.NONE


def _not_compared(cell: NotCompared) -> str:
    return f"{cell.cell}{f', stage {cell.stage}' if cell.stage else ''}: {cell.reason}"


def _differences(comparison: RunComparison) -> list[str]:
    if not comparison.differences:
        return ["Nothing that was recorded of the two environments."]
    rows = [[text.inline(fact) for fact in (each.name, each.a, each.b)] for each in comparison.differences]
    return text.table_lines(["", "A", "B"], rows)


def _section(heading: str, items: Sequence[str]) -> list[str]:
    return [f"## {heading}", "", *(f"- {text.inline(item)}" for item in items), ""] if items else []


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
