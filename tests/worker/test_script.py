"""The printed script makes, without sdtui, the very images that the cell's worker makes; and how a cell is named."""

import ast
import contextlib
import dataclasses
import functools
import itertools
import re
import sys
import types

import numpy as np
import pytest
import torch
from PIL import Image
from recorded_graphs import RecordedGraph
from tiny_cells import CATALOG, cell_of, pipe_of
from torch.nn.attention import SDPBackend, sdpa_kernel

from sdtui import runs, script, script_text
from sdtui.catalog.expand import expand
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.errors import UserError
from sdtui.model.events import CellQueued, Stamped, to_line
from sdtui.worker import attention, options

CELLS = {
    "sd-txt2img": cell_of("sd-txt2img", calls=2),
    "sd-img2img": cell_of("sd-img2img", batch_size=2),
    "sd-inpaint": cell_of("sd-inpaint", "channels-last", steps=1),
    "sd-controlnet": cell_of("sd-controlnet", "sdpa-attention", batch_size=2, steps=1),
    "if": cell_of("if", "vanilla-attention", steps=1),
    "if-sdpa": cell_of("if", "sdpa-attention", batch_size=2),
    "if-cascade": cell_of("if-cascade", batch_size=2, steps=1),
    "prompt": cell_of("sd-txt2img", prompt='it\'s "quoted" \\ ü', seed=3, guidance=2.0),
    "fused": dataclasses.replace(
        cell_of("sd-txt2img", steps=1), mode=Mode("mine", "mine", fuse_qkv=True, vae_slicing=True, vae_tiling=True)
    ),
    "fused-controlnet": dataclasses.replace(
        cell_of("sd-controlnet", steps=1), mode=Mode("mine", "mine", fuse_qkv=True)
    ),
}
GRAPHLESS = {"step_graphs": False, "precompute": False}
"""What of the mode fast a CPU can do without."""


def run_script(text, **given):
    """Runs a script as a module, in which torch.compile looks for its names, and returns those that it leaves."""
    module = types.ModuleType("script")
    sys.modules["script"] = module
    vars(module).update(given)
    exec(compile(text, "script.py", "exec"), vars(module))
    return vars(module)


def run_script_of(cell):
    return run_script(script_text.write(cell, "cpu"))


@functools.cache
def names_of(name):
    """What a script leaves behind, run once for every test."""
    return run_script_of(CELLS[name])


def pixels(images):
    return np.stack([np.asarray(image.float() if isinstance(image, torch.Tensor) else image) for image in images])


@pytest.mark.parametrize("name", CELLS)
def test_script_makes_the_cells_images(measured, name):
    cell = CELLS[name]
    run, names = measured(cell), names_of(name)
    assert run.end.status == "ok", run.end.reason
    for stage in cell.stages:
        made = names["images" if stage.name == "main" else f"images_{stage.name}"]
        assert np.array_equal(pixels(made), pixels(run.images[stage.name][-1]))
    with Image.open(run.outputs / f"{cell.id}.png") as kept:
        if isinstance(made, list):
            assert np.array_equal(np.asarray(kept), np.asarray(made[0]))


def test_script_of_real_weights_makes_the_cells_images(measured, tmp_path):
    saved = cell_of("sd-controlnet", seed=5)
    pipe_of(saved).save_pretrained(tmp_path / "weights")
    cell = cell_of("sd-controlnet", weights=str(tmp_path / "weights"), steps=1)
    run, names = measured(cell), run_script_of(cell)
    assert run.end.status == "ok", run.end.reason
    assert "random_module" not in names
    assert np.array_equal(pixels(names["images"]), pixels(run.images["main"][0]))


def test_script_of_a_folder_with_a_variant_alone_loads_it(tmp_path):
    pipe_of(cell_of(seed=5)).save_pretrained(tmp_path / "weights", variant="fp16")
    names = run_script_of(cell_of(weights=str(tmp_path / "weights"), steps=1))
    assert len(names["images"]) == 1


