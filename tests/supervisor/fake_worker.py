"""What the tests' interpreter runs as a worker: no torch, real events, and the misbehaviour that a file asks for.

The file ``behaviour.json`` beside the interpreter maps batch sizes to ``ok`` or ``<phase>:<action>``; ``@2`` behind it
means the second process of the cell alone.
"""

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

sys.path.insert(0, os.getcwd())

from sdtui.model.codec import decode
from sdtui.model.events import CallFinished, CellFinished, CellPhase, RunStarted, Stamped, Step, to_line
from sdtui.model.job import Job
from sdtui.model.machine import Machine
from sdtui.worker.emitter import Emitter
from sdtui.worker.forkserver import serve
from sdtui.worker.lifeline import die_at_end_of_input, die_with_parent
from sdtui.worker.work import read_line

STEPS = 3
STEP_MS = 10.0
PHASES = ("import", "load", "compile", "warm-up", "measure")


class Misbehaviour:
    """One action for each way in which a worker can go wrong."""

    def __init__(self, job, events, emitter):
        self.job = job
        self.cell = job.cell.id
        self.events = events
        self.emitter = emitter

    def hang(self):
        print("now it hangs", flush=True)
        while True:
            signal.pause()

    def deaf(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        self.hang()

    def sigkill(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def fails_where_forked(self):
        """Fails as torch does where its driver cannot be used after a fork; a process of its own goes on."""
        if "sdtui.worker.forkserver" in sys.argv:
            self.emitter.emit(CellFinished(self.cell, "failed", "import", None, "no device in a fork"))
            self.emitter.flush()
            os._exit(0)

    def segv(self):
        print("\x1b[31mabout to\tcrash\x1b[0m\r\n\n", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)

    def realtime(self):
        os.kill(os.getpid(), 40)

    def exit0(self):
        os._exit(0)

    def exit3(self):
        print("first words\nlast words", flush=True)
        os._exit(3)

    def print_much(self):
        for _ in range(1024):
            print("x" * 1023)

    def flood_output(self):
        while True:
            print("x" * 4000)

    def flood_events(self):
        while True:
            self.raw(to_line(Stamped(1.0, Step(self.cell, 1, "main", 1, 1, 1.0, 1))).encode() * 100)

    def no_json(self):
        self.raw(b"Traceback (most recent call last):\n")

    def no_utf8(self):
        self.raw(b'{"v":1,"t":1.0,"kind":"log","message":"\xff\xfe"}\n')

    def deep(self):
        self.raw(b"[" * 100_000 + b"\n")

    def huge_number(self):
        self.raw(b'{"v":1,"t":1' + b"0" * 400 + b',"kind":"cell.phase","cell":"x","phase":"load"}\n')

    def surrogate(self):
        line = to_line(Stamped(1.0, CellFinished(self.cell, "failed", "load", None, "REASON")))
        self.raw(line.replace("REASON", r"\udcff").encode())

    def other_cell(self):
        self.raw(to_line(Stamped(1.0, CellFinished("another", "ok", "measure"))).encode())

    def other_kind(self):
        machine = Machine("h", None, "s", "c", 1)
        self.raw(to_line(Stamped(1.0, RunStarted("r", 9, "0", machine, (), "cpu", 1))).encode())

    def endless_line(self):
        self.raw(b"x" * (3 << 20))

    def finish_and_hang(self):
        self.finish()
        self.hang()

    def finish_and_crash(self):
        self.finish()
        self.segv()

    def finish_and_babble(self):
        self.finish()
        self.raw(b"nonsense\n")
        while True:
            self.raw(to_line(Stamped(1.0, Step(self.cell, 1, "main", 1, 1, 1.0, 1))).encode())

    def finish_in_two_lines(self):
        self.emitter.emit(CellFinished(self.cell, "failed", "measure", 2, "one\n  two"))
        os._exit(0)

    def grandchild(self):
        """A child that holds every descriptor open and outlives this process."""
        os.set_inheritable(self.events, True)
        child = subprocess.Popen(["sleep", "600"], close_fds=False)
        print(f"grandchild {child.pid}", flush=True)

    def bare_grandchild(self):
        """As above, in a worker that has no lifeline: its supervisor alone can sweep."""
        self.grandchild()

    def grandchild_hang(self):
        self.grandchild()
        self.hang()

    def keep(self):
        """Keeps an output as a real worker does; every mode's differs alike from no-compile's."""
        keep(self.job, 0.0 if self.job.cell.mode.name == "no-compile" else 0.5)

    def paced(self):
        """Takes more steps, the longer the name of the mode the longer; puts out what no-compile does."""
        global STEPS, STEP_MS
        STEPS, STEP_MS = 8, 1.0 * len(self.job.cell.mode.name)
        keep(self.job, 0.0)

    def oom(self):
        self.emitter.emit(CellFinished(self.cell, "oom", "measure", 2, "CUDA out of memory. Tried to allocate 2 GiB."))
        self.emitter.flush()
        sys.exit(0)

    def finish(self):
        self.emitter.emit(CellFinished(self.cell, "ok", "measure", 2))
        self.emitter.flush()

    def raw(self, data):
        os.set_blocking(self.events, True)
        while data:
            data = data[os.write(self.events, data) :]


def main():
    if "sdtui.worker.forkserver" in sys.argv:
        *_, descriptor, parent = (argument for argument in sys.argv if argument.isdigit())
        die_with_parent(int(parent))
        fork(socket.socket(fileno=int(descriptor)), os.environ.get("FAKE_FORK_SERVER", ""))
        return
    events, parent = int(sys.argv[-2]), int(sys.argv[-1])
    die_with_parent(parent)
    work(decode(Job, json.loads(read_line())), events, lifeline=True)


def fork(supervisor, behaviour):
    """Serves forks, or does as the variable ``FAKE_FORK_SERVER`` says: ``die``, ``hang``, or tell why it cannot."""
    if behaviour == "die":
        os._exit(1)
    if behaviour == "hang":
        while True:
            signal.pause()
    if behaviour:
        supervisor.send(behaviour.encode())
        return
    print("the fork server is up", flush=True)
    serve(supervisor, work)


def work(job, events, lifeline=False):
    behaviours = json.loads(Path(os.environ["FAKE_WORKER_BEHAVIOUR"]).read_text())
    behaviour, _, process = behaviours[str(job.cell.slot.batch_size)].partition("@")
    target, _, action = (behaviour if process in ("", str(job.process)) else "ok").partition(":")
    if lifeline and not action.startswith("bare"):
        die_at_end_of_input()
    emitter = Emitter(events)
    misbehaviour = Misbehaviour(job, events, emitter)
    with Path(os.environ["FAKE_WORKER_BEHAVIOUR"]).with_name("parents").open("a") as parents:
        parents.write(f"{os.getppid()}\n")
    Path(os.environ["FAKE_WORKER_BEHAVIOUR"]).with_name("variables").write_text("\n".join(os.environ))
    print("hello from the fake", flush=True)
    for phase in PHASES if target == "compile" else (p for p in PHASES if p != "compile"):
        call = {"compile": 1, "warm-up": 1, "measure": 2}.get(phase)
        if lifeline or phase != "import":  # one that is forked has imported
            emitter.emit(CellPhase(job.cell.id, phase, call, {"torch": "0.fake"} if phase == "load" else None))
        if phase == target:
            getattr(misbehaviour, action.replace("-", "_"))()
        if call is not None:
            measure(job.cell, call, emitter)
    emitter.emit(CellFinished(job.cell.id, "ok", "measure", 2))
    emitter.flush()


def keep(job, more):
    """Writes 16 latents of 1.0, and a grey image of one pixel, the first of each with ``more`` added."""
    header = b'{"latents":{"dtype":"F32","shape":[1,1,4,4],"data_offsets":[0,64]}}'
    latents = struct.pack("<16f", 1.0 + more, *[1.0] * 15)
    outputs = Path(job.outputs)
    (outputs / f"{job.stem}.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + latents)
    parts = {
        b"IHDR": struct.pack(">2I5B", 1, 1, 8, 0, 0, 0, 0),
        b"IDAT": zlib.compress(bytes([0, 100 + int(20 * more)])),
    }
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in {**parts, b"IEND": b""}.items()
    ]
    (outputs / f"{job.stem}.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def measure(cell, call, emitter):
    stage = cell.stages[0].name
    for step in range(1, STEPS + 1):
        emitter.emit(Step(cell.id, call, stage, step, STEPS, STEP_MS, 1))
    emitter.emit(CallFinished(cell.id, call, stage, STEPS, STEPS, 30.0, 31.0, 40.0, 1.0, 30.0, 5.0, 4.0))
    emitter.flush()


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        main()
