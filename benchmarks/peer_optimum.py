"""sdtui against optimum-benchmark 0.6 on the CPU: one saved tiny pipeline, one interpreter, a stopwatch beside.

    python3 -m venv peer
    peer/bin/pip install torch==2.13.0
    peer/bin/pip install optimum-benchmark==0.6.0 'transformers>=4.55,<5' 'diffusers<0.38' 'huggingface_hub<1' \
        'datasets<4.5' accelerate
    python benchmarks/peer_optimum.py --python peer/bin/python -o peer.json

How many steps does each tool say there were, and how long does it say they took together? There are as many as were
asked for, and one evaluation more in every call (PNDM). In either tool's process a stopwatch counts the denoiser's
evaluations and takes the time from the first one's start to the end of the last scheduler step, call by call: each tool
is held against the stopwatch of its own calls. sdtui runs as ``sdtui run`` does, its worker started with the stopwatch.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
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

# Both run in the peer's interpreter. A call ends when the VAE decodes.
STOPWATCH = r"""
import json, sys, time
import diffusers

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

def stopwatch(calls):
    loops, loop = [], []
    for event in watched:
        if event[0] == "vae":
            loops.append(loop)
            loop = []
        else:
            loop.append(event)
    return [
        {"evaluations": sum(kind == "denoiser" for kind, _, _ in loop), "loop_s": loop[-1][2] - loop[0][1]}
        for loop in loops[-calls:]
    ]
"""

# argv: what sdtui.worker takes; then, from the wrapper, where to write and the number of calls.
WORKER = (
    STOPWATCH
    + r"""
import runpy
*sys.argv, file, calls = sys.argv
runpy.run_module("sdtui.worker", run_name="__main__", alter_sys=True)
with open(file, "w") as out:
    json.dump(stopwatch(int(calls)), out)
"""
)

# argv: pipeline folder, calls, steps, width and height in pixels.
PEER = (
    STOPWATCH
    + r"""
from optimum_benchmark import Benchmark, BenchmarkConfig, InferenceConfig, InlineConfig, PyTorchConfig

folder, (calls, steps, size) = sys.argv[1], map(int, sys.argv[2:])
report = Benchmark.launch(BenchmarkConfig(
    name="peer",
    launcher=InlineConfig(),
    scenario=InferenceConfig(latency=True, iterations=calls, duration=0, warmup_runs=1,
                             input_shapes={"batch_size": 1},
                             call_kwargs={"num_inference_steps": steps, "width": size, "height": size}),
    backend=PyTorchConfig(model=folder, library="diffusers", task="text-to-image", device="cpu"),
))
print("peer:" + json.dumps({
    "per_step": list(report.per_step.latency.values),
    "call": list(report.call.latency.values),
    "stopwatch": stopwatch(calls),
}))
"""
)


def save_pipeline(python: str, folder: Path) -> None:
    """Saves the tiny pipeline of the cell, built by sdtui's own bare script in the peer's interpreter."""
    script = _sdtui("script", CELL, "--scale", "tiny", "--device", "cpu").stdout
    subprocess.run([python, "-c", f"{script}\npipe.save_pretrained({str(folder)!r})"], check=True, capture_output=True)


def measure_sdtui(python: str, pipeline: Path, calls: int, steps: int, work: Path) -> dict[str, Any]:
    """Returns what sdtui says of the calls after the first, and the stopwatch's own figures of the same calls."""
    (work / "config" / "sdtui").mkdir(parents=True)
    wrapper = _with_stopwatch(python, work, calls)
    settings = f"[environments]\npeer = {json.dumps(str(wrapper))}\n"
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
        "stopwatch": json.loads((work / "stopwatch.json").read_text(encoding="utf-8")),
    }


def _with_stopwatch(python: str, work: Path, calls: int) -> Path:
    """Makes an interpreter that starts a worker with a stopwatch in its process, and does all else as ``python``."""
    program = work / "worker.py"
    program.write_text(f"import sys\nsys.path[0] = ''\n{WORKER}", encoding="utf-8")
    real, told = shlex.quote(str(Path(python).absolute())), shlex.quote(str(work / "stopwatch.json"))
    wrapper = work / "python"
    wrapper.write_text(
        "#!/bin/sh\n"
        'if [ "$1 $2 $3" = "-u -m sdtui.worker" ]; then\n'
        f'    shift 3; exec {real} -u {shlex.quote(str(program))} "$@" {told} {calls}\n'
        f'fi\nexec {real} "$@"\n',
        encoding="utf-8",
    )
    wrapper.chmod(0o755)
    return wrapper


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


def table(calls: int, steps: int, sdtui: dict[str, Any], peer: dict[str, Any]) -> str:
    """Returns what is known, what each tool says, and what the stopwatch beside it says, as a Markdown table."""
    ours, theirs = (sum(call["loop_s"] for call in told["stopwatch"]) for told in (sdtui, peer))
    counted = [sum(call["evaluations"] for call in told["stopwatch"]) for told in (sdtui, peer)]
    apart = [abs(loop_s / call["loop_s"] - 1) for loop_s, call in zip(sdtui["loop_s"], sdtui["stopwatch"], strict=True)]
    told_s, samples = sum(peer["per_step"]), len(peer["per_step"])
    return "\n".join(
        [
            "| who | steps | denoiser evaluations | together s | over its stopwatch |",
            "| --- | --- | --- | --- | --- |",
            f"| known | {calls * steps} | {calls * (steps + 1)} | – | – |",
            f"| sdtui | {sdtui['steps']} | {sdtui['evaluations']} | {sdtui['total_s']:.3f} "
            f"| {sdtui['total_s'] / ours:.4f} |",
            f"| a stopwatch in the process of sdtui's worker | – | {counted[0]} | {ours:.3f} | 1 |",
            f"| optimum-benchmark | {samples} samples | – | {told_s:.3f} | {told_s / theirs:.4f} |",
            f"| a stopwatch in optimum-benchmark's process | – | {counted[1]} | {theirs:.3f} | 1 |",
            "",
            f"sdtui's loop and its stopwatch's are at most {max(apart):.2%} apart in a call; "
            f"median loop {statistics.median(sdtui['loop_s']):.4f} s in sdtui's process, "
            f"{statistics.median(call['loop_s'] for call in peer['stopwatch']):.4f} s in the other's by the stopwatch",
        ]
    )


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
    print(table(chosen.calls, chosen.steps, sdtui, peer))
    if chosen.output:
        result = {"calls": chosen.calls, "steps": chosen.steps, "sdtui": sdtui, "peer": peer}
        chosen.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
