"""Every mode is applied for real, or refused with a reason."""

import contextlib
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers import HunyuanDiT2DModel, SanaTransformer2DModel, UNet2DConditionModel
from diffusers.models import attention_processor as processors
from safetensors.torch import load_file
from tiny_cells import CATALOG, CONTROLNET, IF, SD, UPSCALER, Recorder, applied, cell_of, pipe_of, refused, relative_l2

from sdtui import mode_calls
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.events import CallFinished, CellFinished, CellPhase, Step
from sdtui.model.job import Job
from sdtui.worker import measure, options


def processor_types(denoiser):
    return {type(processor) for processor in denoiser.attn_processors.values()}


def test_these_are_the_shipped_modes():
    """A new one needs tests here."""
    assert set(CATALOG.modes) == {
        *("no-compile", "compile", "sdpa-attention", "vanilla-attention", "xformers", "channels-last"),
        *("compile-channels-last", "bf16", "max-autotune", "fast", "fp8", "int8"),
    }


# ---------------------------------------------------------------------------------------- processors and layouts


@pytest.mark.parametrize(
    ("place", "wish", "expected"),
    [
        (SD, "sdpa", {processors.AttnProcessor2_0}),
        (SD, "vanilla", {processors.AttnProcessor}),
        (UPSCALER, "sdpa", {processors.AttnProcessor2_0}),
        (IF, "sdpa", {processors.AttnAddedKVProcessor2_0}),
        (IF, "vanilla", {processors.AttnAddedKVProcessor}),
    ],
)
def test_attention_processors_are_set(place, wish, expected):
    assert processor_types(applied(place, attention_processor=wish).unet) == expected


@pytest.mark.parametrize(
    ("wish", "expected"), [("sdpa", processors.AttnProcessor2_0), ("vanilla", processors.AttnProcessor)]
)
def test_every_denoiser_gets_its_processors(wish, expected):
    pipe = applied(CONTROLNET, attention_processor=wish)
    assert processor_types(pipe.unet) == processor_types(pipe.controlnet) == {expected}


@pytest.mark.parametrize("place", [SD, CONTROLNET, IF])
def test_channels_last_is_the_denoisers_layout_alone(place):
    pipe = applied(place, memory_format="channels_last")
    for name in ("unet", "controlnet"):
        kernels = [p for p in getattr(pipe, name, torch.nn.Module()).parameters() if p.dim() == 4 and p.shape[-1] > 1]
        assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)
        assert all(not kernel.is_contiguous() for kernel in kernels if kernel.shape[1] > 1)
        assert kernels or not hasattr(pipe, name)
    assert not hasattr(pipe, "vae") or pipe.vae.decoder.conv_in.weight.is_contiguous()


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
def test_a_compiled_vae_decodes_in_the_denoisers_layout(layout):
    vae = applied(SD, memory_format=layout, compile=CompileOptions("eager"), compile_vae=True).vae
    assert vae.decoder.conv_in.weight.is_contiguous(memory_format=torch.channels_last) == (layout == "channels_last")
    assert vae.encoder.conv_in.weight.is_contiguous()


@pytest.mark.parametrize(("place", "name"), [(SD, "unet"), (CONTROLNET, "unet"), (CONTROLNET, "controlnet")])
def test_fused_projections(place, name):
    denoiser = getattr(applied(place, fuse_qkv=True), name)
    attentions = [module for module in denoiser.modules() if isinstance(module, processors.Attention)]
    assert attentions
    assert all(attention.fused_projections for attention in attentions)
    assert processor_types(denoiser) == {processors.FusedAttnProcessor2_0}


@pytest.mark.parametrize("method", [None, lambda self: None], ids=["without the method", "that fuses nothing"])
def test_a_unet_without_a_fusing_method_is_fused_as_with_it(monkeypatch, method):
    fused = [applied(SD, fuse_qkv=True).unet]
    if method:
        monkeypatch.setattr(UNet2DConditionModel, "fuse_qkv_projections", method)
    else:
        for cls in UNet2DConditionModel.__mro__:
            monkeypatch.delattr(cls, "fuse_qkv_projections", raising=False)
    fused.append(applied(SD, fuse_qkv=True).unet)
    one, other = (unet.state_dict() for unet in fused)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert processor_types(fused[0]) == processor_types(fused[1])


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"fuse_qkv": True}, "part: there is no attention whose projections could be fused"),
        ({"attention_processor": "sdpa"}, "part has no set_attn_processor"),
        ({"attention_processor": "vanilla"}, "part has no set_default_attn_processor"),
    ],
)
def test_a_denoiser_without_the_method_is_refused(wishes, reason):
    pipe = SimpleNamespace(part=torch.nn.Linear(2, 2))
    stage = dataclasses.replace(cell_of().stages[0], denoisers=("part",))
    with pytest.raises(options.UnsupportedError, match=reason):
        options.apply(Mode("mine", "mine", **wishes), stage, pipe)


