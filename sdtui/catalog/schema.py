"""The tables that people write: pipelines, modes, presets, plans. `sdtui.catalog.checking` holds files against them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from sdtui.catalog.checking import Limits, Text
from sdtui.model.cell import (
    AttentionProcessor,
    Dtype,
    InputSource,
    LeftOut,
    MemoryFormat,
    Quantization,
    Scale,
    SdpaBackend,
)
from sdtui.model.precision import FEWEST_MEASURED
from sdtui.model.results import Phase
from sdtui.model.shares import parse_share
from sdtui.model.sizes import parse_size
from sdtui.model.spans import parse_span

Positive = Annotated[int, Limits(least=1, most=2**31 - 1)]
Pixels = Annotated[int, Limits(least=8, multiple=8)]
Seconds = Annotated[float, Limits(least=1)]

MOST_PROCESSES = 1000
"""Of a cell: more is a slip of the finger, and would hold the device for weeks."""


def _line(text: str) -> str:
    if len(text.splitlines()) > 1 or text.endswith("\n"):
        raise ValueError("is more than a line")
    return text


Line = Annotated[str, Limits(after=_line)]
Label = Annotated[str, Limits(filled=True, after=_line)]


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|cuda(:(\d+|(GPU|MIG)-[0-9A-Za-z-]+))?", text):
        raise ValueError("is no device; write 'cpu', 'cuda:N' or 'cuda:GPU-…' (a UUID)")
    return "cuda:0" if text == "cuda" else text


def _share(value: Any) -> float:
    share = parse_share(value) if isinstance(value, str) else value
    if not isinstance(share, float) or not 0 < share < 1:
        raise ValueError("is no share between 0% and 100%; write it as 1% or 0.01")
    return share


def _size(value: Any) -> int:
    size = parse_size(value) if isinstance(value, str) else None
    if size is None:
        raise ValueError("is no size of memory; write it such as 15GiB, in GiB, MiB, GB or MB")
    return size


def _span(value: Any) -> float:
    span = parse_span(value) if isinstance(value, str) else None
    if span is None:
        raise ValueError("is no span of time; write it as 90s, 20m or 1h30m")
    return span


@dataclass(frozen=True, kw_only=True)
class WeightsTable:
    """Real weights on the hub: the id alive today, the page's id where it is gone, the variant of the files."""

    id: Text
    formerly: str | None = None
    variant: str | None = None


@dataclass(frozen=True, kw_only=True)
class ComponentTable:
    """One part of a pipeline; ``config`` is the content of the file that was named."""

    library: Literal["diffusers", "transformers"]
    class_name: Text
    config: dict[str, Any]
    weights: WeightsTable | None = None


@dataclass(frozen=True, kw_only=True)
class InputTable:
    """A call argument that is made; see `sdtui.model.cell.Input`."""

    source: InputSource
    width: Pixels | None = None
    height: Pixels | None = None
    shape: tuple[Positive, ...] = ()
    stage: str = ""


@dataclass(frozen=True, kw_only=True)
class TinyInputTable:
    """What of an input shrinks at tiny scale."""

    width: Pixels | None = None
    height: Pixels | None = None
    shape: tuple[Positive, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TinyTable:
    """How a stage shrinks: its own values, and per component the config keys that change."""

    steps: Positive
    width: Pixels
    height: Pixels
    components: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[str, TinyInputTable] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class StageTable:
    """One diffusers pipeline object; see `sdtui.model.cell.Stage`.

    ``absent`` lists constructor arguments that are ``None``, which TOML cannot write.
    """

    pipeline_class: Text
    components: dict[str, ComponentTable]
    denoisers: Annotated[tuple[str, ...], Limits(filled=True)]
    steps: Positive
    guidance: float
    width: Pixels
    height: Pixels
    takes_size: bool = False
    takes_prompt: bool = True
    absent: tuple[str, ...] = ()
    constructor: dict[str, Any] = field(default_factory=dict)
    arguments: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, InputTable] = field(default_factory=dict)
    weights: WeightsTable | None = None
    tiny: TinyTable | None = None


