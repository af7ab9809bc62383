"""From a plan to a sitting: cells, device and environments, looked up once before anything runs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from sdtui import durations, environments, probes, settings
from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Cell
from sdtui.model.errors import UserError
from sdtui.model.machine import Gpu
from sdtui.model.plan import Plan
from sdtui.model.precision import PrecisionRule
from sdtui.model.results import Status
from sdtui.model.sizes import size_text
from sdtui.model.spans import parse_span
from sdtui.records import MEASURED_WITH, RunRecord
from sdtui.supervisor import limits, vram
from sdtui.supervisor.sitting import Sitting
from sdtui.telemetry.machine import describe_machine
from sdtui.telemetry.nvml import resolve_device
from sdtui.version import VERSION

NO_BUDGET = "none"
"""What a sitting is given for its budget that has none, whatever the plan says."""


def prepare(plan_file: Path, retry: frozenset[Status] = frozenset(), budget: str | None = None) -> Sitting:
    """Reads a run's plan, which holds what it measures of a person's own, and looks at the machine.

    Args:
        plan_file: Of the run.
        retry: Statuses whose cells run again.
        budget: Instead of the plan's, as people write it, or `NO_BUDGET`; ``None`` leaves it.

    Raises:
        UserError: The plan, its device or an environment is wrong.
    """
    plan = resolve_plan(load_catalog(), str(plan_file), {}, gpu_available=True)
    if budget is not None:
        plan = replace(plan, budget=None if budget == NO_BUDGET else parse_span(budget))
    return prepare_plan(plan, retry)


def prepare_plan(plan: Plan, retry: frozenset[Status] = frozenset()) -> Sitting:
    """Resolves a plan's cells, device and environments.

    Raises:
        UserError: The device is not there or has less memory than the limit, an environment does not work, no cell
            comes of the plan, or a file of what was measured of the device before is damaged.
    """
    catalog = load_catalog()
    cells = expand(plan, catalog)
    _refuse_folders_without_weights(cells)
    device = resolve_device(plan.device, os.environ)
    interpreters = environments.resolve(plan.environments, settings.load())
    environments.refuse_unusable(interpreters)
    _refuse_too_large_a_limit(plan.vram_limit, device.gpu)
    estimates = {cell.id: vram.estimate_mib(cell, catalog.counts) for cell in cells if device.gpu}
    machine = describe_machine(device.gpu)
    return Sitting(
        cells=cells,
        machine=machine,
        environments=interpreters,
        device=plan.device,
        sdtui=VERSION,
        probe=probes.known(machine),
        retry=retry,
        cold=plan.cold,
        trace=plan.trace,
        processes=plan.processes,
        tune=plan.tune,
        exclusive=plan.exclusive,
        precision=_rule(plan),
        skip_larger_after_oom=plan.skip_larger_after_oom,
        estimated_mib={cell: mib for cell, mib in estimates.items() if mib is not None},
        budget_s=plan.budget,
        durations=durations.known(machine.device_name),
        silence_s={**limits.SILENCE_S, **plan.timeouts},
    )


def _refuse_too_large_a_limit(limit: int | None, gpu: Gpu | None) -> None:
    memory_mib = gpu.memory_mib if gpu else None
    if limit is not None and memory_mib is not None and limit > memory_mib * 2**20:
        has = f"the GPU has {memory_mib / 1024:.1f} GiB"
        raise UserError(f"vram_limit: {size_text(limit)} limits nothing, since {has}; write less, or leave it out")


def _rule(plan: Plan) -> PrecisionRule | None:
    if plan.precision is None or plan.max_calls is None or plan.max_seconds is None:
        return None
    return PrecisionRule(plan.precision, plan.max_calls, plan.max_seconds)


def _refuse_folders_without_weights(cells: Iterable[Cell]) -> None:
    folders = dict.fromkeys(Path(stage.weights) for cell in cells for stage in cell.stages if stage.weights)
    for folder in folders:
        if folder.is_absolute() and not (folder / "model_index.json").is_file():
            raise UserError(
                f"weights: '{folder}' holds no pipeline (model_index.json is missing); write a folder that a diffusers "
                "pipeline was saved to, or one that holds such a folder for each stage"
            )


def differences(record: RunRecord, sitting: Sitting) -> list[str]:
    """Says how this machine differs from the one on which a run was last measured, where results would not mix.

    Returns:
        One phrase per difference in GPU model, torch or diffusers; none for a run that never started.
    """
    if not record.sittings:
        return []
    before = record.sittings[-1].started
    found = []
    if before.machine.device_name != sitting.machine.device_name:
        found.append(f"device was {before.machine.device_name}, is {sitting.machine.device_name}")
    now = {environment.name: environment for environment in sitting.environments}
    for environment in before.environments:
        for package in MEASURED_WITH:
            was = environment.packages.get(package)
            present = now.get(environment.name)
            is_now = present.packages.get(package) if present else None
            if was != is_now:
                found.append(f"{package} of environment '{environment.name}' was {was}, is {is_now}")
    return found


def refuse_differences(record: RunRecord, sitting: Sitting) -> None:
    """Raises where `differences` finds one.

    Raises:
        UserError: Naming every difference.
    """
    found = differences(record, sitting)
    if found:
        raise UserError(f"run {record.id}: {'; '.join(found)}; resume anyway with --force, or start a new run")
