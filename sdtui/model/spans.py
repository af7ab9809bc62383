"""Spans of time as people write them."""

from __future__ import annotations

import re

_SPAN = re.compile(r"(?=\d)(?:(\d{1,4})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", re.ASCII)


def parse_span(text: str) -> float | None:
    """Reads a span such as ``90s``, ``20m`` or ``1h30m``, in seconds; ``None`` where it is none, or no time at all."""
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(3600 * hours + 60 * minutes + seconds) or None


def span_text(seconds: float) -> str:
    """Writes a span as `parse_span` reads it, to the second: ``1h30m``, ``3m20s``, ``40s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return "".join(f"{count}{unit}" for count, unit in parts if count) or "0s"
