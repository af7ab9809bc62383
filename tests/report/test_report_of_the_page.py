"""The page's table on a real GPU, as the documentation has it, is what the report of the recorded runs says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
RUNS = ("2026-11-28-h200-docs-sd", "2026-11-28-h200-docs-controlnet-b16", "2026-11-28-h200-docs-if")


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("|", "[^"))]


def test_every_row_and_note_is_in_the_report() -> None:
    command = [sys.executable, "-m", "sdtui", "report", *(str(RESULTS / run) for run in RUNS), "--reference", "A100"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written = _rows((RESULTS / "2026-11-28-h200-docs.md").read_text())
    assert len(written) > 40
    assert set(written) <= set(_rows(done.stdout))


def test_the_readmes_table_is_of_these_runs() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = _rows(readme[readme.index("<!-- results: begin") : readme.index("<!-- results: end -->")])
    report = (RESULTS / "2026-11-28-h200-docs.md").read_text()
    without_notes = {row for line in _rows(report) for row in [_without_notes(line)]}
    assert len(shown) == 7
    assert set(shown) <= without_notes


def _without_notes(line: str) -> str:
    head, *rest = line.split("[^")
    return head + "".join(part.split("]", 1)[1] for part in rest)
