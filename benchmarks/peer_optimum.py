"""sdtui against optimum-benchmark 0.6 on the CPU: one saved tiny pipeline, one interpreter, a stopwatch beside.

    python3 -m venv peer
    peer/bin/pip install torch==2.13.0
    peer/bin/pip install optimum-benchmark==0.6.0 'transformers>=4.55,<5' 'diffusers<0.38' 'huggingface_hub<1' \
        'datasets<4.5' accelerate
    python benchmarks/peer_optimum.py --python peer/bin/python -o peer.json

How many steps does each tool say there were, and how long does it say they took together? The stopwatch counts the
denoiser's evaluations and takes the time from the first one's start to the end of the last scheduler step, call by
call, in the process that optimum-benchmark runs in; sdtui's calls run in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import runs

ROOT = Path(__file__).resolve().parent.parent
CELL = "sd-txt2img.no-compile.b1"

# Runs in the peer's interpreter; argv: pipeline folder, calls, steps, width and height in pixels.
PEER = r"""
import json, sys, time
import diffusers
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, PyTorchConfig

folder, (calls, steps, size) = sys.argv[1], map(int, sys.argv[2:])
watched = []

def watch(cls, name, kind):
    original = getattr(cls, name)
    def timed(*args, **kwargs):
        start = time.perf_counter()
        result = original(*args, **kwargs)
        watched.append((kind, start, time.perf_counter()))
        return result
    setattr(cls, name, timed)

watch(diffusers.UNet2DConditionModel, "forward", "denoiser")
watch(diffusers.PNDMScheduler, "step", "scheduler")
watch(diffusers.AutoencoderKL, "decode", "vae")

report = Benchmark.launch(BenchmarkConfig(
    name="peer",
    launcher=InlineConfig(),
    scenario=InferenceConfig(latency=True, iterations=calls, duration=0, warmup_runs=1,
                             input_shapes={"batch_size": 1},
                             call_kwargs={"num_inference_steps": steps, "width": size, "height": size}),
    backend=PyTorchConfig(model=folder, library="diffusers", task="text-to-image", device="cpu"),
))
loops, loop = [], []
for event in watched:
    if event[0] == "vae":
        loops.append(loop)
        loop = []
    else:
        loop.append(event)
print("peer:" + json.dumps({
    "per_step": list(report.per_step.latency.values),
    "call": list(report.call.latency.values),
    "stopwatch": [
        {"evaluations": sum(kind == "denoiser" for kind, _, _ in loop), "loop_s": loop[-1][2] - loop[0][1]}
        for loop in loops[-calls:]
    ],
}))
"""


def save_pipeline(python: str, folder: Path) -> None:
    """Saves the tiny pipeline of the cell, built by sdtui's own bare script in the peer's interpreter."""
    script = _sdtui("script", CELL, "--scale", "tiny", "--device", "cpu").stdout
    subprocess.run([python, "-c", f"{script}\npipe.save_pretrained({str(folder)!r})"], check=True, capture_output=True)


def measure_sdtui(python: str, pipeline: Path, calls: int, steps: int, work: Path) -> dict[str, Any]:
    """Returns what sdtui says of the calls after the first."""
    (work / "config" / "sdtui").mkdir(parents=True)
    settings = f"[environments]\npeer = {json.dumps(str(Path(python).absolute()))}\n"
    (work / "config" / "sdtui" / "settings.toml").write_text(settings, encoding="utf-8")
    plan = ["--pipeline", "sd-txt2img", "--mode", "no-compile", "--batch-size", "1", "--scale", "tiny"]
    plan += ["--device", "cpu", "--env", "peer", "--weights", str(pipeline)]
    plan += ["--calls", str(calls + 1), "--steps", str(steps), "--runs-dir", str(work / "runs")]
    _sdtui("run", *plan, XDG_CONFIG_HOME=str(work / "config"))
    (record,) = runs.read(runs.find(work / "runs", "last")).cells.values()
    later = [call for call in record.calls if call.call > 1]
    step_ms = [step.ms for step in record.steps if step.call > 1]
    return {
        "size": record.spec.stages[0].width,
        "steps": len(step_ms),
        "evaluations": sum(call.forwards for call in later),
        "total_s": sum(step_ms) / 1e3,
        "loop_s": [call.loop_ms / 1e3 for call in later],
    }


def measure_peer(python: str, pipeline: Path, calls: int, steps: int, size: int) -> dict[str, Any]:
    """Returns what optimum-benchmark says, and the stopwatch's own figures of the same calls."""
    command = [python, "-c", PEER, str(pipeline), str(calls), str(steps), str(size)]
    environ = {**os.environ, "OMP_WAIT_POLICY": "passive"}  # as sdtui's workers have it on a CPU
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    line = next(line for line in done.stdout.splitlines() if line.startswith("peer:"))
    told: dict[str, Any] = json.loads(line.removeprefix("peer:"))
    return told


def _sdtui(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    command = [sys.executable, "-m", "sdtui", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environ)


def main() -> None:
    """Measures with both tools and prints their counts and totals beside the stopwatch's."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="interpreter that holds optimum-benchmark and diffusers")
    parser.add_argument("--calls", type=int, default=10)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_pipeline(chosen.python, work / "pipeline")
        sdtui = measure_sdtui(chosen.python, work / "pipeline", chosen.calls, chosen.steps, work)
        peer = measure_peer(chosen.python, work / "pipeline", chosen.calls, chosen.steps, sdtui["size"])
    watch = peer["stopwatch"]
    watched_s = sum(call["loop_s"] for call in watch)
    print(f"{chosen.calls} calls of {chosen.steps} steps, {chosen.calls * chosen.steps} steps in all")
    print(
        f"sdtui:              {sdtui['steps']} steps, {sdtui['evaluations']} denoiser evaluations, "
        f"together {sdtui['total_s']:.3f} s, median loop {statistics.median(sdtui['loop_s']):.4f} s"
    )
    print(
        f"stopwatch:          {sum(call['evaluations'] for call in watch)} denoiser evaluations, "
        f"together {watched_s:.3f} s, median loop {statistics.median(call['loop_s'] for call in watch):.4f} s"
    )
    print(
        f"optimum-benchmark:  {len(peer['per_step'])} step samples, together {sum(peer['per_step']):.3f} s "
        f"({sum(peer['per_step']) / watched_s:.2f} times what its own calls' loops took)"
    )
    if chosen.output:
        result = {"calls": chosen.calls, "steps": chosen.steps, "sdtui": sdtui, "peer": peer}
        chosen.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
