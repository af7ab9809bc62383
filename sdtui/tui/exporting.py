"""Exports: which runs, in which format, under which name; and the threads that write and copy them."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from textual.message import Message

from sdtui import runs
from sdtui.model.errors import UserError
from sdtui.tui.messages import ReportRefused, ReportWritten, TablesReady
from sdtui.tui.snapshot import CellView, RunView

Post = Callable[[Message], object]


@dataclass(frozen=True)
class Format:
    """One of the formats that a report comes in.

    Attributes:
        label: Its name.
        suffix: Of its files, without the dot; as ``sdtui report --format`` names it.
        words: What it is good for.
        charts: Whether charts are written as files beside it.
    """

    label: str
    suffix: str
    words: str
    charts: bool = False


FORMATS = (
    Format("Markdown", "md", "the docs page's tables, then each cell in detail"),
    Format("Markdown + charts", "md", "the same; charts as SVG and PNG beside it", charts=True),
    Format("HTML", "html", "one page with its charts inside, light and dark"),
    Format("CSV", "csv", "a row per call, for spreadsheets"),
    Format("JSON", "json", "everything, raw samples included"),
)


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Attributes:
        folders: Of the runs; the report merges several.
        device: GPU model, or the CPU's name.
        words: Which runs, and how many cells of them have figures.
        reference: GPU of the docs page whose figures stand beside, as with ``--reference``.
    """

    folders: tuple[Path, ...]
    device: str
    words: str
    reference: str | None = None


def subject_of(run: RunView | None, cells: Mapping[str, CellView], reference: str | None = None) -> Subject | None:
    """Returns the run that is shown, else the runs that the matrix's results come from; ``None`` without either.

    Args:
        run: The one that is shown.
        cells: What the matrix shows, by id.
        reference: GPU of the docs page that the matrix is compared with.
    """
    if run is not None:
        figures = sum(bool(view.its) for view in run.cells.values())
        going = ", so far: it goes on" if run.is_live else ""
        words = f"run {runs.short(run.folder)} · {figures} of {_counted(len(run.cells), 'cell')} with figures{going}"
        return Subject((run.folder,), run.machine.device_name if run.machine else "", words, reference)
    known = [view for view in cells.values() if view.run is not None]
    folders = tuple(sorted({view.run for view in known if view.run is not None}))
    if not folders:
        return None
    figures = sum(bool(view.its) for view in known)
    names = ", ".join(runs.short(folder) for folder in folders[:4]) + (" …" if len(folders) > 4 else "")
    devices = {view.device for view in known}
    words = f"{_counted(len(folders), 'run')} ({names}) · {_counted(figures, 'cell')} with figures"
    return Subject(folders, devices.pop() if len(devices) == 1 else "several devices", words, reference)


def default_name(device: str, suffix: str) -> str:
    """Returns ``sdtui-<gpu>-<date>.md``, the date being today's here."""
    return f"sdtui-{runs.slug(device)}-{time.strftime('%Y-%m-%d')}.{suffix}"


def with_format(path: str, fmt: Format) -> str:
    """Returns a path as typed, its ending that of a format; an ending that is of none stays."""
    stem, dot, ending = path.rpartition(".")
    return f"{stem}.{fmt.suffix}" if dot and ending.lower() in {each.suffix for each in FORMATS} else path


def format_of(path: str, current: Format) -> Format:
    """Returns the format that a path's ending names; ``current`` where it names none, or the same."""
    ending = path.rpartition(".")[2].lower()
    if ending == current.suffix:
        return current
    return next((each for each in FORMATS if each.suffix == ending), current)


def target(typed: str) -> Path:
    """Returns the file that a person named.

    Raises:
        UserError: It is none that a report can be written to.
    """
    if not typed.strip():
        raise UserError("name a file to write to")
    try:
        path = Path(typed.strip()).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"{typed}: names an unknown home folder") from error
    if path.is_dir():
        raise UserError(f"{typed}: is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise UserError(f"{typed}: is no regular file")
    return path


def taken(path: Path, fmt: Format) -> bool:
    """Says whether writing would replace something."""
    from sdtui.report.render import charts_folder

    return os.path.lexists(path) or (fmt.charts and os.path.lexists(charts_folder(path)))


def free_name(path: Path, fmt: Format) -> Path:
    """Returns the first of ``name-2.md``, ``name-3.md`` … that replaces nothing."""
    number = 2
    while taken(candidate := path.with_name(f"{path.stem}-{number}{path.suffix}"), fmt):
        number += 1
    return candidate


def write_report(subject: Subject, fmt: Format, path: Path, replace: bool, post: Post) -> None:
    """Writes the report as ``sdtui report RUN… -o PATH`` does, and posts how that went.

    Args:
        subject: What is exported.
        fmt: Its format.
        path: Where to.
        replace: Whether a file that is there may be replaced.
        post: Takes `ReportWritten` or `ReportRefused`.
    """
    from sdtui.report.charts_files import save_with_charts
    from sdtui.report.render import render, save

    reference = None if fmt.suffix == "csv" else subject.reference  # which has no place for it
    try:
        records = [runs.read(folder) for folder in subject.folders]
        content = "" if fmt.charts else render(records, fmt.suffix, reference)
        if not replace and taken(path, fmt):
            raise UserError(f"{path}: was written by another meanwhile; nothing was replaced")
        if fmt.charts:
            save_with_charts(records, fmt.suffix, reference, None, path)
        else:
            save(content, path)
    except UserError as error:
        post(ReportRefused(re.sub(r"^(-o|--charts:) ", "", str(error))))
    else:
        post(ReportWritten(path))


def read_tables(subject: Subject, post: Post) -> None:
    """Posts the tables of the report as Markdown."""
    from sdtui.report.markdown import tables_markdown

    try:
        records = [runs.read(folder) for folder in subject.folders]
        post(TablesReady(tables_markdown(records, subject.reference)))
    except UserError as error:
        post(ReportRefused(str(error)))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
