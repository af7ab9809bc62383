"""Runs, resumes and watches from the command line: a detached supervisor with a follower in front."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from sdtui import runs, settings
from sdtui.catalog.load import load_catalog
from sdtui.catalog.mode_toml import new_mode_file
from sdtui.follow import Narrator
from sdtui.model.errors import UserError
from sdtui.model.events import RunFinished
from sdtui.records import RunRecord
from sdtui.report import text
from sdtui.report.markdown import tables_markdown
from sdtui.report.tuning import Outcome, outcomes
from sdtui.starting import (
    StartError,
    begin,
    endings,
    finishing_with,
    last_words,
    prepare_resume,
    sitting_by,
    start_detached,
    tuning,
)
from sdtui.supervisor.control import Control, request_cancel
from sdtui.supervisor.launch import start_supervisor

INTERRUPTED = 130


def run(
    source: str | None,
    overrides: Mapping[str, Any],
    runs_dir: Path | None,
    detach: bool,
    on_finish: str | None = None,
) -> int:
    """Makes a run of a plan and follows it.

    Args:
        source: Preset, plan file, or ``None``.
        overrides: Flags by plan key.
        runs_dir: ``--runs-dir``.
        detach: Return once the supervisor holds the run.
        on_finish: Shell command that the supervisor runs when the run has ended.

    Returns:
        The exit status.

    Raises:
        UserError: Something that was asked for is wrong; nothing was written.
    """
    arguments = finishing_with(on_finish)
    return _start(begin(source, overrides, runs_dir), arguments, detach)


def tune(
    pipeline: str,
    overrides: Mapping[str, Any],
    runs_dir: Path | None,
    detach: bool,
    on_finish: str | None = None,
    save: str | None = None,
) -> int:
    """Makes a run that looks for the fastest mode, and follows it.

    Args:
        pipeline: Its name.
        overrides: Flags by plan key.
        runs_dir: ``--runs-dir``.
        detach: As of `run`.
        on_finish: As of `run`.
        save: Name under which the fastest mode is kept; ``None`` prints it.

    Returns:
        The exit status: 0 where a mode can be named.

    Raises:
        UserError: Something that was asked for is wrong; nothing was written.
    """
    if save is not None and detach:
        raise UserError(
            "--save: keeps a mode at the run's end, which --detach does not wait for; leave one of them out"
        )
    where = settings.config_dir()
    file = new_mode_file(save, load_catalog(where), where, "--save") if save is not None else None
    arguments = finishing_with(on_finish)
    flags, left_out = tuning(pipeline, overrides)
    folder = begin(None, flags, runs_dir)
    for mode, reason in left_out.items():
        _console().print(f"not tried out: {mode}: {reason}", soft_wrap=True)
    return _start(folder, arguments, detach, file)


def resume(
    name: str,
    retry: str | None,
    force: bool,
    runs_dir: Path | None,
    detach: bool,
    on_finish: str | None = None,
    budget: str | None = None,
) -> int:
    """Starts a further sitting of a run and follows it; as `run` and `sdtui.starting.prepare_resume`.

    Raises:
        UserError: The run is running, was made on another machine or with other versions, or is not to be found.
    """
    finishing = finishing_with(on_finish)
    folder = runs.find(settings.runs_dir(runs_dir), name)
    arguments = prepare_resume(folder, retry, force, budget)
    if arguments is None:
        record = runs.read(folder)
        return _nothing_left(folder, record, endings(record))
    return _start(folder, [*arguments, *finishing], detach)


def _nothing_left(folder: Path, record: RunRecord, ended: Sequence[str | None]) -> int:
    last = record.sittings[-1].finished if record.sittings else None
    console, status = _console(), last.status if last else "interrupted"
    console.print(f"run {folder.name}: nothing left to run; it is {status}", soft_wrap=True)
    _say_hint(Narrator(folder, console), folder, ended)
    return 0 if set(ended) == {"ok"} else 1


def watch(name: str, runs_dir: Path | None) -> int:
    """Follows a run until it ends, and returns its exit status; an interrupt leaves it going."""
    folder = runs.find(settings.runs_dir(runs_dir), name)
    narrator = Narrator(folder, _console())

    def alive() -> bool:
        return runs.lock_state(folder).held

    with Interrupts() as interrupts:
        narrator.catch_up()
        if alive():
            narrator.say_position()
            with narrator:
                narrator.follow(alive, lambda: interrupts.count > 0)
    if interrupts.count:
        narrator.say(f"run {folder.name} goes on; end it with 'sdtui cancel {runs.short(folder)}'")
        return INTERRUPTED
    sittings = narrator.record.sittings
    return _conclude(narrator, folder, sittings[-1].finished if sittings else None)


class Interrupts:
    """Counts Ctrl-C instead of raising: nothing is left half done; a context manager."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Interrupts:
        self._before = signal.signal(signal.SIGINT, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._before)

    def _take(self, *_: object) -> None:
        self.count += 1


