"""A directory's runs, a line each."""

from __future__ import annotations

from collections.abc import Sequence

from sdtui.runs import Listed


def listing(runs: Sequence[Listed]) -> str:
    """Writes name, state and cells by status of each run in columns; empty for no run."""
    width = max((len(run.name) for run in runs), default=0)
    return "".join(f"{run.name:<{width}}  {_state(run)}".rstrip() + "\n" for run in runs)


def _state(run: Listed) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in run.counts.items())
    planned = f"{run.planned} cell{'s' if run.planned > 1 else ''}" if run.planned else ""
    beat = f"heartbeat {run.heartbeat_age_s:.0f} s old" if run.heartbeat_age_s is not None else ""
    return "  ".join(part for part in (f"{run.state:<11}", counts, planned, beat) if part)
