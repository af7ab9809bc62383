"""What differs between where, and with what, two sets of cells ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sdtui.model.codec import encode
from sdtui.report.merge import Result, sitting_of
from sdtui.report.text import NOT_AVAILABLE

_WAYS = {"cold": False, "trace": False, "exclusive": True}
"""What a sitting's flags say of how its workers ran, and how they did before flags said so."""
_OF_THE_MOMENT = ("boot_id", "index")  # say nothing of how fast a machine is


@dataclass(frozen=True)
class Difference:
    """A fact that the two do not share; several values of one side are separated by commas."""

    name: str
    a: str
    b: str


def differences(a: Sequence[Result], b: Sequence[Result]) -> tuple[Difference, ...]:
    """Returns every fact of the machines, interpreters and settings of two sets of results in which they differ.

    Args:
        a: Results of the first run, whose own sittings count.
        b: Of the second.
    """
    ours, theirs = _facts(a), _facts(b)
    return tuple(
        Difference(name, _joined(ours.get(name)), _joined(theirs.get(name)))
        for name in {**ours, **theirs}
        if _joined(ours.get(name)) != _joined(theirs.get(name))
    )


def _facts(results: Sequence[Result]) -> dict[str, dict[str, None]]:
    """Returns the distinct values of each fact, in order of appearance."""
    facts: dict[str, dict[str, None]] = {}
    for result in results:
        for name, value in _facts_of(result):
            facts.setdefault(name, {})[_text(value)] = None
    return facts


def _facts_of(result: Result) -> Iterator[tuple[str, Any]]:
    spec = result.spec
    sitting = sitting_of(result.run, result.record)
    if sitting is not None:
        yield "sdtui", sitting.started.sdtui
        yield from _flat("", encode(sitting.started.machine))
        for environment in sitting.started.environments:
            if environment.name == spec.slot.environment:
                yield from _flat(f"{environment.name}: ", encode(environment))
        yield from ((way, sitting.started.flags.get(way, before)) for way, before in _WAYS.items())
    yield from (("weights", spec.weights), ("seed", spec.seed), ("prompt", spec.prompt))
    if result.on_gpu and any(call.call > 1 for process in result.processes for call in process.record.calls):
        yield "median SM clock MHz while measuring", result.sm_clock_mhz


def _flat(prefix: str, value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields nested values under names such as ``gpu driver`` and ``current: torch``."""
    for key, item in value.items():
        name = prefix + key.replace("_", " ")
        if isinstance(item, Mapping):
            yield from _flat(prefix if key == "packages" else f"{name} ", item)
        elif key not in _OF_THE_MOMENT:
            yield name, item


def _joined(values: Mapping[str, None] | None) -> str:
    return ", ".join(values) if values else NOT_AVAILABLE


def _text(value: Any) -> str:
    if value is None:
        return NOT_AVAILABLE
    if isinstance(value, bool):
        return "on" if value else "off"
    return f"{value:.6g}" if isinstance(value, float) else str(value)
