"""Whole reports, byte for byte. SDTUI_WRITE_GOLDEN=1 writes them anew, to be read before they are committed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sdtui.records import RunRecord
from sdtui.report.markdown import tables_markdown
from sdtui.report.render import render
from sdtui.report.show import show_text

GOLDEN = Path(__file__).with_name("golden")


def check(name: str, written: str) -> None:
    path = GOLDEN / name
    if os.environ.get("SDTUI_WRITE_GOLDEN"):
        path.write_bytes(written.encode())
    assert written.encode().decode() == path.read_bytes().decode()


def test_markdown_of_a_gpu_run(docs_run: RunRecord) -> None:
    check("docs.md", render([docs_run]))


def test_markdown_with_the_page_s_figures(docs_run: RunRecord) -> None:
    check("reference.md", render([docs_run], reference="A100"))


def test_csv_of_a_gpu_run(docs_run: RunRecord) -> None:
    check("docs.csv", render([docs_run], "csv"))


def test_text_of_a_gpu_run(docs_run: RunRecord) -> None:
    check("docs.txt", show_text(docs_run, "incomplete"))


def test_markdown_of_a_tiny_run(tiny_run: RunRecord) -> None:
    check("tiny.md", render([tiny_run]))


def test_csv_of_a_tiny_run(tiny_run: RunRecord) -> None:
    check("tiny.csv", render([tiny_run], "csv"))


def test_text_of_a_running_run(tiny_run: RunRecord) -> None:
    check("tiny.txt", show_text(tiny_run, "running"))


def test_merged_markdown(docs_run: RunRecord, tiny_run: RunRecord) -> None:
    check("merged.md", render([docs_run, tiny_run]))


def test_same_runs_same_bytes_in_any_order(docs_run: RunRecord, tiny_run: RunRecord) -> None:
    for fmt in ("md", "csv", "json"):
        orders: Sequence[list[RunRecord]] = ([docs_run, tiny_run], [tiny_run, docs_run, tiny_run])
        first, second = (render(records, fmt) for records in orders)
        assert first == second


def test_tables_alone_are_the_report_s_tables(docs_run: RunRecord) -> None:
    tables = tables_markdown([docs_run])
    assert tables.startswith("## NVIDIA H100 80GB HBM3 (batch size: 1)\n\n| Pipeline | torch 2.11 - no compile |")
    assert tables in render([docs_run])
    assert "Per cell" not in tables
