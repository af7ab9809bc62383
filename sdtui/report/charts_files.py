"""A Markdown report with its charts as files beside it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from sdtui.model.errors import UserError, nearest
from sdtui.records import RunRecord
from sdtui.report import charts as report_charts
from sdtui.report.charts_canvas import png, svg
from sdtui.report.cost import Price
from sdtui.report.markdown import markdown
from sdtui.report.render import FORMATS, charts_folder, is_open_elsewhere, save


def save_with_charts(
    records: Sequence[RunRecord], fmt: str, reference: str | None, price: Price | None, output: Path | None
) -> None:
    """Writes ``F.md``, which shows the SVG files in ``F-charts/``; PNG files of the same names are there too.

    Args:
        records: The runs.
        fmt: As a person named it; Markdown alone has its charts beside it.
        reference: GPU of the docs page to compare with; the charts then show the page's five GPUs.
        price: Of the machine; adds what images cost.
        output: As a person named it.

    Raises:
        UserError: The format has no charts beside it, there is no file for them to be beside, one cannot be written,
            or the page has no such GPU.
    """
    if fmt == "html":
        raise UserError("--charts: --format html has its charts inside; leave --charts out")
    if fmt not in FORMATS:
        raise UserError(f"--format: unknown format '{fmt}'; {nearest(fmt, FORMATS)}")
    if fmt != "md":
        raise UserError(f"--charts: {fmt} has no charts; choose --format md with -o F.md, or --format html")
    if output is None or is_open_elsewhere(output):
        raise UserError("--charts: charts are files beside the Markdown; name it with -o F.md")
    if not output.parent.is_dir():
        raise UserError(f"-o {output}: no folder '{output.parent}'")
    folder = charts_folder(output)
    charts = report_charts.build(records, reference, f"{quote(folder.name)}/")
    content = markdown(records, reference, price, charts)
    for chart in charts:
        _write(folder / f"{chart.name}.svg", svg(chart).encode())
        _write(folder / f"{chart.name}.png", png(chart))
    save(content, output)


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--charts: cannot write {path}: {error.strerror}") from error
