"""Results as the tables of the docs page: one per device, scale, variant and batch size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sdtui.model.cell import Scale
from sdtui.report import text
from sdtui.report.merge import Result


@dataclass(frozen=True)
class Group:
    """What may stand side by side: results of one device at one scale, with the same departure from the protocol."""

    device: str
    scale: Scale
    variant: str

    @property
    def title(self) -> str:
        """``<GPU>[ · tiny][ · variant]``."""
        parts = [self.device, *(["tiny"] if self.scale == "tiny" else []), *([self.variant] if self.variant else [])]
        return " · ".join(parts)


@dataclass(frozen=True)
class Column:
    """A mode in an environment.

    Attributes:
        label: As the header prints it, such as ``torch 2.11 - no compile``.
        mode: The mode's name.
        environment: The environment's name.
        torch: Its full version.
    """

    label: str
    mode: str
    environment: str
    torch: str | None


@dataclass(frozen=True)
class Entry:
    """One cell of a table.

    Attributes:
        text: What the page would print.
        result: What it stands for; ``None`` where no run has the cell.
    """

    text: str
    result: Result | None


@dataclass(frozen=True)
class Row:
    """One pipeline: an entry per column. ``remark`` says what sets apart a second row of the same pipeline."""

    label: str
    pipeline: str
    entries: tuple[Entry, ...]
    remark: str = ""


@dataclass(frozen=True)
class Table:
    """One table of the docs layout."""

    group: Group
    batch_size: int
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]

    @property
    def heading(self) -> str:
        """``<GPU>[ · tiny][ · variant] (batch size: N)``."""
        return f"{self.group.title} (batch size: {self.batch_size})"


def group_of(result: Result) -> Group:
    """Returns the group that a result belongs to."""
    return Group(result.device, result.spec.scale, result.spec.variant)


def grouped(results: Sequence[Result]) -> dict[Group, list[Result]]:
    """Returns the results by group, a device's groups together, in order of appearance."""
    devices = list(dict.fromkeys(result.device for result in results))
    groups: dict[Group, list[Result]] = {}
    for device in devices:
        for result in results:
            if result.device == device:
                groups.setdefault(group_of(result), []).append(result)
    return groups


def build(results: Sequence[Result]) -> tuple[Table, ...]:
    """Builds the tables: by device, scale and variant as they appear, then by batch size ascending.

    Rows and columns of a group's tables are in one order, that in which the group's results name them first.
    """
    tables = []
    for group, members in grouped(results).items():
        labels = _environment_labels([result for result in results if result.device == group.device])
        pipelines = list(dict.fromkeys(result.spec.slot.pipeline for result in members))
        modes = list(dict.fromkeys(result.spec.mode.name for result in members))
        for size in sorted({result.spec.slot.batch_size for result in members}):
            of_size = [result for result in members if result.spec.slot.batch_size == size]
            tables.append(_table(group, size, of_size, pipelines, modes, labels))
    return tuple(tables)


def _environment_labels(results: Iterable[Result]) -> dict[tuple[str, str], str]:
    """Labels the environments of one device, for all its tables alike; of several labels the last one counts."""
    torches: dict[tuple[str, str], text.Torch] = {}
    for result in results:
        torch = torches.setdefault(result.environment, text.Torch(result.spec.slot.environment, result.torch))
        torches[result.environment] = torch._replace(label=result.environment_label or torch.label)
    return dict(zip(torches, text.torch_labels([*torches.values()]), strict=True))


def _table(
    group: Group,
    batch_size: int,
    results: list[Result],
    pipelines: list[str],
    modes: list[str],
    labels: dict[tuple[str, str], str],
) -> Table:
    keys, columns = _columns(results, modes, labels)
    names = {result.spec.slot.pipeline: result.spec.pipeline_label for result in reversed(results)}
    present = [pipeline for pipeline in pipelines if pipeline in names]
    rows: list[Row] = []
    for pipeline, label in zip(present, text.distinct([names[pipeline] for pipeline in present], present), strict=True):
        rows += _rows(pipeline, label, keys, [r for r in results if r.spec.slot.pipeline == pipeline])
    return Table(group, batch_size, columns, tuple(rows))


def _columns(
    results: list[Result], modes: list[str], labels: dict[tuple[str, str], str]
) -> tuple[list[tuple[str, tuple[str, str]]], tuple[Column, ...]]:
    """Returns, for each mode and then each environment that has a cell, what identifies a column, and the column."""
    names = {result.spec.mode.name: result.spec.mode.label for result in reversed(results)}
    versions = {result.environment: result.torch for result in reversed(results)}
    present = {(result.spec.mode.name, result.environment) for result in results}
    modes = [mode for mode in modes if mode in names]
    mode_labels = dict(zip(modes, text.distinct([names[mode] for mode in modes], modes), strict=True))
    environments = [key for key in labels if key in versions]
    keys = [(mode, environment) for mode in modes for environment in environments if (mode, environment) in present]
    columns = tuple(
        Column(f"{labels[environment]} - {mode_labels[mode]}", mode, environment[0], versions[environment])
        for mode, environment in keys
    )
    return keys, columns


def _rows(pipeline: str, label: str, keys: list[tuple[str, tuple[str, str]]], results: list[Result]) -> list[Row]:
    """Returns the pipeline's row, and a further one wherever a slot holds other work under the same names."""
    columns: dict[tuple[str, tuple[str, str]], list[Result]] = {key: [] for key in keys}
    for result in results:
        columns[result.spec.mode.name, result.environment].append(result)
    rows = []
    for index in range(max(len(column) for column in columns.values())):
        entries = tuple(_entry(column[index] if index < len(column) else None) for column in columns.values())
        ids = ", ".join(entry.result.spec.id for entry in entries if entry.result)
        remark = f"Other work under the same names than in the row above: {ids}." if index else ""
        rows.append(Row(f"{label} · {index + 1}" if index else label, pipeline, entries, remark))
    return rows


def _entry(result: Result | None) -> Entry:
    if result is None:
        return Entry(text.NONE, None)
    if result.is_partial:
        return Entry(text.rates(result.its) or text.NONE, result)
    its = result.its if result.status == "ok" else ()
    return Entry(text.outcome(result.status, result.call, its), result)