def test_a_denoiser_whose_own_method_finds_nothing_to_fuse_is_refused(monkeypatch):
    def without_projections(self):
        raise AttributeError("no to_k")

    monkeypatch.setattr(UNet2DConditionModel, "fuse_qkv_projections", without_projections)
    assert refused(SD, fuse_qkv=True) == "unet: UNet2DConditionModel.fuse_qkv_projections: no to_k"


LINEAR = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "num_cross_attention_heads": 2,
    "cross_attention_head_dim": 16,
    "cross_attention_dim": 32,
}


@pytest.mark.parametrize(
    ("wishes", "reason"),
    [
        ({"fuse_qkv": True}, "part: SanaAttnProcessor2_0 computes attention of another kind"),
        ({"attention_processor": "sdpa"}, "part computes attention by SanaAttnProcessor2_0, which is of another"),
    ],
)
def test_attention_of_another_kind_is_not_replaced(wishes, reason):
    """Which would be other work under the same name."""
    sizes = {"in_channels": 4, "out_channels": 4, "num_layers": 1, "caption_channels": 8, "sample_size": 8}
    pipe = SimpleNamespace(part=SanaTransformer2DModel(**sizes, **LINEAR, patch_size=1))
    before = processor_types(pipe.part)
    stage = dataclasses.replace(cell_of().stages[0], denoisers=("part",))
    with pytest.raises(options.UnsupportedError, match=reason):
        options.apply(Mode("mine", "mine", **wishes), stage, pipe)
    assert processor_types(pipe.part) == before


def test_a_default_that_is_not_written_out_is_not_vanilla():
    heads = {"num_attention_heads": 2, "attention_head_dim": 16, "hidden_size": 32, "num_layers": 1}
    prompt = {"cross_attention_dim": 8, "cross_attention_dim_t5": 8, "text_len": 7, "text_len_t5": 7}
    pipe = SimpleNamespace(part=HunyuanDiT2DModel(in_channels=4, sample_size=8, patch_size=2, **heads, **prompt))
    stage = dataclasses.replace(cell_of().stages[0], denoisers=("part",))
    with pytest.raises(
        options.UnsupportedError, match="part computes attention by HunyuanAttnProcessor2_0, which is not"
    ):
        options.apply(Mode("mine", "mine", attention_processor="vanilla"), stage, pipe)


@pytest.mark.parametrize("kind", ["vanilla", "xformers"])
def test_fused_projections_replace_no_processor_that_was_asked_for(monkeypatch, kind):
    monkeypatch.setattr(options, "_set_processor", lambda *_: None)
    with pytest.raises(options.UnsupportedError, match=f"unet: {kind} attention has no fused projections"):
        applied(SD, attention_processor=kind, fuse_qkv=True)
    mode = Mode("mine", "mine", attention_processor=kind, fuse_qkv=True, optional=("fuse_qkv",))
    stage = cell_of().stages[0]
    assert set(options.apply(mode, stage, pipe_of(cell_of())).left_out) == {"fuse_qkv"}
    assert [told.option for told in mode_calls.of_stage(mode, stage, "pipe") if told.left_out] == ["fuse_qkv"]


def test_a_vae_without_a_decoder_is_not_laid_out():
    stage = dataclasses.replace(cell_of().stages[0], denoisers=())
    pipe = SimpleNamespace(vae=SimpleNamespace(decode=len))
    mode = Mode("mine", "mine", memory_format="channels_last", compile=CompileOptions("eager"), compile_vae=True)
    with pytest.raises(options.UnsupportedError, match="SimpleNamespace has no decoder to lay out"):
        options.apply(mode, stage, pipe)


def test_vae_options():
    vae = applied(SD, vae_slicing=True).vae
    assert (vae.use_slicing, vae.use_tiling) == (True, False)
    vae = applied(SD, vae_tiling=True).vae
    assert (vae.use_slicing, vae.use_tiling) == (False, True)


# ----------------------------------------------------------------------------------------------------- refusals


