"""How far recorded runs are, and how long they will take, at every moment of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.model.events import CellFinished, CellPhase, CellStarted, RunForecast, RunStarted, Stamped, Step
from sdtui.model.forecast import Basis, Forecast
from sdtui.model.precision import PrecisionRule
from sdtui.progress import RECENT_STEPS, Progress, cell_remaining_s, progress_of, rate_of, recent_steps
from sdtui.records import RunRecord

RECORDED = Path(__file__).parents[1] / "fixtures" / "runs"
DOCS = RECORDED / "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
IF = Path(__file__).parents[2] / "docs" / "results" / "2026-11-24-h100-docs-batch-1"
TINY = RECORDED / "20261124T231027Z-vm-epyc-fa50b5"


Moment = tuple[Stamped, RunRecord, Progress]


def along(folder: Path) -> Iterator[Moment]:
    record = RunRecord(folder)
    for stamped in runs.Tail(folder).poll():
        record.apply(stamped)
        yield stamped, record, progress_of(record, stamped.t)


def until_a_step(moments: Iterable[Moment]) -> Iterator[tuple[Stamped, float]]:
    for stamped, _, progress in moments:
        if isinstance(stamped.event, Step):
            return
        assert progress.remaining_s is not None
        yield stamped, progress.remaining_s


def test_cells_are_counted_as_they_end() -> None:
    ended = [progress.done for stamped, _, progress in along(TINY) if isinstance(stamped.event, CellFinished)]
    assert ended == [1, 2, 3, 4, 5, 6]
    *_, (_, _, last) = along(TINY)
    assert last == Progress(6, 6, None, 0.0)


def test_the_current_cell_is_the_one_that_runs() -> None:
    for stamped, _, progress in along(TINY):
        if isinstance(stamped.event, (CellStarted, CellPhase, Step)):
            assert progress.current is not None
            assert progress.current.spec.id == stamped.event.cell
        elif isinstance(stamped.event, (RunStarted, CellFinished)):
            assert progress.current is None


def test_nothing_is_estimated_before_the_second_step() -> None:
    for stamped, _, progress in along(DOCS):
        if isinstance(stamped.event, Step) and stamped.event.step > 1:
            assert progress.remaining_s is not None
            break
        assert progress.remaining_s is None or progress.total == 0


def test_the_estimate_within_the_last_call_is_close() -> None:
    """The last cell of the recorded H100 run, from its second call on: compiled, steady."""
    moments = list(along(DOCS))
    end = moments[-1][0].t
    cell = moments[-1][1].cells["sd-txt2img.compile.current.b1-ec29bd21"]
    steady = [
        (stamped.t, progress.remaining_s)
        for stamped, _, progress in moments
        if isinstance(stamped.event, Step) and stamped.event.cell == cell.spec.id and stamped.event.call >= 2
    ]
    assert len(steady) == 100
    assert all(left is not None and left <= end - t for t, left in steady), "what follows the steps comes on top"
    assert steady[0][1] == pytest.approx(100 / cell.finished.summary.stages[0].loop_its, rel=0.15)  # type: ignore[union-attr]


def test_a_record_that_has_let_go_of_older_steps_tells_as_much() -> None:
    """As the dashboard's, which keeps the latest alone."""
    kept = RunRecord(DOCS)
    for stamped, _, progress in along(DOCS):
        kept.apply(stamped)
        if isinstance(stamped.event, Step):
            del kept.cells[stamped.event.cell].steps[:-RECENT_STEPS]
        assert progress_of(kept, stamped.t).remaining_s == progress.remaining_s


def test_every_stage_counts_by_its_own_pace_and_calls() -> None:
    """IF on an H100: three stages of 100, 75 and 50 steps, their calls one after another."""
    record, left = RunRecord(IF), []
    for stamped in runs.Tail(IF).poll():
        record.apply(stamped)
        if (
            isinstance(stamped.event, Step)
            and stamped.event.cell.startswith("if.no-compile")
            and stamped.event.call > 1
        ):
            left.append((stamped.t, cell_remaining_s(record.cells[stamped.event.cell], record)))
    end = left[-1][0]
    assert left[-1][1] == 0.0
    assert all(seconds == pytest.approx(end - t, rel=0.1, abs=1) for t, seconds in left)


