"""A worker and its children die with whoever launched it. No torch: the lifeline alone, in processes of its own."""

import os
import selectors
import signal
import subprocess
import sys

import pytest

WORKER = """
import os, subprocess, sys
from sdtui.worker.lifeline import die_at_end_of_input, die_with_parent
die_with_parent(int(sys.argv[1]))
{lifeline}
child = subprocess.Popen([sys.executable, "-c", {child!r}])
print(os.getpid(), child.pid, flush=True)
child.wait()
"""
CHILD = "import sys; sys.stdin.read(); print('child up', flush=True); open({held!r}).read()"


def source(lifeline, held):
    return WORKER.format(lifeline=lifeline, child=CHILD.format(held=held))


def wait_for_end(pidfds, seconds=20):
    """Waits until every process is gone."""
    with selectors.DefaultSelector() as selector:
        for descriptor in pidfds:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map():
            ended = selector.select(seconds)
            assert ended, "still alive"
            for key, _ in ended:
                selector.unregister(key.fd)


@pytest.fixture
def held(tmp_path):
    """A FIFO that nobody writes to: reading it waits for ever."""
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return str(path)


def start(held):
    return subprocess.Popen(
        [sys.executable, "-c", source("die_at_end_of_input()", held), str(os.getpid())],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0,
    )  # fmt: skip


def pids(process):
    """Of worker and child, both up; the child's standard input was at its end: it is not the lifeline."""
    lines = {process.stdout.readline() for _ in range(2)}
    (numbers,) = lines - {"child up\n"}
    own, child = map(int, numbers.split())
    return own, child


def test_end_of_input_kills_the_whole_group(held):
    process = start(held)
    descriptors = [os.pidfd_open(pid) for pid in pids(process)]
    assert process.poll() is None
    process.stdin.close()
    wait_for_end(descriptors)
    assert process.wait(10) == -signal.SIGKILL


def test_further_input_is_no_end(held):
    process = start(held)
    descriptors = [os.pidfd_open(pid) for pid in pids(process)]
    process.stdin.write("more\n" * 3000)
    process.stdin.flush()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptors[0], selectors.EVENT_READ)
        assert selector.select(0) == []
    process.stdin.close()
    wait_for_end(descriptors)
    process.wait(10)


def test_parents_death_kills_the_worker(held, tmp_path):
    """The input stays open in this process, so that only the parent's death can be the cause."""
    code = (
        "import os, subprocess, sys\n"
        "worker = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())])\n"
        "sys.stderr.write('up\\n'); worker.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, source("", held)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        process_group=0,
    )  # fmt: skip
    worker, child = pids(parent)
    descriptor = os.pidfd_open(worker)
    parent.kill()
    wait_for_end([descriptor])
    parent.wait(10)
    os.kill(child, signal.SIGKILL)


def test_parents_death_sweeps_what_the_worker_started(held):
    """The parent holds the input's other end: its death ends the input too."""
    code = (
        "import os, subprocess, sys\n"
        "worker = subprocess.Popen([sys.executable, '-c', sys.argv[1], str(os.getpid())],\n"
        "                          stdin=subprocess.PIPE, process_group=0)\n"
        "worker.wait()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, source("die_at_end_of_input()", held)],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    descriptors = [os.pidfd_open(pid) for pid in pids(parent)]
    parent.kill()
    wait_for_end(descriptors)
    parent.wait(10)


def test_worker_whose_parent_died_before_it_asked_exits():
    code = "from sdtui.worker.lifeline import die_with_parent; die_with_parent(1); print('lived')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
