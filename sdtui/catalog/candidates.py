"""Which modes `sdtui tune` tries out: those that may be the fastest, what is most likely to be first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdtui import mode_calls
from sdtui.catalog.checking import check
from sdtui.catalog.expand import expand
from sdtui.catalog.load import Catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.catalog.schema import TuningTable
from sdtui.catalog.toml_files import read_toml
from sdtui.check import BASE
from sdtui.model.cell import Dtype, Mode, Stage
from sdtui.model.machine import Interpreter

RUNGS = 3
"""Processes in which the last candidates are measured, where nothing else is said."""

_FILE = Path(__file__).with_name("tuning.toml")


@dataclass(frozen=True)
class Candidates:
    """What is tried out.

    Attributes:
        modes: `BASE`, then what is most likely to be the fastest first.
        left_out: Why modes are not tried out, by name.
    """

    modes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def candidates(catalog: Catalog, pipeline: str, on_gpu: bool, environment: Interpreter, dtype: Dtype) -> Candidates:
    """Chooses among all modes of a catalog.

    Args:
        catalog: With the person's own modes.
        pipeline: To be measured.
        on_gpu: Whether on a GPU.
        environment: To be measured in.
        dtype: Of modes that name none.
    """
    table = check(TuningTable, read_toml(_FILE), str(_FILE))
    own = [name for name, entry in catalog.mode_entries.items() if not entry.shipped]
    stages = _stages(catalog, pipeline)
    chosen: dict[str, Mode] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys((BASE, *own, *table.modes, *catalog.modes)):
        mode = catalog.modes[name]
        same = next((other for other, known in chosen.items() if _options(known, dtype) == _options(mode, dtype)), None)
        refusals = _refusals(mode, stages, on_gpu, environment)
        why = table.left_out.get(name) or next(refusals, f"does what {same} does" if same else "")
        if why:
            left_out[name] = why
        else:
            chosen[name] = mode
    return Candidates(tuple(chosen), left_out)


def _stages(catalog: Catalog, pipeline: str) -> tuple[Stage, ...]:
    keys = {"pipelines": [pipeline], "modes": [BASE], "environments": ["current"], "batch_sizes": [1]}
    return expand(resolve_plan(catalog, None, keys, gpu_available=True), catalog)[0].stages


def _refusals(mode: Mode, stages: Iterable[Stage], on_gpu: bool, environment: Interpreter) -> Iterator[str]:
    """Yields why a mode is certain to end as unsupported."""
    of_stages = [(stage, calls) for stage in stages for calls in mode_calls.of_stage(mode, stage, "pipe")]
    if not on_gpu:
        every = (*(calls for _, calls in of_stages), *mode_calls.of_process(mode))
        yield from (f"{calls.option} needs a CUDA device" for calls in every if calls.needs_gpu)
    if mode.attention_processor == "xformers" and not environment.packages.get("xformers"):
        yield f"xformers is not installed in environment '{environment.name}'"
    if mode.quantization and not environment.packages.get("torchao"):
        yield f"torchao is not installed in environment '{environment.name}'"
    for stage, calls in of_stages:
        if calls.refusal and not calls.optional:
            where = "" if stage.name == "main" else f"stage {stage.name}: "
            yield f"{calls.option}: {where}{calls.refusal}"


def _options(mode: Mode, dtype: Dtype) -> Mode:
    return replace(mode, name="", label="", description="", dtype=mode.dtype or dtype)
