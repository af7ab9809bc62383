"""What the matrix is compared with: a GPU of the docs page, or another run; and each cell's ratios to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from sdtui import runs
from sdtui.catalog.reference import load_reference
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.report.page import departure, page_columns, ratios, times
from sdtui.tui.board import FLAG, Board, Square, level_of
from sdtui.tui.draft import Draft
from sdtui.tui.messages import RatiosFound
from sdtui.tui.snapshot import CellView

if TYPE_CHECKING:
    from sdtui.report.compare import RunComparison

Post = Callable[[Message], object]
Cancelled = Callable[[], bool]
InThread = Callable[..., None]
"""`sdtui.tui.app.Dashboard.in_thread`."""

PAGE_TORCH = "torch 2.0"
"""Of the page's two, the one whose figures the matrix shows ratios to; the detail pane has both."""
PAGE_DOUBTS = "another torch, driver and clocks; the page has no samples, so no interval"


@dataclass(frozen=True)
class PageGpu:
    """A GPU of the docs page."""

    gpu: str

    @property
    def name(self) -> str:
        """What a ratio is said to be to."""
        return self.gpu

    @property
    def words(self) -> str:
        """The same in full."""
        return f"{self.gpu}, docs page, {PAGE_TORCH}"


@dataclass(frozen=True)
class OtherRun:
    """A run."""

    folder: Path

    @property
    def name(self) -> str:
        """What a ratio is said to be to."""
        return runs.short(self.folder)

    @property
    def words(self) -> str:
        """The same in full."""
        return f"run {self.name}"


Against = PageGpu | OtherRun


@dataclass(frozen=True)
class Ratio:
    """A cell's speed over that of the same cell elsewhere.

    Attributes:
        values: Of each stage; empty where the cell has none as a whole.
        verdicts: Of each stage, in the words of `sdtui.report.compare`; empty against the page.
        lines: What the detail pane says, intervals included, or why there is no ratio.
    """

    values: tuple[float, ...] = ()
    verdicts: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()


# ------------------------------------------------------------------------------------------------- against the page


def page_ratios(cells: Mapping[str, CellView], gpu: str) -> dict[str, Ratio]:
    """Returns the ratio to the page's figures of each cell that has figures, by id, as ``--reference`` pairs them."""
    return {cell: _page_ratio(view.spec, view.its, gpu) for cell, view in cells.items() if view.status == "ok"}


def _page_ratio(cell: Cell, its: tuple[float, ...], gpu: str) -> Ratio:
    page = load_reference()
    columns = [page.columns[index] for index in page_columns(cell.mode.name, page.columns)]
    theirs = [(column, page.cell(gpu, cell.slot.batch_size, cell.pipeline_label, column)) for column in columns]
    found = [(column.partition(" - ")[0], each) for column, each in theirs if each is not None]
    why_not = departure(cell.scale, cell.variant)
    if not why_not and not columns:
        why_not = "the page has no such mode"
    if not why_not and not found:
        why_not = "the page has no such pipeline and batch size"
    if why_not:
        return Ratio(lines=(f"not compared with {gpu}: {why_not}",))
    compared = {torch: ratios(its, each.its) for torch, each in found}
    words = [f"{' / '.join(map(times, compared[torch])) or 'no ratio'} {torch} ({each.text})" for torch, each in found]
    return Ratio(compared.get(PAGE_TORCH, ()), lines=(f"÷ {gpu}: {', '.join(words)}", PAGE_DOUBTS))


# -------------------------------------------------------------------------------------------------- against a run


def wanted_of(cells: Mapping[str, CellView]) -> dict[Path, frozenset[str]]:
    """Returns the ids of the cells that are there to be compared, by the run that their figures come from."""
    wanted: dict[Path, set[str]] = {}
    for view in cells.values():
        if view.state == "finished" and view.run is not None:
            wanted.setdefault(view.run, set()).add(view.id)
    return {folder: frozenset(ids) for folder, ids in wanted.items()}


def compare_with_run(other: OtherRun, wanted: Mapping[Path, frozenset[str]], post: Post, cancelled: Cancelled) -> None:
    """Posts `RatiosFound`: cells by the samples of their runs against those of another run.

    Args:
        other: The run to compare with.
        wanted: As `wanted_of` returns them.
        post: Takes the message.
        cancelled: Whether nobody waits for it any more.
    """
    from sdtui.report.compare import compare_runs

    ratios: dict[str, Ratio] = {}
    try:
        theirs = runs.read(other.folder)
        for folder, cells in wanted.items():
            if cancelled():
                return
            if folder == other.folder:
                ratios.update(dict.fromkeys(cells, Ratio(lines=(f"measured in run {other.name} itself",))))
                continue
            ratios.update(dict.fromkeys(cells, Ratio(lines=(f"not compared: run {other.name} has no such cell",))))
            if common := cells & theirs.cells.keys():
                found = compare_runs(theirs, runs.read(folder))
                ratios.update({cell: ratio_of(found, cell, other.name) for cell in common})
    except UserError as error:
        post(RatiosFound(other, {}, str(error)))
    else:
        post(RatiosFound(other, ratios))


