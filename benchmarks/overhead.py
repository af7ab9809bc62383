"""What sdtui costs: sd-txt2img under its timing, plainly, as the bare script, and sampled; one process, alternating.

    python benchmarks/overhead.py --mode no-compile --mode compile -o overhead.json
    python benchmarks/overhead.py --mode compile --batch-size 16 --kind sampled-10 --kind sampled-100
    python benchmarks/overhead.py --mode no-compile --kind script-in-turns --steps 20
    python benchmarks/overhead.py --scale tiny --device cpu --seconds 30

The kinds of call, each compared with ``timed``, the call under sdtui's timing with its events sent to another process:

- ``plain``: the same pipeline with a tqdm bar; plain over timed seconds, so 0.99 means that the timing costs 1 %.
- ``script``: what ``sdtui script`` prints for the cell, run as it stands, with its own pipeline; likewise.
- ``script-in-turns``: the same, but both calls are made at once, a step of the one and a step of the other by turns
  (`turns.py`): for a GPU's host that changes its pace within a call. It goes alone, and without ``compile``, whose CUDA
  graphs belong to a thread.
- ``sampled-HZ``: timed, while another process samples telemetry as a supervisor does, at that rate (at other times it
  stands still); its it/s over that of timed.

A round is two calls of each kind, in random order and then in the reverse, so that a host that grows slower or faster
meanwhile slows each kind alike; a kind's seconds are the mean of its two calls. Seconds are taken from outside in the
same way: the device idle, the host's clock, one call, the device idle. Beside the ratio of seconds stands that of the
CPU time of the calling thread. Rounds are added until the 95 % bootstrap interval of each median ratio is no wider than
0.5 % to either side, or a limit is reached, which the answer then says. Where the host is too noisy for one sitting,
``--add overhead.json`` goes on from an earlier one's rounds, of the same cell, kinds, device and torch, and

    python benchmarks/overhead.py --join one.json two.json -o overhead.json

measures nothing and says what the rounds of several sittings together give, of other devices too.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import pipelines
import torch
from overhead_rounds import Round, Took, findings, joined, read, refuse_others, resolved, rounds_of
from tqdm import tqdm
from turns import Turns

from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.events import Step
from sdtui.script_text import write
from sdtui.worker import options
from sdtui.worker.build import build
from sdtui.worker.call import arguments
from sdtui.worker.clock import clock_for
from sdtui.worker.emitter import Emitter
from sdtui.worker.timing import PipelineTimer, StepTime

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("plain", "script", "sampled-10")
IN_TURNS = "script-in-turns"
LOOK_EVERY = 5

# Samples as the supervisor does, from a byte 1 on its standard input until a byte 0; ends with it.
SAMPLER = """
import os, select, sys, time
from sdtui.supervisor.sampling import Sampling
from sdtui.telemetry.nvml import connect
uuid, hz, pid = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
sampler = Sampling(connect() if uuid else None, uuid or None, hz).of_worker(pid)
sampler.take(time.monotonic())
print("ready", flush=True)
order = b"0"
while order:
    wait = max(0.0, sampler.next_due() - time.monotonic()) if order == b"1" else None
    if select.select([0], [], [], wait)[0]:
        order = os.read(0, 1)
    else:
        sampler.take(time.monotonic())
