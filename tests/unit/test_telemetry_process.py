"""CPU and memory of a real child process and its own child."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sdtui.telemetry import process
from sdtui.telemetry.process import ProcessReader, _Spent

# Told to, parent and child each take memory, work for so long that the kernel's ticks show it, say so and wait.
FAMILY = """
import subprocess, sys, time
def work():
    kept = bytearray(b"x" * (64 << 20))
    end = time.process_time() + 0.15
    while time.process_time() < end:
        pass
    return kept
if sys.argv[1] == "parent":
    sys.stdin.readline()
    child = subprocess.Popen([sys.executable, __file__, "child"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
kept = work()
print("worked", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def family(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    script = tmp_path / "family.py"
    script.write_text(FAMILY)
    command = [sys.executable, str(script), "parent"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


def test_a_family_is_summed(family: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr(process.time, "monotonic", lambda: next(clock))
    reader = ProcessReader(family.pid)
    assert family.stdin is not None
    assert family.stdout is not None
    family.stdin.write("\n")
    family.stdin.flush()
    family.stdout.readline()
    busy = reader.sample()
    assert busy["cpu_percent"] >= 0.28 / 2 * 100, "0.15 s of parent and child each, over 2 s of the clock"
    assert busy["rss_mib"] > 128
    assert busy["load_1m"] == pytest.approx(os.getloadavg()[0], abs=0.5)
    assert reader.sample()["cpu_percent"] == 0.0, "both wait"


def test_work_of_a_child_that_ended_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 102.0])
    monkeypatch.setattr(process.time, "monotonic", lambda: next(clock))
    reader = ProcessReader(os.getpid())
    work = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", work], check=True)
    assert reader.sample()["cpu_percent"] >= 0.28 / 2 * 100


def test_each_second_of_a_child_counts_once() -> None:
    spent = _Spent()
    spent.since_last({1: (10.0, 5.0)})
    assert spent.since_last({1: (10.5, 5.0), 2: (3.0, 0.0)}) == 3.5
    assert spent.since_last({1: (10.6, 5.0)}) == pytest.approx(0.1), "the child is gone, and not yet waited for"
    assert spent.since_last({1: (10.7, 8.25)}) == pytest.approx(0.1 + 0.25), "what it spent since it was last seen"
    assert spent.since_last({1: (10.7, 9.25)}) == pytest.approx(1.0), "another, which nobody saw alive"


def test_no_more_than_every_core_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.06])
    monkeypatch.setattr(process.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(process.os, "cpu_count", lambda: 2)
    reader = ProcessReader(os.getpid())
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.3: pass"], check=True)
    assert reader.sample()["cpu_percent"] == 200.0


def test_too_short_a_time_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 100.001, 100.2])
    monkeypatch.setattr(process.time, "monotonic", lambda: next(clock))
    reader = ProcessReader(os.getpid())
    assert reader.sample()["cpu_percent"] is None
    assert reader.sample()["cpu_percent"] is not None


def test_a_worker_that_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        pass
    sample = ProcessReader(child.pid).sample()
    assert (sample["cpu_percent"], sample["rss_mib"]) == (None, None)
