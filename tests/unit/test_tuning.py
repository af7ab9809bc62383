"""What a rung leaves of the candidates, and who leads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sdtui import bootstrap
from sdtui.bootstrap import Loop
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.events import (
    CallFinished,
    CellChecked,
    CellFinished,
    CellQueued,
    CellStarted,
    Event,
    RunForecast,
    RungFinished,
    RunStarted,
    Stamped,
    Step,
)
from sdtui.model.forecast import Forecast
from sdtui.model.machine import Interpreter, Machine
from sdtui.model.results import Distance, Status
from sdtui.progress import progress_of
from sdtui.records import RunRecord
from sdtui.report.tuning import outcomes
from sdtui.tuning import ALONE, end_rung, ratio_interval, speed_ratio, standings

SAME, FAR = Distance(0.0, None, 0), Distance(0.5, 10.0, 99)
GOLDEN_RATIO = 0.6180339887
STEPS = 10


class Tuned:
    """A run that looks for the fastest mode, told process by process."""

    def __init__(self, *modes: str, processes: int = 3, stages: Sequence[str] = ("main",)) -> None:
        self.record = RunRecord(Path("run"))
        self.modes = modes
        self.processes = processes
        self.made = tuple(Stage(name, "P", (), {}, ("unet",), STEPS, 7.5, 64, 64, True, True) for name in stages)
        self.sit()
        for mode in modes:
            slot = Slot("p", mode, "current", 1)
            cell = Cell(mode, slot, "P", Mode(mode, mode), "full", 3, "float16", "random", 0, "", self.made)
            self.tell(CellQueued(mode, cell))

    def sit(self, cpu: str = "CPU") -> None:
        machine = Machine("host", None, "Linux", cpu, 2)
        started = RunStarted(
            "run", len(self.record.sittings) + 1, "0", machine, (Interpreter("current", "", ""),), "cpu", 1
        )
        self.tell(RunStarted(**{**vars(started), "flags": {"tune": True}, "processes": self.processes}))

    def tell(self, event: Event) -> None:
        self.record.apply(Stamped(1.0, event))

    def measure(
        self,
        mode: str,
        ms: float,
        process: int = 1,
        noise: float = 0.01,
        distance: Distance | None = SAME,
        status: Status = "ok",
    ) -> None:
        """Has a process make three calls whose steps take so long, give or take some noise."""
        self.tell(CellStarted(mode, len(self.record.sittings), 1, process))
        for call in (1, 2, 3) if status == "ok" else ():
            for stage in self.made:
                for step in range(STEPS):
                    off = noise * (2 * (GOLDEN_RATIO * (10 * call + step + process) % 1) - 1)
                    self.tell(Step(mode, call, stage.name, step + 1, STEPS, ms * (1 + off), 1))
                spent = ms * STEPS
                self.tell(CallFinished(mode, call, stage.name, STEPS, STEPS, spent, spent, spent, 0, spent, 0, 0))
        self.tell(CellFinished(mode, status, "measure", 3, "" if status == "ok" else "why", process=process))
        if distance and mode != "no-compile":
            self.tell(CellChecked(mode, "no-compile", distance))

    def end(self, rung: int, *measured: str) -> RungFinished | None:
        """Ends a rung, and takes the decision in."""
        found = list(end_rung(self.record, rung, measured or self.modes))
        for event in found:
            self.tell(event)
        return found[0] if found else None

    def due(self) -> list[str]:
        return [name for name, cell in self.record.cells.items() if self.record.due(cell)]


def test_the_slower_half_drops_out_rung_by_rung() -> None:
    run = Tuned("no-compile", "a", "b", "c")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 10), ("c", 30)):
        run.measure(mode, ms)
    first = run.end(1)
    assert first is not None
    assert set(first.closed) == {"no-compile", "c"}
    assert first.closed["c"].startswith("out after rung 1: 0.67 times as fast as a (0.6")
    assert first.best == ("b",)
    assert run.due() == ["a", "b"]
    run.measure("a", 20, process=2)
    run.measure("b", 10, process=2)
    second = run.end(2)
    assert second is not None
    assert second.closed.keys() == {"a", "b"}
    assert second.closed["b"] == ALONE
    assert run.due() == [], "one is left: a third process would tell nothing"
    endings = {name: run.record.ending_of(cell) for name, cell in run.record.cells.items()}
    assert {name: ending and ending.status for name, ending in endings.items()} == dict.fromkeys(run.modes, "ok")


def test_the_verdict_says_of_how_many_processes_it_is() -> None:
    run = Tuned("no-compile", "a")
    for mode, ms in (("no-compile", 40), ("a", 20)):
        run.measure(mode, ms)
    assert sure_of(run).startswith("measured in one process; ")
    run.measure("a", 20, process=2)
    assert sure_of(run).startswith("measured in 2 processes, no-compile in one; intervals are of 95 %")
    run.measure("no-compile", 40, process=2)
    assert sure_of(run).startswith("measured in 2 processes; ")


def test_what_could_not_be_checked_goes_on_once_no_compile_was_measured() -> None:
    run = Tuned("no-compile", "a", "b")
    run.measure("no-compile", 40, status="cancelled")
    for mode, ms in (("a", 20), ("b", 10)):
        run.measure(mode, ms, distance=None)
    first = run.end(1)
    assert first is not None
    assert {why.partition(":")[0] for why in first.closed.values()} == {"output not checked"}
    assert run.due() == []
    run.sit()
    assert run.due() == ["no-compile", "a", "b"]
    run.measure("no-compile", 40)
    for mode in ("a", "b"):
        run.tell(CellChecked(mode, "no-compile", SAME))
    second = run.end(1, "no-compile")
    assert second is not None
    assert (second.best, set(second.closed)) == (("b",), {"no-compile"})
    assert run.due() == ["a", "b"]


def test_who_was_alone_is_so_no_longer_once_another_is_measured() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    run.measure("a", 20, status="cancelled")
    first = run.end(1)
    assert first is not None
    assert first.closed == {"no-compile": ALONE}
    run.sit()
    assert run.due() == ["no-compile", "a"]


def test_a_row_of_which_nothing_more_is_measured_stays_decided() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    run.measure("a", 20)
    first = run.end(1)
    assert first is not None
    assert set(first.closed) == {"no-compile", "a"}
    run.sit()
    assert run.due() == []


def sure_of(run: Tuned) -> str:
    (outcome,) = outcomes(run.record)
    *_, last = outcome.verdict()
    return last


def test_the_first_call_is_the_median_of_the_processes() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    for process, ms in ((1, 200), (2, 100), (3, 120)):
        run.measure("a", ms, process)
    (outcome,) = outcomes(run.record)
    header, rows = outcome.table()
    (row,) = [row for row in rows if row[0] == "a"]
    assert row[header.index("First call s")] == "1.2"


def test_who_is_not_told_apart_from_the_last_that_stays_stays_too() -> None:
    run = Tuned("no-compile", "a", "b", "c")
    for mode, ms, noise in (("no-compile", 40, 0.01), ("a", 20, 0.5), ("b", 10, 0.01), ("c", 21, 0.5)):
        run.measure(mode, ms, noise=noise)
    ended = run.end(1)
    assert ended is not None
    assert set(ended.closed) == {"no-compile"}


def test_whoever_may_be_the_fastest_is_named_with_it() -> None:
    run = Tuned("no-compile", "a", "b", processes=1)
    for mode, ms, noise in (("no-compile", 40, 0.01), ("a", 10, 0.3), ("b", 10.5, 0.3)):
        run.measure(mode, ms, noise=noise)
    ended = run.end(1)
    assert ended is not None
    assert ended.best == ("a", "b")
    (standing,) = standings(run.record)
    assert [each.mode for each in standing.ranked] == ["a", "b", "no-compile"]


def test_who_dropped_out_leads_no_later_rung() -> None:
    run = Tuned("no-compile", "a", "b", "c")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 10), ("c", 30)):
        run.measure(mode, ms)
    run.end(1)
    run.measure("a", 200, process=2)
    run.measure("b", 100, process=2)  # a host grown slow: c's one process seems the faster now
    ended = run.end(2)
    assert ended is not None
    assert {*ended.best} == {"a", "b"}
    (standing,) = standings(run.record)
    assert standing.fastest is not None
    assert standing.fastest.mode == "b", "what is named is what leads"
    assert [each.mode for each in standing.ranked] == ["b", "a", "c", "no-compile"], "the table has who is out last"


def test_a_ratio_is_of_all_processes_where_no_two_are_of_one_rung() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40, status="cancelled")
    run.measure("no-compile", 40, process=2)
    run.measure("a", 10)
    (standing,) = standings(run.record)
    base = standing.candidate("no-compile")
    assert standing.fastest is not None
    assert base is not None
    assert speed_ratio(standing.fastest, base) == pytest.approx(4, rel=0.01)


def test_who_dropped_out_is_named_where_all_others_have_failed_since() -> None:
    run = Tuned("no-compile", "a", "b", "c")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 10), ("c", 30)):
        run.measure(mode, ms)
    run.end(1)
    for mode in ("a", "b"):
        run.measure(mode, 10, process=2, status="oom", distance=None)
    ended = run.end(2)
    assert ended is not None
    assert ended.best == ("c",)
    (standing,) = standings(run.record)
    assert standing.fastest is not None
    assert standing.fastest.mode == "c"


def test_a_ratio_is_of_the_processes_that_both_have() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    run.measure("a", 10)
    run.measure("a", 100, process=2)  # a host grown slow, which no-compile was not measured on
    (standing,) = standings(run.record)
    assert standing.fastest is not None
    assert (standing.fastest.mode, standing.fastest.processes) == ("a", 2)
    base = standing.candidate("no-compile")
    assert base is not None
    assert speed_ratio(standing.fastest, base) == pytest.approx(4, rel=0.01)
    interval = ratio_interval(standing.fastest, base)
    assert interval is not None
    assert interval.low == pytest.approx(4, rel=0.05)
    assert interval.high == pytest.approx(4, rel=0.05)


def test_a_mode_beside_which_none_was_tried_is_not_the_fastest() -> None:
    run = Tuned("no-compile", "a", "b")
    run.measure("no-compile", 10)
    (standing,) = standings(run.record)
    assert standing.fastest is None
    ended = run.end(1, "no-compile")
    assert ended is not None
    assert ended.best == (), "nor does it lead, in the dashboard"
    run.measure("a", 10, status="unsupported", distance=None)
    (standing,) = standings(run.record)
    assert standing.fastest is None, "it was not to be had here"
    run.measure("b", 10, status="failed", distance=None)
    (standing,) = standings(run.record)
    assert standing.fastest is not None


@pytest.mark.parametrize(
    ("distance", "reason"), [(FAR, "output differs: relative L2 0.5"), (None, "output not checked: its output")]
)
def test_an_output_that_is_not_no_compiles_is_out_however_fast(distance: Distance | None, reason: str) -> None:
    run = Tuned("no-compile", "a", "b")
    run.measure("no-compile", 40)
    run.measure("a", 1, distance=distance)
    run.measure("b", 39)
    ended = run.end(1)
    assert ended is not None
    assert ended.closed["a"].startswith(reason)
    assert ended.best == ("b",)


def test_what_did_not_end_ok_is_refused_with_its_reason() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    run.measure("a", 1, status="unsupported")
    ended = run.end(1)
    assert ended is not None
    assert ended.closed == {"no-compile": ALONE}
    (standing,) = standings(run.record)
    assert [(each.mode, each.refusal) for each in standing.refused] == [("a", "unsupported: why")]


def test_a_candidate_that_is_still_to_be_measured_keeps_the_row_open() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    ended = run.end(1, "no-compile")
    assert ended is not None
    assert ended.closed == {}
    assert run.due() == ["no-compile", "a"]


def test_without_no_compile_nothing_is_decided() -> None:
    run = Tuned("no-compile", "a", "b")
    run.measure("a", 1)
    run.measure("b", 2)
    assert run.end(1, "a", "b") is None
    assert run.due() == ["no-compile", "a", "b"]


def test_a_rung_is_decided_once_and_anew_where_another_candidate_came_to_it() -> None:
    run = Tuned("no-compile", "a", "b", "c", "d")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 30), ("c", 10)):
        run.measure(mode, ms)
    run.end(1, "no-compile", "a", "b", "c")
    assert run.due() == ["a", "c", "d"]
    run.sit()
    assert list(end_rung(run.record, 1, [])) == [], "what is left is not halved again"
    run.measure("d", 5)
    anew = run.end(1, "d")
    assert anew is not None
    assert set(anew.closed) == {"a"}
    assert anew.best == ("d",)


def test_a_rung_that_an_earlier_sitting_left_undecided_is_decided_by_the_next() -> None:
    run = Tuned("no-compile", "a", "b")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 10)):
        run.measure(mode, ms)
    run.sit()
    (ended,) = end_rung(run.record, 1, [])
    assert set(ended.closed) == {"no-compile"}


def test_what_was_decided_elsewhere_does_not_count() -> None:
    run = Tuned("no-compile", "a", "b")
    for mode, ms in (("no-compile", 40), ("a", 20), ("b", 10)):
        run.measure(mode, ms)
    run.end(1)
    run.sit("another CPU")
    assert run.due() == list(run.modes)
    assert {run.record.due(cell) for cell in run.record.cells.values()} == {(1, 2, 3)}


def test_what_was_measured_elsewhere_is_measured_again_and_stands_beside_nothing() -> None:
    run = Tuned("no-compile", "a", "b", processes=1)
    for mode, ms in (("no-compile", 120), ("a", 60)):
        run.measure(mode, ms)
    run.sit("a CPU three times as fast")
    assert run.due() == ["no-compile", "a", "b"], "complete elsewhere is not complete here"
    run.measure("b", 30)
    (standing,) = standings(run.record)
    assert standing.fastest is None
    assert [(each.mode, each.refusal) for each in standing.refused] == [
        ("no-compile", "not measured"),
        ("a", "not measured"),
    ]
    run.measure("no-compile", 40)
    run.measure("a", 20)
    (standing,) = standings(run.record)
    assert [each.mode for each in standing.ranked] == ["a", "b", "no-compile"]


def test_a_later_process_that_was_cancelled_takes_nothing_from_the_first() -> None:
    run = Tuned("no-compile", "a")
    run.measure("no-compile", 40)
    run.measure("a", 10)
    run.measure("a", 10, process=2, status="cancelled", distance=None)
    (standing,) = standings(run.record)
    assert standing.fastest is not None
    assert (standing.fastest.mode, standing.fastest.processes) == ("a", 1)


def test_stages_count_together() -> None:
    slow, fast = [[10.0] * 8], [[1.0] * 8]
    interval = bootstrap.loops_ratio_interval([Loop(50, slow), Loop(10, fast)], [Loop(50, fast), Loop(10, fast)])
    assert interval is not None
    assert (interval.low, interval.high) == (8.5, 8.5)
    assert bootstrap.loops_ratio_interval([Loop(50, slow), Loop(10, [[1.0]])], [Loop(50, fast), Loop(10, fast)]) is None
    run = Tuned("no-compile", "a", stages=("I", "II"))
    run.measure("no-compile", 40)
    run.measure("a", 10)
    (standing,) = standings(run.record)
    fastest, base = standing.ranked
    assert (fastest.mode, base.mode) == ("a", "no-compile")
    assert speed_ratio(fastest, base) == pytest.approx(4, rel=0.01)


def test_a_run_says_which_rung_it_is_in_and_expects_half_of_it_in_the_next() -> None:
    run = Tuned("no-compile", "a", "b", "c")
    run.tell(RunForecast(1, tuple(Forecast(mode, 10.0, "measured") for mode in run.modes)))

    def shown() -> tuple[int, int, str, float | None]:
        progress = progress_of(run.record, 1.0)
        return progress.done, progress.total, progress.unit, progress.remaining_s

    assert shown() == (0, 4, "cells in rung 1 of 3", 40 + 20)
    run.measure("no-compile", 40)
    assert shown() == (1, 4, "cells in rung 1 of 3", 30 + 20)
    for mode, ms in (("a", 20), ("b", 10), ("c", 30)):
        run.measure(mode, ms)
    assert shown() == (4, 4, "cells in rung 1 of 3", 20), "until it is decided"
    run.end(1)
    assert shown() == (0, 2, "cells in rung 2 of 3", 20)
    run.measure("a", 20, process=2)
    run.measure("b", 10, process=2)
    run.end(2)
    assert shown() == (2, 2, "cells in rung 2 of 3", 0.0)