"""


class Bench:
    """One pipeline that can be called plainly and under sdtui's timing."""

    def __init__(self, cell: Cell, device: str) -> None:
        stage = cell.stages[0]
        dtype = getattr(torch, cell.dtype)
        options.apply_global(cell.mode, device)
        self.pipe = build(stage, cell.seed, device, dtype)
        self.call = options.apply(cell.mode, stage, self.pipe).call
        self.clock = clock_for(device)
        self.arguments = lambda: arguments(cell, stage, device, dtype, {})
        self.denoiser: torch.nn.Module = getattr(self.pipe, stage.denoisers[0])
        self.holders = [self.pipe.__dict__, self.pipe.vae.__dict__, self.denoiser._forward_pre_hooks]
        plain = [dict(holder) for holder in self.holders]
        self.timer = PipelineTimer(self.pipe, stage.denoisers[0], self.clock)
        self.update_us: list[float] = []
        self.timer.end_step = self._clocked(self.timer.end_step)  # type: ignore[method-assign]
        self.timed_state = [dict(holder) for holder in self.holders]
        self.plain_state = plain
        self.emitter = Emitter(_drained_pipe())
        self.cell = cell.id

    def plain(self) -> Took:
        """Makes one call with a tqdm bar."""
        self._restore(self.plain_state)
        self.pipe.progress_bar = lambda iterable=None, total=None: tqdm(iterable, total=total, file=sys.stderr)
        return self.clocked_call(lambda: self.call(**self.arguments()))

    def timed(self) -> Took:
        """Makes one call under sdtui's timing, its events sent to another process."""
        self._restore(self.timed_state)
        loop_ms: list[float] = []
        took = self.clocked_call(lambda: loop_ms.append(self.timed_call()))
        return replace(took, loop_s=loop_ms[0] / 1000)

    def timed_call(self) -> float:
        """Makes that call in the state in which it is; returns the milliseconds of its loop."""
        _, timing = self.timer.time(lambda: self.call(**self.arguments()), self._on_steps)
        return timing.loop_ms

    def clocked_call(self, call: Callable[[], Any]) -> Took:
        """Makes one call between two moments when the device is idle."""
        self.clock.wait()
        start, cpu_start = time.perf_counter(), time.thread_time()
        call()
        self.clock.wait()
        return Took(time.perf_counter() - start, time.thread_time() - cpu_start)

    def _on_steps(self, completed: Sequence[StepTime]) -> None:
        self.emitter.emit(*(Step(self.cell, 1, "main", *step) for step in completed))

    def _clocked(self, end_step: Callable[[], None]) -> Callable[[], None]:
        """Keeps what the host spends in sdtui's own code at each step: marking, reading marks, sending events."""

        def clocked() -> None:
            start = time.perf_counter()
            end_step()
            self.update_us.append((time.perf_counter() - start) * 1e6)

        return clocked

    def _restore(self, state: list[dict[Any, Any]]) -> None:
        for holder, saved in zip(self.holders, state, strict=True):
            holder.clear()
            holder.update(saved)


class BareScript:
    """What `sdtui script` prints for a cell: everything up to its loop is run once, the loop's body at each call."""

    def __init__(self, cell: Cell, device: str) -> None:
        *before, loop = ast.parse(write(cell, device)).body
        assert isinstance(loop, ast.For)
        self._names: dict[str, Any] = {"__name__": "__main__"}  # a module that dataclasses find
        exec(compile(ast.Module(before, []), "script", "exec"), self._names)
        self._body = compile(ast.Module(loop.body, []), "script", "exec")

    def __call__(self) -> None:
        """Runs the body of the script's loop: one call of its pipeline."""
        exec(self._body, self._names)

    @property
    def denoiser(self) -> torch.nn.Module:
        """The UNet of its pipeline."""
        unet: torch.nn.Module = self._names["pipe"].unet
        return unet


