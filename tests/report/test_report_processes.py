"""A cell of several processes in every report: pooled, spread, and each process's own."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from test_report_formats import record_of

from sdtui.energy import Energy
from sdtui.flags import Flag
from sdtui.model.cell import Cell
from sdtui.model.codec import decode
from sdtui.model.events import CallFinished, CellFinished, CellPhase, CellStarted, StageTrace, Step, Telemetry
from sdtui.model.precision import PrecisionReached
from sdtui.model.results import CellSummary, ProcessSpread
from sdtui.processes import Process, counted, pool_energy, pool_flags
from sdtui.progress import progress_of
from sdtui.records import CellRecord, RunRecord
from sdtui.report import charts
from sdtui.report.compare import compare_runs
from sdtui.report.compare_report import render_comparison
from sdtui.report.markdown import markdown, tables_markdown
from sdtui.report.merge import merge, results_of
from sdtui.report.render import render
from sdtui.report.show import show_json, show_text

RATES = (20.0, 25.0, 40.0, 50.0)
NAME = "20261124T090000Z-box-h100-abcdef"


@pytest.fixture
def spec(cell_spec) -> Cell:
    return cell_spec()


@pytest.fixture
def four(tell, spec: Cell) -> RunRecord:
    """One cell in four processes, whose steps take 50, 40, 25 and 20 ms."""
    told = tell().sit(NAME, processes=4)
    for process, its in enumerate(RATES, 1):
        told.measure(spec, its, process=process)
    return told.finish().run


def test_figures_are_the_median_of_the_processes_and_steps_are_pooled(four: RunRecord) -> None:
    (result,) = merge([four])
    (stage,) = result.summary.stages
    assert result.status == "ok"
    assert stage.loop_its == pytest.approx(32.5)
    assert stage.step_ms is not None
    assert (stage.step_ms.count, stage.step_ms.median_ms) == (8, 32.5)
    assert [(process.process, process.calls) for process in stage.processes] == [(n, 3) for n in (1, 2, 3, 4)]
    assert [(call.process, call.call) for call in stage.calls] == [(p, c) for p in (1, 2, 3, 4) for c in (1, 2, 3)]
    assert len(stage.measured_calls) == 8
    assert stage.spread == ProcessSpread(
        4, 32.5, pytest.approx(13.769 / 32.5, rel=1e-4), pytest.approx(30 / 32.5), None
    )
    assert result.summary.images_per_second == pytest.approx((1000 / 90 + 1000 / 60) / 2)


def test_intervals_hold_what_processes_differ_by(four: RunRecord, tell, spec: Cell) -> None:
    (stage,) = merge([four])[0].summary.stages
    assert stage.step_ms is not None
    assert stage.step_ms.median_interval_ms is not None
    assert (stage.step_ms.median_interval_ms.low, stage.step_ms.median_interval_ms.high) == (20.0, 50.0)
    assert stage.loop_its_interval is not None
    assert (stage.loop_its_interval.low, stage.loop_its_interval.high) == (20.0, 50.0)


def test_the_report_shows_the_spread_beside_the_spread_within(four: RunRecord, spec: Cell) -> None:
    written = markdown([four])
    row = f"| {spec.id} | main | 4 | 50.00, 40.00, 25.00, 20.00 | 20.00, 25.00, 40.00, 50.00 |"
    assert f"{row} 0.11, 0.09, 0.06, 0.05 | 42.4 % | 92.3 % | – |" in written
    assert "Each process of a cell calls its pipeline 3 times." in written
    assert "its intervals draw processes first" in written
    assert "| 32.50[^1] |" in (tables := tables_markdown([four]))
    assert "[^1]: unstable: the standard deviation of the processes' median steps is 42.4 % of their median" in tables
    assert "\nprocesses\n" + f"{spec.id}  median steps of 4 processes around 32.50 ms: sd 42.4 %, range 92.3 %\n" in (
        show_text(four, "ok")
    )


def test_one_process_has_no_such_part(tell, spec: Cell) -> None:
    run = tell().sit().measure(spec, 20.0).finish().run
    assert "rocesses" not in markdown([run])
    assert "processes" not in show_text(run, "ok")


def test_json_has_every_sample_of_every_process(four: RunRecord) -> None:
    (value,) = json.loads(render([four], "json"))["runs"]
    assert [cell["process"] for cell in value["cells"]] == [1, 2, 3, 4]
    (cell,) = four.cells.values()
    for entry, process in zip(value["cells"], cell.processes, strict=True):
        assert [decode(Step, step) for step in entry["steps"]] == process.steps
        assert [decode(CallFinished, call) for call in entry["calls"]] == process.calls
        assert record_of({**value, "cells": [entry]}, four.path).cells[cell.spec.id].finished == process.finished
    (shown,) = json.loads(show_json(four, "ok"))["cells"]
    assert shown["summary"]["stages"][0]["spread"]["count"] == 4


def test_csv_has_a_row_per_process_call_and_stage(four: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(render([four], "csv"))))
    assert [(row["process"], row["call"]) for row in rows] == [(p, c) for p in "1234" for c in "123"]
    assert [row["loop_its"] for row in rows[::3]] == ["20.0", "25.0", "40.0", "50.0"]


def test_a_process_that_failed_is_named_and_the_others_figures_stay(tell, spec: Cell) -> None:
    told = tell().sit(NAME, processes=3).measure(spec, 20.0)
    run = told.measure(spec, 25.0, status="oom", call=2, reason="out of memory", process=2).finish("incomplete").run
    (result,) = results_of(run)
    assert (result.status, result.call, result.reason) == ("oom", 2, "process 2: out of memory")
    assert "OOM after warmup[^1]" in tables_markdown([run])
    assert "[^1]: process 2: out of memory" in tables_markdown([run])
    assert [process.loop_its for process in result.summary.stages[0].processes] == pytest.approx([20.0])
    assert progress_of(run, told.t).done == 3, "the third is not to come"


def test_a_cell_has_no_result_before_its_last_process(tell, spec: Cell) -> None:
    told = tell().sit(NAME, processes=2).measure(spec, 20.0)
    assert results_of(told.run)[0].status is None
    assert "| 20.00[^1] |" in tables_markdown([told.run])
    assert "[^1]: 1 of 2 processes\n" in tables_markdown([told.run])
    assert f"{spec.id}  1 of 2 processes  20.00 it/s" in show_text(told.run, "running")
    progress = progress_of(told.run, told.t)
    assert (progress.done, progress.total, progress.unit) == (1, 2, "processes")
    told.tell(CellStarted(spec.id, 1, 12, 2), CellPhase(spec.id, "load"))
    assert "running in load, process 2 of 2" in show_text(told.run, "running")
    assert progress_of(told.run, told.t).current is told.run.cells[spec.id]


def test_processes_that_ended_stand_for_those_to_come(tell, spec: Cell) -> None:
    told = tell().sit(NAME, processes=3).measure(spec, 20.0)
    (process,) = told.run.cells[spec.id].processes
    assert process.started is not None
    assert process.finished_at is not None
    assert progress_of(told.run, told.t).remaining_s == pytest.approx(2 * (process.finished_at - process.started))


def test_two_runs_of_several_processes_compare_with_what_processes_differ_by(tell, spec: Cell) -> None:
    def run(name: str, factor: float, processes: int) -> RunRecord:
        told = tell(name=name).sit(name, processes=processes)
        for process in range(1, processes + 1):
            told.measure(spec, factor * RATES[(process - 1) % 4], process=process)
        return told.finish().run

    (pair,) = compare_runs(run("a", 1.0, 8), run("b", 1.1, 8)).pairs
    assert pair.verdict == "ambiguous"
    assert pair.ratio == pytest.approx(1.1)
    assert pair.interval.low < 0.8 < 1.4 < pair.interval.high


def test_what_a_process_made_is_listed_as_its_own(four: RunRecord, spec: Cell) -> None:
    (cell,) = four.cells.values()
    for process in cell.processes:
        assert process.finished is not None
        trace = StageTrace("main", 1.0, 0.5, 7, (), f"{process.process}.trace.json.gz")
        process.finished = dataclasses.replace(process.finished, traces=(trace,))
    written = markdown([four])
    assert f"| {spec.id} | main | 1.0 |" in written
    assert f"| {spec.id}, process 3 | main | 1.0 | 0.5 | 7 | – | 3.trace.json.gz |" in written


def test_charts_are_of_the_last_process_that_counts_and_say_so(four: RunRecord, tell, spec: Cell) -> None:
    cut_short = cancelled(tell, spec)
    for run, process in ((four, "process 4 of 4"), (cut_short, "process 2 of 4")):
        made = {chart.title: chart for chart in charts.build([run], None)}
        for title in ("Step latency", "Telemetry"):
            assert made[title].subtitle.startswith(f"{spec.id}, {process}. ")
            assert made[title].description.startswith(f"{title} of {spec.id}, {process}")


def test_the_chart_of_rates_says_of_how_many_processes_a_figure_is(tell, spec: Cell) -> None:
    chart = next(iter(charts.build([cancelled(tell, spec)], None).overview))
    assert "torch 2.11 - no compile 22.50, torch 2.11 - no compile 2 of 4 processes" in chart.description


def test_a_precision_is_each_processs_own(tell, spec: Cell) -> None:
    reached = PrecisionReached(0.01, 0.008, "main", 9, 4.5)
    missed = PrecisionReached(0.01, 0.023, "main", 50, 25.0, "max-calls")
    told = tell().sit(NAME, processes=3)
    for process, precision in enumerate((reached, missed, missed), 1):
        told.measure(spec, 20.0, process=process, precision=precision)
    run = told.finish().run
    written = markdown([run])
    assert f"| {spec.id} | ±1 % | ±0.8 % | main | 9 | 4.5 | precision |" in written
    assert f"| {spec.id}, process 3 | ±1 % | ±2.3 % | main | 50 | 25.0 | max-calls |" in written
    assert (
        "[^1]: precision ±1 % not reached after 50 calls (max-calls; 25.0 s measured): the median step is known to "
        "±2.3 % (process 2; unmet in 2 of 3 processes)"
    ) in written
    (shown,) = json.loads(show_json(run, "ok"))["cells"]
    assert [(each["process"], each["limit"]) for each in shown["precision"]] == [
        (1, None),
        (2, "max-calls"),
        (3, "max-calls"),
    ]


# --------------------------------------------------------------------------------------------------------- pooling


def test_flags_say_in_which_process_and_how_many(four: RunRecord) -> None:
    first, second, third, _ = next(iter(four.cells.values())).processes
    unstable, drifting = Flag("unstable", "by 9 %"), Flag("drifting", "up")
    raised = [(first, ()), (second, (drifting, unstable)), (third, (unstable,))]
    pooled = pool_flags(raised, CellSummary())
    assert list(map(str, pooled)) == [
        "unstable: by 9 % (process 2; raised in 2 of 3 processes)",
        "drifting: up (process 2)",
    ]


@pytest.mark.parametrize(("sd", "told"), [(0.05, []), (0.0501, ["5.0 %"]), (0.209, ["20.9 %"])])
def test_steady_processes_that_are_far_apart_are_unstable(four: RunRecord, sd: float, told: list[str]) -> None:
    (result,) = merge([four])
    stage = result.summary.stages[0]
    assert stage.spread
    far = dataclasses.replace(stage, spread=dataclasses.replace(stage.spread, sd=sd))
    flags = pool_flags(
        [(each.record, ()) for each in result.counted], dataclasses.replace(result.summary, stages=(far,))
    )
    what = "unstable: the standard deviation of the processes' median steps is {} of their median"
    assert list(map(str, flags)) == [what.format(share) for share in told]


def test_energy_is_over_the_images_of_all_processes() -> None:
    ten = Energy(10.0, 100.0, "counter", 2.0, 20)  # 200 J, 20 images
    forty = Energy(40.0, 400.0, "counter", 4.0, 40)  # 1600 J, 40 images
    assert pool_energy([ten, forty]) == Energy(30.0, 300.0, "counter", 6.0, 60)
    assert pool_energy([ten]) == ten
    assert pool_energy([ten, None]) is None
    assert pool_energy([ten, dataclasses.replace(forty, source="power")]) is None


def test_processes_count_that_went_furthest(cell_spec) -> None:
    def process(number: int, *calls: tuple[int, str]) -> Process:
        record = CellRecord(cell_spec("if"), process=number)
        record.calls = [CallFinished("c", call, stage, 2, 3, 1, 1, 1, 1, 1, 1, 1) for call, stage in calls]
        return Process(record, CellSummary())

    def numbers(*processes: Process) -> list[int]:
        return [each.record.process for each in counted(processes)]

    none, warm = process(1), process(2, (1, "I"), (1, "II"))
    begun = process(3, (1, "I"), (1, "II"), (2, "I"))
    whole = process(4, (1, "I"), (1, "II"), (2, "I"), (2, "II"))
    assert numbers(none, warm, begun, whole) == [4]
    assert numbers(none, warm, begun) == [3]
    assert numbers(none, warm) == [2]
    assert numbers(none, process(5)) == [1, 5]
    assert numbers(whole, process(5, (1, "I"), (1, "II"), (2, "I"), (2, "II"), (3, "I"))) == [4, 5]


def cancelled(tell, spec: Cell) -> RunRecord:
    """A run whose third process of four was cancelled before its first call."""
    told = tell(name="cancelled").sit(NAME, processes=4).measure(spec, 20.0).measure(spec, 25.0, process=2)
    told.tell(CellStarted(spec.id, 1, 12, 3))
    told.t += 1000.0
    told.tell(CellPhase(spec.id, "load"))
    summary = CellSummary(phase_seconds={"import": 1000.0})
    told.tell(CellFinished(spec.id, "cancelled", "load", None, "the run was cancelled", summary, process=3))
    return told.finish("cancelled").run


def with_energy(record: CellRecord) -> None:
    """Gives a process a counter that rises by 100 W."""
    assert record.started is not None
    assert record.finished_at is not None
    times = [record.started + second / 10 for second in range(int(10 * (record.finished_at - record.started)) + 1)]
    record.telemetry = [
        (t, Telemetry(record.spec.id, "gpu", {"energy_j": 100 * t, "sm_clock_mhz": 1900})) for t in times
    ]


def test_a_process_that_was_cancelled_takes_no_figure_from_those_that_ended(tell, spec: Cell) -> None:
    run = cancelled(tell, spec)
    first, second, third = run.cells[spec.id].processes
    for record in (first, second):
        record.calls = [dataclasses.replace(call, wall_ms=1000.0) for call in record.calls]
        with_energy(record)
        assert record.finished is not None
        record.finished = dataclasses.replace(record.finished, flops={"main": 1e12})
    with_energy(third)
    (result,) = results_of(run)
    assert result.status == "cancelled"
    assert [process.record.process for process in result.counted] == [1, 2]
    assert result.energy is not None
    assert result.energy.joules_per_image == pytest.approx(100.0)
    assert [stage.flops for stage in result.roofline] == [1e12]
    assert result.summary.phase_seconds["import"] < 10
    assert result.sm_clock_mhz == 1900
    rows = list(csv.DictReader(io.StringIO(render([run], "csv"))))
    assert [float(row["loop_tflops"]) for row in rows] == pytest.approx([30.0] * 3 + [37.5] * 3)
    assert all("of 3 processes" not in str(flag) for flag in result.flags)


def test_what_a_process_that_warmed_up_alone_has_enters_no_figure(tell, spec: Cell) -> None:
    told = tell().sit(NAME, processes=3).measure(spec, 5.0, status="cancelled", call=2, reason="x")
    told.measure(spec, 20.0, process=2).measure(spec, 30.0, process=3)
    (result,) = results_of(told.run)
    (stage,) = result.summary.stages
    assert stage.loop_its == pytest.approx(25.0)
    assert stage.step_ms is not None
    assert stage.step_ms.count == 4
    assert stage.spread is not None
    assert stage.spread.count == 2
    assert {call.process for call in stage.calls} == {2, 3}


def test_one_process_that_counts_of_several_keeps_its_number(tell, spec: Cell) -> None:
    told = tell().sit(NAME, processes=2).measure(spec, 5.0, status="cancelled", call=2, reason="x")
    (stage,) = results_of(told.measure(spec, 20.0, process=2).run)[0].summary.stages
    assert [process.process for process in stage.processes] == [2]
    assert {call.process for call in stage.calls} == {2}
    assert stage.spread is None


def test_a_cell_of_which_a_process_was_cancelled_shows_its_figure_and_what_is_missing(tell, spec: Cell) -> None:
    run = cancelled(tell, spec)
    assert "| 22.50[^1] |" in tables_markdown([run])
    assert "[^1]: 2 of 4 processes; process 3: the run was cancelled; unstable: " in tables_markdown([run])
    assert f"{spec.id}  cancelled in load (2 of 4 processes)  22.50 it/s  process 3: the run was cancelled" in (
        show_text(run, "cancelled")
    )
    assert "22.50" not in tables_markdown([run], "A100").partition("### Against the page")[2].partition("[^1]")[0]


def test_one_process_that_was_cancelled_shows_no_figure(tell, spec: Cell) -> None:
    run = tell().sit().measure(spec, 20.0, status="cancelled", reason="the run was cancelled").finish("cancelled").run
    assert "| –[^1] |" in tables_markdown([run])
    assert "[^1]: the run was cancelled\n" in tables_markdown([run])


def test_processes_weigh_alike_in_a_comparison_as_in_its_interval(tell, spec: Cell) -> None:
    def run(name: str, *processes: tuple[float, int]) -> RunRecord:
        told = tell(name=name).sit(name, processes=len(processes))
        for process, (its, calls) in enumerate(processes, 1):
            told.measure(spec, its, call=calls, process=process)
        return told.finish().run

    alike = run("a", *[(50.0, 6)] * 5)
    noisy = run("b", *[(50.0, 6)] * 4, (25.0, 50))
    (pair,) = compare_runs(alike, noisy).pairs
    assert pair.ratio == 1.0
    assert pair.interval.low <= pair.ratio <= pair.interval.high


def test_seconds_per_image_and_images_per_second_agree(four: RunRecord) -> None:
    summary = merge([four])[0].summary
    for figures in (summary, *summary.stages):
        assert figures.images_per_second is not None
        assert figures.seconds_per_image == pytest.approx(1 / figures.images_per_second)


def test_notes_say_of_several_processes_and_of_a_precision_what_is_true(four: RunRecord, tell, spec: Cell) -> None:
    assert "within its process" not in markdown([four])
    assert "processes are drawn first; then calls" in markdown([four])
    told = tell(name="b").sit().measure(spec, 20.0, call=8, precision=PrecisionReached(0.01, 0.008, "main", 8, 4.5))
    assert "calls its pipeline at least 3 times." in markdown([told.run])
    assert "within its process" in markdown([told.run])
    assert "the two processes" not in render_comparison(compare_runs(four, four))


def test_a_precision_counts_no_process_that_was_cancelled(tell, spec: Cell) -> None:
    missed = PrecisionReached(0.01, 0.023, "main", 50, 25.0, "max-calls")
    told = tell().sit(NAME, processes=3).measure(spec, 20.0, precision=missed)
    told.measure(spec, 20.0, process=2, precision=missed)
    told.measure(spec, 20.0, process=3, status="cancelled", call=1, reason="the run was cancelled")
    assert "(process 1; unmet in 2 of 2 processes)" in tables_markdown([told.run])
