from __future__ import annotations

import dataclasses

from sdtui.report import tables
from sdtui.report.merge import merge
from sdtui.report.render import render


def headings(*runs):
    return [table.heading for table in tables.build(merge(runs))]


def texts(*runs):
    return [[[entry.text for entry in row.entries] for row in table.rows] for table in tables.build(merge(runs))]


def columns(*runs):
    return [[column.label for column in table.columns] for table in tables.build(merge(runs))]


def test_the_newest_result_of_a_cell_wins(tell, cell_spec) -> None:
    spec = cell_spec()
    old, new = tell(name="old").sit("old").measure(spec, 10.0), tell(name="new", t=2e9).sit("new").measure(spec, 20.0)
    for runs in ([old.run, new.run], [new.run, old.run]):
        (result,) = merge(runs)
        assert result.run.id == "new"
        assert texts(*runs) == [[["20.00"]]]


def test_a_result_beats_none_and_cancelled_however_late(tell, cell_spec) -> None:
    spec = cell_spec()
    done = tell(name="a").sit("a").measure(spec, 10.0).run
    cancelled = tell(name="b", t=2e9).sit("b").measure(spec, 5.0, status="cancelled", call=2).run
    unrun = tell(name="c", t=2.1e9).sit("c").queue(spec).run
    assert texts(done, cancelled, unrun) == [[["10.00"]]]
    assert merge([unrun, cancelled])[0].run is cancelled
    assert texts(unrun, cancelled) == [[["–"]]]


def test_a_newer_failure_beats_an_older_figure(tell, cell_spec) -> None:
    spec = cell_spec()
    done = tell(name="a").sit("a").measure(spec, 10.0).run
    failed = tell(name="b", t=2e9).sit("b").measure(spec, status="failed", call=1, reason="NaN").run
    assert texts(done, failed) == [[["failed"]]]


def test_devices_scales_and_variants_never_share_a_table(tell, cell_spec, cpu) -> None:
    told = tell().sit()
    told.measure(cell_spec(), 10.0)
    told.measure(cell_spec(work="11111111", variant="20 steps"), 11.0)
    told.measure(cell_spec(scale="tiny"), 12.0)
    told.measure(cell_spec(batch_size=16), 2.0).measure(cell_spec(batch_size=4), 3.0)
    other = tell(dataclasses.replace(cpu, cpu="Ryzen"), name="cpu", t=2e9).sit("cpu").measure(cell_spec(), 0.5)
    name = "NVIDIA H100 80GB HBM3"
    assert headings(told.run, other.run) == [
        f"{name} (batch size: 1)",
        f"{name} (batch size: 4)",
        f"{name} (batch size: 16)",
        f"{name} · 20 steps (batch size: 1)",
        f"{name} · tiny (batch size: 1)",
        "Ryzen (batch size: 1)",
    ]
    assert texts(told.run, other.run)[-1] == [["2.00s"]]


def test_two_torches_make_two_columns_per_mode(tell, cell_spec) -> None:
    told = tell().sit(other="2.13.0")
    specs = [cell_spec(mode=m, environment=e) for m in ("no-compile", "compile") for e in ("current", "other")]
    told.queue(*specs)
    for spec, its in zip(specs, (1.0, 2.0, 3.0, 4.0), strict=True):
        told.measure(spec, its, torch="2.13.0+cu130" if spec.slot.environment == "other" else None)
    assert columns(told.run) == [
        ["torch 2.11 - no compile", "torch 2.13 - no compile", "torch 2.11 - compile", "torch 2.13 - compile"]
    ]
    assert texts(told.run) == [[["1.00", "2.00", "3.00", "4.00"]]]


def test_the_same_environment_name_with_another_torch_is_another_column(tell, cell_spec) -> None:
    spec = cell_spec()
    old = tell(name="a", torch="2.11.0").sit("a").measure(spec, 10.0).run
    new = tell(name="b", torch="2.13.0", t=2e9).sit("b").measure(spec, 20.0).run
    assert columns(new, old) == [["torch 2.11 - no compile", "torch 2.13 - no compile"]]
    assert texts(new, old) == [[["10.00", "20.00"]]]


def test_a_cell_that_never_started_takes_its_torch_from_the_sitting(tell, cell_spec) -> None:
    told = (
        tell(torch="2.14.0.dev20261101+cu130")
        .sit(other="2.9.1")
        .queue(cell_spec(), cell_spec(environment="other"), cell_spec(environment="gone"))
    )
    assert columns(told.run) == [
        ["torch nightly - no compile", "torch 2.9 - no compile", "torch not available - no compile"]
    ]