def test_script_on_a_cpu_lets_threads_sleep_as_the_worker_does():
    on_cpu = script_text.write(cell_of(), "cpu")
    assert on_cpu.index('os.environ.setdefault("OMP_WAIT_POLICY", "passive")') < on_cpu.index("import torch")
    assert "OMP_WAIT_POLICY" not in script_text.write(cell_of(), "cuda:0")


@pytest.mark.parametrize("device", ["cuda:GPU-2f0a3c4e", "cuda:MIG-2f0a3c4e"])
def test_a_gpu_named_by_uuid_is_the_first_whoever_asks(tmp_path, device):
    assert 'DEVICE = "cuda:0"' in named("sd-txt2img", tmp_path, device=device)
    assert 'DEVICE = "cuda:0"' in script_text.write(cell_of(), device)


@pytest.mark.parametrize(("device", "is_set"), [("cuda:0", False), ("cuda:1", True), ("cpu", False)])
def test_a_script_for_another_gpu_makes_it_the_current_one(device, is_set):
    """Graphs and events are the current device's."""
    assert ("torch.cuda.set_device(DEVICE)" in script_text.write(cell_of(), device)) == is_set


def test_script_applies_what_changes_no_pixel():
    pipe = names_of("fused")["pipe"]
    assert {type(processor).__name__ for processor in pipe.unet.attn_processors.values()} == {"FusedAttnProcessor2_0"}
    assert pipe.vae.use_slicing
    assert pipe.vae.use_tiling
    unet = names_of("sd-inpaint")["pipe"].unet
    assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
    pipe = names_of("sd-controlnet")["pipe"]
    for denoiser in (pipe.unet, pipe.controlnet):
        assert {type(processor).__name__ for processor in denoiser.attn_processors.values()} == {"AttnProcessor2_0"}


@pytest.mark.parametrize("pipeline", ["sd-txt2img", "sd-controlnet", "if"])
def test_script_of_fast_makes_the_cells_images_where_no_graphs_are_asked_for(measured, pipeline):
    cell = cell_of(pipeline, steps=1)
    mode = dataclasses.replace(CATALOG.modes["fast"], compile=CompileOptions("eager", fullgraph=True), **GRAPHLESS)
    torch._dynamo.reset()
    run, names = measured(dataclasses.replace(cell, mode=mode)), run_script_of(dataclasses.replace(cell, mode=mode))
    assert run.end.status == "ok", run.end.reason
    for stage in cell.stages:
        made = names["images" if stage.name == "main" else f"images_{stage.name}"]
        assert np.array_equal(pixels(made), pixels(run.images[stage.name][-1]))


def run_with_other_seeds(text):
    changed = text.replace(
        "torch.Generator(DEVICE).manual_seed(SEED)", "torch.Generator(DEVICE).manual_seed(next(SEEDS))"
    )
    names = run_script(changed, RecordedGraph=RecordedGraph, SEEDS=itertools.count())
    assert next(names["SEEDS"]) >= 2
    return names


@pytest.mark.parametrize("pipeline", CATALOG.pipelines)
def test_script_of_fast_replays_what_no_compile_makes(monkeypatch, pipeline):
    """With graphs that a CPU can record, and another seed in each call; the GPU tests run such a script as printed."""
    cell = cell_of(pipeline, calls=2)
    fast = dataclasses.replace(cell, mode=dataclasses.replace(CATALOG.modes["fast"], compile=None))
    text = script_text.write(fast, "cpu")
    assert len(re.findall(r"= StepGraphs\(", text)) == len(cell.stages)
    RecordedGraph.made = 0
    names = run_with_other_seeds(text.replace("CudaGraphs()", "RecordedGraph"))
    assert RecordedGraph.made >= 2 * len(cell.stages)
    plain = run_with_other_seeds(script_text.write(cell, "cpu"))
    for stage in cell.stages:
        made = "images" if stage.name == "main" else f"images_{stage.name}"
        one, other = (pixels(each[made]).astype(np.float64) for each in (names, plain))
        rounded = isinstance(plain[made], list)  # to bytes; else numbers from 0 to 1
        assert np.abs(one - other).max() <= (1 if rounded else 1e-3)