def test_refusals_name_the_part_and_the_reason(monkeypatch):
    assert refused(SD, attention_processor="xformers") == "xformers is not installed in this environment"
    assert refused(IF, fuse_qkv=True).startswith("unet of stage I: `fuse_qkv_projections()` is not supported")
    assert refused(UPSCALER, attention_backend="flash").startswith("unet of stage III does not dispatch attention")
    assert refused(IF, vae_slicing=True) == "stage I has no VAE: no VAE option applies to it"
    assert refused(SD, attention_backend="flash") == (
        "unet does not dispatch attention: no attention_backend applies to it"
    )


def test_xformers_that_cannot_run_here_is_refused(monkeypatch):
    monkeypatch.setattr(options.importlib.util, "find_spec", lambda name: name == "xformers" or None)
    assert refused(SD, attention_processor="xformers").startswith("unet: xformers: ")


@pytest.mark.parametrize("name", ["tf32", "cudnn_benchmark"])
def test_options_of_a_gpu_are_refused_on_a_cpu(name, measured):
    cell = dataclasses.replace(cell_of(), mode=Mode("mine", "mine", **{name: True}))
    run = measured(cell)
    assert run.events == [CellFinished(cell.id, "unsupported", "load", None, f"{name} needs a CUDA device")]


@pytest.mark.parametrize(
    ("recipe", "refused"),
    [
        (CompileOptions(mode="reduce-overhead"), True),
        (CompileOptions(mode="max-autotune"), True),
        (CompileOptions(options={"triton.cudagraphs": True}), True),
        (CompileOptions("cudagraphs"), True),
        (CompileOptions(mode="max-autotune-no-cudagraphs"), False),
        (CompileOptions(options={"freezing": True}), False),
    ],
)
def test_step_graphs_hold_no_other_graphs(recipe, refused):
    mode = Mode("mine", "mine", step_graphs=True, compile=recipe)
    told = [calls.refusal for calls in mode_calls.of_stage(mode, cell_of().stages[0], "pipe")]
    assert any(told) == refused
    refusal = pytest.raises(options.UnsupportedError, match=r"cannot capture torch\.compile's own CUDA graphs")
    with torch._inductor.config.patch(freezing=False), refusal if refused else contextlib.nullcontext():
        options.apply_global(mode, "cuda:0")


@pytest.mark.parametrize(
    ("pipeline", "mode", "reason"),
    [
        ("sd-txt2img", "xformers", "xformers is not installed in this environment"),
        ("if-cascade", "compile-channels-last", "unet of stage I: `fuse_qkv_projections()` is not supported"),
    ],
)
def test_cell_of_a_mode_that_the_pipeline_cannot_take_is_unsupported(measured, pipeline, mode, reason):
    run = measured(cell_of(pipeline, mode))
    assert (run.end.status, run.end.phase, run.end.call) == ("unsupported", "load", None)
    assert run.end.reason.startswith(reason)


# ------------------------------------------------------------------------------------------- what the modes compute


@pytest.fixture(scope="module")
def latents(tmp_path_factory):
    """Final latents of the shipped eager modes."""
    made = {}
    for mode in ("no-compile", "sdpa-attention", "vanilla-attention", "channels-last", "bf16"):
        cell, outputs, recorder = cell_of(mode=mode, steps=1), tmp_path_factory.mktemp(mode), Recorder()
        measure.measure(Job(cell, "cpu", str(outputs)), recorder)
        assert recorder.events[-1].status == "ok"
        made[mode] = load_file(outputs / f"{cell.id}.safetensors")["latents"]
    return made


@pytest.mark.parametrize("mode", ["sdpa-attention", "vanilla-attention", "channels-last"])
def test_eager_modes_compute_the_same(latents, mode):
    assert relative_l2(latents[mode], latents["no-compile"]) < 1e-4


def test_bf16_runs_in_bf16_and_is_near(latents):
    assert latents["bf16"].dtype == torch.bfloat16
    assert 1e-4 < relative_l2(latents["bf16"], latents["no-compile"]) < 0.05


@pytest.mark.parametrize("pipeline", ["sd-txt2img", "sd-controlnet"])
def test_fused_projections_compute_the_same(measured, pipeline):
    plain = measured(cell_of(pipeline))
    fused = measured(dataclasses.replace(cell_of(pipeline), mode=Mode("mine", "mine", fuse_qkv=True)))
    one, two = (np.asarray(run.images["main"][0][0]).astype(int) for run in (plain, fused))
    assert fused.end.status == "ok"
    assert abs(one - two).max() <= 1