def test_a_person_s_label_replaces_the_torch_wherever_the_run_is_read(tell, cell_spec) -> None:
    spec = cell_spec()
    told = tell().sit(label="our | build", other="2.13.0").measure(spec, 10.0)
    told.measure(cell_spec(environment="other"), 20.0, torch="2.13.0")
    assert columns(told.run) == [["our | build - no compile", "torch 2.13 - no compile"]]
    report = render([told.run])
    assert "| Pipeline | our \\| build - no compile | torch 2.13 - no compile |" in report
    assert "environment current (our \\| build)" in report
    for name, t in (("older", 1.0), ("newer", 2e9)):
        unlabelled = tell(name=name, t=t).sit(name).measure(cell_spec("sd-img2img"), 5.0).run
        assert columns(unlabelled, told.run) == columns(told.run), f"a run that is {name} than the label"


def test_a_build_tag_does_not_split_an_environment(tell, cell_spec) -> None:
    told = tell(torch="2.11.0").sit().queue(cell_spec("sd-txt2img"), cell_spec("sd-img2img"))
    told.measure(cell_spec("sd-img2img"), 9.0, torch="2.11.0+cu130")
    assert columns(told.run) == [["torch 2.11 - no compile"]]
    assert texts(told.run) == [[["–"], ["9.00"]]]


def test_tables_of_one_gpu_have_their_rows_and_columns_in_one_order(tell, cell_spec) -> None:
    def at(size, *names):
        return [cell_spec(pipeline, mode=mode, batch_size=size) for pipeline, mode in names]

    text, image = ("sd-txt2img", "no-compile"), ("sd-img2img", "compile")
    told = [tell(name=name, t=t).sit(name) for name, t in (("a", 1.0), ("b", 2e9), ("c", 2.1e9))]
    for one, specs in zip(told, (at(1, text), at(4, image), at(4, text) + at(1, image)), strict=True):
        for spec in specs:
            one.measure(spec, 10.0)
    built = tables.build(merge(one.run for one in told))
    assert [[row.pipeline for row in table.rows] for table in built] == [["sd-txt2img", "sd-img2img"]] * 2
    assert [[column.mode for column in table.columns] for table in built] == [["no-compile", "compile"]] * 2


def test_other_work_under_the_same_names_gets_a_row_of_its_own(tell, cell_spec) -> None:
    first = tell(name="a").sit("a").measure(cell_spec(), 10.0).run
    second = tell(name="b", t=2e9).sit("b").measure(cell_spec(work="ffffffff"), 20.0).run
    (table,) = tables.build(merge([first, second]))
    assert [(row.label, row.entries[0].text) for row in table.rows] == [
        ("SD - txt2img", "10.00"),
        ("SD - txt2img · 2", "20.00"),
    ]
    assert "sd-txt2img.no-compile.current.b1-ffffffff" in render([first, second])


def test_equal_labels_are_told_apart_by_name(tell, cell_spec) -> None:
    told = tell().sit()
    told.measure(cell_spec("if", pipeline_label="IF"), 1.0, 2.0, 3.0)
    told.measure(cell_spec("if-cascade", pipeline_label="IF"), 4.0, 5.0, 6.0)
    (table,) = tables.build(merge([told.run]))
    assert [row.label for row in table.rows] == ["IF (if)", "IF (if-cascade)"]


def test_a_copied_run_is_told_apart_from_the_original(tell, cell_spec) -> None:
    original = tell(name="a").sit("same").measure(cell_spec(), 10.0).run
    copied = tell(name="b", t=2e9).sit("same").measure(cell_spec("sd-img2img"), 20.0).run
    report = render([original, copied])
    assert "| R1 | same |" in report
    assert "| R2 | same |" in report
    assert [line[-5:] for line in report.splitlines() if line.startswith("| sd-") and "| ok |" in line] == [
        " R1 |",
        " R2 |",
    ]


def test_a_run_without_any_event_still_reports(tell) -> None:
    empty = tell().run
    assert "There is no cell to report." in render([empty])
    assert render([empty], "csv").count("\n") == 1


def test_an_ok_cell_without_a_summary_is_summed_up_from_its_samples(tell, cell_spec) -> None:
    told = tell().sit().measure(cell_spec(), 10.0)
    record = told.run.cells[cell_spec().id]
    assert record.finished is not None
    record.finished = dataclasses.replace(record.finished, summary=None)
    assert texts(told.run) == [[["10.00"]]]
