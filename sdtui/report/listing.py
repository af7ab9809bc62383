"""A directory's runs, a line each."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sdtui.runs import PLAN, Listed

_GAP = "  "
_LEAST_PLAN = 24
"""Columns that a plan needs to say anything."""


def listing(runs: Sequence[Listed], width: int | None = None) -> str:
    """Writes name, state and cells by status of each run in columns; empty for no run.

    Args:
        runs: To list.
        width: Of the terminal, in columns; where it leaves room, each run's plan follows. ``None`` where there is no
            terminal.
    """
    named = max((len(run.name) for run in runs), default=0)
    lines = [f"{run.name:<{named}}{_GAP}{_state(run)}".rstrip() for run in runs]
    told = max(map(len, lines), default=0)
    room = width - told - len(_GAP) if width else 0
    if room >= _LEAST_PLAN:
        plans = [_cropped(plan_in_short(run.path), room) for run in runs]
        lines = [f"{line:<{told}}{_GAP}{plan}".rstrip() for line, plan in zip(lines, plans, strict=True)]
    return "".join(line + "\n" for line in lines)


def plan_in_short(folder: Path) -> str:
    """Writes a run's plan: ``sd-txt2img × no-compile, compile × batch 1, 4``; empty where it cannot be read.

    Of more than two names it says how many there are, and of chosen slots likewise: ``3 cells of …``.
    """
    try:
        plan = tomllib.loads((folder / PLAN).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a person may have written to it
        return ""
    axes = [_axis(plan, "pipelines"), _axis(plan, "modes"), f"batch {_joined(plan.get('batch_sizes'))}"]
    environments = plan.get("environments")
    if environments != ["current"]:
        axes.insert(2, _axis(plan, "environments"))
    scale = "" if plan.get("scale") == "full" else f"{plan.get('scale')} · "
    slots = plan.get("slots")
    chosen = f"{len(slots)} cell{'s' if len(slots) > 1 else ''} of " if isinstance(slots, list) else ""
    return scale + chosen + " × ".join(axes)


def _axis(plan: Mapping[str, Any], key: str) -> str:
    names = plan.get(key)
    return f"{len(names)} {key}" if isinstance(names, list) and len(names) > 2 else _joined(names)


def _joined(values: Any) -> str:
    return ", ".join(map(str, values)) if isinstance(values, Sequence) and not isinstance(values, str) else "?"


def _cropped(text: str, room: int) -> str:
    return text if len(text) <= room else text[: room - 1] + "…"


def _state(run: Listed) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in run.counts.items())
    planned = f"{run.planned} cell{'s' if run.planned > 1 else ''}" if run.planned else ""
    beat = f"heartbeat {run.heartbeat_age_s:.0f} s old" if run.heartbeat_age_s is not None else ""
    return _GAP.join(part for part in (f"{run.state:<11}", counts, planned, beat) if part)