def ratio_of(comparison: RunComparison, cell: str, name: str) -> Ratio:
    """Returns what a comparison says of a cell that both of its runs have.

    Args:
        comparison: The other run is its first.
        cell: The cell's id.
        name: Of the other run.
    """
    pairs = [pair for pair in comparison.pairs if pair.cell == cell]
    refused = [each for each in comparison.not_compared if each.cell == cell]
    several = len(pairs) + len(refused) > 1
    lines = []
    for pair in pairs:
        stage = f"{pair.stage} " if several else ""
        between = f"{pair.interval.low:.3f} to {pair.interval.high:.3f}"
        lines.append(f"÷ run {name}: {stage}{pair.ratio:.3f}× ({between}) {pair.verdict}, by the median step")
    for each in refused:
        stage = f" {each.stage}" if each.stage else ""
        lines.append(f"not compared{stage}: {each.reason} (A is run {name}, B this one)")
    values = () if refused else tuple(pair.ratio for pair in pairs)
    return Ratio(values, tuple(pair.verdict for pair in pairs) if values else (), tuple(lines))


# ------------------------------------------------------------------------------------------------------ the matrix


def compared(board: Board, draft: Draft, ratios: Mapping[str, Ratio], name: str) -> Board:
    """Returns the board with ratios in place of figures.

    Args:
        board: With figures.
        draft: That it was made of.
        ratios: By cell id.
        name: What they are to, where no verdict says more.
    """

    def square(each: Square) -> Square:
        cell = draft.cells.get(each.slot)
        return _compared(each, ratios.get(cell.id) if cell else None, name) if each.kind == "ok" else each

    rows = tuple(replace(row, squares=tuple(map(square, row.squares))) for row in board.rows)
    return replace(board, rows=rows)


def _compared(square: Square, ratio: Ratio | None, name: str) -> Square:
    note = FLAG if FLAG in square.note else ""
    if ratio is None or not ratio.values:
        return replace(square, note=note, level=0)
    faster = set(ratio.verdicts) <= {"faster"}
    return replace(
        square,
        text=_texts(ratio, name)[0],
        shorter=_texts(ratio, name)[1:],
        note=note,
        level=level_of(min(ratio.values)) if faster else 0,
    )


def _texts(ratio: Ratio, name: str) -> tuple[str, ...]:
    """Writes ``5.07× A100`` or ``1.02× same``; of several stages the longest text first, then shorter ones."""
    figures = [f"{value:.2f}" if value >= 0.1 else f"{value:.2g}" for value in ratio.values]
    spaced, close = " / ".join(figures) + "×", "/".join(figures) + "×"
    agreed = set(ratio.verdicts)
    word = name if not agreed else agreed.pop() if len(agreed) == 1 else ""
    return tuple(dict.fromkeys((f"{spaced} {word}".rstrip(), f"{close} {word}".rstrip(), spaced, close)))


class Comparer:
    """What the matrix is compared with, and the ratios as far as they are known.

    Attributes:
        ratios: By cell id.
    """

    def __init__(self, in_thread: InThread) -> None:
        self._in_thread = in_thread
        self._against: Against | None = None
        self._wanted: dict[Path, frozenset[str]] = {}
        self.ratios: Mapping[str, Ratio] = {}

    @property
    def against(self) -> Against | None:
        """What to compare with; ``None`` shows figures."""
        return self._against

    @against.setter
    def against(self, against: Against | None) -> None:
        self._against, self._wanted, self.ratios = against, {}, {}

    def update(self, cells: Mapping[str, CellView]) -> None:
        """Compares what is new of the cells of the matrix."""
        if isinstance(self._against, PageGpu):
            self.ratios = page_ratios(cells, self._against.gpu)
        elif isinstance(self._against, OtherRun) and self._wanted != (wanted := wanted_of(cells)):
            self._wanted = wanted
            self._in_thread("compare", compare_with_run, self._against, wanted, cancellable=True)

    def take(self, message: RatiosFound) -> None:
        """Takes the ratios to another run, if it is still compared with; one that is gone ends that."""
        if message.against != self._against:
            return
        if message.problem:
            self.against = None
        self.ratios = message.ratios

    def shown_on(self, board: Board, draft: Draft) -> Board:
        """Returns the board as it is shown: with ratios where there are some."""
        return compared(board, draft, self.ratios, self._against.name) if self._against else board

    @property
    def words(self) -> str:
        """What the heading says."""
        if self._against is None:
            return ""
        return f"   ÷ {self._against.words}" + (" …" if isinstance(self._against, OtherRun) and not self.ratios else "")

    @property
    def page_gpu(self) -> str | None:
        """The GPU of the docs page that is compared with."""
        return self._against.gpu if isinstance(self._against, PageGpu) else None

    def told(self, cell: Cell | None) -> tuple[str, ...]:
        """Returns what the detail pane says of a cell, line by line."""
        ratio = self.ratios.get(cell.id) if cell else None
        return ratio.lines if ratio else ()
