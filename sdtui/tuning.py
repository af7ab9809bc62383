"""Looks for the fastest mode by successive halving: what a rung leaves to be measured further, and who leads.

Each row of a run that is tuned, a pipeline in an environment at a batch size, is decided for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

from sdtui import bootstrap
from sdtui.bootstrap import FEWEST_SAMPLES, Loop
from sdtui.check import BASE, check_output
from sdtui.model.events import RungFinished
from sdtui.model.results import Interval
from sdtui.processes import step_samples
from sdtui.records import CellRecord, Row, RunRecord, row_of
from sdtui.statistics import step_statistics

ALONE = "no other mode is left to be told apart from it"
TOO_FEW_STEPS = "too few steps were timed to compare it"
_NOT_CHECKED = "output not checked"


@dataclass(frozen=True)
class Candidate:
    """A mode of a row, as far as it was measured.

    Attributes:
        record: Of its cell.
        measured: Its processes that ended ok, where the last sitting measures.
        refusal: Why it cannot be the fastest, whatever its speed; empty where it can.
        why_out: Why it dropped out as one of the slower half; empty where it did not.
        was_tried: Whether a process of it has ended there, well or not, but by a cancellation or for want of what the
            mode needs.
    """

    record: CellRecord
    measured: tuple[CellRecord, ...]
    refusal: str = ""
    why_out: str = ""
    was_tried: bool = False

    @property
    def id(self) -> str:
        """Of its cell."""
        return self.record.spec.id

    @property
    def mode(self) -> str:
        """Its name."""
        return self.record.spec.slot.mode

    @property
    def processes(self) -> int:
        """In how many processes it was measured."""
        return len(self.measured)

    @property
    def numbers(self) -> frozenset[int]:
        """Of these processes."""
        return frozenset(each.process for each in self.measured)

    @cached_property
    def loops(self) -> tuple[Loop, ...]:
        """Its stages, of all its processes; empty where one has too few samples."""
        return self.loops_in(self.numbers)

    def loops_in(self, numbers: Set[int]) -> tuple[Loop, ...]:
        """Returns its stages, of some of its processes; empty where one has too few samples."""
        processes = [each for each in self.measured if each.process in numbers]
        loops = tuple(_loop(processes, stage.name) for stage in self.record.spec.stages)
        return loops if all(sum(map(len, loop.calls)) >= FEWEST_SAMPLES for loop in loops) else ()


@dataclass(frozen=True)
class Standing:
    """How the candidates of a row stand.

    Attributes:
        row: Which one.
        ranked: Those that have figures and no refusal, the fastest first: those that are still in it, and after them
            those that dropped out, which were not measured when others were.
        refused: Those that cannot be chosen, in the plan's order: by their own fault, or for want of figures.
    """

    row: Row
    ranked: tuple[Candidate, ...]
    refused: tuple[Candidate, ...]

    @property
    def tried(self) -> tuple[Candidate, ...]:
        """Those that were run, whatever came of it."""
        return tuple(each for each in (*self.ranked, *self.refused) if each.was_tried)

    @property
    def fastest(self) -> Candidate | None:
        """The candidate that seems to be; ``None`` where there is none, or none other was tried."""
        return self.left[0] if self.left and len(self.tried) > 1 else None

    @property
    def ambiguous(self) -> tuple[Candidate, ...]:
        """Those that are not told apart from the fastest."""
        return _leaders(self.left)[1:]

    @property
    def left(self) -> tuple[Candidate, ...]:
        """Those of the ranked that did not drop out; all, where what had not has failed since."""
        return tuple(each for each in self.ranked if not each.why_out) or self.ranked

    def candidate(self, mode: str) -> Candidate | None:
        """Returns the candidate of a name that has figures; ``None`` where there is none."""
        return next((each for each in (*self.ranked, *self.refused) if each.mode == mode and each.loops), None)


def standings(run: RunRecord) -> tuple[Standing, ...]:
    """Returns how each row of a run stands, in the plan's order."""
    rows: dict[Row, list[Candidate]] = {}
    for record in run.cells.values():
        rows.setdefault(row_of(record.spec.slot), []).append(_candidate(run, record))
    return tuple(_standing(row, found) for row, found in rows.items())


def end_rung(run: RunRecord, rung: int, measured: Sequence[str]) -> Iterator[RungFinished]:
    """Decides what of each row is measured further.

    Args:
        run: Of which every process up to this rung has ended that could be run.
        rung: Counted from 1; it has as many processes.
        measured: Ids of the cells whose process of this number was run just now.

    Yields:
        A decision for each row of which something was, or that was left undecided by an earlier sitting. A row whose
        `BASE` is still to be measured waits for it: nothing can be checked before.
    """
    for standing in standings(run):
        found = (*standing.ranked, *standing.refused)
        base = next((each for each in found if each.mode == BASE), None)
        is_new = any(each.id in measured for each in found)
        is_due = is_new or (not _is_decided(run, standing.row, rung) and any(each.processes >= rung for each in found))
        if is_due and not (base and not base.loops and run.due(base.record)):
            closed = {**_refused(run, standing), **_slower(run, standing, rung)}
            best = _leading(standing, closed) if standing.fastest else ()
            sitting = run.sittings[-1].started.sitting
            until_more = tuple(cell for cell, why in closed.items() if why == ALONE or why.startswith(_NOT_CHECKED))
            yield RungFinished(sitting, rung, *standing.row, closed, tuple(each.id for each in best), until_more)


def speed_ratio(one: Candidate, other: Candidate) -> float:
    """Returns how many times as fast one candidate is as another, in the processes that both have.

    A rung measures those of one number one after the other; what the machine does in another rung is no mode's.
    """
    mine, theirs = _beside(one, other)
    return _loops_ms(theirs) / _loops_ms(mine)