@dataclass(frozen=True, kw_only=True)
class PipelineTable:
    """A pipeline: stages by name, in the order they run.

    ``batched_stages`` are the stages that batch sizes over 1 run; empty means all.
    """

    label: Label
    description: Line = ""
    prompt: str
    notes: tuple[str, ...] = ()
    batched_stages: tuple[str, ...] = ()
    stages: Annotated[dict[str, StageTable], Limits(filled=True)]


@dataclass(frozen=True, kw_only=True)
class CompileTable:
    """Arguments of ``torch.compile``."""

    backend: Text = "inductor"
    mode: Text | None = None
    fullgraph: bool = False
    dynamic: bool | None = None
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ModeTable:
    """A mode's options; see `sdtui.model.cell.Mode`. ``label`` defaults to the name, dashes as spaces."""

    label: Label | None = None
    description: Line = ""
    compile: CompileTable | None = None
    memory_format: MemoryFormat = "contiguous"
    fuse_qkv: bool = False
    attention_processor: AttentionProcessor | None = None
    attention_backend: Text | None = None
    dtype: Dtype | None = None
    tf32: bool | None = None
    cudnn_benchmark: bool | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    sdpa_backends: Annotated[tuple[SdpaBackend, ...], Limits(filled=True)] | None = None
    step_graphs: bool = False
    precompute: bool = False
    compile_vae: bool = False
    quantization: Quantization | None = None
    optional: tuple[LeftOut, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TuningTable:
    """Shipped modes that ``sdtui tune`` tries out, in order, and why it leaves others out."""

    modes: tuple[str, ...]
    left_out: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class PlanKeys:
    """The keys of a plan; ``None`` where it leaves one out."""

    pipelines: Annotated[tuple[str, ...], Limits(filled=True)] | None = None
    modes: Annotated[tuple[str, ...], Limits(filled=True)] | None = None
    environments: Annotated[tuple[Text, ...], Limits(filled=True)] | None = None
    batch_sizes: Annotated[tuple[Positive, ...], Limits(filled=True)] | None = None
    slots: Annotated[tuple[Text, ...], Limits(filled=True)] | None = None
    calls: Positive | None = None
    scale: Scale | None = None
    weights: Text | None = None
    device: Annotated[str, Limits(after=_device)] | None = None
    seed: Annotated[int, Limits(least=0, most=2**63 - 1)] | None = None
    steps: Positive | None = None
    size: Pixels | None = None
    guidance: Annotated[float, Limits(least=0)] | None = None
    dtype: Dtype | None = None
    prompt: str | None = None
    cold: bool | None = None
    trace: bool | None = None
    exclusive: bool | None = None
    processes: Annotated[int, Limits(least=1, most=MOST_PROCESSES)] | None = None
    tune: bool | None = None
    precision: Annotated[float, Limits(before=_share)] | None = None
    max_calls: Annotated[int, Limits(least=FEWEST_MEASURED + 1)] | None = None
    max_seconds: Seconds | None = None
    vram_limit: Annotated[int, Limits(before=_size)] | None = None
    skip_larger_after_oom: bool | None = None
    budget: Annotated[float, Limits(before=_span)] | None = None
    timeouts: dict[Phase, Seconds] | None = None


@dataclass(frozen=True, kw_only=True)
class PlanTable(PlanKeys):
    """A plan file: the keys, and modes and pipelines of the person's own."""

    mode: dict[str, dict[str, Any]] = field(default_factory=dict)
    pipeline: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class PresetTable(PlanKeys):
    """A preset: keys, and further keys that depend on whether there is a usable GPU."""

    description: Line = ""
    gpu: PlanKeys | None = None
    cpu: PlanKeys | None = None
