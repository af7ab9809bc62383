"""How a report writes figures, outcomes, names and Markdown: the one place, and no locale."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sdtui.model.machine import Interpreter
from sdtui.model.results import Status
from sdtui.model.spans import span_text
from sdtui.model.vram import VramNeed
from sdtui.records import RunRecord, SittingRecord

Writer = Callable[[float], str]
"""Writes one figure."""

NONE = "–"
NOT_AVAILABLE = "not available"
NOT_MEASURED = "not measured"
_ORDINALS = {1: "st", 2: "nd", 3: "rd"}
_INLINE = re.compile(r"[\\`*<|~]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
_LINK = re.compile(r"^\[|\]$|\[\^|\][(\[:]")
"""Where brackets could make a link or a footnote; alone they make neither."""


class Torch(NamedTuple):
    """The torch of an environment.

    Attributes:
        environment: The environment's name.
        version: In full; ``None`` where it is not known.
        label: What the person wants columns to call it; ``None`` lets the version say it.
    """

    environment: str
    version: str | None
    label: str | None = None


def rate(its: float) -> str:
    """Writes iterations per second as the page and tqdm do: ``21.66``, and seconds below 1 it/s: ``2.34s``.

    Args:
        its: Steps of the denoising loop per second; 0 (the clock saw no time pass) has no figure.
    """
    if its <= 0:
        return NONE
    return f"{its:.2f}" if its >= 1 else f"{1 / its:.2f}s"


def rates(its: Sequence[float]) -> str:
    """Writes the stages of one cell: ``25.02 / 18.04 / 6.30``."""
    return " / ".join(rate(value) for value in its)


def outcome(status: Status | None, call: int | None, its: Sequence[float]) -> str:
    """Writes what a table cell says, in the page's words.

    Args:
        status: ``None`` for a cell without a result.
        call: In which the cell ended, counted from 1; ``None`` before the first.
        its: Iterations per second of each stage that ran.
    """
    if status == "ok":
        return rates(its) or NONE
    if status == "oom":
        return _out_of_memory(call)
    return {"unsupported": "❌", "failed": "failed", "timeout": "timeout"}.get(status or "", NONE)


def ordinal(number: int) -> str:
    """Writes ``1st``, ``2nd``, ``3rd``, ``11th``."""
    teens = 10 <= number % 100 <= 20
    return f"{number}{'th' if teens else _ORDINALS.get(number % 10, 'th')}"


def release(version: str | None) -> str:
    """Returns a version without its build tag: a package's own word and its metadata differ there."""
    return (version or "").partition("+")[0]


def torch_label(version: str | None) -> str:
    """Writes the torch of a table column: ``torch 2.11``, or ``torch nightly`` for a development build."""
    if version is None:
        return f"torch {NOT_AVAILABLE}"
    if ".dev" in version:
        return "torch nightly"
    found = re.match(r"\d+\.\d+", version)
    return f"torch {found.group() if found else version}"


def torches(environments: Iterable[Interpreter]) -> dict[str, Torch]:
    """Returns the torch of each environment by the environment's name."""
    return {each.name: Torch(each.name, each.packages.get("torch"), each.label) for each in environments}


def torch_labels(torches: Sequence[Torch]) -> list[str]:
    """Labels the torch of columns that stand side by side, so that no two read the same.

    Args:
        torches: Of each column's environment; no two are equal.

    Returns:
        Of each the person's label, else `torch_label`. Where two would look alike, both say more: first the release,
        then the whole version, then the environment's name, then all of it.
    """
    choices = [_choices(torch) for torch in torches]
    labels = [first for first, *_ in choices]
    for more in range(1, max(map(len, choices), default=0)):
        counted = zip(_counted(labels), choices, strict=True)
        labels = [label if count == 1 else choice[more] for (label, count), choice in counted]
    return labels


def _choices(torch: Torch) -> tuple[str, ...]:
    """Returns what a torch may be called, from the shortest on."""
    name, version = torch.environment, torch.version
    short = torch.label or torch_label(version)
    if torch.label or version is None:
        versions = (release(version), version) if version else ()
        more = (f"{short} ({word})" for word in (*versions, name))
        return short, *more, f"{short} ({name}, {version or NOT_AVAILABLE})"
    return short, f"torch {release(version)}", f"torch {version}", f"{short} ({name})", f"torch {version} ({name})"


def distinct(labels: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the labels, each with its name in brackets where two labels are the same."""
    return [
        label if count == 1 else f"{label} ({name})"
        for (label, count), name in zip(_counted(labels), names, strict=True)
    ]


def number(value: float | None, decimals: int = 1) -> str:
    """Writes a figure with fixed decimals, ``–`` where there is none."""
    return NONE if value is None else f"{value:.{decimals}f}"


def significant(value: float, digits: int) -> str:
    """Writes a figure of any size with so many significant digits, and no exponent: ``0.0342``, ``1607``."""
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else 0
    return f"{value:.{max(0, decimals)}f}"


def percent(share: float) -> str:
    """Writes a share with as many digits as it needs, three at most: ``1 %``, ``0.834 %``."""
    return f"{100 * share:.3g} %"


def vram_need(need: VramNeed) -> str:
    """Writes what a cell needs beside what there is: ``needs about 3.4 GiB of VRAM, 78.6 GiB free``."""
    about, known = ("", " as measured before") if need.measured else ("about ", "")
    free = "" if need.free_mib is None else f", {need.free_mib / 1024:.1f} GiB free"
    return f"needs {about}{need.mib / 1024:.1f} GiB of VRAM{known}{free}"


def beyond_budget(sitting: SittingRecord | None) -> str:
    """Says how many cells a sitting left, such as ``2 cells did not fit into the budget of 20m``; empty where none."""
    if sitting is None or sitting.finished is None or not sitting.finished.left:
        return ""
    count, budget_s = len(sitting.finished.left), sitting.started.budget_s or 0.0
    return f"{count} {'cell' if count == 1 else 'cells'} did not fit into the budget of {span_text(budget_s)}"


def unreadable(run: RunRecord) -> str:
    """Says how many lines of a run's journal are lost: ``2 lines of events.jsonl cannot be read``."""
    return f"{run.unreadable} line{'s' if run.unreadable > 1 else ''} of events.jsonl cannot be read"


def moment(t: float | None) -> str:
    """Writes unix seconds as ``2026-11-24 09:41:07 UTC``."""
    if t is None:
        return NOT_AVAILABLE
    return datetime.fromtimestamp(t, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def available(value: object) -> str:
    """Writes a fact of the environment; ``not available`` for ``None``, ``on`` and ``off`` for flags."""
    if value is None or value == "":
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.2f}"
    return inline(str(value))


def inline(text: str) -> str:
    """Returns text that Markdown shows as it is, on one line: its special characters escaped."""
    line = _INLINE.sub(lambda found: "\\" + found.group(), " ".join(text.split()))
    return re.sub(r"[\[\]]", lambda found: "\\" + found.group(), line) if _LINK.search(line) else line


def table_lines(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Returns a GFM table: single spaces, no padding. Cells are written as they are: escape them before."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def _counted(labels: Sequence[str]) -> list[tuple[str, int]]:
    counts = Counter(labels)
    return [(label, counts[label]) for label in labels]


def _out_of_memory(call: int | None) -> str:
    if call is None or call <= 1:
        return "OOM"
    return "OOM after warmup" if call == 2 else f"OOM after {ordinal(call - 1)} iteration"
