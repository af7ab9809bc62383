"""The comparison of two runs as lines: each stage of each cell, what was not compared, what differs around them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich.text import Text

from sdtui.report import text
from sdtui.report.compare import SAME, Pair, RunComparison, Side, Verdict
from sdtui.tui.board import FLAG
from sdtui.tui.columns import fit
from sdtui.tui.widgets.rows import Row

_VERDICTS: Mapping[Verdict, tuple[str, str]] = {
    "faster": ("▲", "good"),
    "slower": ("▼", "bad"),
    "same": ("=", "plain"),
    "ambiguous": ("~", "warn"),
}
_MEANINGS: Mapping[Verdict, str] = {
    "faster": "B is faster: each median lies outside the other's interval, the ratio's interval above 1",
    "slower": "B is slower: each median lies outside the other's interval, the ratio's interval below 1",
    "same": f"B is as fast as A: the ratio's interval lies within {100 * SAME:g} % of 1",
    "ambiguous": "ambiguous: the samples neither show a difference nor rule one out",
}
_STAGE, _RATIO, _INTERVAL, _VERDICT, _STEP = 6, 7, 16, 12, 12
_WIDE = 110
"""Columns from which on both median steps have room."""


class ComparisonTable:
    """Lines of a comparison, and what there is to say of each.

    Args:
        comparison: Of two runs.
    """

    def __init__(self, comparison: RunComparison) -> None:
        self._comparison = comparison
        self._pairs = {f"pair {index}": pair for index, pair in enumerate(comparison.pairs)}
        self._told: dict[str, str] = {}

    def rows(self, width: int) -> tuple[str, tuple[Row, ...]]:
        """Returns the heading and the lines for a width in columns."""
        wide = width >= _WIDE
        cell = max(10, width - _STAGE - _RATIO - _INTERVAL - _VERDICT - (2 * _STEP if wide else 0))
        names = [("cell", cell), ("stage", _STAGE), ("B ÷ A", _RATIO), ("95 % interval", _INTERVAL)]
        names += [("verdict", _VERDICT), *([("A step ms", _STEP), ("B step ms", _STEP)] if wide else [])]
        rows = [_pair_row(key, pair, cell, wide) for key, pair in self._pairs.items()]
        return "".join(fit(name, room) for name, room in names), (*rows, *self._others(width))

    def describe(self, key: str | None) -> Text:
        """Returns what there is to say of a line."""
        pair = self._pairs.get(key or "")
        return _describe(pair) if pair else Text(f" {self._told.get(key or '', '')}")

    @property
    def counts(self) -> str:
        """How many verdicts of each kind there are."""
        verdicts = [pair.verdict for pair in self._comparison.pairs]
        if not verdicts:
            return "no cell was compared"
        return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _VERDICTS)

    def _others(self, width: int) -> Iterator[Row]:
        found = self._comparison
        not_compared = [
            f"{each.cell}{f', stage {each.stage}' if each.stage else ''}: {each.reason}" for each in found.not_compared
        ]
        differs = [f"{each.name}: {each.a} in A, {each.b} in B" for each in found.differences]
        sections = (
            ("not compared", not_compared),
            ("only in A", found.only_a),
            ("only in B", found.only_b),
            ("what differs around them", differs or ["nothing that was recorded of the two environments"]),
        )
        for heading, lines in sections:
            if lines:
                yield Row(f"{heading} above", ())
                yield Row(heading, ((heading, "quiet"),))
            for index, line in enumerate(lines):
                key = f"{heading} {index}"
                self._told[key] = line
                yield Row(key, ((fit(f"  {line}", width), "plain"),))


def _pair_row(key: str, pair: Pair, cell: int, wide: bool) -> Row:
    glyph, tone = _VERDICTS[pair.verdict]
    interval = f"{pair.interval.low:.3f} to {pair.interval.high:.3f}"
    figures = (
        fit(pair.cell.rpartition("-")[0], cell)
        + fit(pair.stage, _STAGE)
        + fit(f"{pair.ratio:.3f}", _RATIO)
        + fit(interval, _INTERVAL)
    )
    steps = fit(_median(pair.a), _STEP) + fit(_median(pair.b), _STEP) if wide else ""
    return Row(key, ((figures, "plain"), (fit(f"{glyph} {pair.verdict}", _VERDICT), tone), (steps, "plain")))


def _describe(pair: Pair) -> Text:
    shown = Text()
    shown.append(f" {pair.cell} · stage {pair.stage} · {pair.device}\n", style="bold")
    for name, side in (("A", pair.a), ("B", pair.b)):
        shown.append(f" {name}  {_figures(side)}\n")
    shown.append(f" {_MEANINGS[pair.verdict]}", style="italic")
    return shown


def _figures(side: Side) -> str:
    interval = side.step_ms.median_interval_ms
    around = f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
    flags = ", ".join(flag.name for flag in side.flags)
    return f"median step {_median(side)} ms{around} · {text.rate(side.loop_its)} it/s" + (
        f" · {FLAG} {flags}" if flags else ""
    )


def _median(side: Side) -> str:
    return f"{side.step_ms.median_ms:.2f}"
