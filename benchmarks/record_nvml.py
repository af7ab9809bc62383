"""Records what NVML answers on a real card, for tests to replay through the same reader.

    python benchmarks/record_nvml.py --seconds 12 -o nvml.json

Needs ``pynvml`` (nvidia-ml-py) and, for the load in the middle part, torch. The recording holds every call that
`sdtui.telemetry.nvml` made, in order, with its result or NVML's error code, and how long each sample took.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui.telemetry.nvml import Nvml, NvmlReader

FORMAT = 1
READY = "ready"
IMPORT_TIMEOUT_S = 300.0

# Imports, says so, and works from the moment that it is told to, for at most so many seconds.
LOAD = """
import sys, time
import torch
print("ready", flush=True)
sys.stdin.readline()
device = "cuda" if torch.cuda.is_available() else "cpu"
size = 8192 if device == "cuda" else 256
dtype = torch.float16 if device == "cuda" else torch.float32
a = torch.randn(size, size, device=device, dtype=dtype)
image = torch.randn(4, 64, size // 32, size // 32, device=device, dtype=dtype)
conv = torch.nn.Conv2d(64, 64, 3, padding=1).to(device, dtype)
end = time.monotonic() + float(sys.argv[1])
with torch.no_grad():
    while time.monotonic() < end:
        for _ in range(10):
            b = a @ a
            image_out = conv(image)
        if device == "cuda":
            torch.cuda.synchronize()
"""


class Recorder:
    """Stands in for the ``pynvml`` module and writes down every function call."""

    def __init__(self, module: Any) -> None:
        """Wraps ``module``."""
        self._module = module
        self._handles: dict[int, int] = {}
        self.functions: list[str] = []
        self.calls: list[list[Any]] = []

    def __getattr__(self, name: str) -> Any:
        """Returns the module's attribute, wrapped where it is an NVML function."""
        value = getattr(self._module, name)
        if not name.startswith("nvml") or not callable(value):
            return value

        def call(*arguments: Any) -> Any:
            return self._call(name, value, arguments)

        return call

    def _call(self, name: str, function: Any, arguments: tuple[Any, ...]) -> Any:
        if name not in self.functions:
            self.functions.append(name)
        head = [self.functions.index(name), [self.plain(argument) for argument in arguments]]
        try:
            result = function(*arguments)
        except Exception as error:
            self.calls.append([*head, "error", getattr(error, "value", None), str(error)])
            raise
        self.calls.append([*head, "ok", self.plain(result)])
        return result

    def plain(self, value: Any) -> Any:
        """Returns ``value`` as JSON: structures as ``{"struct": …}``, handles as ``{"handle": n}``."""
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, bytes):
            return value.decode(errors="replace")
        if isinstance(value, (list, tuple, ctypes.Array)):
            return [self.plain(item) for item in value]
        if isinstance(value, ctypes.Structure):
            names = [field[0] for field in value._fields_]
            return {"struct": {name: self.plain(getattr(value, name)) for name in names}}
        if isinstance(value, ctypes._SimpleCData):
            return self.plain(value.value)
        if not isinstance(value, ctypes._Pointer) and getattr(value, "__dict__", None):
            return {"struct": {name: self.plain(item) for name, item in vars(value).items()}}
        return {"handle": self._handles.setdefault(_address(value), len(self._handles))}


def _address(handle: Any) -> int:
    if isinstance(handle, ctypes._Pointer):
        return ctypes.cast(handle, ctypes.c_void_p).value or 0
    return id(handle)


class Load:
    """A child that keeps the GPU busy."""

    def __init__(self, uuid: str, seconds: float) -> None:
        """Starts the child and waits until it has imported torch; it touches the GPU only when told to `go`."""
        self._process = subprocess.Popen(
            [sys.executable, "-c", LOAD, str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": uuid},
        )
        self.pid = self._process.pid
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline().strip() == READY

    def go(self) -> None:
        """Starts the work."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """Ends the child and waits for its end."""
        self._process.kill()
        self._process.wait()


class Recording:
    """Samples as they are taken."""

    def __init__(self, recorder: Recorder, reader: NvmlReader, hz: float) -> None:
        """Starts the recording's clock."""
        self.recorder = recorder
        self.samples: list[dict[str, Any]] = []
        self._reader = reader
        self._hz = hz
        self._start = time.monotonic()

    def sample_for(self, seconds: float, pids: set[int]) -> None:
        """Samples at the recording's rate for so long."""
        due = time.monotonic()
        for _ in range(max(1, round(seconds * self._hz))):
            time.sleep(max(0.0, due - time.monotonic()))
            due += 1 / self._hz
            first_call, before = len(self.recorder.calls), time.monotonic()
            self._reader.sample(pids)
            self.samples.append(
                {
                    "t": round(before - self._start, 4),
                    "ms": round((time.monotonic() - before) * 1000, 3),
                    "worker_pids": sorted(pids),
                    "first_call": first_call,
                }
            )


def record(module: Any, *, device: int, seconds: float, hz: float, load: bool) -> dict[str, Any]:
    """Records idle, load and idle again: a sixth, two thirds and a sixth of ``seconds``.

    Args:
        module: ``pynvml``, initialised.
        device: Index of the GPU, as nvidia-smi counts.
        seconds: Of sampling in all.
        hz: Samples per second.
        load: Whether a child loads the GPU in the middle part.
    """
    recorder = Recorder(module)
    nvml = Nvml(recorder)
    chosen = nvml.boards()[device].devices[0]
    reader = nvml.reader(chosen.uuid)
    reader.remember_processes()
    recording = Recording(recorder, reader, hz)
    recording.sample_for(seconds / 6, set())
    middle = seconds * 2 / 3
    child = Load(chosen.uuid, middle + IMPORT_TIMEOUT_S) if load else None
    if child is not None and not child.ready:
        print("no load: torch could not be imported", file=sys.stderr)
        child.stop()
        child = None
    if child is not None:
        child.go()
    recording.sample_for(middle, {child.pid} if child else set())
    if child is not None:
        child.stop()
    recording.sample_for(seconds / 6, set())
    return {
        "v": FORMAT,
        "gpu": chosen.name,
        "driver": chosen.driver,
        "cuda_driver": chosen.cuda_driver,
        "device": device,
        "uuid": chosen.uuid,
        "hz": hz,
        "load": child is not None,
        "samples": recording.samples,
        "functions": recorder.functions,
        "calls": recorder.calls,
    }


def to_json(recording: dict[str, Any]) -> str:
    """Returns the recording as JSON with one sample or call per line."""
    lines = []
    for key, value in recording.items():
        if key in ("samples", "calls"):
            items = ",\n".join(json.dumps(item, separators=(",", ":")) for item in value)
            lines.append(f'"{key}": [\n{items}\n]')
        else:
            lines.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def main() -> None:
    """Records and writes the file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=20.0, help="of sampling in all")
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--device", type=int, default=0, help="as nvidia-smi counts")
    parser.add_argument("--no-load", action="store_true", help="only sample")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    import pynvml

    pynvml.nvmlInit()
    recording = record(pynvml, device=options.device, seconds=options.seconds, hz=options.hz, load=not options.no_load)
    text = to_json(recording)
    options.output.write_text(text, encoding="utf-8")
    costs = sorted(sample["ms"] for sample in recording["samples"])
    print(
        f"{options.output}: {len(text) / 1000:.0f} kB, {len(costs)} samples of {recording['gpu']}, "
        f"median {costs[len(costs) // 2]:.2f} ms, slowest {costs[-1]:.2f} ms",
        file=sys.stderr,
    )


if __name__ == "__main__":
    main()
