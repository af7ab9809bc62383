"""The loss of the terminal: the dashboard ends, whatever it was about to draw."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
from collections.abc import Callable
from typing import Any, TextIO

from textual.drivers.linux_driver import LinuxDriver


class LastingOutput:
    """A stream to the terminal that swallows what is written once the terminal is gone.

    Textual writes in a thread, through a queue that holds thirty frames: an error would end the thread, and then the
    app would wait for ever for room in the queue.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes a text; returns its length.

        Raises:
            OSError: For another reason than the loss of the terminal.
        """
        try:
            self._stream.write(text)
        except OSError as error:
            self._let_go(error)
        return len(text)

    def flush(self) -> None:
        """Sends what is buffered.

        Raises:
            OSError: For another reason than the loss of the terminal.
        """
        try:
            self._stream.flush()
        except OSError as error:
            self._let_go(error)

    def _let_go(self, error: OSError) -> None:
        if error.errno != errno.EIO:
            raise error
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())
        os.close(nowhere)


class LastingDriver(LinuxDriver):
    """Textual's driver, drawing on a `LastingOutput`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._file: Any = LastingOutput(self._file)


def on_hang_up(leave: Callable[[], object]) -> None:
    """Has the running event loop call ``leave`` when the terminal is gone.

    With SIGHUP the kernel sends SIGCONT, on which Textual would begin anew, with threads that nobody ends.
    """
    loop = asyncio.get_running_loop()

    def hang_up(*_: object) -> None:
        signal.signal(signal.SIGCONT, _ignore)  # not SIG_IGN: Python complains where a signal has come already
        loop.call_soon_threadsafe(leave)

    signal.signal(signal.SIGHUP, hang_up)


def _ignore(*_: object) -> None:
    pass
