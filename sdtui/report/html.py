"""A report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

It is the Markdown report with its charts, read by markdown-it: whatever the Markdown says, the page says.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from pathlib import Path

from sdtui.records import RunRecord
from sdtui.report import charts as report_charts
from sdtui.report import charts_style as style
from sdtui.report.charts_canvas import inline_svg
from sdtui.report.cost import Price
from sdtui.report.html_body import body
from sdtui.report.markdown import markdown
from sdtui.report.merge import merge

_CSS = Path(__file__).with_name("html.css")
_COLOURS = {
    "surface": style.SURFACE,
    "ink": style.INK,
    "muted": style.MUTED,
    "grid": style.GRID,
    "band": style.BAND,
    "link": style.SERIES[0],
}
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load for the page: nothing."""


def html_report(records: Iterable[RunRecord], reference: str | None = None, price: Price | None = None) -> str:
    """Writes the whole report as a page, light or dark as the reader's screen is.

    Args:
        records: One or several runs; several are merged.
        reference: GPU of the docs page to compare with; the charts then show the page's five GPUs.
        price: Of the machine; adds what images cost.

    Raises:
        UserError: The page has no such GPU.
    """
    runs = list(records)
    charts = report_charts.build(runs, reference)
    source = markdown(runs, reference, price, charts)
    pictures = {charts.source(chart): inline_svg(chart) for chart in charts}
    devices = dict.fromkeys(result.device for result in merge(runs))
    return _page(" · ".join(["sdtui report", *devices]), body(source, pictures))


def _page(title: str, content: str) -> str:
    light = "".join(f"--{name}:{colour};" for name, colour in _COLOURS.items())
    dark = "".join(f"--{name}:{style.DARK[colour]};" for name, colour in _COLOURS.items())
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{html.escape(title)}</title>
<style>
:root{{{light}}}
@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}
{_CSS.read_text(encoding="utf-8")}{style.dark_css()}
</style>
</head>
<body>
<main>
{content}</main>
</body>
</html>
"""
