"""What a run that looks for the fastest mode has come to: a table of the candidates, the fastest, and its TOML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sdtui.catalog.mode_toml import mode_to_toml
from sdtui.check import BASE
from sdtui.model.results import Interval
from sdtui.records import RunRecord
from sdtui.report import text
from sdtui.report.merge import Result, results_of
from sdtui.runs import short
from sdtui.tuning import TOO_FEW_STEPS, Candidate, Standing, ratio_interval, speed_ratio, standings

_COMPILED = "compile"
"""The mode that speeds are given against beside `BASE`."""
_HEADER = ("Mode", "Loop it/s", "95 % interval", "Images/s", f"× {BASE}", f"× {_COMPILED}", "Output", "First call s")


@dataclass(frozen=True)
class Outcome:
    """What a row has come to.

    Attributes:
        run: That looked for it.
        standing: Of the row's candidates.
        results: Of their cells, by id.
    """

    run: RunRecord
    standing: Standing
    results: dict[str, Result]

    @property
    def heading(self) -> str:
        """``sd-txt2img, batch size 1, on NVIDIA H100``."""
        pipeline, environment, batch_size = self.standing.row
        several = len({cell.spec.slot.environment for cell in self.run.cells.values()}) > 1
        where = f" in {environment}" if several else ""
        device = next(iter(self.results.values())).device
        return f"{pipeline}{where}, batch size {batch_size}, on {device}"

    def verdict(self) -> Iterator[str]:
        """Says in a sentence or two which mode is the fastest, and how sure that is."""
        fastest = self.standing.fastest
        if fastest is None:
            yield f"no mode can be named: {self._why_none()}"
            return
        yield f"fastest within the output check: {fastest.mode}{self._faster_than_base(fastest)}"
        for other in self.standing.ambiguous:
            ratio, interval = speed_ratio(fastest, other), ratio_interval(fastest, other)
            yield f"ambiguous with {other.mode}: {ratio:.2f} times as fast as that{_between(interval)}"
        compared = [fastest, *self.standing.ambiguous, *filter(None, [self.standing.candidate(BASE)])]
        yield _how_sure({each.mode: each.processes for each in compared})

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Returns header and a row for each candidate, the fastest first."""
        candidates = (*self.standing.ranked, *self.standing.refused)
        return [*_HEADER, "Processes", "Why it is out"], [self._row(each) for each in candidates]

    def toml(self) -> str:
        """Returns the fastest mode as the TOML of a mode of one's own; empty where there is none."""
        fastest = self.standing.fastest
        if fastest is None:
            return ""
        mode = fastest.record.spec.mode
        description = f"As {mode.name}, the fastest of {len(self.standing.tried)} modes tried for {self.heading}"
        comments = [*self.verdict(), f"run {self.run.id}"]
        return mode_to_toml(replace(mode, label="", description=description), comments)

    def _row(self, candidate: Candidate) -> list[str]:
        result = self.results[candidate.id]
        stages, measured = result.summary.stages, bool(candidate.loops)
        interval = stages[0].loop_its_interval if measured and len(stages) == 1 else None
        first = [stage.first_call_s for stage in stages]
        return [
            candidate.mode,
            text.rates(result.its) or text.NONE,
            f"{text.rate(interval.low)} to {text.rate(interval.high)}" if interval else text.NONE,
            text.number(result.summary.images_per_second, 3),
            self._ratio(candidate, BASE),
            self._ratio(candidate, _COMPILED),
            result.check.verdict if result.check else text.NONE,
            text.number(sum(first), 1) if first else text.NONE,
            str(candidate.processes),
            candidate.refusal or candidate.why_out or text.NONE,
        ]

    def _why_none(self) -> str:
        if not self.standing.tried:
            return "none was measured"
        if self.standing.ranked:
            return f"nothing but {self.standing.ranked[0].mode} was measured"
        if any(each.refusal == TOO_FEW_STEPS for each in self.standing.refused):
            return "too few steps were timed to compare the modes; ask for more --calls or --steps"
        if not any(each.loops for each in self.standing.refused):
            return "none was measured to its end"
        return "none was measured whose output is within the limits"

    def _ratio(self, candidate: Candidate, mode: str) -> str:
        other = self.standing.candidate(mode)
        if other is None or not candidate.loops:
            return text.NONE
        if other is candidate:
            return "1"
        return f"{speed_ratio(candidate, other):.2f}{_between(ratio_interval(candidate, other))}"

    def _faster_than_base(self, fastest: Candidate) -> str:
        base = self.standing.candidate(BASE)
        if base is None or base is fastest:
            return ""
        return f", {speed_ratio(fastest, base):.2f} times as fast as {BASE}{_between(ratio_interval(fastest, base))}"


def outcomes(run: RunRecord) -> tuple[Outcome, ...]:
    """Returns what each row of a run has come to; none of a run that does not look for the fastest mode."""
    if not run.is_tuned:
        return ()
    results = {result.spec.id: result for result in results_of(run)}
    found = []
    for standing in standings(run):
        cells = [each.id for each in (*standing.ranked, *standing.refused)]
        found.append(Outcome(run, standing, {cell: results[cell] for cell in cells}))
    return tuple(found)


def sections(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the Markdown lines about the runs that look for the fastest mode."""
    lines = []
    for outcome in (outcome for run in runs for outcome in outcomes(run)):
        header, rows = outcome.table()
        escaped = [[text.inline(cell) for cell in row] for row in rows]
        mark = f" · {short(outcome.run.path)}" if len(runs) > 1 else ""
        lines += [f"## The fastest mode: {text.inline(outcome.heading)}{mark}", ""]
        lines += [*(f"- {text.inline(line)}" for line in outcome.verdict()), ""]
        lines += [*text.table_lines(header, escaped), ""]
    return lines


def _how_sure(processes: Mapping[str, int]) -> str:
    """Says what the intervals hold; ``processes`` by mode, the fastest first."""
    first, alone = next(iter(processes.values())), [mode for mode, count in processes.items() if count == 1]
    if first == 1:
        return "measured in one process; intervals are of 95 % and do not hold what processes differ by"
    if not alone:
        return f"measured in {first} processes; intervals are of 95 % and hold what those differ by"
    names = " and ".join(alone)
    intervals = f"intervals are of 95 % and hold what those differ by, but not those of ratios to {names}"
    return f"measured in {first} processes, {names} in one; {intervals}"


def _between(interval: Interval | None) -> str:
    return f" ({interval.low:.2f} to {interval.high:.2f})" if interval else ""
