"""One run per GPU, or per CPU, at a time."""

from __future__ import annotations

import dataclasses
import re
import signal
from pathlib import Path

import pytest
from supervised import Child, Lab, await_event, both, counts, events, lock_is_free, patched, statuses, until

from sdtui import locks, runs
from sdtui.model.events import CellStarted, Log, Step
from sdtui.model.machine import Gpu
from sdtui.supervisor import limits
from sdtui.supervisor import run as run_module
from sdtui.supervisor.control import request_cancel, request_skip
from sdtui.supervisor.sitting import Sitting

QUICK = both(patched(limits, POLL_S=0.02), patched(run_module, open_nvml=lambda: None))


@pytest.fixture
def two(lab: Lab) -> tuple[Path, Child, Path, Child]:
    """A run that measures, and one that waits for it."""
    first = lab.create("measure:hang")
    second = lab.create("measure:hang")
    measuring = lab.start(first)
    await_event(first, Step, 3)
    waiting = lab.start(second, before=QUICK)
    await_event(second, Log)
    return first, measuring, second, waiting


def test_the_second_run_waits_and_says_for_whom(lab: Lab, two: tuple[Path, Child, Path, Child]) -> None:
    first, measuring, second, waiting = two
    cpu = lab.sitting(second).machine.cpu
    (said,) = [event.message for _, event in runs.read(second).logs]
    holder = rf"run {first.name} \(pid {measuring.pid}, user \S+, on \S+\)"
    assert re.fullmatch(rf"waiting for {re.escape(cpu)}: in use by {holder}", said)
    assert runs.listed(second).state == "waiting"
    assert not [stamped for stamped in events(second) if isinstance(stamped.event, CellStarted)]
    lab.behave("ok")
    assert request_cancel(first)
    assert (measuring.wait(), waiting.wait()) == (1, 0)
    assert statuses(second) == ["ok"]
    assert len(runs.read(second).logs) == 1, "it says so once"
    assert runs.read(second).sittings[0].started_at < runs.read(first).sittings[0].finished_at  # type: ignore[operator]


def test_the_second_run_goes_on_when_the_first_is_killed(lab: Lab, two: tuple[Path, Child, Path, Child]) -> None:
    _, measuring, second, waiting = two
    lab.behave("ok")
    measuring.kill()
    assert waiting.wait() == 0
    assert statuses(second) == ["ok"]


def test_a_waiting_run_can_be_cancelled(lab: Lab, two: tuple[Path, Child, Path, Child]) -> None:
    first, _, second, waiting = two
    assert request_cancel(second)
    assert waiting.wait() == 1
    assert (statuses(second), counts(second)) == ([None], {"not run": 1})
    assert runs.read(second).sittings[0].finished.status == "cancelled"  # type: ignore[union-attr]
    assert lock_is_free(second)
    assert not lock_is_free(first)
    assert locks.query(lab.locks_dir / "cpu.lock").held


def test_a_waiting_run_of_which_all_is_skipped_waits_no_longer(lab: Lab) -> None:
    first = lab.create("measure:hang")
    lab.start(first)
    await_event(first, Step, 3)
    second = lab.create("ok", "ok")
    waiting = lab.start(second, before=QUICK)
    await_event(second, Log)
    one, other = runs.read(second).cells
    assert request_skip(second, one)
    await_event(second, Log, 2)
    assert (statuses(second), runs.listed(second).state) == (["cancelled", None], "waiting")
    assert request_skip(second, other)
    assert waiting.wait() == 1
    assert (statuses(second), counts(second)) == (["cancelled"] * 2, {"cancelled": 2})


def test_a_run_waits_no_longer_than_its_budget(lab: Lab) -> None:
    first = lab.create("measure:hang")
    lab.start(first)
    await_event(first, Step, 3)
    second = lab.create("ok")
    sitting = dataclasses.replace(lab.sitting(second), budget_s=0.5)
    assert lab.start(second, sitting, before=QUICK).wait() == 1
    assert counts(second) == {"not run": 1}


