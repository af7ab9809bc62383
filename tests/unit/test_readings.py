from __future__ import annotations

from typing import Any

from sdtui import readings
from sdtui.model.cell import Cell, Mode, Slot
from sdtui.model.events import Telemetry
from sdtui.records import CellRecord

CELL = "p.m.current.b1-00000000"


def record(*samples: tuple[float, Any]) -> CellRecord:
    spec = Cell(CELL, Slot("p", "m", "current", 1), "P", Mode("m", "m"), "full", 3, "float16", "random", 0, "", ())
    return CellRecord(spec, telemetry=[(t, Telemetry(CELL, "gpu", {"x": value})) for t, value in samples])


def test_a_figure_holds_until_the_next() -> None:
    told = record((0, 10), (1, 20), (4, 0))
    assert readings.mean(told, "x", [(0, 2)]) == 15
    assert readings.mean(told, "x", [(0.5, 1.5), (3, 5)]) == (5 + 10 + 20 + 0) / 3
    assert readings.median(told, "x", [(0, 5)]) == 20
    assert readings.highest(told, "x", [(0, 1)]) == 10
    assert readings.highest(told, "x", [(2, 3)]) == 20


def test_time_without_a_figure_counts_for_nothing() -> None:
    told = record((1, 10), (2, None), (3, 40))
    assert readings.mean(told, "x", [(0, 4)]) == 25
    assert readings.median(told, "x", [(2, 3)]) is None
    assert readings.mean(told, "x", [(0, 1)]) is None
    assert readings.mean(told, "y", [(0, 4)]) is None
    assert readings.mean(told, "x", []) is None


def test_shares_of_names() -> None:
    told = record((0, ["a"]), (1, ["a", "b"]), (2, []), (4, None))
    assert readings.shares(told, "x", [(0, 6)]) == {"a": 0.5, "b": 0.25}
    assert readings.shares(told, "y", [(0, 6)]) == {}
