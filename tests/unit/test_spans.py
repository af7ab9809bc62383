"""Spans of time as people write them."""

from __future__ import annotations

import pytest

from sdtui.model.spans import parse_span, span_text


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90.0), ("20m", 1200.0), (" 1h30m ", 5400.0), ("2h0m1s", 7201.0)])
def test_a_span_is_read(text: str, seconds: float) -> None:
    assert parse_span(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "m5", "1m1h", "1.5h", "-1m", "0s", "0h0m", "1 h", "20min", "٣m"])
def test_what_is_none_is_refused(text: str) -> None:
    assert parse_span(text) is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0s"), (40.4, "40s"), (90, "1m30s"), (1200, "20m"), (5400, "1h30m"), (3605, "1h5s")]
)
def test_a_span_is_written(seconds: float, text: str) -> None:
    assert span_text(seconds) == text
