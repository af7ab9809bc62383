"""What the terminal is told beside the screens: that a run has ended, and what the clipboard is to hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping


def over_ssh(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal is at the other end of an SSH connection."""
    return bool(environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"))


def draws_unicode(encoding: str | None = None, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the terminal shows Unicode.

    Args:
        encoding: In which it is written to; ``None`` is that of standard error, on which the dashboard is drawn.
        environ: Its locale counts where it names one; ``TERM`` names kinds without such glyphs.
    """
    if encoding is None:
        encoding = sys.__stderr__.encoding if sys.__stderr__ else "utf-8"
    if environ.get("TERM") in ("dumb", "linux"):
        return False
    return encoding.lower().startswith("utf") and _is_utf_8(environ)


def _is_utf_8(environ: Mapping[str, str]) -> bool:
    """Whether the locale is, or none is named: containers often name none.

    Python sets ``LC_CTYPE`` to ``C.UTF-8`` in a plain locale (PEP 538), so that this value of it says nothing.
    """
    said = {name: value for name, value in environ.items() if (name, value) != ("LC_CTYPE", "C.UTF-8")}
    locale = next(filter(None, map(said.get, ("LC_ALL", "LC_CTYPE", "LANG"))), "")
    return not locale or "utf8" in locale.lower().replace("-", "")


def copied_words(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Returns what to say of a text that was put on the clipboard by OSC 52, which no terminal acknowledges."""
    lines = f"{text.count(chr(10))} lines"
    if environ.get("TMUX"):
        return f"{lines}; inside tmux this needs 'set -g set-clipboard on'. Else write the file and fetch it."
    return f"{lines}; where the terminal takes none (OSC 52), write the file and fetch it."


def announcement(text: str, environ: Mapping[str, str] = os.environ) -> str:
    """Returns what rings the terminal's bell and has it show a desktop notification, by OSC 9 and by OSC 777.

    Terminals know one of the two and leave out the other. tmux hands them on where its option ``allow-passthrough`` is
    on; terminals that would print them get the bell alone.

    Args:
        text: Control characters in it are left out.
        environ: ``TMUX`` and ``TERM`` say what is between.
    """
    bell = "\a"
    if environ.get("TERM") in ("dumb", "linux"):
        return bell
    plain = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    commands = [f"\x1b]9;sdtui: {plain}\a", f"\x1b]777;notify;sdtui;{plain}\a"]
    if environ.get("TMUX"):
        commands = [f"\x1bPtmux;{command.replace(chr(27), 2 * chr(27))}\x1b\\" for command in commands]
    return bell + "".join(commands)