def test_nothing_is_estimated_before_every_stage_has_made_two_steps() -> None:
    """What a stage takes to compile is not seen from another's steps, and its own first holds it."""
    record, told = RunRecord(IF), set()
    for stamped in runs.Tail(IF).poll():
        record.apply(stamped)
        if isinstance(stamped.event, Step) and stamped.event.call == 1:
            stages = record.cells[stamped.event.cell].spec.stages
            is_last = (stamped.event.stage, stamped.event.step > 1) == (stages[-1].name, True)
            told.add((is_last, cell_remaining_s(record.cells[stamped.event.cell], record) is None))
    assert told == {(False, True), (True, False)}


def test_a_cell_that_takes_longer_than_forecast_takes_what_is_known_of_it() -> None:
    record = RunRecord(IF)
    for stamped in runs.Tail(IF).poll():
        record.apply(stamped)
        if isinstance(step := stamped.event, Step) and step.cell.startswith("if.compile") and step.step == 20:
            break
    assert isinstance(step, Step)
    assert (step.call, step.stage) == (1, "I")
    record.sittings[-1].queue = (Forecast(step.cell, 1.0, "measured"),)
    remaining_s = progress_of(record, stamped.t).remaining_s
    assert remaining_s is not None
    assert remaining_s >= 2.5 * step.steps * step.ms / 1000, "two calls and more of the first stage are known"


def test_a_finished_cell_stands_for_those_to_come() -> None:
    first = next(m for m in along(DOCS) if isinstance(m[0].event, CellFinished))
    cell = first[1].cells["sd-txt2img.no-compile.current.b1-d5453d27"]
    assert first[2].remaining_s == pytest.approx(cell.finished_at - cell.started)  # type: ignore[operator]


def test_the_rate_is_of_the_stage_and_call_that_run() -> None:
    for stamped, record, _ in along(TINY):
        if not isinstance(stamped.event, Step):
            continue
        step = stamped.event
        steps = recent_steps(record.cells[step.cell])
        assert [s.step for s in steps] == list(range(1, step.step + 1))[-10:]
        assert {(s.call, s.stage) for s in steps} == {(step.call, step.stage)}
        assert rate_of(steps) == pytest.approx(1000 * len(steps) / sum(s.ms for s in steps))


def test_a_new_phase_begins_without_a_rate() -> None:
    shown = [
        recent_steps(record.cells[stamped.event.cell])
        for stamped, record, _ in along(DOCS)
        if isinstance(stamped.event, CellPhase)
    ]
    assert shown == [[]] * 8


def test_no_time_is_no_rate() -> None:
    assert rate_of([Step("c", 1, "main", 1, 2, 0.0, 1)]) is None
    assert rate_of([]) is None


def test_what_an_earlier_sitting_left_is_still_to_do() -> None:
    """A resumed run: a cancelled cell counts as done in its own sitting only."""
    record, moments = RunRecord(TINY), [stamped for stamped, _, _ in along(TINY)]
    started = next(s for s in moments if isinstance(s.event, RunStarted))
    ending = next(s for s in moments if isinstance(s.event, CellFinished))
    for stamped in moments:
        if stamped is ending:
            break
        record.apply(stamped)
    cell = ending.event.cell  # type: ignore[union-attr]
    record.apply(Stamped(ending.t, CellFinished(cell, "cancelled", "measure", 2, "the run was cancelled")))
    assert progress_of(record, ending.t).done == 1
    again = started.event.__class__(**{**vars(started.event), "sitting": 2})  # type: ignore[arg-type]
    record.apply(Stamped(ending.t + 60, again))
    resumed = progress_of(record, ending.t + 61)
    assert (resumed.done, resumed.current, resumed.remaining_s) == (0, None, None)
    record.apply(Stamped(ending.t + 62, CellStarted(cell, 2, 7)))
    assert progress_of(record, ending.t + 63).current is record.cells[cell]


