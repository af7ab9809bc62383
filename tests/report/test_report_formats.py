from __future__ import annotations

import csv
import io
import json
import re

import pytest

from sdtui.model.cell import Cell
from sdtui.model.codec import decode
from sdtui.model.errors import UserError
from sdtui.model.events import CallFinished, CellFinished, CellPhase, Log, RunFinished, RunStarted, Step, Telemetry
from sdtui.model.forecast import Forecast
from sdtui.records import CellRecord, RunRecord, SittingRecord
from sdtui.report.csv_report import CALL_COLUMNS, CELL_COLUMNS, RATE_COLUMNS
from sdtui.report.render import render
from sdtui.report.show import show_json


def optional(cls, value):
    return None if value is None else decode(cls, value)


def record_of(value, path) -> RunRecord:
    """Reads a run back from the JSON report."""
    cells = {
        cell["id"]: CellRecord(
            spec=decode(Cell, cell["spec"]),
            sitting=cell["sitting"],
            started=cell["started"],
            phases=[(phase["t"], decode(CellPhase, phase)) for phase in cell["phases"]],
            steps=[decode(Step, step) for step in cell["steps"]],
            calls=[decode(CallFinished, call) for call in cell["calls"]],
            telemetry=[(item["t"], decode(Telemetry, item)) for item in cell["telemetry"]],
            finished=optional(CellFinished, cell["finished"]),
            finished_at=cell["finished_at"],
            ended_in=cell["ended_in"],
            call_times=[call["t"] for call in cell["calls"]],
        )
        for cell in value["cells"]
    }
    sittings = [
        SittingRecord(
            s["started_at"],
            decode(RunStarted, s["started"]),
            optional(RunFinished, s["finished"]),
            s["finished_at"],
            tuple(decode(Forecast, each) for each in s["queue"]),
        )
        for s in value["sittings"]
    ]
    return RunRecord(path, sittings, cells, [(log["t"], decode(Log, log)) for log in value["logs"]])


def test_json_loses_nothing(docs_run: RunRecord, tiny_run: RunRecord) -> None:
    document = json.loads(render([docs_run, tiny_run], "json"))
    for run, value in zip((docs_run, tiny_run), document["runs"], strict=True):
        assert record_of(value, run.path) == run
        assert value["id"] == run.id
    assert document["runs"][0]["plan"] == (docs_run.path / "plan.toml").read_text()
    assert str(docs_run.path) not in json.dumps(document)


def test_json_tables_carry_figures_and_where_they_come_from(docs_run: RunRecord) -> None:
    (one, four) = json.loads(render([docs_run], "json"))["tables"]
    assert [column["label"] for column in one["columns"]] == ["torch 2.11 - no compile", "torch 2.11 - compile"]
    entry = one["rows"][2]["entries"][0]
    assert entry["text"] == "40.00 / 20.50 / 10.25"
    assert entry["its"] == pytest.approx([40.0, 20.5, 10.25])
    assert entry["run"] == docs_run.id
    assert four["rows"][0]["entries"][1]["status"] == "oom"


def test_csv_has_a_row_per_cell_call_and_stage(docs_run: RunRecord) -> None:
    rows = list(csv.DictReader(io.StringIO(render([docs_run], "csv"))))
    assert tuple(rows[0]) == (*CELL_COLUMNS, *CALL_COLUMNS, *RATE_COLUMNS)
    keys = [(row["cell"], row["call"], row["stage"]) for row in rows]
    assert len(keys) == len(set(keys)) == sum(max(1, len(cell.calls)) for cell in docs_run.cells.values())
    stages = [(row["call"], row["stage"]) for row in rows if row["pipeline"] == "if" and row["mode"] == "no-compile"]
    assert stages == [(call, stage) for call in "123" for stage in ("I", "II", "III")]
    (unsupported,) = [row for row in rows if row["status"] == "unsupported"]
    assert unsupported["call"] == unsupported["loop_its"] == ""
    assert float(rows[0]["loop_its"]) == pytest.approx(28.1)


@pytest.mark.parametrize("runs", ["docs_run", "tiny_run"])
def test_every_markdown_table_is_whole(runs: str, request: pytest.FixtureRequest) -> None:
    lines = render([request.getfixturevalue(runs)]).splitlines()
    blocks = re.findall(r"(?:^\|.*\n)+", "\n".join(lines) + "\n", flags=re.MULTILINE)
    assert len(blocks) >= 4
    for block in blocks:
        header, delimiter, *rows = block.splitlines()
        assert set(delimiter.strip("| ").split(" | ")) == {"---"}
        assert rows
        widths = {len(re.split(r"(?<!\\)\|", line)) for line in (header, delimiter, *rows)}
        assert len(widths) == 1
        assert "  " not in block
        assert "**" not in block


def test_every_footnote_mark_has_its_definition_once(docs_run: RunRecord) -> None:
    report = render([docs_run])
    defined = re.findall(r"^\[\^(\d+)\]: ", report, flags=re.MULTILINE)
    assert defined == [str(number) for number in range(1, len(defined) + 1)]
    assert set(re.findall(r"\[\^(\d+)\](?!:)", report)) == set(defined)
    assert report.count("Tried to allocate") == 1


def test_render_names_the_nearest_format(docs_run: RunRecord) -> None:
    with pytest.raises(UserError, match=r"unknown format 'jsn'; did you mean 'json'\?"):
        render([docs_run], "jsn")
    with pytest.raises(UserError, match="--reference"):
        render([docs_run], "csv", "A100")


def test_show_json_says_how_each_cell_ended(docs_run: RunRecord) -> None:
    shown = json.loads(show_json(docs_run, "incomplete"))
    assert (shown["run"], shown["state"], len(shown["sittings"])) == (docs_run.id, "incomplete", 2)
    oom = next(cell for cell in shown["cells"] if cell["id"].startswith("sd-txt2img.compile.current.b4"))
    assert (oom["status"], oom["phase"], oom["call"]) == ("oom", "measure", 2)
    assert oom["summary"]["stages"][0]["loop_its"] == pytest.approx(40.0)
