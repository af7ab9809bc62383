"""Which modes `sdtui tune` tries out: those that may be the fastest, what is most likely to be first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from sdtui.catalog.checking import check
from sdtui.catalog.load import Catalog
from sdtui.catalog.schema import PipelineTable, TuningTable
from sdtui.catalog.toml_files import read_toml
from sdtui.check import BASE
from sdtui.model.cell import Mode
from sdtui.model.machine import Interpreter

RUNGS = 3
"""Processes in which the last candidates are measured, where nothing else is said."""

_FILE = Path(__file__).with_name("tuning.toml")
_ON_GPU = ("tf32", "cudnn_benchmark", "sdpa_backends", "step_graphs")
"""Options that need a CUDA device."""
_OF_VAE = ("vae_slicing", "vae_tiling", "compile_vae")


@dataclass(frozen=True)
class Candidates:
    """What is tried out.

    Attributes:
        modes: `BASE`, then what is most likely to be the fastest first.
        left_out: Why modes are not tried out, by name.
    """

    modes: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)


def candidates(catalog: Catalog, pipeline: str, on_gpu: bool, environment: Interpreter) -> Candidates:
    """Chooses among all modes of a catalog.

    Args:
        catalog: With the person's own modes.
        pipeline: To be measured.
        on_gpu: Whether on a GPU.
        environment: To be measured in.
    """
    table = check(TuningTable, read_toml(_FILE), str(_FILE))
    own = [name for name, entry in catalog.mode_entries.items() if not entry.shipped]
    chosen: dict[str, Mode] = {}
    left_out: dict[str, str] = {}
    for name in dict.fromkeys((BASE, *own, *table.modes, *catalog.modes)):
        mode = catalog.modes[name]
        same = next((other for other, known in chosen.items() if _options(known) == _options(mode)), None)
        refusals = _refusals(mode, catalog.pipelines[pipeline], on_gpu, environment)
        why = table.left_out.get(name) or next(refusals, f"does what {same} does" if same else "")
        if why:
            left_out[name] = why
        else:
            chosen[name] = mode
    return Candidates(tuple(chosen), left_out)


def _refusals(mode: Mode, pipeline: PipelineTable, on_gpu: bool, environment: Interpreter) -> Iterator[str]:
    """Yields why a mode is certain to end as unsupported."""
    if not on_gpu:
        yield from (f"{option} needs a CUDA device" for option in _ON_GPU if getattr(mode, option))
    if mode.attention_processor == "xformers" and not environment.packages.get("xformers"):
        yield f"xformers is not installed in environment '{environment.name}'"
    if mode.quantization and not environment.packages.get("torchao"):
        yield f"torchao is not installed in environment '{environment.name}'"
    bare = next((name for name, stage in pipeline.stages.items() if "vae" not in stage.components), None)
    options = [option for option in _OF_VAE if getattr(mode, option) and option not in mode.optional]
    if bare is not None and options:
        yield f"{options[0]}: stage {bare} has no VAE"


def _options(mode: Mode) -> Mode:
    return replace(mode, name="", label="", description="")
