"""Environments, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.environments import Looked
from sdtui.report import text

_HEADER = ("name", "state", "torch", "CUDA", "diffusers", "in tables", "Python")
_GAP = "  "


def environment_listing(looked: Sequence[Looked]) -> str:
    """Writes of each environment whether it works, its versions, and what columns call it; why one does not, below it.

    Args:
        looked: At each of them, together: labels tell them apart.
    """
    works = text.torches(each.interpreter for each in looked if each.interpreter and not each.problem)
    labels = dict(zip(works, text.torch_labels([*works.values()]), strict=True))
    rows = [_HEADER, *(_row(each, labels.get(each.name, text.NONE)) for each in looked)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row, problem in zip(rows, ("", *(each.problem for each in looked)), strict=True):
        lines.append(_GAP.join(f"{word:<{width}}" for word, width in zip(row, widths, strict=True)).rstrip())
        lines += [" " * widths[0] + _GAP + problem] if problem else []
    return "\n".join(lines) + "\n"


def _row(looked: Looked, label: str) -> tuple[str, ...]:
    found, state = looked.interpreter, "broken" if looked.problem else "works"
    if found is None:
        return looked.name, state, *([text.NONE] * (len(_HEADER) - 2))
    torch, diffusers = (found.packages.get(name) or text.NONE for name in ("torch", "diffusers"))
    cuda = found.cuda or ("CPU build" if found.packages.get("torch") else text.NONE)
    return looked.name, state, torch, cuda, diffusers, label, f"{found.python_version}, {found.python}"
