"""What is measured: components, stages, modes, slots and cells, all resolved."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Scale = Literal["full", "tiny"]
Dtype = Literal["float16", "bfloat16", "float32"]
MemoryFormat = Literal["contiguous", "channels_last"]
AttentionProcessor = Literal["sdpa", "vanilla", "xformers"]
UNFUSED: tuple[AttentionProcessor, ...] = ("vanilla", "xformers")
"""Those whose projections cannot be fused: fused attention is a processor of its own, torch's."""
SdpaBackend = Literal["cudnn", "efficient", "flash", "math"]
Quantization = Literal["fp8", "int8"]
LeftOut = Literal["fuse_qkv", "precompute", "compile_vae"]
InputSource = Literal["image", "mask", "edges", "embeddings", "stage"]

SINCE_FIRST_IDS = {"since first ids": True}
"""Metadata of a dataclass field that was added after results were first published; see `cell_id`."""


@dataclass(frozen=True)
class Component:
    """One part of a pipeline, built from its published config.

    Attributes:
        name: The pipeline's argument that takes it, such as ``unet``.
        library: ``diffusers`` or ``transformers``.
        class_name: Its class there. ``CLIPTokenizer`` is built in memory with a byte vocabulary.
        config: The published config file's content, shrunk at tiny scale.
        weights: Hub id or folder of this component's own real weights, where the stage's weights do not hold it (a
            ControlNet); ``None`` otherwise.
    """

    name: str
    library: Literal["diffusers", "transformers"]
    class_name: str
    config: Mapping[str, Any]
    weights: str | None = None


@dataclass(frozen=True)
class Input:
    """A call argument that is made rather than written down.

    Attributes:
        source: ``image``, ``mask`` and ``edges`` are generated pictures (PIL, RGB; the mask L) of ``width`` x
            ``height`` pixels; ``embeddings`` is a standard normal tensor of ``shape``; ``stage`` is the output of
            the earlier stage ``stage``.
    """

    source: InputSource
    width: int = 0
    height: int = 0
    shape: tuple[int, ...] = ()
    stage: str = ""


@dataclass(frozen=True)
class Stage:
    """One diffusers pipeline object and how it is called.

    Attributes:
        name: ``main`` for a pipeline of one stage; ``I``, ``II``, ``III`` for DeepFloyd IF.
        pipeline_class: Class in ``diffusers``.
        components: What is built for it; empty in events, which do not repeat configs.
        constructor: Further constructor arguments, such as ``safety_checker: None``.
        denoisers: The components that run at every step, which a compiling mode compiles.
        steps: ``num_inference_steps`` of the call.
        guidance: ``guidance_scale`` of the call.
        width: Of the output image, in pixels.
        height: Of the output image, in pixels.
        takes_size: Whether the call takes ``width`` and ``height``.
        takes_prompt: Whether the call takes the prompt as text.
        arguments: Further call arguments, verbatim.
        inputs: Call arguments that are made: images, masks, embeddings, an earlier stage's output.
        weights: Hub id or folder of real weights; ``None`` for random ones.
        variant: Weight file variant of ``weights``, such as ``fp16``.
        flops_per_step: Floating-point operations of one denoiser evaluation at batch size 1, guidance included;
            ``None`` where not counted.
    """

    name: str
    pipeline_class: str
    components: tuple[Component, ...]
    constructor: Mapping[str, Any]
    denoisers: tuple[str, ...]
    steps: int
    guidance: float
    width: int
    height: int
    takes_size: bool
    takes_prompt: bool
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    weights: str | None = None
    variant: str | None = None
    flops_per_step: float | None = None


@dataclass(frozen=True)
class CompileOptions:
    """Arguments of ``torch.compile``, applied to every denoiser.

    ``dynamic=None`` compiles for the shapes that a cell has, which never change (torch gets ``False``).
    """

    backend: str = "inductor"
    mode: str | None = None
    fullgraph: bool = False
    dynamic: bool | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """What ``torch.compile`` is called with.

        Left to itself, torch takes the UNet of IF's second stage for the first's with other shapes (their classes
        share one forward), and compiles it and the third for any shape: minutes longer, and kernels of no use here.
        """
        dynamic = False if self.dynamic is None else self.dynamic
        known = {"backend": self.backend, "mode": self.mode, "fullgraph": self.fullgraph, "dynamic": dynamic}
        return {**known, "options": dict(self.options)} if self.options else known

    @property
    def uses_cuda_graphs(self) -> bool:
        """Whether torch puts what it compiles into CUDA graphs of its own."""
        own = self.mode in ("reduce-overhead", "max-autotune") or self.backend == "cudagraphs"
        return own or bool(self.options.get("triton.cudagraphs"))