@pytest.mark.parametrize("pipeline", CATALOG.pipelines)
def test_script_of_fast_is_whole_and_defines_nothing_twice(pipeline):
    cell = cell_of(pipeline, "fast")
    tree = ast.parse(script_text.write(cell, "cuda:0"))
    made = [node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))]
    made += [target.id for node in tree.body if isinstance(node, ast.Assign) for target in node.targets
             if isinstance(target, ast.Name) and not target.id.startswith(("pipe", "images"))]  # fmt: skip
    made += [node.module for node in tree.body if isinstance(node, ast.ImportFrom)]
    assert len(made) == len(set(made))
    assert {"StepGraphs", "CudaGraphs", "Conditioning"} <= set(made)


def test_script_says_what_its_pipeline_cannot_take():
    text = script_text.write(cell_of("if", "fast"), "cuda:0")
    assert text.count("# fuse_qkv is left out: unet has added projections") == 2
    assert text.count("# compile_vae is left out: ") == 2
    assert text.count(".fuse_qkv_projections()") == text.count("vae.decode = torch.compile(") == 1


@pytest.mark.parametrize("wanted", [("flash", "math"), ("cudnn",), ("efficient", "cudnn", "flash")])
def test_attention_is_chosen_in_the_order_of_the_mode(wanted):
    with kept_attention():
        attention.choose_sdpa(wanted, "cpu")
        assert attention_now() == (f"sdpa: {', '.join(wanted)}", *wanted)
    mode = Mode("mine", "mine", sdpa_backends=wanted)
    text = script_text.write(dataclasses.replace(cell_of(), mode=mode), "cuda:0")
    assert f"\nchoose_sdpa({wanted!r}, DEVICE)\n" in text
    assert "\ndef choose_sdpa(" in text


def test_a_torch_that_cannot_choose_attention_says_so(monkeypatch):
    monkeypatch.setattr(torch.nn.attention, "sdpa_kernel", lambda backends: None)
    mode = Mode("mine", "mine", sdpa_backends=("flash",))
    with pytest.raises(options.UnsupportedError, match="cannot choose among SDPA backends in an order"):
        options.apply_global(mode, "cuda:0")


def attention_now():
    """What compiled programs are kept under, and the backends that may be chosen, the preferred first."""
    may = {
        SDPBackend.CUDNN_ATTENTION: ("cudnn", torch.backends.cuda.cudnn_sdp_enabled()),
        SDPBackend.EFFICIENT_ATTENTION: ("efficient", torch.backends.cuda.mem_efficient_sdp_enabled()),
        SDPBackend.FLASH_ATTENTION: ("flash", torch.backends.cuda.flash_sdp_enabled()),
        SDPBackend.MATH: ("math", torch.backends.cuda.math_sdp_enabled()),
    }
    order = (may.get(SDPBackend(number), ("", False)) for number in torch._C._get_sdp_priority_order())
    return torch.compiler.config.cache_key_tag, *(name for name, on in order if on)


@contextlib.contextmanager
def kept_attention():
    every = [SDPBackend(number) for number in torch._C._get_sdp_priority_order()]
    with (
        sdpa_kernel(every, set_priority=True),
        torch.compiler.config.patch(cache_key_tag=""),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(attention, "_CHOSEN", contextlib.ExitStack())
        yield


def test_script_limits_the_allocator_as_the_worker_does():
    keys = {"pipelines": ["sd-txt2img"], "modes": ["no-compile"], "batch_sizes": [1], "vram_limit": "15GiB"}
    (cell,) = expand(resolve_plan(CATALOG, None, keys, gpu_available=True), CATALOG)
    lines = script_text.write(cell, "cuda:0").splitlines()
    at = lines.index("TOTAL = torch.cuda.get_device_properties(DEVICE).total_memory")
    assert lines[at + 1] == "torch.cuda.set_per_process_memory_fraction(min(1.0, 16106127360 / TOTAL), DEVICE)"
    assert at < next(number for number, line in enumerate(lines) if line.startswith("pipe = "))


def test_compiled_script_compiles_every_denoiser(monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "compile", lambda module, **wish: asked.append((type(module).__name__, wish)) or module)
    run_script_of(cell_of("sd-controlnet", "compile", steps=1))
    wish = {"backend": "inductor", "mode": "reduce-overhead", "fullgraph": True, "dynamic": False}
    assert asked == [("UNet2DConditionModel", wish), ("ControlNetModel", wish)]


def test_script_computes_in_the_cells_dtype():
    assert "DTYPE = torch.bfloat16\n" in script_text.write(cell_of(mode="bf16"), "cpu")
    assert "DTYPE = torch.float16\n" in script_text.write(cell_of(dtype="float16"), "cpu")


def test_bar_of_the_script_is_diffusers_own(capfd):
    run_script_of(cell_of(calls=2, steps=3))
    assert len(re.findall(r"3/3 \[", capfd.readouterr().err)) >= 2


@pytest.mark.parametrize("name", CELLS)
def test_script_imports_nothing_of_sdtui(name):
    text = script_text.write(CELLS[name], "cuda:0")
    assert not re.search(r"^\s*(from|import) sdtui", text, re.M)
    assert 'DEVICE = "cuda:0"' in text
    imported = {
        alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import) for alias in node.names
    }
    assert {"torch", "diffusers"} <= imported


