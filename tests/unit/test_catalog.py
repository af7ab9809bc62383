import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sdtui.catalog.describe import catalog_json, catalog_lines
from sdtui.catalog.load import CONFIGS, load_catalog
from sdtui.catalog.reference import load_reference
from sdtui.catalog.schema import ModeTable
from sdtui.model.cell import CompileOptions, Mode
from sdtui.model.errors import UserError

CATALOG = load_catalog()
PAGE = load_reference()


def test_what_ships_in_the_pages_order():
    assert list(CATALOG.pipelines) == [
        "sd-txt2img",
        "sd-img2img",
        "sd-inpaint",
        "sd-controlnet",
        "if",
        "if-cascade",
    ]
    assert list(CATALOG.modes)[:2] == ["no-compile", "compile"]
    assert set(CATALOG.modes) == {
        "no-compile",
        "compile",
        "sdpa-attention",
        "vanilla-attention",
        "xformers",
        "channels-last",
        "compile-channels-last",
        "bf16",
        "max-autotune",
        "fast",
        "fp8",
        "int8",
    }
    assert set(CATALOG.presets) == {"docs", "demo", "smoke"}
    assert [CATALOG.pipelines[name].label for name in CATALOG.presets["docs"].pipelines] == [
        row.pipeline for row in PAGE.tables[0].rows
    ]


def bare(name):
    mode = CATALOG.modes[name]
    assert mode.label
    assert mode.description
    return Mode(**{key: getattr(mode, key) for key in Mode.__dataclass_fields__} | {"label": "", "description": ""})


def test_modes():
    recipe = CompileOptions(backend="inductor", mode="reduce-overhead", fullgraph=True)
    assert bare("no-compile") == Mode("no-compile", "")
    for kind in ("fp8", "int8"):
        assert bare(kind) == dataclasses.replace(bare("fast"), name=kind, quantization=kind)
    assert bare("compile") == Mode("compile", "", compile=recipe)
    assert bare("sdpa-attention") == Mode("sdpa-attention", "", attention_processor="sdpa")
    assert bare("vanilla-attention") == Mode("vanilla-attention", "", attention_processor="vanilla")
    assert bare("xformers") == Mode("xformers", "", attention_processor="xformers")
    assert bare("channels-last") == Mode("channels-last", "", memory_format="channels_last")
    assert bare("compile-channels-last") == Mode(
        "compile-channels-last", "", compile=recipe, memory_format="channels_last", fuse_qkv=True
    )
    assert bare("bf16") == Mode("bf16", "", dtype="bfloat16")
    assert bare("max-autotune").compile == CompileOptions(mode="max-autotune", fullgraph=True)
    assert bare("fast") == Mode(
        "fast",
        "",
        compile=CompileOptions(fullgraph=True, options={"layout_optimization": False}),
        memory_format="channels_last",
        fuse_qkv=True,
        step_graphs=True,
        precompute=True,
        compile_vae=True,
        optional=("fuse_qkv", "precompute", "compile_vae"),
    )
    assert CATALOG.modes["no-compile"].label == "no compile"
    assert CATALOG.modes["compile"].label == "compile"


@pytest.mark.parametrize(
    ("base", "named", "mode", "options"),
    [
        ("fast", {"mode": "max-autotune-no-cudagraphs"}, "max-autotune-no-cudagraphs", {}),
        ("compile", {"options": {"freezing": True}}, None, {"freezing": True}),
        ("fast", {"options": {"freezing": True}}, None, {"layout_optimization": False, "freezing": True}),
        ("compile", {"fullgraph": False}, "reduce-overhead", {}),
    ],
)
def test_of_a_compilers_mode_and_options_the_one_that_is_named_counts(base, named, mode, options):
    own = CATALOG.with_own({"mine": {"extends": base, "compile": named}}, {}, "here", Path())
    assert own.modes["mine"].compile.mode == mode
    assert own.modes["mine"].compile.options == options


def test_every_key_of_a_mode_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "modes.md").read_text()
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(cells))) == {field.name for field in dataclasses.fields(ModeTable)} | {
        "extends"
    }


def test_every_config_that_ships_is_used_and_counted():
    used = set()
    for name, pipeline in CATALOG.pipelines.items():
        assert set(CATALOG.counts[name]) == set(pipeline.stages)
        used |= {json.dumps(part.config) for stage in pipeline.stages.values() for part in stage.components.values()}
    shipped = {path: json.dumps(json.loads(path.read_text())) for path in CONFIGS.glob("*/*.json")}
    assert [path for path, content in shipped.items() if content not in used] == []


