"""The look of charts: colours by what they mean, in light and dark, and matplotlib's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

SURFACE = "#ffffff"
INK = "#1f2328"
MUTED = "#626b75"
GRID = "#dfe3e8"
BAND = "#eef1f5"
BASELINE = "#6e7681"
SERIES = ("#0072b2", "#d55e00", "#00835c", "#b0508a", "#8f6a00", "#5b4bb7")
"""After Okabe and Ito, darkened where white needs it: told apart by who confuses red and green. Charts that tell series
apart give each a marker of its own too."""

DARK = {
    SURFACE: "#14171c",
    INK: "#e8eaed",
    MUTED: "#a0a8b2",
    GRID: "#2d333b",
    BAND: "#1e232a",
    BASELINE: "#9aa3ad",
    **dict(zip(SERIES, ("#4fb0f0", "#ff8f4a", "#35c79a", "#e58fc2", "#deb040", "#a99df8"), strict=True)),
}
"""The colour to show on a dark page for each that is drawn."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X")

SMALL, BASE, TITLE = 7.5, 8.0, 10.0
"""Font sizes in points: 8 is 11 pixels where a chart of 7 inches is shown 700 pixels wide."""

FONT_FAMILY = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"
"""What SVG text asks for. Charts are laid out in DejaVu Sans, which is wider than all of these: labels always fit."""

SETTINGS: dict[str, Any] = {
    "svg.hashsalt": "sdtui",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": BASE,
    "text.color": INK,
    "figure.facecolor": SURFACE,
    "savefig.facecolor": SURFACE,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "path.sketch": None,
}


def colour_of(index: int) -> str:
    """Returns the colour of a series; they repeat after the sixth, where the marker goes on telling them apart."""
    return SERIES[index % len(SERIES)]


def marker_of(index: int) -> str:
    """Returns the marker of a series."""
    return MARKERS[index % len(MARKERS)]


def dark_css() -> str:
    """Returns the CSS that turns a chart's colours dark where a screen is.

    It speaks of the colours as they are drawn, so that a chart keeps plain colours for viewers that know no media
    queries.
    """
    return "@media screen and (prefers-color-scheme:dark){" + "".join(_dark_rules()) + "}"


def _dark_rules() -> Iterator[str]:
    for light, dark in DARK.items():
        for paint in ("fill", "stroke"):
            yield f'[style*="{paint}: {light}"]{{{paint}:{dark}!important}}'
