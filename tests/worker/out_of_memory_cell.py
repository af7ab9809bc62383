"""Measures a tiny cell in a process whose memory is limited after a call: torch's own allocator then raises.

``python out_of_memory_cell.py CALL OUTPUTS`` prints the cell's last event.
"""

import re
import resource
import sys
from pathlib import Path

import tiny_cells
import torch

from sdtui.model.events import CallFinished, Stamped, to_line
from sdtui.model.job import Job
from sdtui.worker.measure import measure

SLACK_BYTES = 2 << 20
"""Left for what Python itself takes; one activation of the cell is larger."""


class Limiting(tiny_cells.Recorder):
    """Lets the process have no more memory than it has when a call has ended."""

    def __init__(self, call):
        super().__init__()
        self._call = call

    def emit(self, *events):
        super().emit(*events)
        if any(isinstance(event, CallFinished) and event.call == self._call for event in events):
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            most = pages * resource.getpagesize() + SLACK_BYTES
            resource.setrlimit(resource.RLIMIT_AS, (most, resource.RLIM_INFINITY))


def main():
    torch.set_num_threads(1)
    recorder = Limiting(int(sys.argv[1]))
    measure(Job(tiny_cells.cell_of(calls=4, steps=1, size=256), "cpu", sys.argv[2]), recorder)
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(re.sub(r"\s+$", "", to_line(Stamped(0.0, recorder.events[-1]))))


if __name__ == "__main__":
    main()