def test_json_holds_what_people_ask_for():
    shown = json.loads(json.dumps(catalog_json(CATALOG)))
    unet = shown["pipelines"]["sd-txt2img"]["stages"]["main"]["components"]["unet"]
    assert unet["parameters"] == 859_520_964
    assert shown["pipelines"]["sd-txt2img"]["stages"]["main"]["flops_per_step"] == 1_606_546_882_560
    assert shown["pipelines"]["sd-inpaint"]["stages"]["main"]["weights"] == {
        "id": "stable-diffusion-v1-5/stable-diffusion-inpainting",
        "formerly": "runwayml/stable-diffusion-inpainting",
        "variant": "fp16",
    }
    assert list(shown["pipelines"]["if"]["stages"]) == ["I", "II", "III"]
    assert shown["pipelines"]["if"]["batched_stages"] == ["I"]
    assert shown["modes"]["compile"]["compile"]["fullgraph"] is True
    assert shown["presets"]["demo"]["cpu"]["scale"] == "tiny"


def test_text_names_everything():
    text = catalog_lines(CATALOG)
    for name in (*CATALOG.pipelines, *CATALOG.modes, *CATALOG.presets):
        assert f"\n{name} " in text
    for phrase in ("859,520,964", "1.607 TFLOP", "formerly runwayml/stable-diffusion-v1-5", "reconstructed"):
        assert phrase in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_what_is_said_of_a_pipeline_is_not_said_of_one_that_extends_it():
    own = CATALOG.with_own({}, {"mine": {"extends": "sd-img2img"}}, "plan.toml", CONFIGS)
    assert CATALOG.pipelines["sd-img2img"].notes
    assert own.pipelines["mine"].notes == ()
    assert "\nmine (mine)\n" in catalog_lines(own)


def test_an_own_pipeline_without_counts_is_described():
    own = CATALOG.with_own({}, {"mine": {"extends": "sd-txt2img"}}, "plan.toml", CONFIGS)
    assert "\nmine (mine)" in catalog_lines(own)
    assert catalog_json(own)["pipelines"]["mine"]["stages"]["main"]["flops_per_step"] is None
    assert catalog_json(own)["pipelines"]["mine"]["shipped"] is False


def test_the_pages_tables_are_whole():
    cells = [cell for table in PAGE.tables for row in table.rows for cell in row.cells]
    statuses = [cell.status for cell in cells]
    assert (len(PAGE.tables), len(cells)) == (15, 300)
    assert (statuses.count("ok"), statuses.count("oom"), statuses.count("unsupported")) == (277, 8, 15)
    assert PAGE.gpus == ("A100", "V100", "T4", "RTX 3090", "RTX 4090")
    assert all(bool(cell.its) == (cell.status == "ok") for cell in cells)
    assert all(len(row.cells) == len(PAGE.columns) for table in PAGE.tables for row in table.rows)


def test_a_figure_of_the_page_is_found():
    cell = PAGE.cell("a100", 1, "SD - txt2img", "torch 2.0 - compile")
    assert cell is not None
    assert (cell.text, cell.its) == ("44.03", (44.03,))
    three = PAGE.cell("A100", 1, "IF", "torch 2.0 - no compile")
    assert three is not None
    assert three.its == (20.21, 13.84, 24.0)
    assert PAGE.cell("A100", 2, "IF", "torch 2.0 - compile") is None
    assert PAGE.cell("A100", 1, "IF - cascade", "torch 2.0 - compile") is None
    assert PAGE.cell("A100", 1, "IF", "torch 2.11 - compile") is None


def test_an_unknown_gpu_names_the_page_s():
    with pytest.raises(UserError, match=r"no GPU 'RTX4090'; choose from: A100, .*, RTX 4090"):
        PAGE.gpu("RTX4090")
    assert PAGE.gpu(" rtx  4090 ") == "RTX 4090"


def test_the_catalog_imports_nothing_heavy():
    code = (
        "import sys, sdtui.catalog.plans, sdtui.catalog.expand, sdtui.catalog.describe, sdtui.catalog.reference\n"
        "print([m for m in ('torch', 'diffusers', 'textual', 'numpy', 'matplotlib', 'rich') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