def test_script_of_published_weights_names_them():
    keys = {"pipelines": ["sd-controlnet"], "batch_sizes": [1], "modes": ["compile"], "weights": "published"}
    (cell,) = expand(resolve_plan(CATALOG, None, keys, gpu_available=True), CATALOG)
    text = script_text.write(cell, "cuda:0")
    assert "'stable-diffusion-v1-5/stable-diffusion-v1-5'" in text
    assert "variant='fp16'" in text
    assert "controlnet=diffusers.ControlNetModel.from_pretrained('lllyasviel/sd-controlnet-canny'" in text
    ast.parse(text)


# ------------------------------------------------------------------------------------------------ naming a cell


def titled(text):
    """The cell that a script's first line names."""
    return re.match(r'"""(\S+)\n', text)[1]


def named(name, tmp_path, run=None, scale="full", device="cuda:0", plan=None):
    return script.script_of(name, run, scale, device, tmp_path, plan)


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("sd-txt2img", "sd-txt2img.no-compile.current.b1-"),
        ("sd-txt2img.compile", "sd-txt2img.compile.current.b1-"),
        ("sd-txt2img.b4", "sd-txt2img.no-compile.current.b4-"),
        ("sd-txt2img.compile.b16", "sd-txt2img.compile.current.b16-"),
        ("if-cascade.compile.current.b2", "if-cascade.compile.current.b2-"),
        ("if.tiny", "if.no-compile.current.b1.tiny-"),
        ("if.no-compile.current.b1.tiny", "if.no-compile.current.b1.tiny-"),
    ],
)
def test_what_is_left_out_of_a_name_is_the_catalogs(tmp_path, name, cell):
    assert titled(named(name, tmp_path)).startswith(cell)


def test_scale_and_device_are_those_asked_for(tmp_path):
    text = named("sd-txt2img", tmp_path, scale="tiny", device="cpu")
    assert titled(text) == cell_of(calls=3, steps=None).id
    assert 'DEVICE = "cpu"' in text


@pytest.mark.parametrize(
    ("name", "device", "reason"),
    [
        ("if.compile-channels-last", "cuda:0", "fuse_qkv: unet has added projections of keys and values, which"),
        ("sd-txt2img.fast", "cpu", "step_graphs needs a GPU"),
    ],
)
def test_a_cell_that_ends_as_unsupported_has_no_script(tmp_path, name, device, reason):
    with pytest.raises(UserError, match=rf"ends as unsupported, and no script does it: {reason}"):
        named(name, tmp_path, device=device)


def test_a_cell_may_be_of_a_mode_of_a_plan_file(tmp_path):
    (tmp_path / "plan.toml").write_text(MINE.format(device="cpu"))
    text = named("sd-txt2img.mine", tmp_path, plan=str(tmp_path / "plan.toml"))
    assert titled(text).startswith("sd-txt2img.mine.current.b1-")
    assert "pipe.vae.enable_slicing()" in text


