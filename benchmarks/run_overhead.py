"""What surrounds measuring: how long each cell of a run took beyond loading, calling and compiling.

    sdtui run docs --pipeline sd-txt2img --pipeline sd-inpaint --batch-size 1 --runs-dir warm
    python benchmarks/run_overhead.py warm/* -o run-overhead.json

A cell's own overhead is the time from the end of the cell before it (of the sitting's start, for the first) to its own
end, without its phase ``load`` and without its calls, of which the first compiles. It is told in three parts:

- before: what the supervisor does between two workers, and the start of the worker, up to its phase ``load``;
- after: from the end of the last call to the end of the process: counting operations, writing and checking the output,
  and the process's own end;
- between: what is left, between one call and the next.

With ``--scripts`` the scripts that ``sdtui script`` prints for the cells of each run are run one after another, a
process each, with the compile caches that the run had; the time of the whole stands beside that of the run, from its
start to its end. A script makes the cell's calls and prints tqdm's figures: it checks and keeps nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sdtui import runs
from sdtui.model.errors import UserError
from sdtui.records import CellRecord, RunRecord
from sdtui.statistics import phase_seconds
from sdtui.supervisor import caches

ROOT = Path(__file__).resolve().parent.parent


def overheads(record: RunRecord) -> list[dict[str, Any]]:
    """Returns the own overhead of every process that ended ok, in seconds, in the order in which they ran."""
    told = [process for cell in record.cells.values() for process in cell.processes if process.finished_at is not None]
    told.sort(key=lambda process: process.finished_at or 0.0)
    found, ends = [], {sitting.started.sitting: sitting.started_at for sitting in record.sittings}
    for process in told:
        before, ends[process.sitting] = ends.get(process.sitting), process.finished_at or 0.0
        if before is not None and process.started is not None and process.finished and process.finished.status == "ok":
            first = before in (sitting.started_at for sitting in record.sittings)
            found.append({"cell": process.name, "first": first, **_parts(process, before)})
    return found


def _parts(process: CellRecord, before: float) -> dict[str, float]:
    assert process.started is not None
    assert process.finished_at is not None
    phases = phase_seconds(process.phases, process.started, process.finished_at)
    calls = sum(call.wall_ms for call in process.calls) / 1e3
    loaded = next(t for t, phase in process.phases if phase.phase == "load")
    own = process.finished_at - before - phases["load"] - calls
    parts = {"before": loaded - before, "after": process.finished_at - process.call_times[-1]}
    return {
        "own": own,
        **parts,
        "between": own - sum(parts.values()),
        "import": phases["import"],
        "load": phases["load"],
        "calls": calls,
    }


def elapsed(record: RunRecord) -> float | None:
    """Returns how long the sittings of a run took, in seconds; ``None`` where one has no ending."""
    took = [each.finished_at - each.started_at for each in record.sittings if each.finished_at is not None]
    return sum(took) if len(took) == len(record.sittings) else None


def scripts(record: RunRecord) -> Iterator[tuple[str, float]]:
    """Runs the bare scripts of a run's cells, one after another; yields each cell's id and its script's seconds.

    Raises:
        subprocess.CalledProcessError: A script cannot be printed, or fails.
    """
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.getenv("PYTHONPATH")])])}
    for cell, told in record.cells.items():
        arguments = [cell, "--run", record.path.name, "--runs-dir", str(record.path.parent.resolve())]
        with tempfile.TemporaryDirectory() as folder:
            script = Path(folder, "script.py")
            with script.open("wb") as text:
                subprocess.run(
                    [sys.executable, "-m", "sdtui", "script", *arguments], check=True, stdout=text, env=environ
                )
            cache = told.compile_cache
            ours = {**os.environ, **(caches.within(Path(cache.path).parent) if cache else {})}
            began = time.monotonic()
            subprocess.run([sys.executable, str(script)], check=True, cwd=folder, env=ours, capture_output=True)
            yield cell, time.monotonic() - began


def table(results: Sequence[dict[str, Any]]) -> str:
    """Returns the seconds of the cells as a Markdown table, and the median over those that began no sitting."""
    lines = [
        "| cell | own overhead s | before | after | between | load s | calls s |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in results:
        figures = " | ".join(f"{each[key]:.2f}" for key in ("own", "before", "after", "between", "load", "calls"))
        lines.append(f"| {each['cell']}{' (first)' if each['first'] else ''} | {figures} |")
    own = [each["own"] for each in results if not each["first"]]
    if own:
        lines.append(
            f"\nmedian of {len(own)} cells, the first of each sitting left out: {statistics.median(own):.2f} s"
        )
    return "\n".join(lines)


def main() -> int:
    """Prints a table for each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run folder")
    parser.add_argument("--scripts", action="store_true", help="run the cells' bare scripts too")
    parser.add_argument("-o", "--output", type=Path)
    chosen = parser.parse_args()
    answer = []
    try:
        records = [runs.read(folder) for folder in chosen.runs]
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    for record in records:
        results = overheads(record)
        told: dict[str, Any] = {"run": record.id, "seconds": elapsed(record), "cells": results}
        whole = "a sitting has no ending" if told["seconds"] is None else f"{told['seconds']:.1f} s"
        print(f"run {record.id}: {whole}\n\n{table(results)}\n")
        if chosen.scripts:
            told["scripts"] = dict(scripts(record))
            print(f"bare scripts, a process each: {sum(told['scripts'].values()):.1f} s")
        answer.append(told)
    if chosen.output:
        chosen.output.write_text(json.dumps(answer, indent=1) + "\n", encoding="utf-8")
    return 0 if any(each["cells"] for each in answer) else 1


if __name__ == "__main__":
    sys.exit(main())
