"""Puts what went wrong on one line. Standard library only: it must work where torch cannot be imported."""

from __future__ import annotations

from collections.abc import Iterator

REASON_CHARS = 400


def one_line(text: str) -> str:
    """Returns the text on one line that every encoder takes, cut where it gets long."""
    line = " ".join(text.encode("utf-8", "replace").decode().split())
    return line if len(line) <= REASON_CHARS else line[: REASON_CHARS - 1] + "…"


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an exception and those behind it, also where ``from None`` hides them, as inductor's wrappers do."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