class SamplingProcess:
    """A process that samples this one's telemetry, and stands still but while it is let run."""

    def __init__(self, uuid: str, hz: float) -> None:
        command = [sys.executable, "-c", SAMPLER, uuid, str(hz), str(os.getpid())]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=environment
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"ready\n"

    def during(self, call: Callable[[], Took]) -> Took:
        """Samples while ``call`` runs."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"1")
        try:
            return call()
        finally:
            self.process.stdin.write(b"0")


def _drained_pipe() -> int:
    """Returns a descriptor whose reader is another process, as a supervisor is."""
    read, write_end = os.pipe()
    subprocess.Popen(["cat"], stdin=read, stdout=subprocess.DEVNULL)
    os.close(read)
    return write_end


def kinds_of(names: Sequence[str], bench: Bench, cell: Cell, device: str) -> dict[str, Callable[[], Took]]:
    """Returns what makes one call of each kind; ``timed`` is always among them."""
    kinds: dict[str, Callable[[], Took]] = {"timed": bench.timed}
    for name in names:
        if name == "plain":
            kinds[name] = bench.plain
        elif name == "script":
            script = BareScript(cell, device)
            kinds[name] = lambda script=script: bench.clocked_call(script)  # type: ignore[misc]
        else:
            uuid = f"GPU-{torch.cuda.get_device_properties(0).uuid}" if device.startswith("cuda") else ""
            sampling = SamplingProcess(uuid, float(name.removeprefix("sampled-")))
            kinds[name] = lambda sampling=sampling: sampling.during(bench.timed)  # type: ignore[misc]
    return kinds


def rounds_by_call(names: Sequence[str], bench: Bench, cell: Cell, device: str) -> Callable[[], Round]:
    """Returns what makes a round of whole calls of each kind, in random order and then in the reverse."""
    kinds, chance = kinds_of(names, bench, cell, device), random.Random(1)

    def one() -> Round:
        order = chance.sample(list(kinds), len(kinds))
        forth = {kind: kinds[kind]() for kind in order}
        back = {kind: kinds[kind]() for kind in reversed(order)}
        return {kind: Took.mean(forth[kind], back[kind]) for kind in order}

    return one


def rounds_in_turns(bench: Bench, cell: Cell, device: str) -> Callable[[], Round]:
    """Returns what makes a round of the bare script and the timed call by turns: twice, either beginning once."""
    script = BareScript(cell, device)
    turns = Turns([bench.denoiser, script.denoiser])

    def ended(call: Callable[[], Any]) -> Callable[[], None]:
        def to_its_end() -> None:
            call()
            bench.clock.wait()

        return to_its_end

    def one() -> Round:
        made = []
        for first in (0, 1):
            bench.clock.wait()
            made.append(turns.make([ended(bench.timed_call), ended(script)], first))
        (timed, bare), (timed_again, bare_again) = made
        return {"timed": Took.mean(timed, timed_again), IN_TURNS: Took.mean(bare, bare_again)}

    return one


@pipelines.in_own_process
def compare(
    cell: Cell, device: str, names: Sequence[str], seconds: float, limit: int, earlier: Sequence[Round] = ()
) -> Iterator[dict[str, Any]]:
    """Alternates calls until every interval is narrow enough, or a limit is reached; yields the state at each look.

    Args:
        cell: What is called.
        device: Such as ``cuda:0``.
        names: The kinds of call to compare with ``timed``.
        seconds: At most, after warm-up.
        limit: Rounds at most.
        earlier: Rounds of an earlier sitting, which count too.
    """
    bench = Bench(cell, device)
    in_turns = list(names) == [IN_TURNS]
    make_round = rounds_in_turns(bench, cell, device) if in_turns else rounds_by_call(names, bench, cell, device)
    make_round()
    bench.update_us.clear()
    rounds = list(earlier)
    deadline = time.monotonic() + seconds
    done = False
    while not done and len(rounds) < len(earlier) + limit and time.monotonic() < deadline:
        rounds.append(make_round())
        if len(rounds) % LOOK_EVERY == 0:
            state = _state(cell, rounds, bench.update_us)
            done = resolved(state)
            yield state
    yield _state(cell, rounds, bench.update_us)


def _state(cell: Cell, rounds: Sequence[Round], update_us: Sequence[float]) -> dict[str, Any]:
    return {
        "cell": cell.id,
        "host_us_per_step": round(float(np.mean(update_us)), 1),
        "host_us_of_the_median_step": round(float(np.median(update_us)), 1),
        **findings(rounds),
    }


def earlier_rounds(path: Path, cell: Cell, names: Sequence[str], device: str) -> list[Round]:
    """Reads the rounds that an earlier sitting wrote for a cell; none where it did not measure that cell.

    Raises:
        UserError: They are of another device, another torch, or other kinds of call; or the file cannot be read.
    """
    found = next((each for each in read(path, "--add") if each["cell"] == cell.id), None)
    if found is None:
        return []
    if found["device"] != device:
        raise UserError(f"--add {path}: its rounds of {found['cell']} are of {found['device']}, not of {device}")
    refuse_others(path, "--add", found, (torch.__version__, names))
    return rounds_of(found)


def main() -> None:
    """Compares each mode and prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    pipelines.add_arguments(parser, steps=50, batch_size=1)
    parser.add_argument("--kind", action="append", help="plain, script, sampled-HZ; default: " + ", ".join(KINDS))
    parser.add_argument("--seconds", type=float, default=240, help="per mode, after warm-up")
    parser.add_argument("--rounds", type=int, default=1000, help="at most, per mode and sitting")
    parser.add_argument("--add", type=Path, metavar="F", help="count the rounds of an earlier -o too")
    parser.add_argument("--join", type=Path, nargs="+", metavar="F", help="only join the rounds of these -o")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    try:
        if chosen.join:
            _join(chosen.join, chosen.output)
        else:
            _measure(chosen)
    except UserError as error:
        parser.error(str(error))


