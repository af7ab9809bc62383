"""The one exception for a person's mistake, and the phrase that names the nearest valid name."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A command line or a file that a person wrote is wrong.

    The message is one line that names the file, the key and the nearest valid name. Commands print it and exit
    with status 2.
    """


def near(name: str, valid: Iterable[str]) -> str | None:
    """Returns the valid name that is a near miss of an unknown one; ``None`` where none is."""
    return next(iter(difflib.get_close_matches(name, sorted(valid), n=1)), None)


def nearest(name: str, valid: Iterable[str]) -> str:
    """Returns a phrase that helps with an unknown name.

    Args:
        name: What the person wrote.
        valid: The names that would have been accepted.

    Returns:
        ``did you mean 'compile'?`` for a near miss, else ``choose from: a, b, c``.
    """
    names = sorted(valid)
    if close := near(name, names):
        return f"did you mean '{close}'?"
    return "choose from: " + ", ".join(names) if names else "there is none to choose from"
