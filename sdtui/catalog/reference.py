"""The docs page's 15 tables: what was measured by hand in 2023, for comparison."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sdtui.model.codec import decode
from sdtui.model.errors import UserError

_TABLES = Path(__file__).parent / "reference" / "diffusers_torch2_tables.json"


@dataclass(frozen=True)
class ReferenceCell:
    """One cell of the page's tables.

    Attributes:
        text: As the page prints it: ``21.66``, ``2.34s`` (seconds per iteration), ``20.21 / 13.84 / 24.00``, ``OOM`` …
        status: How the measurement ended.
        its: Iterations per second, one per stage; empty where the status is not ok.
    """

    text: str
    status: Literal["ok", "oom", "unsupported"]
    its: tuple[float, ...] = ()


@dataclass(frozen=True)
class ReferenceRow:
    """A pipeline's cells, one per column; ``note`` is the page's mark on the row."""

    pipeline: str
    cells: tuple[ReferenceCell, ...]
    note: str | None = None


@dataclass(frozen=True)
class ReferenceTable:
    """One GPU at one batch size."""

    gpu: str
    batch_size: int
    rows: tuple[ReferenceRow, ...]


@dataclass(frozen=True)
class Reference:
    """The page.

    Attributes:
        source: The page, by title and version.
        metric: What its figures are.
        columns: Headers after ``Pipeline``, such as ``torch 2.0 - no compile``; the same in every table.
    """

    source: str
    metric: str
    columns: tuple[str, ...]
    tables: tuple[ReferenceTable, ...]

    @property
    def gpus(self) -> tuple[str, ...]:
        """The GPUs of the page, in its order."""
        return tuple(dict.fromkeys(table.gpu for table in self.tables))

    def gpu(self, name: str) -> str:
        """Returns the page's spelling of a GPU's name, given in any case.

        Raises:
            UserError: The page has no such GPU.
        """
        spellings = {gpu.lower(): gpu for gpu in self.gpus}
        spelling = spellings.get(" ".join(name.split()).lower())
        if spelling is None:
            raise UserError(f"--reference: the docs page has no GPU '{name}'; choose from: {', '.join(self.gpus)}")
        return spelling

    def cell(self, gpu: str, batch_size: int, pipeline_label: str, column: str) -> ReferenceCell | None:
        """Returns one cell of the page.

        Args:
            gpu: In any case.
            batch_size: Images per call.
            pipeline_label: Row, such as ``SD - txt2img``.
            column: Header, such as ``torch 2.0 - compile``.

        Returns:
            The cell; ``None`` where the page has no such table, row or column.

        Raises:
            UserError: The page has no such GPU.
        """
        spelling = self.gpu(gpu)
        for table in self.tables:
            for row in table.rows:
                if (table.gpu, table.batch_size, row.pipeline) == (spelling, batch_size, pipeline_label):
                    return row.cells[self.columns.index(column)] if column in self.columns else None
        return None


@functools.cache
def load_reference() -> Reference:
    """Reads the page's tables."""
    return decode(Reference, json.loads(_TABLES.read_text(encoding="utf-8")))
