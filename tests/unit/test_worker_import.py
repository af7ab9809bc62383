"""``python -m sdtui.worker`` where the libraries cannot be imported. A made-up torch: nothing heavy starts here."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import sdtui
from sdtui.model.cell import Cell, Mode, Slot, Stage
from sdtui.model.codec import encode
from sdtui.model.events import CellFinished, CellPhase, from_line
from sdtui.model.job import Job

STAGE = Stage("main", "MadeUpPipeline", (), {}, ("unet",), 1, 1.0, 64, 64, True, True)
CELL = Cell("cell", Slot("p", "m", "current", 1), "P", Mode("m", "m"), "tiny", 1, "float32", "random", 0, "", (STAGE,))


def worker(tmp_path, modules):
    """Runs the worker beside made-up libraries; returns its events and what it printed."""
    for name, source in modules.items():
        (tmp_path / f"{name}.py").write_text(source)
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sdtui.worker", str(writer), str(os.getpid())],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{Path(sdtui.__file__).parents[1]}"},
        stdin=subprocess.PIPE, stderr=subprocess.PIPE, pass_fds=(writer,), text=True, process_group=0,
    )  # fmt: skip
    os.close(writer)
    process.stdin.write(json.dumps(encode(Job(CELL, "cpu", str(tmp_path)))) + "\n")
    process.stdin.flush()  # and left open: its end would kill the worker
    with open(reader, "rb") as lines:
        events = [from_line(line).event for line in lines]
    printed = process.stderr.read()
    process.stdin.close()
    process.stderr.close()
    assert process.wait(30) == 0
    return events, printed


BROKEN = {
    "missing library": ("raise ImportError('libcudart.so.13: cannot open\\nshared object file')",
                        "ImportError: libcudart.so.13: cannot open shared object file"),
    "any exception": ("raise KeyError('x' * 1000)", "KeyError: 'xxx"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_import_that_fails_ends_the_cell_with_one_line(tmp_path, case):
    source, reason = BROKEN[case]
    events, printed = worker(tmp_path, {"torch": source})
    assert events[0] == CellPhase("cell", "import")
    assert isinstance(events[1], CellFinished)
    assert (events[1].status, events[1].phase, events[1].call) == ("failed", "import", None)
    assert events[1].reason.startswith(reason)
    assert len(events[1].reason) <= 400
    assert "Traceback" in printed


def test_pipeline_that_this_diffusers_does_not_have_is_named(tmp_path):
    modules = {"torch": "", "diffusers": "MadeUpPipelines = 1", "transformers": ""}
    events, _ = worker(tmp_path, modules)
    assert events[1].status == "failed"
    near = "did you mean 'MadeUpPipelines'?"
    assert events[1].reason == f"AttributeError: diffusers has no class 'MadeUpPipeline'; {near}"
