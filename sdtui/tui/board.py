"""What the matrix shows, square by square: a pure function of draft, run and results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sdtui.check import BASE
from sdtui.model.cell import Slot
from sdtui.report.text import Torch, significant, torch_labels
from sdtui.report.text import rate as text_of
from sdtui.tui.draft import Column, Draft
from sdtui.tui.snapshot import CellView

Kind = Literal["empty", "unfit", "queued", "running", "ok", "ended"]

SPEED_UPS = (1.05, 1.25, 1.5, 2.0)
"""From which speed-up over ``no-compile`` on a square is shaded, and darker at each."""
FLAG = "⚑"


@dataclass(frozen=True)
class Square:
    """One cell as the matrix draws it.

    Attributes:
        slot: Its place.
        kind: ``empty`` (no result), ``unfit`` (the options do not fit), ``queued``, ``running``, ``ok``, ``ended``
            (otherwise than ok).
        text: Words or figures.
        shorter: The same for less room, from longer to shorter.
        note: At the right: the speed-up, and a flag where one was raised.
        selected: Whether it is chosen to run.
        level: 0 to 4, how much faster than ``no-compile`` it is: see `SPEED_UPS`.
    """

    slot: Slot
    kind: Kind
    text: str = ""
    note: str = ""
    selected: bool = False
    level: int = 0
    shorter: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoardRow:
    """One pipeline at one batch size.

    Attributes:
        label: The pipeline's.
        mark: Batch size, where several are shown; empty where all rows are of one.
    """

    label: str
    mark: str
    pipeline: str
    batch_size: int
    squares: tuple[Square, ...]


@dataclass(frozen=True)
class Board:
    """All that the matrix shows; ``headers`` are a torch and a mode for each column."""

    headers: tuple[tuple[str, str], ...]
    rows: tuple[BoardRow, ...]


def make_board(
    draft: Draft,
    cells: Mapping[str, CellView],
    torch: Mapping[str, Torch],
    batch_size: int | None,
    wanted: str = "",
) -> Board:
    """Makes the board.

    Args:
        draft: What there is to choose from, and what is chosen.
        cells: What is known of cells, by id: of the run that is shown, else of earlier ones.
        torch: By environment, as far as it is known.
        batch_size: The one that is shown; ``None`` shows all, a row each.
        wanted: Words that names of pipelines, or of modes and environments, must hold, in any case; empty shows all.
    """
    sizes = draft.batch_sizes if batch_size is None else (batch_size,)
    headers = dict(zip(draft.columns, _headers(draft, draft.columns, torch), strict=True))
    pipelines, columns = _matching(draft, headers, wanted)
    rows = [(pipeline, size) for pipeline in pipelines for size in sizes]
    return Board(
        tuple(headers[column] for column in columns),
        tuple(_row(draft, columns, cells, *row, len(sizes) > 1) for row in rows),
    )


def _matching(
    draft: Draft, headers: Mapping[Column, tuple[str, str]], wanted: str
) -> tuple[tuple[str, ...], tuple[Column, ...]]:
    """Filters by words: each is looked for in the pipelines and, where none has it, in modes and environments."""
    pipelines, columns = draft.pipelines, draft.columns
    for word in wanted.lower().split():
        rows = tuple(name for name in pipelines if word in f"{name} {draft.catalog.pipelines[name].label}".lower())
        named = {column: " ".join((column.mode, column.environment, *headers[column])).lower() for column in columns}
        if rows:
            pipelines = rows
        else:
            columns = tuple(column for column in columns if word in named[column])
    return (pipelines, columns) if columns else ((), ())


def _headers(draft: Draft, columns: tuple[Column, ...], torch: Mapping[str, Torch]) -> tuple[tuple[str, str], ...]:
    names = list(dict.fromkeys(column.environment for column in columns))
    known = [torch[name] for name in names if name in torch and (torch[name].version or torch[name].label)]
    labels = {name: name for name in names}
    labels.update(zip((each.environment for each in known), torch_labels(known), strict=True))
    return tuple((labels[column.environment], draft.catalog.modes[column.mode].label) for column in columns)


def _row(
    draft: Draft,
    columns: tuple[Column, ...],
    cells: Mapping[str, CellView],
    pipeline: str,
    size: int,
    several: bool,
) -> BoardRow:
    squares = tuple(_square(draft, cells, draft.slot(pipeline, column, size)) for column in columns)
    return BoardRow(draft.catalog.pipelines[pipeline].label, str(size) if several else "", pipeline, size, squares)


def _square(draft: Draft, cells: Mapping[str, CellView], slot: Slot) -> Square:
    cell = draft.cells.get(slot)
    if cell is None:
        return Square(slot, "unfit", "does not fit")
    selected, view = slot in draft.selected, cells.get(cell.id)
    if view is None:
        return Square(slot, "empty", "selected" if selected else "", selected=selected)
    if view.state != "finished":
        kind: Kind = "queued" if view.state == "queued" else "running"
        return Square(slot, kind, view.text or "queued", selected=selected)
    if view.status != "ok":
        words = "cancelled" if view.status == "cancelled" else view.text
        return Square(slot, "ended", words, selected=selected)
    ratio = speed_up(draft, cells, view)
    note = " ".join(filter(None, (f"{ratio:.2f}×" if ratio else "", FLAG if view.flags else "")))
    return Square(slot, "ok", view.text, note, selected, level_of(ratio) if ratio else 0, _shorter(view.its))


def _shorter(its: tuple[float, ...]) -> tuple[str, ...]:
    """Writes the figures of several stages closer together, then with three digits."""
    if len(its) < 2:
        return ()
    rounded = (significant(rate, 3) if rate >= 1 else text_of(rate) for rate in its)
    return "/".join(map(text_of, its)), "/".join(rounded)


def level_of(ratio: float) -> int:
    """Returns how dark a square is shaded that is so many times faster."""
    return sum(ratio >= least for least in SPEED_UPS)


def base_of(draft: Draft, cells: Mapping[str, CellView], slot: Slot) -> CellView | None:
    """Returns ``no-compile`` beside a square; ``None`` where nothing is known of it, and of that itself."""
    base = draft.cells.get(replace(slot, mode=BASE))
    return cells.get(base.id) if base and slot.mode != BASE else None


def speed_up(draft: Draft, cells: Mapping[str, CellView], view: CellView) -> float | None:
    """Returns how many times faster a cell is than ``no-compile`` beside it; ``None`` where there is none."""
    other = base_of(draft, cells, view.slot)
    return other.loop_s / view.loop_s if other and other.loop_s and view.loop_s else None
