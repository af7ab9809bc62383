"""Where charts are drawn: a figure laid out in inches from its top left, written as SVG or PNG.

The only module that imports matplotlib, and only when it draws. Nothing of the machine enters what it writes: no date,
no version, no random id, no setting of the user's.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, Literal

from sdtui.report import charts_style as style

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 7.0
"""Of every chart, in inches: 700 pixels on a page, 1,400 as PNG."""

_PNG_DPI = 200
_PIXELS_PER_INCH = 100
_MARGIN = 0.12
_LINE = 0.155
_TITLE_LINE = 0.24
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Chart:
    """A chart that can be drawn.

    Attributes:
        name: Of its file, without suffix; unique in a report.
        title: What it shows.
        subtitle: Of what, in which unit, and how to read it.
        description: What a reader would see, in words with the main figures, for those who do not see it.
        height: Of what is below the title, in inches.
        draw: Draws it.
    """

    name: str
    title: str
    subtitle: str
    description: str
    height: float
    draw: Callable[[Canvas], None]


class Canvas:
    """The part of a figure below the title; lengths are inches, from the top left, margins not counted."""

    width = WIDTH - 2 * _MARGIN

    def __init__(self, figure: Figure, top: float) -> None:
        self._figure = figure
        self._height = float(figure.get_figheight())
        self._top = top

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Adds axes at a place."""
        bottom = self._height - self._top - top - height
        return self._figure.add_axes(
            ((left + _MARGIN) / WIDTH, bottom / self._height, width / WIDTH, height / self._height)
        )

    def text(self, left: float, top: float, text: str, **properties: Any) -> None:
        """Writes a line whose middle is ``top`` below the title."""
        x, y = (left + _MARGIN) / WIDTH, 1 - (self._top + top) / self._height
        self._figure.text(x, y, plain(text), **{"va": "center_baseline", **properties})

    def line(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        """Draws a thin straight line."""
        from matplotlib.lines import Line2D

        xs = [(x + _MARGIN) / WIDTH for x in (left, right)]
        ys = [1 - (self._top + y) / self._height for y in (top, bottom)]
        self._figure.add_artist(Line2D(xs, ys, color=colour, linewidth=0.6, transform=self._figure.transFigure))

    def marker(self, left: float, top: float, marker: str, colour: str) -> None:
        """Draws a marker, for a key."""
        from matplotlib.lines import Line2D

        x, y = (left + _MARGIN) / WIDTH, 1 - (self._top + top) / self._height
        where = self._figure.transFigure
        self._figure.add_artist(
            Line2D([x], [y], marker=marker, color=colour, markersize=5, linestyle="", transform=where)
        )


def svg(chart: Chart) -> str:
    """Writes a chart as an SVG document: text as text, dark where the reader's screen is."""
    content = _tidy(_saved(chart, "svg").decode(), chart)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{content}'


def inline_svg(chart: Chart) -> str:
    """Writes a chart as an ``<svg>`` element to stand in a page that has `charts_style.dark_css`."""
    content = re.sub(r"<style>.*?</style>\n", "", _tidy(_saved(chart, "svg").decode(), chart), flags=re.DOTALL)
    return re.sub(r'^<svg width="\d+" height="\d+" ', "<svg ", content).rstrip("\n")


def png(chart: Chart) -> bytes:
    """Writes a chart as PNG, on white."""
    return _saved(chart, "png")


def log_scale(axes: Axes, low: float, high: float) -> None:
    """Makes an axis of y logarithmic: ticks at powers of ten, and at twice and five times those where there are few."""
    from matplotlib.ticker import LogLocator, NullLocator

    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 100 else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.yaxis.set_minor_locator(NullLocator())


def text_width(text: str, size: float = style.BASE, bold: bool = False) -> float:
    """Returns how wide a line of text is, in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(family="DejaVu Sans", size=size, weight="bold" if bold else "normal")
    with _glyphs_may_lack():
        width: float = text_to_path.get_text_width_height_descent(plain(text), font, ismath=False)[0]
    return width / 72


def fitted(text: str, width: float, size: float = style.BASE) -> str:
    """Returns the text, its end replaced by ``…`` where it is wider than ``width`` inches."""
    text = plain(text)
    if text_width(text, size) <= width + _ROUNDING:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text.rstrip() + "…"


def wrapped(text: str, width: float, size: float = style.BASE) -> list[str]:
    """Returns the text in lines no wider than ``width`` inches, broken between words."""
    lines: list[str] = []
    for word in plain(text).split():
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(fitted(word, width, size))
    return lines


def plain(text: str) -> str:
    """Returns text without what neither XML nor a line of a chart can hold."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


@contextmanager
def _settings() -> Iterator[None]:
    """Matplotlib as it is out of the box, with ours on top."""
    from matplotlib import style as styles

    with styles.context(["default", style.SETTINGS]), _glyphs_may_lack():
        yield


@contextmanager
def _glyphs_may_lack() -> Iterator[None]:
    """A letter that the font lacks is no news: an SVG's reader may have it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def _saved(chart: Chart, form: Literal["svg", "png"]) -> bytes:
    file = io.BytesIO()
    with _settings():
        figure = _figure(chart)
        if form == "svg":
            figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
        else:
            figure.savefig(file, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return file.getvalue()


def _figure(chart: Chart) -> Figure:
    from matplotlib.figure import Figure

    lines = wrapped(chart.subtitle, Canvas.width)
    top = _MARGIN + _TITLE_LINE + _LINE * len(lines) + 0.1
    figure = Figure(figsize=(WIDTH, top + chart.height + _MARGIN))
    head = Canvas(figure, _MARGIN)
    head.text(0, _TITLE_LINE / 2, fitted(chart.title, Canvas.width * 0.95, style.TITLE), size=style.TITLE, weight=700)
    for number, line in enumerate(lines):
        head.text(0, _TITLE_LINE + _LINE * (number + 0.5), line, color=style.MUTED)
    chart.draw(Canvas(figure, top))
    return figure


def _tidy(content: str, chart: Chart) -> str:
    """Leaves of matplotlib's document what shows: ids only where used, and then this chart's own."""
    content = content[content.index("<svg") :]
    content = re.sub(r"\s*<defs>\s*<style.*?</style>\s*</defs>", "", content, count=1, flags=re.DOTALL)
    content = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", content)
    content = content.replace(" font-family: 'DejaVu Sans';", "").replace("; font-family: 'DejaVu Sans'", "")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', content))
    own = re.sub(r"[^A-Za-z0-9]+", "-", chart.name)
    content = re.sub(r' id="([^"]*)"', lambda m: f' id="{own}-{m[1]}"' if m[1] in used else "", content)
    content = re.sub(r'(href="#|url\(#)', rf"\g<1>{own}-", content)
    content = re.sub(r"[ \t]*\n\s*", "\n", content)
    return re.sub(r"^<svg [^>]*>", lambda m: _root(m[0], chart), content)


def _root(element: str, chart: Chart) -> str:
    found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', element)
    assert found is not None, element
    width, height = (round(float(points) / 72 * _PIXELS_PER_INCH) for points in found.groups())
    return (
        f'<svg width="{width}" height="{height}" {found[0]} xmlns="http://www.w3.org/2000/svg" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink" role="img" aria-label="{escape(plain(chart.description))}" '
        f'font-family="{style.FONT_FAMILY}" stroke-linejoin="round">\n<style>{style.dark_css()}</style>'
    )
