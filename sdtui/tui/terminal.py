"""What the terminal is told beside the screens: that a run has ended, and what the clipboard is to hold."""

from __future__ import annotations

import os
from collections.abc import Mapping


def over_ssh(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is at the other end of an SSH connection."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))
