"""What is asked before something is done to a run, and the doing after the answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual.screen import Screen

from sdtui import deleting, runs
from sdtui.model.cell import Slot
from sdtui.model.errors import UserError
from sdtui.model.spans import span_text
from sdtui.tui import run_threads
from sdtui.tui.run_list import RunLine, size_in_words
from sdtui.tui.run_table import progress_words
from sdtui.tui.screens.choice import Choice
from sdtui.tui.screens.confirm import Confirm
from sdtui.tui.snapshot import CellView

if TYPE_CHECKING:
    from sdtui.tui.app import Dashboard

RETRIED = ("failed", "oom", "timeout")
"""Statuses whose cells may end otherwise the next time."""


def cancel(app: Dashboard, folder: Path) -> None:
    """Asks whether to end a run."""

    def answered(yes: bool | None) -> None:
        if yes:
            app.in_thread("cancel", run_threads.cancel, folder)

    question = f"Cancel run {runs.short(folder)}?"
    app.push_screen(Confirm(question, "What it has measured stays, and it can be resumed.", "Cancel it"), answered)


def tune(app: Dashboard, slot: Slot) -> None:
    """Asks whether to look for the fastest mode for a slot's pipeline and batch size, which can take long."""
    where, plan = f"{slot.pipeline} at batch size {slot.batch_size}", app.draft.plan
    more = "Measures the shipped modes and your own in fresh processes, of which the slower half drops out each time. "
    if plan.budget is None:
        more += f"No budget ends it: {app.key_of('plan.options')} sets one."
    else:
        more += f"It measures what fits into the budget of {span_text(plan.budget)}."
    if app.live_run is not None:
        more += " It waits for the run that goes on."

    def answered(yes: bool | None) -> None:
        if yes:
            app.notify(f"looking for the fastest mode for {where} …", timeout=3, markup=False)
            app.tune(slot)

    app.push_screen(Confirm(f"Look for the fastest mode for {where}?", more, "Look for it"), answered)


def skip(app: Dashboard, folder: Path, cell: CellView) -> None:
    """Leaves a cell out: at once where it is queued, else after asking."""

    def answered(yes: bool | None) -> None:
        now = app.run_view.cells.get(cell.id, cell) if app.run_view and app.run_view.folder == folder else cell
        if yes and now.state == "finished":
            app.notify(f"{cell.slot} has ended meanwhile", severity="warning", timeout=5, markup=False)
        elif yes:
            app.in_thread("skip", run_threads.skip, folder, cell.id, str(cell.slot))

    if cell.state == "queued":
        answered(True)
    else:
        question = f"Skip {cell.slot}, which is running?"
        app.push_screen(Confirm(question, "Its steps so far are lost; a resume measures it anew.", "Skip it"), answered)


def delete(app: Dashboard, line: RunLine, screen: Screen[None]) -> None:
    """Asks whether to delete a run, unless it cannot be; the screen gets `RunDeleted`."""
    try:
        deleting.check(line.folder)
    except UserError as error:
        app.notify(str(error), severity="error", timeout=15, markup=False)
        return

    def answered(yes: bool | None) -> None:
        if yes:
            app.in_thread("delete", run_threads.delete, line.folder, screen=screen)

    held = f"{line.done} of {line.total} cells have a result" if line.total else "no cell has a result"
    more = f"{line.folder}\n{held} · {line.device} · {size_in_words(line.size_bytes)}\nThis cannot be undone."
    app.push_screen(Confirm(f"Delete run {line.short}?", more, "Delete it"), answered)


def resume(app: Dashboard, line: RunLine) -> None:
    """Resumes a run, and leaves the list for the matrix; asks what to run again where some ended otherwise than ok."""
    found = [status for status in RETRIED if line.counts.get(status)]
    retries: list[str | None] = [None, *found, *([",".join(found)] if len(found) > 1 else [])]
    left = (line.total or 0) - (line.done or 0)
    if line.total and not left and not found:
        app.notify(f"nothing of run {line.short} is left to run", severity="warning", timeout=5)
        return

    def answered(index: int | None) -> None:
        if index is not None:
            app.pop_screen()
            app.notify(f"resuming run {line.short} …", timeout=3)
            app.resume(line.folder, retries[index])

    if len(retries) == 1:
        answered(0)
        return
    lines = [f"what has no result: {left} {'cell' if left == 1 else 'cells'}"]
    lines += [f"and what ended as {status}: {line.counts[status]}" for status in found]
    lines += [f"and all of these: {sum(line.counts[status] for status in found)}"] if len(found) > 1 else []
    app.push_screen(
        Choice(f"Resume run {line.short}: run", lines, f"enter resumes · {app.key_of('back')} leaves"), answered
    )


def offer_to_follow(app: Dashboard, live: Sequence[RunLine]) -> None:
    """Offers to follow one of the runs that go on."""

    def answered(index: int | None) -> None:
        if index is not None:
            app.open_run(live[index].folder)

    question = "A run is going on" if len(live) == 1 else f"{len(live)} runs are going on"
    lines = [progress_words(line) for line in live]
    app.push_screen(Choice(question, lines, f"enter follows · {app.key_of('back')} leaves"), answered)
