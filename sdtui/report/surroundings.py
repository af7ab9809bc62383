"""The environment part of a report: where each sitting ran."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sdtui.model.machine import Gpu, Interpreter
from sdtui.model.probe import MatrixRate, Probe
from sdtui.records import RunRecord, SittingRecord
from sdtui.report import text


def sections(runs: Sequence[RunRecord]) -> list[str]:
    """Returns the Markdown lines of ``## Environment``, one list per device and sitting."""
    lines = ["## Environment", ""]
    for run in runs:
        for sitting in run.sittings:
            device = text.inline(sitting.started.machine.device_name)
            lines += [f"### {device} · {run.id}, sitting {sitting.started.sitting}", ""]
            lines += [f"- {name}: {value}" for name, value in _facts(run, sitting)]
            lines.append("")
    return lines


def _facts(run: RunRecord, sitting: SittingRecord) -> list[tuple[str, str]]:
    started, machine = sitting.started, sitting.started.machine
    flags = "; ".join(f"{key}: {_flag(value)}" for key, value in sorted(started.flags.items()) if value)
    return [
        ("started", text.moment(sitting.started_at)),
        ("finished", text.moment(sitting.finished_at)),
        ("device", text.available(started.device)),
        *_gpu_facts(machine.gpu),
        *_rate_facts(started.probe),
        ("CPU", f"{text.available(machine.cpu)}, {machine.cpu_count} logical cores"),
        ("governor", text.available(machine.governor)),
        ("memory", _with_unit(machine.memory_mib, "MiB")),
        ("host", text.available(machine.host)),
        ("OS", text.available(machine.system)),
        ("sdtui", text.available(started.sdtui)),
        *(_interpreter_fact(environment) for environment in started.environments),
        *([("cuDNN", _cudnn(run, sitting))] if machine.gpu else []),
        *_compile_caches(run, sitting),
        *([("flags", text.inline(flags))] if flags else []),
    ]


def _gpu_facts(gpu: Gpu | None) -> list[tuple[str, str]]:
    if gpu is None:
        return [("GPU", "none used")]
    return [
        ("GPU", f"{text.available(gpu.name)} ({text.available(gpu.uuid)})"),
        ("GPU memory", _with_unit(gpu.memory_mib, "MiB")),
        ("driver", text.available(gpu.driver)),
        ("CUDA of the driver", text.available(gpu.cuda_driver)),
        ("compute capability", text.available(gpu.compute_capability)),
        ("PCI bus id", text.available(gpu.pci_bus_id)),
        ("maximum SM clock", _with_unit(gpu.max_sm_clock_mhz, "MHz")),
        ("maximum memory clock", _with_unit(gpu.max_memory_clock_mhz, "MHz")),
        ("power limit", _with_unit(gpu.power_limit_w, "W")),
        ("persistence mode", text.available(gpu.persistence)),
        ("MIG", text.available(gpu.mig)),
        ("ECC", text.available(gpu.ecc)),
    ]


def _rate_facts(probe: Probe | None) -> list[tuple[str, str]]:
    if probe is None:
        return [("matrix rate", text.NOT_MEASURED)]
    driver = f", driver {probe.driver}" if probe.driver else ""
    how = f"measured {text.moment(probe.measured_at)} with torch {probe.found.torch}{driver}"
    return [(f"matrix rate, {rate.precision}", f"{_rate(rate)}, {text.inline(how)}") for rate in probe.found.rates]


def _rate(rate: MatrixRate) -> str:
    median, mad = text.significant(rate.tflops, 4), text.significant(rate.mad_tflops, 2)
    return f"{median} TFLOP/s (median of {rate.count} products of {rate.size} × {rate.size}, MAD {mad})"


def _interpreter_fact(environment: Interpreter) -> tuple[str, str]:
    packages = ", ".join(
        f"{name} {text.inline(version) if version else 'not installed'}"
        for name, version in sorted(environment.packages.items())
    )
    cuda = f"torch built for CUDA {environment.cuda}" if environment.cuda else "torch built without CUDA"
    what = f"Python {environment.python_version} ({text.inline(environment.python)}), {cuda}, {packages}"
    label = f" ({text.inline(environment.label)})" if environment.label else ""
    return f"environment {text.inline(environment.name)}{label}", what.removesuffix(", ")


def _cudnn(run: RunRecord, sitting: SittingRecord) -> str:
    """Returns the cuDNN of each environment, as the torch of the sitting's cells stated it."""
    stated = {
        cell.spec.slot.environment: cell.versions["cudnn"]
        for cell in run.cells.values()
        if cell.sitting == sitting.started.sitting and cell.versions.get("cudnn")
    }
    named = len(sitting.started.environments) > 1
    return (
        ", ".join(
            text.inline(f"{version} ({environment})" if named else str(version))
            for environment, version in stated.items()
        )
        or text.NOT_AVAILABLE
    )


def _compile_caches(run: RunRecord, sitting: SittingRecord) -> list[tuple[str, str]]:
    processes = (process for cell in run.cells.values() for process in cell.processes)
    used = {
        process.compile_cache.path: None
        for process in processes
        if process.compile_cache and process.sitting == sitting.started.sitting
    }
    return [("compile cache", text.inline(path)) for path in used]


def _flag(value: Any) -> str:
    return ", ".join(str(item) for item in value) if isinstance(value, (list, tuple)) else text.available(value)


def _with_unit(value: float | None, unit: str) -> str:
    return text.NOT_AVAILABLE if value is None else f"{value:.0f} {unit}"
