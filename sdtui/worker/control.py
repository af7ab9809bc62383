"""Asks the supervisor whether there is another call to make."""

from __future__ import annotations

import os

from sdtui.model.job import MORE


class Control:
    """The worker's end of the pipe on which the supervisor answers."""

    def __init__(self, descriptor: int | None) -> None:
        """Takes the descriptor; ``None`` where nobody answers, and there is no call more."""
        if descriptor is not None:
            os.set_inheritable(descriptor, False)
        self._descriptor = descriptor

    def more(self) -> bool:
        """Waits for the answer to the call that finished last; a supervisor that is gone wants no more."""
        return self._descriptor is not None and os.read(self._descriptor, len(MORE)) == MORE
