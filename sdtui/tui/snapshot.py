"""Snapshots of a run: made in a thread from its journal, handed to the screens, never changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from sdtui.check import Check
from sdtui.flags import Flag
from sdtui.model.cell import Cell, Slot
from sdtui.model.forecast import Forecast
from sdtui.model.machine import Machine
from sdtui.model.results import CellSummary, Status
from sdtui.report.text import Torch

CellState = Literal["queued", "running", "finished"]


@dataclass(frozen=True)
class CellView:
    """One cell of a run, as far as it is.

    Attributes:
        spec: The cell, without component configs.
        state: ``finished`` where it has an ending.
        text: What the table prints: figures, an outcome in the docs page's words, the phase with its progress, or
            its place among those that wait, ``queued 3``.
        status: How it ended; ``None`` while it has no ending.
        its: Iterations per second of each stage that finished a call.
        loop_s: Seconds of the denoising loops of one call, all stages: what speed-ups are ratios of; ``None`` where
            not every stage has a figure.
        ended: Where it ended, such as ``oom in measure, call 2``; empty while it runs.
        reason: Why it did not end ok or is not run, in one line.
        forecast: How long it may take, while it waits to be run.
        flags: What makes its figures less sure.
        summary: Its figures; ``None`` while it has no ending.
        check: Of its output; ``None`` of ``no-compile`` itself, and where it was not judged.
        torch: Full version that it was measured with; ``None`` where it is not known.
        device: GPU model, or the CPU's name.
        ended_at: Unix seconds.
        run: Folder of the run that it is of.
        tuning: How it stands in a run that looks for the fastest mode; empty in others, and before a rung has ended.
    """

    spec: Cell
    state: CellState
    text: str
    status: Status | None = None
    its: tuple[float, ...] = ()
    loop_s: float | None = None
    ended: str = ""
    reason: str = ""
    forecast: Forecast | None = None
    flags: tuple[Flag, ...] = ()
    summary: CellSummary | None = None
    check: Check | None = None
    torch: str | None = None
    device: str = ""
    ended_at: float | None = None
    run: Path | None = None
    tuning: str = ""

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.spec.id

    @property
    def slot(self) -> Slot:
        """Its place in the tables."""
        return self.spec.slot


@dataclass(frozen=True)
class LiveView:
    """The cell, or process of it, that runs now.

    Attributes:
        name: The cell's id, and which process it is where it is not the first.
        phase: ``launch`` before the first.
        phase_s: Seconds since it was entered.
        call: Counted from 1; ``None`` before the first.
        calls: How many there will be (at least, where a precision decides).
        stage: Name of the stage that runs; empty where the pipeline has one.
        step: Counted from 1; ``None`` before the first of the phase.
        steps: How many the call has.
        latest_ms: Latest step.
        median_ms: Of ``trace``.
        p95_ms: Of ``trace``.
        its: Steps per second over the latest steps.
        trace: Milliseconds of the latest steps of this stage, oldest first; without those of the first call, once
            there are others.
        gauges: Latest telemetry by field, such as ``gpu_utilisation_percent``; ``None`` is not available.
        history: Telemetry fields as they were at each of the latest views, oldest first.
        peak_vram_mib: Highest ``vram_used_mib`` since the cell began.
        warnings: What disturbs the cell now, or may end it: throttling, other processes on the GPU, too little memory.
        remaining_s: Estimate for the cell; ``None`` before each of its stages has made two steps.
        need: What the cell needs of the GPU's memory, in words; empty where nothing tells, and where that is a warning.
    """

    cell: str
    name: str
    phase: str
    phase_s: float
    call: int | None
    calls: int
    stage: str
    step: int | None
    steps: int | None
    latest_ms: float | None
    median_ms: float | None
    p95_ms: float | None
    its: float | None
    trace: tuple[float, ...] = ()
    gauges: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, tuple[float | None, ...]] = field(default_factory=dict)
    peak_vram_mib: float | None = None
    warnings: tuple[str, ...] = ()
    remaining_s: float | None = None
    need: str = ""


@dataclass(frozen=True)
class RunView:
    """A run as it stands.

    Attributes:
        folder: Where it is.
        id: Its folder's name when it was made.
        state: As `sdtui.runs.Listed` words it: ``running``, ``waiting``, ``interrupted``, ``empty`` or how it finished.
        machine: Of the last sitting; ``None`` before the first.
        torch: By environment, of the last sitting.
        cells: By id, in the order of the plan.
        live: ``None`` while no cell runs.
        done: Cells of which nothing is left to run; of a run with several processes per cell, processes.
        total: Cells of the run, or processes.
        unit: ``cells`` or ``processes``, or ``cells in rung 2 of 3``.
        elapsed_s: Of the last sitting.
        remaining_s: Estimate for the run; ``None`` where nothing tells yet.
        how_sure: ``about`` or ``up to``.
        message: What the run does where no cell runs: ``waiting for …``, ``starting``, ``writing the report``.
        reason: Why the last sitting failed, in one line.
        fastest: Of each row that it tunes, the modes that may be the fastest, the one that seems to be first.
    """

    folder: Path
    id: str
    state: str
    machine: Machine | None = None
    torch: Mapping[str, Torch] = field(default_factory=dict)
    cells: Mapping[str, CellView] = field(default_factory=dict)
    live: LiveView | None = None
    done: int = 0
    total: int = 0
    unit: str = "cells"
    elapsed_s: float = 0.0
    remaining_s: float | None = None
    how_sure: str = "about"
    message: str = ""
    reason: str = ""
    fastest: tuple[tuple[str, ...], ...] = ()

    @property
    def is_live(self) -> bool:
        """Whether a supervisor holds the run."""
        return self.state in ("running", "waiting")
