"""How far the estimate of a cell's memory is off, over the recorded results: the methodology's table."""

from pathlib import Path

import vram as program

from sdtui.report.text import table_lines

ROOT = Path(__file__).parents[2]


def test_the_methodology_has_what_it_prints() -> None:
    folders = sorted(journal.parent for journal in (ROOT / "docs" / "results").glob("*/events.jsonl"))
    lines = table_lines(program.HEADER, list(program.rows(folders)))
    assert len(lines) > 6
    assert "\n".join(lines) in (ROOT / "docs" / "methodology.md").read_text()
