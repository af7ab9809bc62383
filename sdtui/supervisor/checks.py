"""Holds outputs against each other as soon as both are there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from sdtui import check
from sdtui.distance import OutputsError, UnreadableError, distance
from sdtui.model.events import CellChecked
from sdtui.model.job import stem
from sdtui.records import CellRecord, RunRecord


def checks(record: RunRecord, cell: str | None = None) -> Iterator[CellChecked]:
    """Compares cells with those of ``no-compile``, where both ended ok and have kept their outputs.

    Of several processes of a cell, the one that began last is compared, with the last of ``no-compile`` that ended ok.

    Args:
        record: Of the run.
        cell: That just ended: every pair that it is in is compared, anew where it was before. ``None`` compares every
            pair that was not compared yet.
    """
    for mine in record.cells.values():
        base = check.base_of(record.cells, mine.spec)
        against = check.last_ok(base) if base else None
        if base is None or against is None or base is mine or not check.is_ok(mine):
            continue
        anew = cell == mine.spec.id or (cell == base.spec.id and check.is_ok(base))
        if anew or (cell is None and mine.checked is None):
            yield from _compared(record.path / "outputs", mine, against)


def _compared(outputs: Path, mine: CellRecord, base: CellRecord) -> Iterator[CellChecked]:
    name, against = mine.spec.id, base.spec.id
    try:
        found = distance(outputs, stem(name, mine.process), stem(against, base.process))
        yield CellChecked(name, against, found)
    except FileNotFoundError:  # a folder that was kept without its outputs
        return
    except UnreadableError as error:
        yield CellChecked(name, against, None, str(error), readable=False)
    except OutputsError as error:
        yield CellChecked(name, against, None, str(error))
