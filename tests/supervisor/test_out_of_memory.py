"""What a run does once a cell of it ran out of memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervised import CATALOG, Lab, counts, events, statuses

from sdtui import headless, runs
from sdtui.catalog.plans import resolve_plan
from sdtui.model.errors import UserError
from sdtui.model.events import Log
from sdtui.model.machine import Gpu
from sdtui.supervisor import prepare
from sdtui.supervisor.sitting import Sitting
from sdtui.telemetry.devices import DeviceChoice

NOT_RUN = "batch size 2 ran out of memory"


def skipping(folder: Path, yes: bool = True) -> Path:
    """Writes into a run's plan whether larger batches are left out."""
    plan = folder / runs.PLAN
    lines = [line for line in plan.read_text().splitlines() if not line.startswith("skip_larger")]
    plan.write_text("\n".join([*lines, *(["skip_larger_after_oom = true"] if yes else [])]) + "\n")
    return folder


@pytest.fixture
def skipped(lab: Lab) -> Path:
    """A run of batch sizes 1 to 4 whose second cell ran out of memory, so that the last two were left out."""
    folder = skipping(lab.create("ok", "measure:oom", "ok", "ok"))
    assert lab.run(folder) == 1
    return folder


def whys(folder: Path) -> list[str]:
    record = runs.read(folder)
    return [record.why_left_out(cell) for cell in record.cells.values()]


def test_the_cell_after_one_that_ran_out_of_memory_runs(lab: Lab) -> None:
    folder = lab.create("measure:oom", "ok")
    assert lab.run(folder) == 1
    assert statuses(folder) == ["oom", "ok"]
    assert whys(folder) == ["", ""]


def test_larger_batches_are_left_out_where_the_plan_says_so(skipped: Path) -> None:
    assert statuses(skipped) == ["ok", "oom", None, None]
    assert whys(skipped) == ["", "", NOT_RUN, NOT_RUN]
    assert counts(skipped) == {"ok": 1, "oom": 1, "not run": 2}
    *_, third, fourth = runs.read(skipped).cells
    (log,) = [stamped.event for stamped in events(skipped) if isinstance(stamped.event, Log)]
    assert log.message == f"not run, since {NOT_RUN}: {third}, {fourth}"
    report = (skipped / runs.REPORT).read_text()
    assert "| SD - txt2img | –[^" in report
    assert f"]: not run: {NOT_RUN}\n" in report


def test_nothing_is_left_to_run_of_cells_that_are_left_out(
    lab: Lab, skipped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert headless.resume(skipped.name, None, False, lab.runs_dir, False) == 1
    said = capsys.readouterr().err
    assert "nothing left to run" in said
    assert "run what is left" not in said
    assert len(runs.read(skipped).sittings) == 1


def test_a_later_sitting_whose_plan_no_longer_says_so_runs_them(lab: Lab, skipped: Path) -> None:
    skipping(skipped, yes=False)
    assert headless.resume(skipped.name, None, False, lab.runs_dir, False) == 1
    assert statuses(skipped) == ["ok", "oom", "ok", "ok"]
    assert whys(skipped) == ["", "", "", ""]


def test_a_cell_that_is_run_again_and_fits_lets_the_larger_ones_run(lab: Lab, skipped: Path) -> None:
    lab.behave("ok", "ok", "measure:oom", "ok")
    assert headless.resume(skipped.name, "oom", False, lab.runs_dir, False) == 1
    assert statuses(skipped) == ["ok", "ok", "oom", None]
    assert whys(skipped) == ["", "", "", "batch size 3 ran out of memory"]


def test_of_several_processes_what_was_measured_goes_on(lab: Lab) -> None:
    folder = skipping(lab.create("measure:oom@2", "ok", processes=2))
    assert lab.run(folder) == 1
    assert statuses(folder) == ["oom", "ok"]


def test_a_limit_beyond_the_gpus_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = DeviceChoice("cuda", "GPU-1", Gpu("NVIDIA H100 80GB HBM3", "GPU-1", memory_mib=81559.0))
    monkeypatch.setattr(prepare, "resolve_device", lambda device, environ: gpu)
    keys = {"pipelines": ["sd-txt2img"], "modes": ["no-compile"], "batch_sizes": [1]}

    def sitting(limit: str) -> Sitting:
        return prepare.prepare_plan(resolve_plan(CATALOG, None, {**keys, "vram_limit": limit}, gpu_available=True))

    (cell,) = sitting("79 GiB").cells
    assert cell.vram_limit_bytes == 79 * 2**30
    with pytest.raises(UserError, match=r"^vram_limit: 80 GiB limits nothing, since the GPU has 79\.6 GiB; "):
        sitting("80GiB")
