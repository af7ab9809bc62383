"""Sends events to the supervisor without ever waiting for it while a call runs."""

from __future__ import annotations

import os
import select
import time

from sdtui.model.events import Event, Stamped, to_line


class Emitter:
    """Writes JSON lines to a descriptor: at once where the pipe has room, else kept until `flush`."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        self._descriptor = descriptor
        self._waiting = bytearray()

    def emit(self, *events: Event) -> None:
        """Sends events, stamped now, in one piece, and all that are kept before them. Never blocks."""
        now = time.time()
        for event in events:
            self._waiting += to_line(Stamped(now, event)).encode()
        self._write()

    def flush(self) -> None:
        """Sends what is kept, waiting for the reader. Call it between calls only."""
        while self._waiting:
            select.select([], [self._descriptor], [])
            self._write()

    def _write(self) -> None:
        try:
            written = os.write(self._descriptor, self._waiting)
        except BlockingIOError:
            return
        del self._waiting[:written]
