"""What a mode does to a pipeline, as calls of torch and diffusers, in the order in which the worker makes them.

The worker applies a mode to objects (`sdtui.worker.options`); scripts and explanations have none, and tell from the
components' configs what those would refuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sdtui.model.cell import UNFUSED, AttentionProcessor, CompileOptions, Component, Mode, Stage
from sdtui.model.denoisers import UNETS, why_not_precomputed

_ADDED = "SimpleCrossAttn"
"""What the names of blocks hold whose attention has added projections of keys and values."""


@dataclass(frozen=True)
class OptionCalls:
    """One option of a mode, as it is applied to one object.

    Attributes:
        option: Its key in the mode's table.
        words: What it does.
        code: The lines of Python that do it.
        modules: Of the worker, whose definitions ``code`` uses.
        imports: That ``code`` needs beside torch and diffusers.
        refusal: Why the pipeline cannot take it; empty where it can.
        needs_gpu: Whether a CPU cannot take it.
        optional: Whether it is left out then; else the cell ends as unsupported.
    """

    option: str
    words: str
    code: tuple[str, ...]
    modules: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    refusal: str = ""
    needs_gpu: bool = False
    optional: bool = False

    @property
    def left_out(self) -> bool:
        """Whether the mode does without it here."""
        return self.optional and bool(self.refusal)


def of_process(mode: Mode) -> Iterator[OptionCalls]:
    """Yields the options that belong to the process."""
    if mode.tf32 is not None:
        lines = (f"torch.backends.{part}.allow_tf32 = {mode.tf32}" for part in ("cuda.matmul", "cudnn"))
        words = "whether float32 matrices and convolutions are multiplied as TF32"
        yield OptionCalls("tf32", words, tuple(lines), needs_gpu=True)
    if mode.cudnn_benchmark is not None:
        line = f"torch.backends.cudnn.benchmark = {mode.cudnn_benchmark}"
        words = "whether cuDNN times its algorithms for each convolution's shape, and keeps the fastest"
        yield OptionCalls("cudnn_benchmark", words, (line,), needs_gpu=True)
    if mode.sdpa_backends is not None:
        words = "scaled dot-product attention takes the first of these that can do what it is given, and no other"
        code = f"choose_sdpa({mode.sdpa_backends!r}, DEVICE)"
        yield OptionCalls("sdpa_backends", words, (code,), modules=("attention",), needs_gpu=True)
    if mode.compile and mode.compile.options.get("freezing"):
        words = "torch.compile's tracer reads Inductor's freezing from here alone: weights become part of the kernels"
        line = "torch._inductor.config.freezing = True"
        yield OptionCalls("compile.options.freezing", words, (line,), imports=("import torch._inductor.config",))


def of_stage(mode: Mode, stage: Stage, pipe: str) -> Iterator[OptionCalls]:
    """Yields the options that are applied to one stage's pipeline.

    Args:
        mode: To be applied.
        stage: With its components.
        pipe: The name of its pipeline in the code.
    """
    for name in stage.denoisers:
        yield from _of_denoiser(mode, stage, name, f"{pipe}.{name}")
    no_vae = "" if any(part.name == "vae" for part in stage.components) else "it has no VAE"
    if mode.vae_slicing:
        words = "the VAE decodes one image at a time"
        yield OptionCalls("vae_slicing", words, (f"{pipe}.vae.enable_slicing()",), refusal=no_vae)
    if mode.vae_tiling:
        words = "the VAE decodes an image in tiles"
        yield OptionCalls("vae_tiling", words, (f"{pipe}.vae.enable_tiling()",), refusal=no_vae)
    precompute = _precompute(mode, stage, pipe) if mode.precompute else None
    if precompute:
        yield precompute
    if mode.compile is not None:
        lines = (f"{pipe}.{name} = {_compiled(f'{pipe}.{name}', mode.compile)}" for name in stage.denoisers)
        shapes = "any shapes" if mode.compile.dynamic else "the shapes of this cell"
        yield OptionCalls("compile", f"torch.compile of each denoiser, for {shapes}", tuple(lines))
    if mode.compile_vae:
        yield _compile_vae(mode, pipe, no_vae)
    if mode.step_graphs:
        yield _step_graphs(mode, stage, pipe, bool(precompute and not precompute.refusal))


def _of_denoiser(mode: Mode, stage: Stage, name: str, denoiser: str) -> Iterator[OptionCalls]:
    component = next(part for part in stage.components if part.name == name)
    if mode.memory_format == "channels_last":
        words = "the denoiser's convolutions compute in channels-last layout, which tensor cores read as it is"
        yield OptionCalls("memory_format", words, (f"{denoiser}.to(memory_format=torch.channels_last)",))
    if mode.attention_processor is not None:
        yield _processor(component, mode.attention_processor, denoiser)
    if mode.attention_backend is not None:
        words = "attention is dispatched to this backend, in models that dispatch it"
        refusal = f"{name} does not dispatch attention" if _is_unet(component) else ""
        code = f"{denoiser}.set_attention_backend({mode.attention_backend!r})"
        yield OptionCalls("attention_backend", words, (code,), refusal=refusal)
    if mode.fuse_qkv:
        yield _fuse_qkv(mode, component, denoiser)
    if mode.quantization is not None:
        words = (
            f"torchao has linear layers multiply in {mode.quantization}, weights and activations, scaled as they come; "
            "those that see timestep or prompt alone stay in the dtype"
        )
        code = f'quantize({denoiser}, "{mode.quantization}")'
        on_gpu = mode.quantization == "fp8"
        yield OptionCalls("quantization", words, (code,), modules=("prompt_layers", "quantization"), needs_gpu=on_gpu)


def _processor(component: Component, kind: AttentionProcessor, denoiser: str) -> OptionCalls:
    if kind == "vanilla":
        words = "attention written out: matrix product, softmax, matrix product"
        return OptionCalls("attention_processor", words, (f"{denoiser}.set_default_attn_processor()",))
    if kind == "xformers":
        words = "xformers' memory-efficient attention; where it is not installed, the cell ends as unsupported"
        return OptionCalls("attention_processor", words, (f"{denoiser}.enable_xformers_memory_efficient_attention()",))
    name = f"Attn{'AddedKV' if _has_added(component) else ''}Processor2_0"
    return OptionCalls(
        "attention_processor",
        "torch's scaled dot-product attention, set explicitly",
        (f"{denoiser}.set_attn_processor(attention_processor.{name}())",),
        imports=("from diffusers.models import attention_processor",),
    )


def _fuse_qkv(mode: Mode, component: Component, denoiser: str) -> OptionCalls:
    own = component.class_name == "UNet2DConditionModel"
    optional = "fuse_qkv" in mode.optional
    code: tuple[str, ...] = (f"{denoiser}.fuse_qkv_projections()" if own else f"fuse_qkv({denoiser})",)
    words = (
        "queries, keys and values of self attention by one matrix product, keys and values of cross attention by one"
    )
    if optional and component.class_name not in UNETS:
        code = ("try:", f"    {code[0]}", "except ValueError as error:", '    print("fuse_qkv is left out:", error)')
        words += "; left out where there are none that can be"
    refusal = f"{component.name} has added projections of keys and values, which cannot be fused"
    replaced = f"{mode.attention_processor} attention has no fused projections"
    return OptionCalls(
        "fuse_qkv",
        words,
        code,
        modules=() if own else ("fused_projections",),
        refusal=replaced if mode.attention_processor in UNFUSED else refusal if _has_added(component) else "",
        optional=optional,
    )


def _precompute(mode: Mode, stage: Stage, pipe: str) -> OptionCalls:
    denoisers = [part for part in stage.components if part.name in stage.denoisers]
    refusals = [why_not_precomputed(part.name, part.class_name, part.config) for part in denoisers]
    if not mode.step_graphs:
        refusals = ["it is a part of step_graphs, which the mode does without"]
    given = _conditionings(pipe)
    each = (f'{given}["{name}"] = Conditioning({pipe}.{name}, {pipe}.{name}.forward)' for name in stage.denoisers)
    return OptionCalls(
        "precompute",
        "what depends on the prompt or the timestep alone is computed once per call, before its first step: keys and "
        "values of cross attention, embeddings of the timesteps",
        (f"{given} = {{}}", *each),
        modules=("prompt_layers", "conditioning"),
        refusal=next(filter(None, refusals), ""),
        optional="precompute" in mode.optional,
    )


def _compile_vae(mode: Mode, pipe: str, no_vae: str) -> OptionCalls:
    nothing = "it compiles as the denoisers are, and the mode compiles nothing"
    decode = f"{pipe}.vae.decode"
    channels_last = (f"{pipe}.vae.decoder.to(memory_format=torch.channels_last)",)
    return OptionCalls(
        "compile_vae",
        "torch.compile of the VAE's decoder, in the denoisers' layout",
        (
            *(channels_last if mode.memory_format == "channels_last" else ()),
            f"{decode} = {_compiled(decode, mode.compile or CompileOptions())}",
        ),
        refusal=no_vae or (nothing if mode.compile is None else ""),
        optional="compile_vae" in mode.optional,
    )


def _step_graphs(mode: Mode, stage: Stage, pipe: str, precomputed: bool) -> OptionCalls:
    names = ", ".join(f'"{name}"' for name in stage.denoisers) + ("," if len(stage.denoisers) == 1 else "")
    more = f", {_conditionings(pipe)}" if precomputed else ""
    return OptionCalls(
        "step_graphs",
        "each step of the pipeline's own loop is captured as one CUDA graph, from its first denoiser to the end of "
        "its scheduler's step, in the call after a warm-up, and replayed from then on",
        (f"{pipe} = StepGraphs({pipe}, ({names}), CudaGraphs(){more})",),
        modules=("prompt_layers", "conditioning", "graphs", "function_modes", "step_graphs"),
        needs_gpu=True,
        refusal="it cannot capture torch.compile's own CUDA graphs"
        if mode.compile and mode.compile.uses_cuda_graphs
        else "",
    )


def _compiled(what: str, options: CompileOptions) -> str:
    arguments = ", ".join(f"{name}={value!r}" for name, value in options.arguments.items())
    return f"torch.compile({what}, {arguments})"


def _conditionings(pipe: str) -> str:
    return pipe.replace("pipe", "conditionings", 1)


def _is_unet(component: Component) -> bool:
    return "down_block_types" in component.config or component.class_name in UNETS


def _has_added(component: Component) -> bool:
    config = component.config
    blocks = (*config.get("down_block_types", ()), config.get("mid_block_type"), *config.get("up_block_types", ()))
    return any(_ADDED in block for block in blocks if block)
