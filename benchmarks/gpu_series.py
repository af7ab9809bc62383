"""Samples a GPU's power and clock in another process, as a supervisor does beside a worker."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from sdtui.telemetry.nvml import resolve_device

ROOT = Path(__file__).resolve().parent.parent
HZ = 20
FEWEST = 4
"""Readings that a stretch must hold to have figures."""

# argv: UUID, period in seconds. Writes a line for each reading until its standard input ends.
SAMPLER = """
import json, select, sys, time
from sdtui.telemetry.nvml import connect
reader = connect().reader(sys.argv[1])
while not select.select([sys.stdin], [], [], float(sys.argv[2]))[0]:
    now = time.monotonic()
    print(json.dumps({**reader.sample(frozenset()), "t": now}), flush=True)
"""


class Figures(NamedTuple):
    """Of a stretch of time: watts by the energy counter, the median SM clock, and the share of readings power-capped.

    ``None`` is not available.
    """

    power_w: float | None
    sm_clock_mhz: float | None
    power_capped: float | None


class GpuSeries:
    """Readings of a device from now on; none on a CPU. Times are ``time.monotonic()``, one clock for all processes."""

    def __init__(self, device: str) -> None:
        """Starts sampling.

        Raises:
            UserError: There is no such device.
        """
        self._file = tempfile.NamedTemporaryFile("r", suffix=".jsonl")
        self._begun = ""
        self._readings: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None
        uuid = resolve_device(device, os.environ).uuid
        if uuid is not None:
            command = [sys.executable, "-c", SAMPLER, uuid, str(1 / HZ)]
            path = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
            environ = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
            with open(self._file.name, "wb") as out:
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=out, env=environ)

    def between(self, start: float, end: float) -> Figures:
        """Returns the figures of a stretch that is over."""
        *lines, self._begun = (self._begun + self._file.read()).split("\n")  # the last may be half-written
        self._readings += [json.loads(line) for line in lines]
        return figures([reading for reading in self._readings if start <= reading["t"] <= end])

    def close(self) -> None:
        """Ends sampling."""
        if self._process is not None:
            self._process.communicate()
        self._file.close()


def figures(readings: list[dict[str, Any]]) -> Figures:
    """Computes the figures of readings that follow each other."""
    if len(readings) < FEWEST:
        return Figures(None, None, None)
    first, last = readings[0], readings[-1]
    counted = first["energy_j"] is not None and last["energy_j"] is not None
    clocks = [reading["sm_clock_mhz"] for reading in readings if reading["sm_clock_mhz"] is not None]
    reasons = [reading["clock_event_reasons"] for reading in readings if reading["clock_event_reasons"] is not None]
    return Figures(
        (last["energy_j"] - first["energy_j"]) / (last["t"] - first["t"]) if counted else None,
        statistics.median(clocks) if clocks else None,
        sum("sw_power_cap" in names for names in reasons) / len(reasons) if reasons else None,
    )
