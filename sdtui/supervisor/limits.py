"""How long a worker may be silent, and how much it may say."""

from __future__ import annotations

from collections.abc import Mapping

from sdtui.model.results import Phase

SILENCE_S: Mapping[Phase, float] = {
    "import": 600,
    "load": 3600,
    "compile": 3600,
    "warm-up": 1800,
    "measure": 900,
}
"""Seconds without an event, by phase, after which a cell ends as ``timeout``; a plan may say otherwise.

Loading may download; compiling emits nothing until its first step. Every step is an event, so slow hardware is not
mistaken for a hang.
"""

EXIT_S = 30.0
"""How long a worker may take to exit after its last event."""
ON_FINISH_S = 300.0
"""How long the command of ``--on-finish`` may take."""
EVENT_LINE_BYTES = 1 << 20
"""A longer event line is garbage."""
EVENT_BYTES = 256 << 20
"""A worker that sends more than this floods."""
LOG_BYTES = 8 << 20
"""What a cell's log keeps; the rest is counted and left out."""
OUTPUT_BYTES = 1 << 30
"""A worker that prints more than this floods."""
RESERVE_BYTES = 64 << 10
"""Kept free in the run folder, so that a full disk can still be reported there."""
COMPILE_ROOM_BYTES = 256 << 20
"""What a cell is given to keep what it compiles; the C++ compiler's message on a full disk names no disk."""
POLL_S = 1.0
"""How often requests, locks and the heartbeat are looked at."""
STOPPED_S = 1.0
"""A supervisor that wakes so much later than it meant to was stopped, or starved."""
