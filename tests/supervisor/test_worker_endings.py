"""Whatever a worker does ends its own cell and no other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from supervised import Lab, both, events, lock_is_free, patched

from sdtui import runs
from sdtui.model.events import CellStarted, Log, RunFinished, RunForecast, Telemetry
from sdtui.model.results import PHASES
from sdtui.records import CellRecord, RunRecord
from sdtui.supervisor import limits, log

KIB, MIB = 1 << 10, 1 << 20

ENDINGS = {
    "load:sigkill": ("failed", "load", r"the worker was killed by SIGKILL \(the kernel's out-of-memory killer\?\); .*"),
    "measure:segv": (
        "failed",
        "measure",
        r"the worker was killed by SIGSEGV; it last printed: \[31mabout to crash \[0m",
    ),
    "load:realtime": ("failed", "load", r"the worker was killed by signal 40; it last printed: hello from the fake"),
    "import:exit0": ("failed", "import", r"the worker exited with status 0 before the cell ended; .*"),
    "warm-up:exit3": ("failed", "warm-up", r"the worker exited with status 3 .*; it last printed: last words"),
    "warm-up:print-much": ("ok", "measure", ""),
    "measure:flood-output": ("failed", "measure", r"the worker flooded its output \(over 4 MiB\)"),
    "measure:flood-events": ("failed", "measure", r"the worker flooded its events \(over 1 MiB\)"),
    "load:no-json": ("failed", "load", r"the worker sent an unreadable event \(not JSON.*\): b'Traceback .*"),
    "load:no-utf8": ("failed", "load", r"the worker sent an unreadable event \(not JSON.*"),
    "load:deep": ("failed", "load", r"the worker sent an unreadable event \(not JSON.*\): b'\[{80}'"),
    "load:huge-number": ("failed", "load", r"the worker sent an unreadable event \('t': the number is too large\).*"),
    "load:surrogate": ("failed", "load", r"the worker sent an unreadable event \(.*no text\).*"),
    "load:other-cell": (
        "failed",
        "load",
        r"the worker sent an unreadable event \(not this worker's to say: cell\.fin.*",
    ),
    "load:other-kind": ("failed", "load", r"the worker sent an unreadable event \(not this worker's to say: run\.st.*"),
    "load:endless-line": ("failed", "load", "the worker sent an event line without end"),
    "measure:finish-and-hang": ("ok", "measure", ""),
    "measure:finish-and-crash": ("ok", "measure", ""),
    "measure:finish-and-babble": ("ok", "measure", ""),
    "measure:finish-in-two-lines": ("failed", "measure", "one two"),
    "load:grandchild": ("ok", "measure", ""),
    "load:bare-grandchild": ("ok", "measure", ""),
}
"""Status, phase and reason for each misbehaviour."""

SILENCES = {"import": 2.0, "load": 0.5, "compile": 0.5, "warm-up": 0.5, "measure": 0.5}


@dataclass
class Outcome:
    """A run of misbehaving cells with one that behaves after every few."""

    folder: Path
    status: int
    record: RunRecord
    misbehaved: Mapping[str, CellRecord]
    behaved: list[CellRecord]


def _run(lab: Lab, behaviours: list[str], **changes: object) -> Outcome:
    told = [text for index, text in enumerate(behaviours) for text in ((text, "ok") if index % 3 == 2 else (text,))]
    folder = lab.create(*told)
    limited = both(
        patched(limits, EXIT_S=0.3, OUTPUT_BYTES=4 * MIB, EVENT_BYTES=MIB, EVENT_LINE_BYTES=256 * KIB),
        patched(log, LOG_BYTES=64 * KIB),
    )
    status = lab.run(folder, lab.sitting(folder, **changes), limited)
    record = runs.read(folder)
    cells = list(zip(told, record.cells.values(), strict=True))
    misbehaved = {text: cell for text, cell in cells if text != "ok"}
    return Outcome(folder, status, record, misbehaved, [cell for text, cell in cells if text == "ok"])


@pytest.fixture(scope="module")
def outcome(module_lab: Lab) -> Outcome:
    return _run(module_lab, list(ENDINGS))


@pytest.mark.parametrize("behaviour", ENDINGS)
def test_a_misbehaviour_is_a_result_of_its_cell(outcome: Outcome, behaviour: str) -> None:
    status, phase, reason = ENDINGS[behaviour]
    finished = outcome.misbehaved[behaviour].finished
    assert finished is not None
    assert (finished.status, finished.phase) == (status, phase)
    assert re.fullmatch(reason, finished.reason), finished.reason
    assert finished.reason.isprintable()


def test_every_other_cell_is_ok(outcome: Outcome) -> None:
    assert len(outcome.behaved) == len(ENDINGS) // 3
    for cell in outcome.behaved:
        end = cell.finished
        assert end is not None
        assert (end.status, end.phase, end.call, end.reason) == ("ok", "measure", 2, "")
        assert (len(cell.steps), len(cell.calls)) == (6, 2)
        assert end.summary is not None
        assert end.summary.stages[0].loop_its == 100


def test_the_run_goes_to_its_end_and_says_so(outcome: Outcome) -> None:
    assert outcome.status == 1
    last = events(outcome.folder)[-1].event
    assert isinstance(last, RunFinished)
    failed = sum(status == "failed" for status, _, _ in ENDINGS.values())
    ok = len(ENDINGS) - failed + len(outcome.behaved)
    assert (last.status, dict(last.counts)) == ("incomplete", {"failed": failed, "ok": ok})
    assert lock_is_free(outcome.folder)
    assert not (outcome.folder / ".reserve").exists()
    assert (outcome.folder / "report.md").read_text().startswith("# sdtui report\n")


def test_nothing_of_any_worker_survives(outcome: Outcome, module_lab: Lab) -> None:
    module_lab.await_silence()


def test_a_log_is_bounded_and_a_flood_loses_no_event(outcome: Outcome) -> None:
    flooded = outcome.misbehaved["warm-up:print-much"]
    assert len(flooded.steps) == 6
    kept = (outcome.folder / "logs" / f"{flooded.spec.id}.log").read_bytes()
    assert kept[: 64 * KIB].startswith(b"hello from the fake\n")
    assert kept[64 * KIB :] == b"\n[%d bytes left out]\n" % (len(b"hello from the fake\n") + MIB - 64 * KIB)


def test_a_cells_samples_are_kept_up_to_its_end(outcome: Outcome) -> None:
    cell = outcome.misbehaved["measure:segv"]
    assert [step.step for step in cell.steps] == [1, 2, 3]
    assert cell.finished is not None
    assert cell.finished.call == 2
    assert cell.finished.summary is not None
    assert cell.finished.summary.stages[0].loop_its == 100
    assert set(cell.finished.summary.phase_seconds) == {"import", "load", "warm-up", "measure"}


def test_what_follows_a_cells_end_is_not_recorded(outcome: Outcome) -> None:
    assert len(outcome.misbehaved["measure:finish-and-babble"].steps) == 3


def test_every_event_of_a_worker_is_of_its_cell_and_after_its_start(outcome: Outcome) -> None:
    current = ""
    for stamped in events(outcome.folder):
        event = stamped.event
        if isinstance(event, CellStarted):
            current = event.cell
        elif not isinstance(event, (Log, RunFinished, RunForecast)) and current:
            assert event.cell == current  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def silent(module_lab: Lab) -> Outcome:
    return _run(module_lab, [f"{phase}:hang" for phase in PHASES], silence_s=SILENCES)


@pytest.mark.parametrize("phase", PHASES)
def test_silence_ends_a_cell_in_any_phase(silent: Outcome, phase: str) -> None:
    finished = silent.misbehaved[f"{phase}:hang"].finished
    assert finished is not None
    assert (finished.status, finished.phase) == ("timeout", phase)
    assert finished.reason == f"no event for {SILENCES[phase]:g} s in {phase}"


def test_silence_ends_no_other_cell(silent: Outcome, module_lab: Lab) -> None:
    assert [cell.finished.status for cell in silent.behaved if cell.finished] == ["ok"]
    module_lab.await_silence()


def test_telemetry_holds_only_what_changed(silent: Outcome) -> None:
    telemetry = [event for _, event in silent.misbehaved["import:hang"].telemetry]
    known: dict[str, object] = {}
    for event in telemetry:
        assert isinstance(event, Telemetry)
        assert event.changed
        assert all(name not in known or known[name] != value for name, value in event.changed.items())
        known |= event.changed
    assert set(telemetry[0].changed) == {"cpu_percent", "rss_mib", "load_1m"}
    assert any(set(event.changed) < set(known) for event in telemetry)
    assert known["rss_mib"]