def test_an_id_of_the_catalog_needs_no_run(tmp_path):
    cell = cell_of(calls=3, steps=None)
    assert titled(named(cell.id, tmp_path, device="cpu")) == cell.id


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sd-txt2imgs", "cell 'sd-txt2imgs': unknown pipeline 'sd-txt2imgs'; did you mean 'sd-txt2img'?"),
        ("if.compil.b1", "cell 'if.compil.b1': unknown mode 'compil'; did you mean 'compile'?"),
        ("if.compile.curent.b1", "cell 'if.compile.curent.b1': unknown environment 'curent'; did you mean 'current'?"),
        ("if.compile.b4.b5", "cell 'if.compile.b4.b5': unknown environment 'b4'; choose from: current"),
        ("if.b0", "cell 'if.b0': batch size 0 is too small; the least is 1"),
        ("", "cell '': write its id, or pipeline.mode.b1, such as sd-txt2img.compile.b4"),
        ("if..b1", "cell 'if..b1': write its id, or pipeline.mode.b1, such as sd-txt2img.compile.b4"),
    ],
)
def test_unknown_names_get_one_line(tmp_path, name, message):
    with pytest.raises(UserError) as caught:
        named(name, tmp_path)
    assert str(caught.value) == message


def test_id_with_a_hash_that_nothing_has(tmp_path):
    name = "sd-txt2img.no-compile.current.b1-00000000"
    with pytest.raises(UserError) as caught:
        named(name, tmp_path)
    made = titled(named(name.removesuffix("-00000000"), tmp_path))
    assert str(caught.value) == f"cell '{name}': the catalog makes {made} of it, and no run in {tmp_path} has it"


MINE = """
pipelines = ["sd-txt2img"]
modes = ["mine", "no-compile"]
batch_sizes = [1, 16]
scale = "tiny"
device = "{device}"
steps = 5

[mode.mine]
extends = "channels-last"
vae_slicing = true
"""


@pytest.fixture
def run(tmp_path):
    """Makes a run whose plan has a mode of its own, as the supervisor queues it."""

    def make(device="cpu"):
        folder = runs.create(tmp_path, "CPU", "host", MINE.format(device=device))
        plan = resolve_plan(CATALOG, str(folder / runs.PLAN), {}, gpu_available=True)
        cells = expand(plan, CATALOG)
        lines = [to_line(Stamped(1.0, CellQueued(cell.id, cell.without_configs()))) for cell in cells]
        (folder / runs.JOURNAL).write_text("".join(lines))
        return folder, {(cell.slot.mode, cell.slot.batch_size): cell for cell in cells}

    return make


def test_cell_of_a_run_is_that_runs(tmp_path, run):
    folder, cells = run()
    for name in ("sd-txt2img.mine.b1", "sd-txt2img.mine.current.b1", cells["mine", 1].id):
        text = named(name, tmp_path, run=folder.name)
        assert titled(text) == cells["mine", 1].id
        assert "pipe.vae.enable_slicing()" in text
        assert "num_inference_steps=5" in text
        assert 'DEVICE = "cpu"' in text


def test_an_id_is_found_in_the_runs_even_where_the_catalog_lacks_its_mode(tmp_path, run):
    _, cells = run()
    for cell in cells.values():
        assert titled(named(cell.id, tmp_path)) == cell.id


def test_a_gpu_named_by_uuid_is_the_scripts_first(tmp_path, run):
    folder, _ = run("cuda:GPU-2f0a3c4e-0000-0000-0000-000000000000")
    assert 'DEVICE = "cuda:0"' in named("sd-txt2img.mine.b1", tmp_path, run=folder.name)


def test_ambiguous_and_absent_cells_of_a_run_name_the_choices(tmp_path, run):
    folder, cells = run()
    mine = ", ".join(cells["mine", batch].id for batch in (1, 16))
    with pytest.raises(UserError) as caught:
        named("sd-txt2img.mine", tmp_path, run=folder.name)
    assert str(caught.value) == f"run {folder.name}: cell 'sd-txt2img.mine' is ambiguous; choose from: {mine}"
    with pytest.raises(UserError, match=r"cell 'if\.b1' is not in its plan; choose from: sd-txt2img\.mine"):
        named("if.b1", tmp_path, run=folder.name)
