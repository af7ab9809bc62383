"""What the per-cell part says of compilation and of traced calls."""

from __future__ import annotations

import dataclasses

import pytest

from sdtui.model.events import Compilation, CompileCache, KernelTime, StageTrace
from sdtui.report.markdown import markdown


@pytest.fixture
def told(docs_run):
    """The run with one cell that says what it compiled and was traced."""
    record = next(
        r for r in docs_run.cells.values() if r.finished and r.finished.status == "ok" and r.spec.mode.compile
    )
    compilation = Compilation(2, 65.25, ("size mismatch | at 0",), {"print": 3}, cache_hits=0, cache_misses=2)
    record.calls[0] = dataclasses.replace(record.calls[0], compilation=compilation)
    trace = StageTrace(
        record.calls[0].stage, 480.0, 316.5, 700, (KernelTime("gemm" * 20, 100.25, 51),), "cell.trace.json.gz"
    )
    record.finished = dataclasses.replace(record.finished, traces=(trace,))
    return docs_run, record


def lines_of(run):
    return markdown([run]).splitlines()


def test_what_was_compiled_is_a_row_per_call_that_compiled(told):
    run, record = told
    row = f"| {record.spec.id} | {record.calls[0].stage} | {record.calls[0].call} | 65.2 | cold | 2 | 1 | 3 |"
    assert lines_of(run).count(row) == 1


def test_a_miss_in_a_cache_that_held_something_is_partly_warm_wherever_compile_times_stand(told):
    run, record = told
    record.compile_cache = CompileCache("/cache/inductor", empty=False)
    lines = lines_of(run)
    assert sum(line.startswith(f"| {record.spec.id} |") and "| 65.2 | partly warm |" in line for line in lines) == 1
    phases = lines[lines.index("### Phases") + 2 :]
    assert phases[0].endswith("| measure s | Inductor's cache |")
    (row,) = [line for line in phases if line.startswith(f"| {record.spec.id} |") and line.endswith("| partly warm |")]
    assert row.count("|") == phases[0].count("|")
    eager = next(line for line in phases if ".no-compile." in line)
    assert eager.endswith("| – |")
    assert "- compile cache: /cache/inductor" in lines
    assert any(line.startswith("- Compiling was `cold` where") for line in lines)


def test_every_recompile_and_graph_break_is_named(told):
    run, record = told
    where = f"- {record.spec.id}, stage {record.calls[0].stage}, call {record.calls[0].call}"
    assert f"{where}: recompiled: size mismatch \\| at 0" in lines_of(run)
    assert f"{where}: graph break (3×): print" in lines_of(run)


def test_a_trace_names_its_longest_kernels_and_its_file(told):
    run, record = told
    (row,) = [line for line in lines_of(run) if "trace.json.gz" in line]
    assert row.startswith(f"| {record.spec.id} | {record.calls[0].stage} | 480.0 | 316.5 | 700 | 100.2 ms gemmgemm")
    assert "…" in row


def test_a_run_that_compiled_and_traced_nothing_has_neither_table(docs_run):
    text = markdown([docs_run])
    assert "What was compiled" not in text
    assert "Traced calls" not in text