def _measure(chosen: argparse.Namespace) -> None:
    kinds = chosen.kind or KINDS
    # all of it before the first call, which may be an hour before the last
    cells = list(pipelines.cells(chosen))
    if IN_TURNS in kinds and (len(kinds) > 1 or any(cell.mode.compile for cell in cells)):
        raise UserError(f"--kind {IN_TURNS} goes alone, and with modes that do not compile")
    device = pipelines.device_name(chosen.device)
    earlier = [earlier_rounds(chosen.add, cell, kinds, device) if chosen.add else [] for cell in cells]
    results: list[dict[str, Any]] = []
    for cell, before in zip(cells, earlier, strict=True):
        results.append({})
        for state in compare(cell, chosen.device, kinds, chosen.seconds, chosen.rounds, before):
            results[-1] = {"device": device, "torch": torch.__version__, "steps": chosen.steps, **state}
            _write(results, chosen.output)  # at each look, so that a run cut short still says what it found
        print(_lines(results[-1]))


def _join(paths: Sequence[Path], output: Path | None) -> None:
    results = list(joined(paths))
    _write(results, output)
    for result in results:
        print(_lines(result))


def _write(results: list[dict[str, Any]], path: Path | None) -> None:
    if path is not None:
        path.write_text(json.dumps(results) + "\n", encoding="utf-8")


def _lines(result: dict[str, Any]) -> str:
    seconds = result["median_s"]
    lines = [
        f"{result['cell']} on {result['device']}, {result['rounds']} rounds of {result['steps']} steps; "
        f"sdtui's own code takes {result['host_us_per_step']:.0f} us a step (mean)"
    ]
    lines += [
        f"{_line(kind, found)}; median call {seconds[kind]:.4f} s, timed {seconds['timed']:.4f} s"
        for kind, found in result["ratios"].items()
    ]
    for kind in result["ratios"] if "sittings" in result else ():
        medians = ", ".join(f"{each['medians'][kind]:.4f}" for each in result["sittings"])
        low, high = result["interval_of_sittings"][kind]
        lines.append(f"  {kind} in each sitting: {medians}; sittings drawn first, {low:.4f} to {high:.4f}")
    return "\n".join(lines)


def _line(kind: str, found: dict[str, Any]) -> str:
    low, high = found["interval"]
    what = f"{kind} it/s / timed it/s" if kind.startswith("sampled") else f"{kind} / timed"
    how = "resolved" if found["resolved"] else "not resolved"
    cpu = "CPU time {:.4f}, {:.4f} to {:.4f}".format(*found["cpu"])
    return f"  {what} = {found['median']:.4f}, 95 % interval {low:.4f} to {high:.4f}, {how} to 0.5 %; {cpu}"


if __name__ == "__main__":
    main()
