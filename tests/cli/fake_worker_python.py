"""What the tests' interpreter runs as a worker: it measures nothing, and plays the part that FAKE_WORKER names.

``ok`` steps through every call, ``hang`` stops after its first step, ``hang-beside`` in any mode but no-compile,
``unsupported`` refuses the mode, ``noisy`` takes longer in every other call, ``slow`` takes long beside its steps. As a
probe, ``ok`` answers, ``unsupported`` has no rate, and ``broken`` dies.
"""

import json
import os
import signal
import socket
import sys
import time

STEPS = 4


def main():
    if "sdtui.worker.forkserver" in sys.argv:
        descriptor, parent = (int(argument) for argument in sys.argv if argument.isdigit())
        fork_workers(descriptor, parent)
        return
    descriptor = int(sys.argv[-2])
    if "sdtui.worker.probe" in sys.argv:
        answer_probe(descriptor)
        return
    job = json.loads(sys.stdin.readline())
    with os.fdopen(descriptor, "w", buffering=1) as events:
        play(job["cell"], job["control"], events)


def fork_workers(descriptor, parent):
    sys.path.insert(0, os.getcwd())
    from sdtui.model.codec import encode
    from sdtui.worker.forkserver import serve
    from sdtui.worker.lifeline import die_with_parent

    def work(job, events):
        with os.fdopen(events, "w", buffering=1) as told:
            play(encode(job.cell), job.control, told, forked=True)

    die_with_parent(parent)
    serve(socket.socket(fileno=descriptor), work)


def answer_probe(descriptor):
    part = os.environ["FAKE_WORKER"]
    if part == "broken":
        sys.exit("ModuleNotFoundError: No module named 'torch'")
    rate = {"precision": "float32", "size": 2048, "tflops": 0.125, "mad_tflops": 0.001, "count": 9}
    rates, failures = ([], {"float32": "no such product"}) if part == "unsupported" else ([rate], {})
    with os.fdopen(descriptor, "w") as result:
        json.dump({"torch": "2.13.0", "rates": rates, "failures": failures}, result)


def play(cell, control, events, forked=False):
    def tell(kind, **fields):
        events.write(json.dumps({"v": 1, "t": time.time(), "kind": kind, "cell": cell["id"], **fields}) + "\n")

    if not forked:
        tell("cell.phase", phase="import")
    tell("cell.phase", phase="load", versions={"torch": "2.13.0", "diffusers": "0.42.1"})
    if os.environ["FAKE_WORKER"] == "unsupported":
        tell("cell.finished", status="unsupported", phase="load", reason="no such attention here")
        return
    call = 0
    while call < cell["calls"] or (control and os.read(control, 16) == b"more\n"):
        call += 1
        if call < 3:
            tell("cell.phase", phase="warm-up" if call == 1 else "measure", call=call)
        ms = 35.0 if os.environ["FAKE_WORKER"] == "noisy" and call % 2 else 25.0
        for step in range(1, STEPS + 1):
            tell("step", call=call, stage="main", step=step, steps=STEPS, ms=ms, forwards=1)
            part, mode = os.environ["FAKE_WORKER"], cell["mode"]["name"]
            if part == "hang" or (part == "hang-beside" and mode != "no-compile"):
                signal.pause() if forked else sys.stdin.read()  # until the supervisor is gone
                return
        spans = {"loop_ms": 100.0, "host_loop_ms": 101.0, "wall_ms": 125.0, "text_encoding_ms": 5.0}
        spans.update(denoising_ms=100.0, vae_ms=15.0, other_ms=5.0)
        spans.update({"wall_ms": 600.0} if os.environ["FAKE_WORKER"] == "slow" else {})
        tell("call.finished", call=call, stage="main", steps=STEPS, forwards=STEPS, **spans)
    tell("cell.finished", status="ok", phase="measure", call=call)


if __name__ == "__main__":
    main()
