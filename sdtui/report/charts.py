"""The charts of a report: which there are, where they stand in it, and their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from sdtui.report import text
from sdtui.report.charts_canvas import Chart
from sdtui.report.charts_rates import rates_charts
from sdtui.report.charts_speed_up import speed_up_charts
from sdtui.report.charts_steps import steps_chart
from sdtui.report.charts_telemetry import telemetry_chart
from sdtui.report.merge import Result
from sdtui.report.tables import Group, Table, grouped


@dataclass(frozen=True)
class CellCharts:
    """The charts of one cell."""

    cell: str
    charts: tuple[Chart, ...]


@dataclass(frozen=True)
class Charts:
    """All charts of a report: of the tables, then of each cell that has samples."""

    overview: tuple[Chart, ...]
    cells: tuple[tuple[Group, tuple[CellCharts, ...]], ...]

    def __iter__(self) -> Iterator[Chart]:
        yield from self.overview
        for _, members in self.cells:
            for member in members:
                yield from member.charts


def build(tables: Sequence[Table], results: Sequence[Result], reference: str | None) -> Charts:
    """Makes the charts of merged results, named so that no two share a file.

    Args:
        tables: Built from the results.
        results: Merged.
        reference: GPU of the docs page that the report compares with; with any, the page's GPUs stand beside.
    """
    taken: dict[str, int] = {}
    overview = [*speed_up_charts(tables, reference is not None), *rates_charts(tables)]
    cells = []
    for group, members in grouped(results).items():
        of_group = [CellCharts(result.spec.id, tuple(_named(_cell_charts(result), taken))) for result in members]
        cells.append((group, tuple(cell for cell in of_group if cell.charts)))
    return Charts(tuple(_named(overview, taken)), tuple((group, found) for group, found in cells if found))


def overview_lines(charts: Charts, source: Callable[[Chart], str]) -> list[str]:
    """Returns the Markdown lines of ``## Charts``; none where there is no chart.

    Args:
        charts: Of the report.
        source: Says where a chart's picture is.
    """
    if not charts.overview:
        return []
    return ["## Charts", "", *(line for chart in charts.overview for line in _image(chart, source))]


def cell_lines(charts: Charts, source: Callable[[Chart], str]) -> list[str]:
    """Returns the Markdown lines of the cells' charts, by device."""
    lines = []
    for group, members in charts.cells:
        lines += [f"## Charts per cell: {text.inline(group.title)}", ""]
        for member in members:
            lines += [f"### {text.inline(member.cell)}", ""]
            lines += [line for chart in member.charts for line in _image(chart, source)]
    return lines


def _cell_charts(result: Result) -> list[Chart]:
    made = (
        steps_chart(result.record, result.summary, f"steps-{result.spec.id}"),
        telemetry_chart(result.record, f"telemetry-{result.spec.id}"),
    )
    return [chart for chart in made if chart is not None]


def _named(charts: Sequence[Chart], taken: dict[str, int]) -> Iterator[Chart]:
    """Makes names into file names: a second chart of a name (a cell on another GPU) gets a number."""
    for chart in charts:
        name = re.sub(r"[^a-z0-9.]+", "-", chart.name.lower()).strip("-.") or "chart"
        taken[name] = taken.get(name, 0) + 1
        yield replace(chart, name=name if taken[name] == 1 else f"{name}-{taken[name]}")


def _image(chart: Chart, source: Callable[[Chart], str]) -> list[str]:
    return [f"![{text.inline(chart.description)}]({source(chart)})", ""]
