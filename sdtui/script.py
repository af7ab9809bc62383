"""Finds the cell whose script a person asks for, by its id or a part of its name."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sdtui import mode_calls, runs, settings
from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog, load_catalog
from sdtui.catalog.plans import resolve_plan, with_plan
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError, nearest
from sdtui.script_text import write


def script_of(
    name: str, run_name: str | None, scale: str, device: str, runs_dir: Path, plan_file: str | None = None
) -> str:
    """Returns the script of the cell that a person named.

    Args:
        name: A cell's id, or ``pipeline.mode.environment.b1``, of which all but the pipeline may be left out.
        run_name: The run whose cell it is; ``None`` takes the catalog's defaults, and for an id also the runs, newest
            first.
        scale: Of a cell of no run.
        device: Of a cell of no run.
        runs_dir: Where runs live.
        plan_file: Whose modes and pipelines a cell of no run may be of.

    Raises:
        UserError: There is no such cell, or its pipeline cannot take its mode there.
    """
    wanted = _Name.parse(name)
    if run_name is not None:
        return _of_run(wanted, runs.find(runs_dir, run_name))
    catalog = with_plan(load_catalog(settings.config_dir()), plan_file)
    if wanted.digest is None:
        return _script(_from_catalog(wanted, scale, device, catalog), device)
    made = ""
    try:
        cell = _from_catalog(wanted, scale, device, catalog)
    except UserError as error:  # a pipeline or mode of a run's own plan, perhaps
        made = str(error)
    else:
        if cell.id == name:
            return _script(cell, device)
        made = f"cell '{name}': the catalog makes {cell.id} of it"
    for listed in reversed(runs.list_runs(runs_dir)):
        if name in runs.read(listed.path).cells:
            return _of_run(wanted, listed.path)
    raise UserError(f"{made}, and no run in {runs_dir} has it")


@dataclass(frozen=True)
class _Name:
    """What a person wrote of a cell; ``None`` where it was left out."""

    text: str
    pipeline: str
    mode: str | None
    environment: str | None
    batch_size: int | None
    tiny: bool
    digest: str | None

    @classmethod
    def parse(cls, text: str) -> _Name:
        match = re.fullmatch(r"(.*?)(?:-([0-9a-f]{8}))?", text, re.DOTALL)
        words = match[1].split(".") if match else []
        if not all(words):
            raise UserError(f"cell '{text}': write its id, or pipeline.mode.b1, such as sd-txt2img.compile.b4")
        tiny = len(words) > 1 and words[-1] == "tiny"
        words = words[:-1] if tiny else words
        batch = words.pop()[1:] if len(words) > 1 and re.fullmatch(r"b\d+", words[-1]) else None
        pipeline, mode, *environment = [*words, None][:2] + words[2:]
        return cls(
            text=text,
            pipeline=str(pipeline),
            mode=mode,
            environment=".".join(filter(None, environment)) or None,
            batch_size=None if batch is None else int(batch),
            tiny=tiny,
            digest=match[2] if match else None,
        )

    def fits(self, cell: Cell) -> bool:
        slot = cell.slot
        pairs = (
            (self.pipeline, slot.pipeline),
            (self.mode, slot.mode),
            (self.environment, slot.environment),
            (self.batch_size, slot.batch_size),
            (self.tiny or None, cell.scale == "tiny"),
            (self.digest, cell.id[-8:]),
        )
        return all(wanted is None or wanted == there for wanted, there in pairs)

    def unknown(self, key: str, value: str | None, valid: Iterable[str]) -> UserError:
        return UserError(f"cell '{self.text}': unknown {key} '{value}'; {nearest(str(value), valid)}")


def _from_catalog(wanted: _Name, scale: str, device: str, catalog: Catalog) -> Cell:
    known = {settings.CURRENT, *settings.load().environments}
    names: tuple[tuple[str, str | None, Iterable[str]], ...] = (
        ("pipeline", wanted.pipeline, catalog.pipelines),
        ("mode", wanted.mode, catalog.modes),
        ("environment", wanted.environment, known),
    )
    for key, value, valid in names:
        if value is not None and value not in valid:
            raise wanted.unknown(key, value, valid)
    if wanted.batch_size == 0:
        raise UserError(f"cell '{wanted.text}': batch size 0 is too small; the least is 1")
    overrides: dict[str, Any] = {
        "pipelines": [wanted.pipeline],
        "modes": [wanted.mode or "no-compile"],
        "environments": [wanted.environment or settings.CURRENT],
        "batch_sizes": [wanted.batch_size or 1],
        "scale": "tiny" if wanted.tiny else scale,
        "device": device,
    }
    return expand(resolve_plan(catalog, None, overrides, gpu_available=True), catalog)[0]


def _of_run(wanted: _Name, folder: Path) -> str:
    catalog = load_catalog()  # its plan holds what it measures of a person's own
    plan = resolve_plan(catalog, str(folder / runs.PLAN), {}, gpu_available=True)
    cells = expand(plan, catalog)
    found = [cell for cell in cells if wanted.fits(cell)]
    if len(found) == 1:
        return _script(found[0], plan.device)
    names = ", ".join(cell.id for cell in found or cells)
    problem = "is ambiguous" if found else "is not in its plan"
    raise UserError(f"run {folder.name}: cell '{wanted.text}' {problem}; choose from: {names}")


def _script(cell: Cell, device: str) -> str:
    taken = [*mode_calls.of_process(cell.mode)]
    for stage in cell.stages:
        taken += mode_calls.of_stage(cell.mode, stage, "pipe")
    for calls in taken:
        lacks_gpu = calls.needs_gpu and device == "cpu"
        if lacks_gpu or (calls.refusal and not calls.optional):
            reason = f"{calls.option} needs a GPU" if lacks_gpu else f"{calls.option}: {calls.refusal}"
            raise UserError(f"cell '{cell.id}' ends as unsupported, and no script does it: {reason}")
    return write(cell, device)