def test_where_a_precision_decides_the_estimate_is_up_to_its_limits() -> None:
    def remaining_s(rule: PrecisionRule | None) -> list[tuple[float, str]]:
        """At each step of the first cell, from its second call on."""
        record, found = RunRecord(DOCS), []
        for stamped in runs.Tail(DOCS).poll():
            started = isinstance(stamped.event, RunStarted)
            event = dataclasses.replace(stamped.event, precision=rule) if started else stamped.event  # type: ignore[call-arg]
            record.apply(Stamped(stamped.t, event))
            if isinstance(event, CellFinished):
                return found
            if isinstance(stamped.event, Step) and stamped.event.call > 1:
                progress = progress_of(record, stamped.t)
                assert progress.remaining_s is not None
                found.append((progress.remaining_s, progress.how_sure))
        raise AssertionError("no cell ended")

    plain = remaining_s(None)
    many, short, none = (remaining_s(PrecisionRule(0.01, *most)) for most in ((30, 1e6), (30, 0.5), (3, 1e6)))
    assert {how for _, how in plain} == {"about"}
    assert {how for _, how in many + short + none} == {"up to"}
    assert all(bound > 2 * about for (bound, _), (about, _) in zip(many, plain, strict=True))
    assert all(bound >= about for (bound, _), (about, _) in zip(short, plain, strict=True))
    assert sum(bound for bound, _ in short) < sum(bound for bound, _ in many) / 2
    assert [seconds for seconds, _ in none] == [seconds for seconds, _ in plain]


def foretold(*seconds: float, basis: Basis = "measured", budget_s: float | None = None) -> Iterator[Moment]:
    """The recorded H100 run from its first cell on, had it forecast so much for its two cells."""
    record = RunRecord(DOCS)
    for stamped in runs.Tail(DOCS).poll():
        event = stamped.event
        record.apply(
            Stamped(stamped.t, dataclasses.replace(event, budget_s=budget_s))
            if isinstance(event, RunStarted)
            else stamped
        )
        if len(record.cells) == 2 and not record.sittings[-1].queue:
            record.apply(Stamped(stamped.t, RunForecast(1, tuple(map(Forecast, record.cells, seconds, [basis] * 2)))))
        if record.sittings and record.sittings[-1].queue:
            yield stamped, record, progress_of(record, stamped.t)


def test_a_forecast_tells_from_the_start() -> None:
    moments = list(foretold(30.0, 90.0))
    assert moments[0][2] == Progress(0, 2, None, 120.0)
    before = [left for _, left in until_a_step(moments)]
    assert all(90 < left <= 120 for left in before)
    assert before == sorted(before, reverse=True), "the time goes by"
    first = next(progress for stamped, _, progress in moments if isinstance(stamped.event, CellFinished))
    assert first.remaining_s == 90.0, "whatever the first one took"


def test_what_rests_on_other_cells_is_a_guess_as_long_as_it_is_to_come() -> None:
    for basis in ("similar", "guess"):
        said = [progress.how_sure for *_, progress in foretold(30.0, 90.0, basis=basis)]
        assert list(dict.fromkeys(said)) == ["at a guess", "about"]
        assert said.index("about") > len(said) / 2, "the last cell's own steps tell"
    assert {progress.how_sure for *_, progress in foretold(30.0, 90.0)} == {"about"}


@pytest.mark.parametrize(
    ("budget_s", "forecasts", "fits_s"),
    [(1000, (30, 90), 120), (100, (30, 90), 30), (40, (90, 30), 30), (10, (30, 90), 0)],
)
def test_under_a_budget_what_fits_counts(budget_s: float, forecasts: tuple[float, float], fits_s: float) -> None:
    _, _, progress = next(foretold(*forecasts, budget_s=budget_s))
    assert (progress.total, progress.remaining_s) == (2, fits_s)
