"""Tables of a real GPU, as the documentation has them, are what the report of the recorded runs says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "docs" / "results"
OF_THE_PAGE = ("sd", "controlnet-b16", "if")
OF_MODES = ("sd", "sd-quantised", "controlnet", "if-b1", "if-b4-b16", "if-b4-b16-quantised")


def _rows(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(("|", "[^"))]


@pytest.mark.parametrize(
    ("name", "runs", "flags"),
    [
        ("2026-11-28-h200-docs", OF_THE_PAGE, ("--reference", "A100")),
        ("2026-11-29-h200-modes", OF_MODES, ()),
    ],
)
def test_every_row_and_note_is_in_the_report(name: str, runs: tuple[str, ...], flags: tuple[str, ...]) -> None:
    folders = [str(RESULTS / f"{name}-{run}") for run in runs]
    command = [sys.executable, "-m", "sdtui", "report", *folders, *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    written = _rows((RESULTS / f"{name}.md").read_text())
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
