"""A cell's log file, of bounded size."""

from __future__ import annotations

from pathlib import Path

from sdtui.supervisor.limits import LOG_BYTES


class CellLog:
    """Keeps what a worker prints, up to a limit, and its last words for the reason of a death; a context manager."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "wb", buffering=0)
        self.received = 0
        self._last = b""

    def __enter__(self) -> CellLog:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, chunk: bytes) -> None:
        """Takes in a chunk of output.

        Raises:
            OSError: The disk is full.
        """
        room = max(0, LOG_BYTES - self.received)
        self.received += len(chunk)
        self._last = (self._last + chunk)[-2048:]
        if room:
            self._file.write(chunk[:room])

    def last_line(self) -> str:
        """Returns the last line that is not blank, in printable characters."""
        text = "".join(
            c if c.isprintable() else "\n" if c in "\r\n" else " " for c in self._last.decode(errors="replace")
        )
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else ""

    def close(self) -> None:
        """Says how much was left out, and closes."""
        with self._file:
            if self.received > LOG_BYTES:
                self._file.write(f"\n[{self.received - LOG_BYTES} bytes left out]\n".encode())
