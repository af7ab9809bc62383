"""What the matrix may show of cells: results of the device and torch that would measure them now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from sdtui.report.text import Torch, release, torches
from sdtui.tui.messages import MachineSeen
from sdtui.tui.snapshot import CellView, RunView


class Results:
    """The newest result of each cell on each device with each release of torch, of the runs that were read."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, str, str], CellView] = {}

    def __bool__(self) -> bool:
        return bool(self._newest)

    def __iter__(self) -> Iterator[CellView]:
        return iter(self._newest.values())

    def add(self, views: Iterable[CellView]) -> None:
        """Takes in views of cells; of those that ended at the same time, the one that came last."""
        for view in views:
            if view.state == "finished" and view.status != "cancelled":
                key = (view.id, view.device, release(view.torch))
                before = self._newest.get(key)
                if before is None or (before.ended_at or 0) <= (view.ended_at or 0):
                    self._newest[key] = view

    def forget(self, run: Path) -> None:
        """Leaves out those of a run."""
        self._newest = {key: view for key, view in self._newest.items() if view.run != run}


def torch_of(run: RunView | None, seen: MachineSeen | None) -> dict[str, Torch]:
    """Returns the torch of each environment by its name: of the run, else as it is here.

    Args:
        run: The one that is shown.
        seen: What was looked up here.
    """
    return {**torches(seen.environments if seen else ()), **(run.torch if run else {})}


def known_cells(results: Iterable[CellView], run: RunView | None, seen: MachineSeen | None) -> dict[str, CellView]:
    """Returns cells by id: those of the run, and of earlier results those that would stand beside them in a table.

    Args:
        results: Of earlier runs.
        run: The one that is shown.
        seen: What was looked up here; before that every result counts, the newest of each cell.
    """
    machine = (run.machine if run else None) or (seen.machine if seen else None)
    torch = {name: release(each.version) for name, each in torch_of(run, seen).items() if each.version}

    def fits(view: CellView) -> bool:
        wanted = torch.get(view.slot.environment)
        return (machine is None or view.device == machine.device_name) and wanted in (None, release(view.torch))

    fitting = sorted(filter(fits, results), key=lambda view: view.ended_at or 0)
    return {**{view.id: view for view in fitting}, **(run.cells if run else {})}
