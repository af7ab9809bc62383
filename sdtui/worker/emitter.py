"""Sends events to the supervisor without ever waiting for it while a call runs."""

from __future__ import annotations

import os
import select
import time

from sdtui.model.events import Event, Stamped, to_line

SOON_S = 0.1
"""Writing takes several times as long as making a line: lines that come faster than this go several at a time."""


class Emitter:
    """Writes JSON lines to a descriptor: at once where the pipe has room, else kept until `flush`."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._waiting = bytearray()
        self._written = 0.0

    def emit(self, event: Event) -> None:
        """Sends one event, stamped now, and all that are kept. Never blocks."""
        self._keep(event)
        self._write()

    def emit_soon(self, event: Event) -> None:
        """Sends one event, stamped now, or keeps it for the next one where the last was sent but now. Never blocks."""
        self._keep(event)
        if time.monotonic() - self._written >= SOON_S:
            self._write()

    def _keep(self, event: Event) -> None:
        self._waiting += to_line(Stamped(time.time(), event)).encode()

    def flush(self) -> None:
        """Sends what is kept, waiting for the reader. Call it between calls only."""
        while self._waiting:
            select.select([], [self._descriptor], [])
            self._write()

    def _write(self) -> None:
        self._written = time.monotonic()
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            return
        del self._waiting[:written]