def test_a_waiting_run_that_is_killed_leaves_the_other_alone(lab: Lab, two: tuple[Path, Child, Path, Child]) -> None:
    first, measuring, second, waiting = two
    waiting.kill()
    assert runs.listed(second).state == "interrupted"
    assert lab.survivors()
    assert request_cancel(first)
    assert measuring.wait() == 1


def test_the_longest_waiter_is_next(lab: Lab, two: tuple[Path, Child, Path, Child]) -> None:
    first, measuring, second, waiting = two
    third = lab.create("ok")
    later = lab.start(third, before=both(QUICK, patched(locks, HEARTBEAT_S=0.02)))
    await_event(third, Log)
    waiting.signal(signal.SIGSTOP)
    assert request_cancel(first)
    assert measuring.wait() == 1
    assert not locks.query(lab.locks_dir / "cpu.lock").held
    assert locks.query(lab.locks_dir / "cpu.queue.lock").holder.purpose == f"run {second.name}"  # type: ignore[union-attr]
    beats = (third / runs.LOCK).stat().st_mtime_ns
    until(lambda: (third / runs.LOCK).stat().st_mtime_ns > beats, "the third run no longer asks")
    assert runs.listed(third).state == "waiting", "it does not overtake"
    lab.behave("ok")
    waiting.signal(signal.SIGCONT)
    assert (waiting.wait(), later.wait()) == (0, 0)


def _on_gpu(lab: Lab, folder: Path, uuid: str) -> Sitting:
    sitting = lab.sitting(folder)
    return dataclasses.replace(
        sitting, device="cuda:0", machine=dataclasses.replace(sitting.machine, gpu=Gpu("NVIDIA H100", uuid))
    )


def test_runs_on_different_gpus_do_not_wait(lab: Lab) -> None:
    first, second, third = lab.create("measure:hang"), lab.create("measure:hang"), lab.create("measure:hang")
    lab.start(first, _on_gpu(lab, first, "GPU-aaaa"), QUICK)
    await_event(first, Step, 3)
    lab.behave("ok")
    assert lab.run(second, _on_gpu(lab, second, "GPU-bbbb"), QUICK) == 0
    waiting = lab.start(third, _on_gpu(lab, third, "GPU-aaaa"), QUICK)
    said = await_event(third, Log)
    assert isinstance(said, Log)
    assert said.message.startswith(f"waiting for NVIDIA H100: in use by run {first.name} ")
    assert sorted(path.name for path in lab.locks_dir.iterdir()) == [
        f"GPU-{name}{part}.lock" for name in ("aaaa", "bbbb") for part in ("", ".queue")
    ]
    assert request_cancel(third)
    assert waiting.wait() == 1


def test_both_locks_show_a_heartbeat(lab: Lab) -> None:
    folder = lab.create("measure:hang")
    lab.start(folder, before=both(patched(limits, POLL_S=0.02), patched(locks, HEARTBEAT_S=0.05)))
    await_event(folder, Step, 3)
    for path in (folder / runs.LOCK, lab.locks_dir / "cpu.lock"):
        before = path.stat().st_mtime_ns
        until(lambda path=path, before=before: path.stat().st_mtime_ns > before, f"{path} shows no heartbeat")  # type: ignore[misc]


def test_a_locks_directory_that_cannot_be_made_ends_the_run_with_one_line(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = lab.create("ok")
    monkeypatch.setenv("SDTUI_LOCKS_DIR", str(folder / runs.PLAN / "locks"))
    assert lab.run(folder) == 1
    finished = runs.read(folder).sittings[0].finished
    assert finished is not None
    assert finished.status == "failed"
    assert finished.reason.endswith("Not a directory; choose another with SDTUI_LOCKS_DIR")
    assert (folder / "logs" / "supervisor.log").read_text() == finished.reason + "\n"