def _start(folder: Path, arguments: list[str], detach: bool, mode_file: Path | None = None) -> int:
    if detach:
        return _detach(folder, arguments)
    narrator = Narrator(folder, _console())
    with Interrupts() as interrupts:
        narrator.catch_up()
        before = len(narrator.record.sittings)
        supervisor = start_supervisor(folder, arguments)

        def alive() -> bool:
            return supervisor.poll() is None

        def finished() -> RunFinished | None:
            sitting = sitting_by(supervisor.pid, narrator.record.sittings[before:])
            return sitting.finished if sitting else None

        def over() -> bool:
            return finished() is not None

        with narrator:
            narrator.follow(alive, _Cancelling(folder, narrator, interrupts, alive, over))
    if interrupts.count and not over():
        if alive():
            narrator.say(f"run {folder.name} is still ending; see 'sdtui show {runs.short(folder)}'")
            return INTERRUPTED
        narrator.catch_up()  # what the supervisor wrote since it was left
    status = _conclude(narrator, folder, finished(), mode_file)
    if alive():
        narrator.say("the --on-finish command goes on")
    return INTERRUPTED if interrupts.count else status


class _Cancelling:
    """What Ctrl-C does to a run in the foreground: the first cancels it, the second does not wait for that.

    Once the run is over, only the command of ``--on-finish`` is left, which Ctrl-C does not wait for.
    """

    def __init__(
        self,
        folder: Path,
        narrator: Narrator,
        interrupts: Interrupts,
        alive: Callable[[], bool],
        over: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._narrator = narrator
        self._interrupts = interrupts
        self._alive = alive
        self._over = over
        self._said = False

    def __call__(self) -> bool:
        """Returns whether to leave; the request is made again until it stands: a supervisor clears old ones."""
        if not self._interrupts.count:
            return False
        if not self._said and self._over():
            return True
        if not self._said:
            self._narrator.say("cancelling the run …")
            self._said = True
        if Control(self._folder).cancelled() or request_cancel(self._folder, force=True):
            return self._interrupts.count > 1
        return self._over() or (self._interrupts.count > 1 and not self._alive())


def _detach(folder: Path, arguments: list[str]) -> int:
    try:
        start_detached(folder, arguments)
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    print(folder)
    return 0


def _conclude(narrator: Narrator, folder: Path, finished: RunFinished | None, mode_file: Path | None = None) -> int:
    found = outcomes(narrator.record)
    if not found:
        sys.stdout.write(tables_markdown([narrator.record]))
        sys.stdout.flush()
    if finished is None:
        narrator.say(f"run {folder.name}: its supervisor ended without a word; {last_words(folder)}", "red")
        return 1
    if finished.reason:
        narrator.say(f"run {folder.name}: {finished.reason}", "red")
    left = text.beyond_budget(narrator.record.sittings[-1])
    narrator.say(f"run {folder.name}: {finished.status}{f'; {left}' if left else ''}")
    narrator.say(str(folder / runs.REPORT))
    if finished.status != "ok":
        _say_hint(narrator, folder, endings(narrator.record))
    if found:
        if mode_file and finished.status == "cancelled":
            narrator.say(f"no mode is kept as '{mode_file.stem}': the run was cancelled", "red")
        return _name_fastest(narrator, found, None if finished.status == "cancelled" else mode_file)
    return 0 if finished.status == "ok" else 1


def _name_fastest(narrator: Narrator, found: Sequence[Outcome], mode_file: Path | None) -> int:
    """Says which mode is the fastest, and prints or keeps it; returns the exit status."""
    is_kept = True
    for outcome in found:
        narrator.say(f"{outcome.heading}:")
        for line in text.table_lines(*outcome.table()):
            narrator.say(line)
        for line in outcome.verdict():
            narrator.say(line, "" if outcome.standing.fastest else "red")
        if mode_file is None or not outcome.standing.fastest:
            sys.stdout.write(outcome.toml())
        else:
            is_kept = _keep(narrator, mode_file, outcome.toml())
    sys.stdout.flush()
    return 0 if is_kept and all(outcome.standing.fastest for outcome in found) else 1


def _keep(narrator: Narrator, mode_file: Path, toml: str) -> bool:
    """Writes a mode; where that cannot be, or one of its name was written meanwhile, says so and prints it."""
    try:
        mode_file.parent.mkdir(parents=True, exist_ok=True)
        with open(mode_file, "x", encoding="utf-8") as file:
            file.write(toml)
    except OSError as error:
        narrator.say(f"{error.filename}: {error.strerror}: the mode is not kept, but printed", "red")
        sys.stdout.write(toml)
        return False
    narrator.say(f"kept as mode '{mode_file.stem}' in {mode_file}")
    return True


def _say_hint(narrator: Narrator, folder: Path, ended: Sequence[str | None]) -> None:
    """Says how to run what is left, and what may end otherwise the next time."""
    again = ",".join(status for status in ("failed", "oom", "timeout") if status in ended)
    if None in ended or "cancelled" in ended:
        last = narrator.record.sittings[-1] if narrator.record.sittings else None
        budget = ", which has the plan's budget; --budget gives it another, or none" if text.beyond_budget(last) else ""
        narrator.say(f"run what is left with 'sdtui resume {runs.short(folder)}'{budget}")
    if again:
        narrator.say(f"run cells again that did not end ok with 'sdtui resume {runs.short(folder)} --retry {again}'")


def _console() -> Console:
    return Console(stderr=True, highlight=False)
