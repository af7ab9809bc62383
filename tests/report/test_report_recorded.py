"""Reports of runs as they were recorded, byte for byte. SDTUI_WRITE_GOLDEN=1 writes the files anew."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from pathlib import Path

import pytest

from sdtui import runs
from sdtui.model.events import CallFinished, Step, Telemetry, from_line
from sdtui.records import RunRecord
from sdtui.report.json_report import run_value
from sdtui.report.markdown import tables_markdown
from sdtui.report.render import render
from sdtui.report.show import show_json, show_text

RECORDED = Path(__file__).parents[1] / "fixtures" / "runs"
GOLDEN = Path(__file__).with_name("golden")
SMOKE = "20261124T230016Z-vm-h100-80gb-hbm3-e6c54d"
DOCS = "20261124T230043Z-vm-h100-80gb-hbm3-6c1239"
TINY = "20261124T231027Z-vm-epyc-fa50b5"
NAMES = (SMOKE, DOCS, TINY)


def read(name: str) -> RunRecord:
    return runs.read(RECORDED / name)


def check(path: Path, written: str) -> None:
    if os.environ.get("SDTUI_WRITE_GOLDEN"):
        path.write_bytes(written.encode())
    assert written == path.read_bytes().decode()


@pytest.mark.parametrize("name", NAMES)
def test_a_run_s_own_report(name: str) -> None:
    check(RECORDED / name / "report.md", render([read(name)]))


def test_lines_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    folder = shutil.copytree(RECORDED / TINY, tmp_path / TINY)
    with open(folder / runs.JOURNAL, "ab") as journal:
        journal.write(b'garbage\xff\n{"v":9,"kind":"of the future"}\n\n')
    run = runs.read(folder)
    lost = "1 line of events.jsonl cannot be read"
    assert f"\n- Run {TINY}: {lost}: what was told there is missing here.\n" in render([run])
    assert f"\nstate     incomplete; {lost}\n" in show_text(run, "incomplete")
    assert json.loads(show_json(run, "incomplete"))["unreadable_lines"] == run_value(run)["unreadable_lines"] == 1
    assert "cannot be read" not in render([read(TINY)]) + show_text(read(TINY), "incomplete")
    assert run_value(read(TINY))["unreadable_lines"] == 0


def test_all_runs_in_one_report() -> None:
    written = render([read(name) for name in NAMES])
    check(GOLDEN / "recorded-all.md", written)
    assert written == render([read(name) for name in reversed(NAMES)])


def test_beside_the_page_s_figures() -> None:
    written = render([read(DOCS)], reference="A100")
    check(GOLDEN / "recorded-a100.md", written)
    assert "21.66" in written, "the page's A100, txt2img, no compile, batch size 1"


def test_the_tables_are_in_the_docs_layout() -> None:
    tables, footnotes = tables_markdown([read(DOCS)]).split("\n\n[^1]: ", 1)
    assert footnotes.startswith("unstable: ")
    assert tables == (
        "## NVIDIA H100 80GB HBM3 (batch size: 1)\n"
        "\n"
        "| Pipeline | torch 2.11 - no compile | torch 2.11 - compile |\n"
        "| --- | --- | --- |\n"
        "| SD - txt2img | 25.70[^1] | 109.72[^2] |"
    )


@pytest.mark.parametrize("name", [DOCS, TINY])
def test_csv_has_a_row_for_each_cell_and_call(name: str) -> None:
    record = read(name)
    written = render([record], "csv")
    check(GOLDEN / f"recorded-{name.rsplit('-', 1)[-1]}.csv", written)
    rows = list(csv.DictReader(io.StringIO(written)))
    assert len(rows) == sum(max(1, len(cell.calls)) for cell in record.cells.values())


def test_json_of_a_run() -> None:
    check(GOLDEN / "recorded-e6c54d.json", render([read(SMOKE)], "json"))


@pytest.mark.parametrize("name", NAMES)
def test_json_is_lossless(name: str) -> None:
    """Every sample of the journal is in it: each number of each step, call and telemetry event."""
    lines = (RECORDED / name / runs.JOURNAL).read_text().splitlines()
    samples = [e for e in (from_line(line).event for line in lines) if isinstance(e, (Step, CallFinished, Telemetry))]
    (run,) = json.loads(render([read(name)], "json"))["runs"]
    kept = {key: [sample for cell in run["cells"] for sample in cell[key]] for key in ("steps", "calls", "telemetry")}
    for key, kind in (("steps", Step), ("calls", CallFinished), ("telemetry", Telemetry)):
        assert len(kept[key]) == sum(isinstance(sample, kind) for sample in samples) > 0
    assert sum(step["ms"] for step in kept["steps"]) == pytest.approx(sum(s.ms for s in samples if isinstance(s, Step)))
