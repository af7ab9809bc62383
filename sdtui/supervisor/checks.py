"""Holds outputs against each other as soon as both are there."""

from __future__ import annotations

from collections.abc import Iterator

from sdtui import check
from sdtui.distance import OutputsError, distance
from sdtui.model.events import CellChecked
from sdtui.model.job import stem
from sdtui.records import RunRecord


def checks(record: RunRecord, cell: str | None = None) -> Iterator[CellChecked]:
    """Compares cells with those of ``no-compile``, where both ended ok and have kept their outputs.

    Of several processes of a cell, the one that began last is compared.

    Args:
        record: Of the run.
        cell: That just ended: every pair that it is in is compared, anew where it was before. ``None`` compares every
            pair that was not compared yet.
    """
    for mine in record.cells.values():
        base = check.base_of(record.cells, mine.spec)
        if base is None or base is mine or not (check.is_ok(mine) and check.is_ok(base)):
            continue
        name, against = mine.spec.id, base.spec.id
        if cell in (name, against) or (cell is None and mine.checked is None):
            try:
                files = stem(name, mine.process), stem(against, base.process)
                yield CellChecked(name, against, distance(record.path / "outputs", *files))
            except FileNotFoundError:  # a folder that was kept without its outputs
                continue
            except OutputsError as error:
                yield CellChecked(name, against, None, str(error))
