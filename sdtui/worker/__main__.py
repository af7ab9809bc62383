"""``python -m sdtui.worker EVENTS_FD PARENT_PID``: the job comes as the first line of standard input."""

from __future__ import annotations

import json
import sys

from sdtui.model.codec import decode
from sdtui.model.job import Job
from sdtui.worker.lifeline import die_at_end_of_input, die_with_parent
from sdtui.worker.work import read_line, work


def main() -> None:
    """Measures the cell of the job on standard input and sends its events to the given descriptor."""
    events, parent = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent(parent)
    job = decode(Job, json.loads(read_line()))
    die_at_end_of_input()
    work(job, events)


if __name__ == "__main__":
    main()