@dataclass(frozen=True)
class Mode:
    """A named set of options: how a pipeline is run.

    Attributes:
        name: Such as ``compile-channels-last``.
        label: What table headers print, such as ``compile``.
        compile: ``None`` runs eagerly.
        memory_format: Of the denoisers, and of the decoder of a compiled VAE.
        fuse_qkv: Fuse the attention projections of every denoiser.
        attention_processor: ``None`` keeps diffusers' choice.
        attention_backend: Name for ``set_attention_backend``; ``None`` keeps diffusers' choice. It applies to models
            that dispatch attention, as the transformers of newer pipelines do; none of the shipped pipelines has one.
        dtype: Overrides the plan's.
        tf32: ``None`` leaves torch's default.
        cudnn_benchmark: ``None`` leaves torch's default.
        vae_slicing: Decode one image at a time.
        vae_tiling: Decode in tiles.
        sdpa_backends: Those that torch's scaled dot-product attention may choose from, the preferred first; ``None``
            leaves it all.
        step_graphs: Replay each step of the denoising loop as one CUDA graph: denoisers, guidance and scheduler.
        precompute: Evaluate what depends on prompt and timestep alone once per call; part of ``step_graphs``.
        compile_vae: Compile the VAE's decoder as the denoisers are.
        quantization: What the denoisers' linear layers multiply in, weights and activations; ``None`` the dtype.
        optional: Options that are left out, and said to be, where a pipeline cannot take them.
    """

    name: str
    label: str
    description: str = ""
    compile: CompileOptions | None = None
    memory_format: MemoryFormat = "contiguous"
    fuse_qkv: bool = False
    attention_processor: AttentionProcessor | None = None
    attention_backend: str | None = None
    dtype: Dtype | None = None
    tf32: bool | None = None
    cudnn_benchmark: bool | None = None
    vae_slicing: bool = False
    vae_tiling: bool = False
    sdpa_backends: tuple[SdpaBackend, ...] | None = field(default=None, metadata=SINCE_FIRST_IDS)
    step_graphs: bool = field(default=False, metadata=SINCE_FIRST_IDS)
    precompute: bool = field(default=False, metadata=SINCE_FIRST_IDS)
    compile_vae: bool = field(default=False, metadata=SINCE_FIRST_IDS)
    quantization: Quantization | None = field(default=None, metadata=SINCE_FIRST_IDS)
    optional: tuple[LeftOut, ...] = field(default=(), metadata=SINCE_FIRST_IDS)


@dataclass(frozen=True)
class Slot:
    """A place in the tables."""

    pipeline: str
    mode: str
    environment: str
    batch_size: int

    def __str__(self) -> str:
        return f"{self.pipeline}.{self.mode}.{self.environment}.b{self.batch_size}"


@dataclass(frozen=True)
class Cell:
    """A slot with all that changes its work.

    Attributes:
        id: Readable slot, scale where it is tiny, and 8 hex digits of a hash of the work (see `cell_id`).
        pipeline_label: Row name in the tables, such as ``SD - txt2img``.
        calls: Pipeline calls to make.
        weights: ``random``, a hub id or a folder.
        seed: Of weights and latents. Does not change the work, nor the id.
        variant: What differs from the docs protocol, in words, such as ``20 steps``; empty where nothing does.
        vram_limit_bytes: What torch's allocator may take of the GPU's memory; ``None`` lets it take all.
    """

    id: str
    slot: Slot
    pipeline_label: str
    mode: Mode
    scale: Scale
    calls: int
    dtype: Dtype
    weights: str
    seed: int
    prompt: str
    stages: tuple[Stage, ...]
    variant: str = ""
    vram_limit_bytes: int | None = None

    def without_configs(self) -> Cell:
        """Returns the cell as events carry it: component configs left out."""
        stages = tuple(dataclasses.replace(stage, components=()) for stage in self.stages)
        return dataclasses.replace(self, stages=stages)


def weights_kind(weights: str) -> str:
    """Returns what of the weights enters a cell's id: ``random``, the hub id, or the folder's last name."""
    return weights.rstrip("/").rsplit("/", 1)[-1] if weights.startswith("/") else weights


def cell_id(
    slot: Slot,
    *,
    mode: Mode,
    scale: Scale,
    calls: int,
    dtype: Dtype,
    weights: str,
    stages: tuple[Stage, ...],
    vram_limit_bytes: int | None = None,
) -> str:
    """Returns the id that results merge and compare by.

    The hash covers the resolved mode options (not the mode's name, label or description), scale, calls, dtype,
    weights kind, every stage (wiring, steps, size, guidance, arguments, component configs) and a limit of the
    allocator: what changes the work, or what it can come to. Seed, prompt, device and torch version do not enter.

    A field that `Mode`, `CompileOptions`, `Stage`, `Input` or `Component` gains from now on is declared with
    ``field(default=…, metadata=SINCE_FIRST_IDS)``, its default being what was done before it was there: at its default
    it stays out of the hash, so that the ids of earlier results stand. A limit enters likewise, where there is one.
    """
    options = {key: value for key, value in _encode(mode).items() if key not in ("name", "label", "description")}
    options["dtype"] = dtype
    if vram_limit_bytes is not None:
        options["vram_limit_bytes"] = vram_limit_bytes
    wiring = [_work_of(stage) for stage in stages]
    work = [options, scale, calls, dtype, weights_kind(weights), wiring]
    digest = hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()[:8]
    tiny = ".tiny" if scale == "tiny" else ""
    return f"{slot}{tiny}-{digest}"


def _encode(value: Any) -> Any:
    """Encodes as `encode` does, but leaves out fields of `SINCE_FIRST_IDS` at their default."""
    if dataclasses.is_dataclass(value):
        return {
            field.name: _encode(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.metadata != SINCE_FIRST_IDS or getattr(value, field.name) != field.default
        }
    if isinstance(value, Mapping):
        return {str(key): _encode(item) for key, item in value.items()}
    return [_encode(item) for item in value] if isinstance(value, (list, tuple)) else value


def _work_of(stage: Stage) -> dict[str, Any]:
    work: dict[str, Any] = _encode(stage)
    for key in ("weights", "variant", "flops_per_step"):
        del work[key]
    for component in work["components"]:
        del component["weights"]
    return work
