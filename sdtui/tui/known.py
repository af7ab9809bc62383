"""What the matrix may show of cells: results of the device and torch that would measure them now."""

from __future__ import annotations

from collections.abc import Mapping

from sdtui.report.text import Torch, release, torches
from sdtui.tui.messages import MachineSeen
from sdtui.tui.snapshot import CellView, RunView


def torch_of(run: RunView | None, seen: MachineSeen | None) -> dict[str, Torch]:
    """Returns the torch of each environment by its name: of the run, else as it is here.

    Args:
        run: The one that is shown.
        seen: What was looked up here.
    """
    return {**torches(seen.environments if seen else ()), **(run.torch if run else {})}


def known_cells(results: Mapping[str, CellView], run: RunView | None, seen: MachineSeen | None) -> dict[str, CellView]:
    """Returns cells by id: those of the run, and of earlier results those that would stand beside them in a table.

    Args:
        results: Of earlier runs.
        run: The one that is shown.
        seen: What was looked up here; before that every result counts.
    """
    machine = (run.machine if run else None) or (seen.machine if seen else None)
    torch = {name: release(each.version) for name, each in torch_of(run, seen).items() if each.version}

    def fits(view: CellView) -> bool:
        wanted = torch.get(view.slot.environment)
        return (machine is None or view.device == machine.device_name) and wanted in (None, release(view.torch))

    return {**{cell: view for cell, view in results.items() if fits(view)}, **(run.cells if run else {})}
