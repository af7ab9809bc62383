"""The matrix's headers."""

from __future__ import annotations

import pytest

from sdtui.catalog.load import load_catalog
from sdtui.report.text import Torch
from sdtui.tui.board import make_board
from sdtui.tui.draft import make_draft

CATALOG = load_catalog()


@pytest.mark.parametrize(
    ("torch", "headers"),
    [
        ([], ["current", "new"]),
        ([Torch("current", None), Torch("new", None, "ours")], ["current", "ours"]),
        ([Torch("current", "2.13.0+cpu"), Torch("new", "2.15.0.dev20261124+cpu")], ["torch 2.13", "torch nightly"]),
        ([Torch("current", "2.13.0"), Torch("new", "2.13.1")], ["torch 2.13.0", "torch 2.13.1"]),
        ([Torch("current", "2.13.0"), Torch("new", "2.13.0", "our build")], ["torch 2.13", "our build"]),
    ],
)
def test_headers_read_as_the_columns_of_reports(torch: list[Torch], headers: list[str]) -> None:
    draft = make_draft(CATALOG, "smoke", {"environments": ["current", "new"]}, gpu=False)
    board = make_board(draft, {}, {each.environment: each for each in torch}, None)
    assert list(dict.fromkeys(header for header, _ in board.headers)) == headers
