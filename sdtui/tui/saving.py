"""A draft as a plan file: what goes into it, and the thread that writes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from textual.message import Message

from sdtui import runs
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import resolve_plan
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan
from sdtui.tui.draft import Draft
from sdtui.tui.messages import PlanRefused, PlanWritten

DEFAULT_NAME = "sdtui-plan.toml"


def plan_of(draft: Draft) -> Plan:
    """Returns the plan that measures what is selected, or, where nothing is, what the draft's plan has.

    Raises:
        UserError: The draft's plan file is wrong by now, or nothing of the plan fits its options.
    """
    slots = draft.chosen or draft.planned
    if not slots:
        raise UserError("nothing is selected, and no pipeline of the plan fits its options")
    as_it_is = {} if draft.chosen else {"tune": draft.plan.tune}
    return resolve_plan(draft.catalog, draft.source, {**draft.to_run(slots), **as_it_is}, draft.gpu)


def words_of(draft: Draft) -> str:
    """Says what would be saved."""
    chosen = len(draft.chosen)
    if chosen:
        return f"{chosen} selected {'cell' if chosen == 1 else 'cells'}, options of plan {draft.name}"
    planned = len(draft.planned)
    return f"plan {draft.name} as it is, {planned} {'cell' if planned == 1 else 'cells'}; nothing is selected"


def write_plan(plan: Plan, path: Path, replace: bool, post: Callable[[Message], object]) -> None:
    """Writes a plan file, all of it or none, and posts how that went.

    Args:
        plan: To be written.
        path: Of the file.
        replace: Whether a file that is there may be replaced.
        post: Takes the message.
    """
    if not replace and os.path.lexists(path):
        post(PlanRefused(f"{path.name} is there already", taken=True))
        return
    try:
        runs.write_atomically(path, plan_to_toml(plan, path.name))
    except OSError as error:
        post(PlanRefused(f"{path}: {error.strerror}"))
    else:
        post(PlanWritten(path))
