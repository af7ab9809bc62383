"""Signals to a supervisor: SIGUSR1 only wakes it, SIGTERM and SIGINT end the run, a hang-up changes nothing."""

from __future__ import annotations

import os
import select
import signal

_CHUNK = 4096


class Signals:
    """Turns signals into a descriptor that a selector can wait on."""

    def __init__(self) -> None:
        self.descriptor, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.terminated = False
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGUSR1, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGINT, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def wait(self, seconds: float) -> None:
        """Waits for a signal, at most so long."""
        select.select([self.descriptor], [], [], seconds)
        self.drain()

    def drain(self) -> None:
        """Empties the descriptor."""
        try:
            while os.read(self.descriptor, _CHUNK):
                pass
        except BlockingIOError:
            return

    def _terminate(self, *_: object) -> None:
        self.terminated = True
