"""How far the estimate of a cell's memory is off: beside what torch's allocator and the device held at their most.

    python benchmarks/vram.py docs/results/20*/

Nothing is measured here. Of each cell that ended ok on a GPU, at full scale, it takes the newest of the runs' results,
and prints a Markdown table.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import runs
from sdtui.catalog.load import load_catalog
from sdtui.report import text
from sdtui.report.merge import Result, merge
from sdtui.supervisor import vram

HEADER = ["GPU", "Cell", "Estimate MiB", "Peak allocated MiB", "Off %", "With CUDA's own MiB", "Peak device MiB"]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    print("\n".join(text.table_lines(HEADER, list(rows(parser.parse_args().runs)))))


def rows(folders: Sequence[Path]) -> Iterator[list[str]]:
    """Yields a row for each cell that has an estimate and a measured peak."""
    for result in merge(map(runs.read, folders)):
        estimate, peak = vram.estimate_mib(result.spec, load_catalog().counts), peak_mib(result)
        if estimate is not None and peak is not None:
            off, whole = f"{100 * (estimate / peak - 1):+.1f}", text.number(estimate + vram.CUDA_MIB, 0)
            device_mib = text.number(result.summary.peak_vram_mib, 0)
            yield [result.device, result.spec.id, f"{estimate:.0f}", f"{peak:.0f}", off, whole, device_mib]


def peak_mib(result: Result) -> float | None:
    """Returns the highest that torch's allocator held; ``None`` of a cell that did not end ok, or on a CPU."""
    peaks = [stage.peak_allocated_mib for stage in result.summary.stages if stage.peak_allocated_mib is not None]
    return max(peaks) if peaks and result.status == "ok" else None


if __name__ == "__main__":
    main()