def ratio_interval(one: Candidate, other: Candidate) -> Interval | None:
    """Returns the 95 % interval of `speed_ratio`; ``None`` where a stage has too few samples."""
    mine, theirs = _beside(one, other)
    return bootstrap.loops_ratio_interval(theirs, mine)


def is_slower(one: Candidate, other: Candidate) -> bool:
    """Says whether the whole interval of the ratio has one candidate slower than another."""
    interval = ratio_interval(one, other)
    return interval is not None and interval.high < 1


def _is_decided(run: RunRecord, row: Row, rung: int) -> bool:
    return any(row_of(each) == row and each.rung >= rung for each in run.rungs)


def _candidate(run: RunRecord, record: CellRecord) -> Candidate:
    elsewhere = {each.process for each in run.measured_elsewhere(record)}
    ended = [each for each in record.processes if each.finished and each.process not in elsewhere]
    ok = tuple(each for each in ended if _status(each) == "ok")
    was_tried = any(_status(each) not in ("cancelled", "unsupported") for each in ended)
    closed = run.why_closed(record)
    found = Candidate(record, ok, why_out="" if closed == ALONE else closed, was_tried=was_tried)
    refusal = _unmeasured(run, record, ended) or (_unchecked(run, record, ok) if found.loops else TOO_FEW_STEPS)
    return replace(found, refusal=refusal)


def _loop(processes: Sequence[CellRecord], stage: str) -> Loop:
    samples, of = step_samples(processes, stage)
    evaluations = [call.forwards for each in processes for call in each.calls if call.stage == stage]
    return Loop(evaluations[-1] if evaluations else 0, samples, of)


def _median_ms(loop: Loop) -> float:
    steps = step_statistics(loop.calls, loop.processes)
    assert steps is not None
    return steps.median_ms


def _status(process: CellRecord) -> str:
    return process.finished.status if process.finished else ""


def _unmeasured(run: RunRecord, record: CellRecord, ended: Sequence[CellRecord]) -> str:
    """Says why there is no figure to go by; empty where there is one."""
    endings = [each.finished for each in ended if each.finished]
    worse = [each for each in endings if each.status not in ("ok", "cancelled")]
    if worse:
        return f"{worse[0].status}: {worse[0].reason}"
    if any(each.status == "ok" for each in endings):
        return ""
    return f"cancelled: {endings[0].reason}" if endings else run.why_not_run(record) or "not measured"


def _unchecked(run: RunRecord, record: CellRecord, ok: Sequence[CellRecord]) -> str:
    """Says why its output is not within the threshold; empty where it is, and of `BASE` itself."""
    if record.spec.slot.mode == BASE:
        return ""
    check = check_output(run, ok[-1])
    if check is None or check.verdict == "passed":
        return ""
    return f"{'output differs' if check.verdict == 'failed' else _NOT_CHECKED}: {check.reason}"


def _standing(row: Row, found: Sequence[Candidate]) -> Standing:
    ranked = [each for each in found if not each.refusal]
    left, out = ([each for each in ranked if bool(each.why_out) == is_out] for is_out in (False, True))
    return Standing(row, (*_fastest_first(left), *_fastest_first(out)), tuple(each for each in found if each.refusal))


def _fastest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Sorts by what the loops take in the processes that all have."""
    shared = frozenset[int].intersection(*(each.numbers for each in candidates)) if candidates else frozenset()
    return sorted(candidates, key=lambda each: _loops_ms(each.loops_in(shared) or each.loops))


def _beside(one: Candidate, other: Candidate) -> tuple[tuple[Loop, ...], tuple[Loop, ...]]:
    """Returns the stages of two candidates in the processes that both have; in all where those have too few samples."""
    shared = one.numbers & other.numbers
    mine, theirs = one.loops_in(shared), other.loops_in(shared)
    return (mine, theirs) if mine and theirs else (one.loops, other.loops)


def _loops_ms(loops: Sequence[Loop]) -> float:
    """Returns what the denoising loops of a call take: the stages' evaluations times their median."""
    return sum(loop.evaluations * _median_ms(loop) for loop in loops)


def _refused(run: RunRecord, standing: Standing) -> dict[str, str]:
    """Returns why candidates are not measured further that were, and cannot be chosen."""
    return {each.id: each.refusal for each in standing.refused if each.loops and run.due(each.record)}


def _slower(run: RunRecord, standing: Standing, rung: int) -> dict[str, str]:
    """Returns why the slower half is not measured further, and who remains alone."""
    left = [each for each in standing.ranked if not run.why_closed(each.record)]
    half = left[: (len(left) + 1) // 2]
    closed = {each.id: _by_how_much(each, half[-1], rung) for each in left[len(half) :] if is_slower(each, half[-1])}
    stay = [each for each in left if each.id not in closed]
    waiting = [each for each in standing.refused if not each.loops and run.due(each.record)]
    if len(stay) == 1 and not waiting and run.due(stay[0].record):
        closed[stay[0].id] = ALONE
    return closed


def _leading(standing: Standing, closed: Mapping[str, str]) -> tuple[Candidate, ...]:
    """Returns the leaders among those that did not drop out, now or before."""
    return _leaders([each for each in standing.left if closed.get(each.id, ALONE) == ALONE])


def _leaders(ranked: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Returns the first, and whoever is not told apart from it."""
    return (*ranked[:1], *(each for each in ranked[1:] if not is_slower(each, ranked[0])))


def _by_how_much(one: Candidate, other: Candidate, rung: int) -> str:
    interval = ratio_interval(one, other)
    assert interval is not None
    speed = f"{speed_ratio(one, other):.2f} times as fast as {other.mode}"
    return f"out after rung {rung}: {speed} ({interval.low:.2f} to {interval.high:.2f})"
