"""The charts of a report: which there are, where they stand in it, and their files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from sdtui.records import RunRecord
from sdtui.report import text
from sdtui.report.charts_canvas import Chart
from sdtui.report.charts_rates import rates_charts
from sdtui.report.charts_speed_up import speed_up_charts
from sdtui.report.charts_steps import steps_chart
from sdtui.report.charts_telemetry import telemetry_chart
from sdtui.report.merge import Result, merge
from sdtui.report.tables import Group, grouped
from sdtui.report.tables import build as build_tables

CELLS_HEADING = "Charts per cell: "
"""Before the device in a heading."""


@dataclass(frozen=True)
class CellCharts:
    """The charts of one cell."""

    cell: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Charts:
    """All charts of a report: of the tables, then of each cell that has samples.

    Attributes:
        overview: Of the tables.
        cells: Of each cell, by device.
        folder: Where the report finds their files, as a URL that ends in ``/``; empty beside it.
    """

    overview: tuple[Chart, ...]
    cells: tuple[tuple[Group, tuple[CellCharts, ...]], ...]
    folder: str = ""

    def __iter__(self) -> Iterator[Chart]:
        yield from self.overview
        for _, members in self.cells:
            for member in members:
                yield from member.charts

    def source(self, chart: Chart) -> str:
        """Returns the URL of a chart's picture."""
        return f"{self.folder}{chart.name}.svg"

    def overview_lines(self) -> list[str]:
        """Returns the Markdown lines of ``## Charts``; none where there is no such chart."""
        images = [line for chart in self.overview for line in self._image(chart)]
        return ["## Charts", "", *images] if images else []

    def cell_lines(self) -> list[str]:
        """Returns the Markdown lines of the cells' charts."""
        lines = []
        for group, members in self.cells:
            lines += [f"## {CELLS_HEADING}{text.inline(group.title)}", ""]
            for member in members:
                lines += [f"### {text.inline(member.cell)}", ""]
                lines += [line for chart in member.charts for line in self._image(chart)]
        return lines

    def _image(self, chart: Chart) -> list[str]:
        return [f"![{text.inline(chart.description)}]({self.source(chart)})", ""]


def build(records: Iterable[RunRecord], reference: str | None, folder: str = "") -> Charts:
    """Makes the charts of one or several runs, named so that no two share a file.

    Args:
        records: The runs; several are merged.
        reference: GPU of the docs page that the report compares with; with any, the page's five GPUs stand beside.
        folder: See `Charts`.
    """
    results = merge(records)
    tables = build_tables(results)
    taken: dict[str, int] = {}
    overview = _named([*speed_up_charts(tables, reference is not None), *rates_charts(tables)], taken)
    cells = []
    for group, members in grouped(results).items():
        of_group = [CellCharts(result.spec.id, _named(_cell_charts(result), taken)) for result in members]
        cells.append((group, tuple(cell for cell in of_group if cell.charts)))
    return Charts(overview, tuple((group, found) for group, found in cells if found), folder)


def _cell_charts(result: Result) -> list[Chart]:
    """Draws of several processes the last that counts: its charts say which it is."""
    drawn, several = result.counted[-1], result.run.processes > 1
    whose = result.spec.id + (f", process {drawn.record.process} of {result.run.processes}" if several else "")
    made = (
        steps_chart(drawn.record, drawn.summary, whose, f"steps-{result.spec.id}"),
        telemetry_chart(drawn.record, whose, f"telemetry-{result.spec.id}"),
    )
    return [chart for chart in made if chart is not None]


def _named(charts: Sequence[Chart], taken: dict[str, int]) -> tuple[Chart, ...]:
    """Makes names into file names: a second chart of a name (a cell on another GPU) gets a number."""
    named = []
    for chart in charts:
        name = re.sub(r"[^a-z0-9.]+", "-", chart.name.lower()).strip("-.") or "chart"
        taken[name] = taken.get(name, 0) + 1
        named.append(replace(chart, name=name if taken[name] == 1 else f"{name}-{taken[name]}"))
    return tuple(named)