# -------------------------------------------------------------------------------------------------- compilation


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("compile", {"backend": "inductor", "mode": "reduce-overhead", "fullgraph": True, "dynamic": False}),
        ("max-autotune", {"backend": "inductor", "mode": "max-autotune", "fullgraph": True, "dynamic": False}),
    ],
)
def test_compiling_modes_hand_every_denoiser_to_torch(monkeypatch, mode, expected):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, **wish: asked.append((module, wish)) or module)
    for pipeline in ("sd-controlnet", "if"):
        cell = cell_of(pipeline, mode)
        for number, stage in enumerate(cell.stages):
            pipe = pipe_of(cell, number)
            denoisers = [getattr(pipe, name) for name in stage.denoisers]
            options.apply(cell.mode, stage, pipe)
            assert asked == [(denoiser, expected) for denoiser in denoisers]
            asked.clear()


def test_stages_of_one_class_are_each_compiled_for_their_own_shapes():
    """Whereas torch by itself makes a shape dynamic when it meets a second one in the same code."""
    seen = []

    def looking(graph, inputs):
        shapes = [value.shape for value in inputs if isinstance(value, torch.Tensor)]
        seen.append(any(isinstance(size, torch.SymInt) for shape in shapes for size in shape))
        seen.extend(isinstance(value, torch.SymInt) for value in inputs)
        return graph.forward

    torch._dynamo.register_backend(looking, name="looking")
    torch._dynamo.reset()
    for dynamic, any_dynamic in ((None, False), (True, True)):
        seen.clear()
        mode = Mode("mine", "mine", compile=CompileOptions("looking", fullgraph=True, dynamic=dynamic))
        for size in (3, 6):
            holder = SimpleNamespace(unet=torch.nn.Sequential(torch.nn.Linear(size, size)))
            options.apply(mode, SimpleNamespace(denoisers=("unet",), name="main"), holder)
            holder.unet(torch.zeros(size + 1, size))
        assert any(seen) is any_dynamic


def test_compile_channels_last_is_all_of_it(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, **wish: asked.append((module, wish)) or module)
    cell = cell_of(mode="compile-channels-last")
    pipe = pipe_of(cell)
    unet = pipe.unet
    options.apply(cell.mode, cell.stages[0], pipe)
    ((module, wish),) = asked
    assert module is unet
    assert (wish["mode"], wish["fullgraph"]) == ("reduce-overhead", True)
    assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    assert processor_types(unet) == {processors.FusedAttnProcessor2_0}


def test_compiled_denoisers_replace_the_pipelines_own():
    pipe = applied(CONTROLNET, compile=CompileOptions("eager"))
    assert isinstance(pipe.unet, torch._dynamo.OptimizedModule)
    assert isinstance(pipe.controlnet, torch._dynamo.OptimizedModule)


def compiled(cell, **wishes):
    """The cell through torch.compile's tracer and no code generator: fast, and any graph break is an error."""
    return dataclasses.replace(
        cell, mode=Mode("mine", "mine", compile=CompileOptions("eager", fullgraph=True, **wishes))
    )


def test_a_compiled_denoiser_is_timed_and_counted_like_an_eager_one(measured):
    torch._dynamo.reset()
    eager = measured(cell_of(calls=2))
    run = measured(compiled(cell_of(calls=2)))
    assert run.end == CellFinished(run.cell.id, "ok", "measure", 2, flops=eager.end.flops)
    assert [event.phase for event in run.of(CellPhase)] == ["compile", "measure"]
    assert [(event.steps, event.forwards) for event in run.of(CallFinished)] == [(2, 3)] * 2
    assert [event.forwards for event in run.of(Step)] == [2, 1] * 2
    first, second = run.of(CallFinished)
    assert first.loop_ms > 2 * second.loop_ms  # compiled in the first
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    for call in (0, 1):
        assert np.array_equal(np.asarray(run.images["main"][call][0]), np.asarray(eager.images["main"][call][0]))


def test_graph_break_in_a_full_graph_fails_the_cell(measured, monkeypatch):
    torch._dynamo.reset()
    build = measure.build

    def breaking(*args):
        pipe = build(*args)
        forward = pipe.unet.conv_in.forward

        def broken(sample):
            torch._dynamo.graph_break()
            return forward(sample)

        pipe.unet.conv_in.forward = broken
        return pipe

    monkeypatch.setattr(measure, "build", breaking)
    run = measured(compiled(cell_of()))
    assert (run.end.status, run.end.phase, run.end.call) == ("failed", "compile", 1)
    assert run.end.reason.startswith("torch.compile: Unsupported: ")
    assert "\n" not in run.end.reason


def test_backend_that_is_not_there_fails_the_cell(measured):
    torch._dynamo.reset()
    cell = dataclasses.replace(cell_of(), mode=Mode("mine", "mine", compile=CompileOptions("inductr")))
    run = measured(cell)
    assert run.end.status == "failed"
    assert "inductr" in run.end.reason
