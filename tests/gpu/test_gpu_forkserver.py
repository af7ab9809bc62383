"""Workers that are forked from a process that has imported, on a real card: ``python -m pytest tests/gpu -m gpu``."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

pynvml = pytest.importorskip("pynvml")
torch = pytest.importorskip("torch")

from test_gpu import CATALOG, cell_of  # noqa: E402

from sdtui import environments, runs, settings  # noqa: E402
from sdtui.catalog.plan_toml import plan_to_toml  # noqa: E402
from sdtui.catalog.plans import resolve_plan  # noqa: E402
from sdtui.model.events import CellFinished, Log  # noqa: E402
from sdtui.supervisor.forkserver import ForkServer  # noqa: E402
from sdtui.supervisor.launch import start_supervisor, worker_path  # noqa: E402
from sdtui.telemetry.nvml import resolve_device  # noqa: E402

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device that this torch can use"),
]


def _processes(uuid: str) -> list[tuple[int, Any]]:
    handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
    return [(each.pid, each.usedGpuMemory) for each in pynvml.nvmlDeviceGetComputeRunningProcesses(handle)]


def test_a_fork_server_is_ready_and_not_on_the_gpu(tmp_path: Path) -> None:
    pynvml.nvmlInit()
    gpu = resolve_device("cuda:0", os.environ).gpu
    assert gpu is not None
    (interpreter,) = environments.resolve(("current",), settings.load())
    cells = [cell_of(pipeline, mode) for pipeline in ("sd-txt2img", "if") for mode in ("no-compile", "compile")]
    before = _processes(gpu.uuid)
    server = ForkServer(interpreter, cells, gpu.uuid, worker_path(tmp_path), tmp_path / "import.log")
    try:
        deadline = time.monotonic() + 120
        while server.state == "importing" and time.monotonic() < deadline:
            server.await_ready(1.0)
        assert (server.state, server.problem) == ("ready", ""), (tmp_path / "import.log").read_text()
        assert _processes(gpu.uuid) == before
    finally:
        server.close()


def test_forked_workers_measure_on_the_gpu(tmp_path: Path) -> None:
    keys = {
        "pipelines": ["sd-txt2img"],
        "modes": ["no-compile"],
        "batch_sizes": [1, 2],
        "steps": 4,
        "calls": 2,
        "scale": "tiny",
        "device": "cuda:0",
    }
    folder = runs.create(tmp_path, "gpu", "host", plan_to_toml(resolve_plan(CATALOG, None, keys, gpu_available=True)))
    assert start_supervisor(folder, []).wait() == 0, (folder / "logs" / "supervisor.log").read_text()
    stamped = list(runs.Tail(folder).poll())
    assert not [each.event for each in stamped if isinstance(each.event, Log)], "none had to import for itself"
    second = list(runs.read(folder).cells.values())[1]
    (load,) = (t for t, phase in second.phases if phase.phase == "load")
    (finished, *_) = (each.t for each in stamped if isinstance(each.event, CellFinished))
    assert load - finished < 1.0
