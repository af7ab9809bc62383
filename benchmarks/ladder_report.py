"""What `ladder.py` found, as Markdown tables and as a chart of milliseconds per step.

    python benchmarks/ladder_report.py ladder-b1.json ladder-b4.json ladder-b16.json --chart ladder.svg

A table for each file, in the order in which they are named: rungs compare within a file, not between files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui.report import charts_style as style
from sdtui.report import text
from sdtui.report.charts_canvas import Canvas, Chart, svg
from sdtui.report.charts_rows import RowLayout, RowName

HEADER = (
    "Rung",
    "ms a step",
    "95 % interval",
    "× as fast as compile",
    "95 % interval",
    "Relative L2",
    "Calls",
    "Built in s",
)
BASELINES = ("no-compile", "compile")
_LABELS = 0.5


def titles(ladders: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what the rungs of each file were measured on and with; numbers the files that have that in common."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for ladder in ladders:
        tiny = " · tiny" if ladder["scale"] == "tiny" else ""
        title = f"{ladder['device']}{tiny}, torch {ladder['torch']}, batch size {ladder['batch_size']}"
        seen[title] += 1
        found.append(f"{title} ({seen[title]})" if seen[title] > 1 else title)
    return found


def rows(ladder: dict[str, Any]) -> Iterator[Sequence[str]]:
    """Yields a row of text for each rung; one that could not be had has its reason."""
    for rung in ladder["rungs"]:
        built = "–" if rung["build_s"] is None else f"{rung['build_s']:.0f}"
        distance = "–" if rung["relative_l2"] is None else f"{rung['relative_l2']:.4f}"
        figures = (*_figures(rung["step_ms"], "{:.3f}"), *_figures(rung["faster_than_compile"], "{:.2f}"))
        name = rung["mode"] if not rung["reason"] else f"{rung['mode']}: {text.inline(rung['reason'])}"
        yield name, *figures, distance, str(rung["calls"]), built


def _figures(found: dict[str, Any] | None, form: str) -> tuple[str, str]:
    if found is None:
        return "–", "–"
    ends = " to ".join(form.format(end) for end in found["interval"] or ())
    return form.format(found["median"]), ends or "–"


def chart(ladders: Sequence[dict[str, Any]]) -> Chart:
    """Returns a chart with a group for each file, a row for each rung that has a figure."""
    drawn = {
        title: [rung for rung in ladder["rungs"] if rung["step_ms"]]
        for title, ladder in zip(titles(ladders), ladders, strict=True)
    }
    layout = RowLayout([RowName(title, rung["mode"]) for title, rungs in drawn.items() for rung in rungs])
    said = "; ".join(
        f"{title}: " + ", ".join(f"{rung['mode']} {rung['step_ms']['median']:.2f}" for rung in rungs)
        for title, rungs in drawn.items()
    )
    name = "Milliseconds per denoiser step"
    return Chart(
        "ladder",
        name,
        "SD - txt2img, by device events; less is better. Lines: 95 % intervals.",
        f"{name}: {said}.",
        layout.height,
        lambda canvas: _draw(canvas, layout, [rung for rungs in drawn.values() for rung in rungs]),
    )


def _draw(canvas: Canvas, layout: RowLayout, rungs: Sequence[dict[str, Any]]) -> None:
    axes = layout.axes(canvas, 0, _LABELS)
    extents = [rung["step_ms"]["interval"] or [rung["step_ms"]["median"]] for rung in rungs]
    axes.set_xlim(0, max(map(max, extents)))
    for y, rung, ends in zip(layout.positions, rungs, extents, strict=True):
        colour = style.BASELINE if rung["mode"] in BASELINES else style.SERIES[0]
        median = rung["step_ms"]["median"]
        axes.plot([0, median], [y, y], color=style.GRID, linewidth=3, zorder=1)
        axes.plot(ends, [y] * len(ends), color=colour, linewidth=1.4, clip_on=False, zorder=2)
        axes.plot([median], [y], "o", color=colour, markersize=5, clip_on=False, zorder=3)
        axes.annotate(
            f"{median:.2f}",
            (max(ends), y),
            xytext=(6, 0),
            textcoords="offset points",
            va="center_baseline",
            annotation_clip=False,
        )
    axes.set_xlabel("ms a step", loc="left")


def main() -> None:
    """Prints the tables, and draws the chart where one is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ladders", nargs="+", type=Path, metavar="F", help="what ladder.py wrote with -o")
    parser.add_argument("--chart", type=Path, metavar="F.svg", help="draw all in one chart")
    chosen = parser.parse_args()
    try:
        ladders = [json.loads(path.read_text(encoding="utf-8")) for path in chosen.ladders]
    except (OSError, ValueError) as error:
        parser.error(f"cannot be read: {error}")
    for title, ladder in zip(titles(ladders), ladders, strict=True):
        print(f"### {title}\n")
        print("\n".join(text.table_lines(HEADER, list(rows(ladder)))) + "\n")
    if chosen.chart and not any(rung["step_ms"] for ladder in ladders for rung in ladder["rungs"]):
        parser.error("--chart: no rung has a figure")
    if chosen.chart:
        chosen.chart.write_text(svg(chart(ladders)), encoding="utf-8")


if __name__ == "__main__":
    main()
