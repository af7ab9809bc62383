"""Limits of the allocator, and cells that an out of memory left out, in every report."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest

from sdtui.model.cell import Cell
from sdtui.model.events import RunStarted
from sdtui.model.sizes import allocator_limited
from sdtui.records import RunRecord
from sdtui.report.compare import compare_runs
from sdtui.report.merge import merge
from sdtui.report.render import render
from sdtui.report.show import show_json, show_text

H100 = "NVIDIA H100 80GB HBM3"
LIMIT = 15 * 2**30


@pytest.fixture
def limited(cell_spec) -> Cell:
    return cell_spec(work="11111111", variant=allocator_limited(LIMIT), vram_limit_bytes=LIMIT)


def test_a_limit_is_in_headings_notes_and_every_other_report(tell, limited: Cell) -> None:
    told = tell().sit().measure(limited, status="oom", call=2, reason="CUDA out of memory").finish("incomplete")
    report = render([told.run], reference="T4")
    assert f"## {H100} · allocator limited to 15 GiB (batch size: 1)" in report
    assert "`allocator limited to …` caps what torch's allocator takes of the GPU's memory" in report
    assert "is not compared with the page: it departs from the docs protocol" in report
    assert f"device    {H100}, allocator limited to 15 GiB" in show_text(told.run, "incomplete")
    (shown,) = json.loads(show_json(told.run, "incomplete"))["cells"]
    assert shown["variant"] == "allocator limited to 15 GiB"
    document = json.loads(render([told.run], "json"))
    assert document["tables"][0]["variant"] == "allocator limited to 15 GiB"
    assert document["runs"][0]["cells"][0]["spec"]["vram_limit_bytes"] == LIMIT
    (row,) = csv.DictReader(io.StringIO(render([told.run], "csv")))
    assert row["variant"] == "allocator limited to 15 GiB"


def test_results_under_a_limit_neither_merge_nor_compare_with_others(tell, cell_spec, limited: Cell) -> None:
    free = tell().sit("free").measure(cell_spec(), 20.0).finish().run
    bound = tell(name="b").sit("bound").measure(limited, 18.0).finish().run
    assert [result.spec for result in merge([free, bound])] == [limited, cell_spec()]
    assert render([free, bound]).count("| SD - txt2img | ") == 2
    compared = compare_runs(free, bound)
    assert (compared.pairs, compared.only_a, compared.only_b) == ((), (cell_spec().id,), (limited.id,))


def skipping(run: RunRecord) -> RunRecord:
    started: RunStarted = run.sittings[-1].started
    run.sittings[-1].started = dataclasses.replace(started, flags={"skip_larger_after_oom": True})
    return run


def test_what_was_left_out_says_why_in_every_report(tell, cell_spec) -> None:
    four, sixteen = (cell_spec(batch_size=size) for size in (4, 16))
    told = tell().sit().queue(four, sixteen).measure(four, status="oom", call=1, reason="CUDA out of memory")
    run = skipping(told.finish("incomplete").run)
    why = "batch size 4 ran out of memory"
    assert f"| SD - txt2img | –[^2] |\n\n[^1]: CUDA out of memory\n[^2]: not run: {why}\n" in render([run])
    assert f"{sixteen.id}  not run  {why}\n" in show_text(run, "incomplete")
    assert json.loads(show_json(run, "incomplete"))["cells"][1]["reason"] == why
    assert json.loads(render([run], "json"))["tables"][1]["rows"][0]["entries"][0]["reason"] == why
    assert [row["reason"] for row in csv.DictReader(io.StringIO(render([run], "csv")))] == ["CUDA out of memory", why]


def test_a_cell_with_fewer_stages_is_not_left_out(tell, cell_spec) -> None:
    """IF has three stages at batch size 1 and the first alone at larger ones: one image of three may need more."""
    whole = cell_spec("if")
    larger = [cell_spec("if", batch_size=size, stages=whole.stages[:1]) for size in (4, 16)]
    told = tell().sit().queue(whole, *larger).measure(whole, status="oom", call=1)
    run = skipping(told.run)
    assert [run.why_left_out(run.cells[cell.id]) for cell in larger] == ["", ""]
    told.measure(larger[0], status="oom", call=1)
    assert run.why_left_out(run.cells[larger[1].id]) == "batch size 4 ran out of memory"


@pytest.mark.parametrize("changes", [{"mode": "compile"}, {"environment": "other"}, {"batch_size": 1}])
def test_only_larger_batches_of_the_same_pipeline_mode_and_environment_are_left_out(tell, cell_spec, changes) -> None:
    other = cell_spec(**{"batch_size": 16, **changes})
    told = tell().sit().queue(other).measure(cell_spec(batch_size=4), status="oom", call=1)
    run = skipping(told.run)
    assert run.why_left_out(run.cells[other.id]) == ""
    assert run.due(run.cells[other.id]) == (1,)


def test_larger_batches_are_due_while_the_smaller_one_is_to_run_again(tell, cell_spec) -> None:
    four, sixteen = (cell_spec(batch_size=size) for size in (4, 16))
    told = tell().sit().queue(four, sixteen).measure(four, status="oom", call=1).sit()
    again = {"skip_larger_after_oom": True, "retry": ["oom"]}
    told.run.sittings[-1].started = dataclasses.replace(told.run.sittings[-1].started, flags=again)
    assert [told.run.due(told.run.cells[cell.id]) for cell in (four, sixteen)] == [(1,), (1,)]
    told.measure(four, status="oom", call=1)
    assert [told.run.due(told.run.cells[cell.id]) for cell in (four, sixteen)] == [(), ()]
