import dataclasses

import pytest

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import Input
from sdtui.model.errors import UserError

CATALOG = load_catalog()


def cells(source=None, **flags):
    return expand(resolve_plan(CATALOG, source and str(source), flags, gpu_available=True), CATALOG)


def one(pipeline, **flags):
    (cell,) = cells(None, **{"pipelines": [pipeline], "modes": ["no-compile"], "batch_sizes": [1]} | flags)
    return cell


def test_order_is_pipeline_batch_size_mode_environment():
    slots = [
        str(cell.slot)
        for cell in cells(
            pipelines=["if", "sd-txt2img"],
            batch_sizes=[4, 1],
            modes=["compile", "no-compile"],
            environments=["current", "old"],
        )
    ]
    assert slots == [
        f"{pipeline}.{mode}.{environment}.b{batch_size}"
        for pipeline in ("if", "sd-txt2img")
        for batch_size in (4, 1)
        for mode in ("compile", "no-compile")
        for environment in ("current", "old")
    ]


def test_of_chosen_slots_only_those_are_cells_in_the_product_s_order():
    chosen = ["if.compile.current.b1", "sd-txt2img.compile.current.b4", "sd-txt2img.no-compile.current.b16"]
    every = {str(cell.slot): cell for cell in cells()}
    made = cells(slots=chosen)
    assert [str(cell.slot) for cell in made] == [slot for slot in every if slot in chosen]
    assert list(made) == [every[str(cell.slot)] for cell in made]


def test_what_does_not_fit_a_pipeline_that_is_left_out_does_not_matter():
    with pytest.raises(UserError, match="pipeline 'if' has a fixed size"):
        cells(size=256)
    (cell,) = cells(size=256, slots=["sd-txt2img.compile.current.b4"])
    assert cell.stages[0].width == 256


def test_the_docs_matrix_has_30_cells_of_distinct_ids_and_no_variant():
    made = cells()
    assert len(made) == len({cell.id for cell in made}) == 30
    assert {cell.variant for cell in made} == {""}
    assert {cell.dtype for cell in made} == {"float16"}
    assert {cell.calls for cell in made} == {3}


def test_the_pages_calls():
    main = one("sd-txt2img").stages[0]
    assert (main.steps, main.guidance, main.width, main.height, main.takes_size) == (50, 7.5, 512, 512, True)
    assert main.constructor == {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    assert one("sd-txt2img").prompt == "ghibli style, a fantasy landscape with castles"

    main = one("sd-img2img").stages[0]
    assert (main.steps, main.arguments, main.takes_size) == (50, {"strength": 0.8}, False)
    assert main.inputs == {"image": Input("image", 512, 512)}

    cell = one("sd-inpaint")
    assert cell.prompt == "Face of a yellow cat, high resolution, sitting on a park bench"
    assert cell.stages[0].inputs == {"image": Input("image", 512, 512), "mask_image": Input("mask", 512, 512)}

    main = one("sd-controlnet").stages[0]
    assert set(main.denoisers) == {"unet", "controlnet"}
    assert main.inputs == {"image": Input("edges", 512, 512)}


def test_if_follows_the_page():
    cell = one("if")
    first, second, third = cell.stages
    embeddings = Input("embeddings", shape=(1, 2, 4096))
    assert cell.prompt == "the blue hulk"
    assert [(stage.name, stage.steps, stage.guidance, stage.width) for stage in cell.stages] == [
        ("I", 100, 7.0, 64),
        ("II", 50, 4.0, 256),
        ("III", 75, 9.0, 256),
    ]
    assert first.inputs == {"prompt_embeds": embeddings, "negative_prompt_embeds": embeddings}
    assert second.inputs == {**first.inputs, "image": Input("stage", stage="I")}
    assert third.inputs == {"image": Input("stage", stage="I")}
    assert third.arguments == {"noise_level": 100}
    assert (first.takes_prompt, second.takes_prompt, third.takes_prompt) == (False, False, True)
    assert first.constructor["text_encoder"] is None
    assert first.constructor["watermarker"] is None


def test_larger_batches_of_if_run_stage_one_alone():
    assert [stage.name for stage in one("if", batch_sizes=[4]).stages] == ["I"]
    assert [stage.name for stage in one("if-cascade", batch_sizes=[4]).stages] == ["I", "II", "III"]


def test_the_cascade_feeds_each_stage_with_the_one_before():
    first, second, third = one("if-cascade").stages
    assert first.inputs["prompt_embeds"].shape == second.inputs["prompt_embeds"].shape == (1, 77, 4096)
    assert second.inputs["image"].stage == "I"
    assert third.inputs["image"].stage == "II"
    assert third.width == third.height == 1024


@pytest.mark.parametrize("pipeline", sorted(CATALOG.pipelines))
def test_tiny_shrinks_sizes_and_inputs_but_no_class(pipeline):
    full, tiny = one(pipeline), one(pipeline, scale="tiny")
    assert ".tiny-" in tiny.id
    for ours, theirs in zip(tiny.stages, full.stages, strict=True):
        assert ours.steps < theirs.steps
        assert ours.width < theirs.width
        assert ours.flops_per_step is None
        assert theirs.flops_per_step
        for small, large in zip(ours.components, theirs.components, strict=True):
            assert (small.name, small.class_name) == (large.name, large.class_name)
            assert {k: v for k, v in small.config.items() if k.endswith("_types")} == {
                k: v for k, v in large.config.items() if k.endswith("_types")
            }
        pictures = [made for made in ours.inputs.values() if made.source in ("image", "mask", "edges")]
        assert all((made.width, made.height) == (ours.width, ours.height) for made in pictures)


def test_tiny_if_keeps_the_ratio_of_its_stages():
    assert [stage.width for stage in one("if", scale="tiny").stages] == [16, 64, 64]
    assert [stage.width for stage in one("if-cascade", scale="tiny").stages] == [16, 64, 256]


def test_dtype_is_the_modes_then_the_plans_then_the_devices():
    assert one("sd-txt2img").dtype == "float16"
    assert one("sd-txt2img", device="cpu").dtype == "float32"
    assert one("sd-txt2img", dtype="bfloat16").dtype == "bfloat16"
    assert one("sd-txt2img", dtype="float32", modes=["bf16"]).dtype == "bfloat16"


@pytest.mark.parametrize(
    ("flags", "variant"),
    [
        ({"steps": 50}, ""),
        ({"steps": 20}, "20 steps"),
        ({"steps": 1, "calls": 1}, "1 step, 1 call"),
        ({"steps": 8, "scale": "tiny"}, ""),
        ({"steps": 50, "scale": "tiny"}, "50 steps"),
        ({"size": 512}, ""),
        ({"size": 768}, "768 px"),
        ({"size": 128, "scale": "tiny"}, ""),
        ({"guidance": 7.5}, ""),
        ({"guidance": 5}, "guidance 5"),
        ({"dtype": "float16"}, ""),
        ({"dtype": "bfloat16"}, "bfloat16"),
        ({"dtype": "float32", "device": "cpu", "scale": "tiny"}, ""),
        ({"modes": ["bf16"]}, ""),
        ({"modes": ["bf16"], "dtype": "float32"}, ""),
        ({"calls": 5}, "5 calls"),
        ({"weights": "published"}, "published weights"),
        ({"weights": "owner/name"}, "weights owner/name"),
        ({"prompt": "another", "seed": 7}, ""),
        ({"vram_limit": "15GiB"}, "allocator limited to 15 GiB"),
        ({"skip_larger_after_oom": True}, ""),
        ({"steps": 20, "size": 768, "calls": 5}, "20 steps, 768 px, 5 calls"),
    ],
)
def test_variant_names_what_differs_from_the_protocol(flags, variant):
    assert one("sd-txt2img", **flags).variant == variant


def test_ids_differ_exactly_where_the_work_does():
    base = one("sd-txt2img").id
    same = [{"seed": 3}, {"prompt": "x"}, {"steps": 50}, {"device": "cuda:1"}, {"dtype": "float16"}]
    other = [
        {"steps": 20},
        {"size": 768},
        {"guidance": 5},
        {"dtype": "float32"},
        {"calls": 5},
        {"scale": "tiny"},
        {"weights": "published"},
    ]
    assert {one("sd-txt2img", **flags).id for flags in same} == {base}
    assert len({one("sd-txt2img", **flags).id for flags in other} | {base}) == len(other) + 1


def test_size_scales_outputs_and_pictures():
    main = one("sd-inpaint", size=768).stages[0]
    assert (main.width, main.height) == (768, 768)
    assert {(made.width, made.height) for made in main.inputs.values()} == {(768, 768)}
    main = one("sd-img2img", size=768, scale="tiny").stages[0]
    assert (main.width, main.height, main.inputs["image"].width, main.takes_size) == (768, 768, 768, False)


def test_flops_follow_guidance_and_are_unknown_at_another_size():
    full = one("sd-txt2img").stages[0].flops_per_step
    assert full == 1_606_546_882_560
    assert one("sd-txt2img", guidance=1).stages[0].flops_per_step == full / 2
    assert one("sd-txt2img", size=768).stages[0].flops_per_step is None


def test_weights_of_each_kind(tmp_path):
    assert one("sd-txt2img").stages[0].weights is None

    main = one("sd-controlnet", weights="published").stages[0]
    assert (main.weights, main.variant) == ("stable-diffusion-v1-5/stable-diffusion-v1-5", "fp16")
    assert {part.name: part.weights for part in main.components if part.weights} == {
        "controlnet": "lllyasviel/sd-controlnet-canny"
    }
    assert [stage.weights for stage in one("if", weights="published").stages] == [
        "DeepFloyd/IF-I-M-v1.0",
        "DeepFloyd/IF-II-M-v1.0",
        "stabilityai/stable-diffusion-x4-upscaler",
    ]
    assert one("sd-txt2img", weights="owner/name").stages[0].weights == "owner/name"

    for stage in ("I", "II", "III", "controlnet"):
        (tmp_path / stage).mkdir()
    whole = one("sd-controlnet", weights=str(tmp_path)).stages[0]
    assert whole.weights == str(tmp_path)
    assert not any(part.weights for part in whole.components)
    assert one("if", weights=str(tmp_path)).stages[1].weights == str(tmp_path / "II")


UNET, VAE, TEXT = "unet/diffusion_pytorch_model", "vae/diffusion_pytorch_model", "text_encoder/model"


@pytest.mark.parametrize(
    ("files", "variant"),
    [
        ((f"{UNET}.fp16", f"{VAE}.fp16", f"{TEXT}.fp16"), "fp16"),
        ((UNET, VAE, TEXT), None),
        ((UNET, f"{UNET}.fp16", VAE, TEXT), None),
        ((f"{UNET}.fp16", VAE, TEXT), "fp16"),
        ((f"{UNET}.fp16", f"{UNET}.non_ema", f"{VAE}.fp16", TEXT), "fp16"),
        ((f"{UNET}.fp16", f"{VAE}.bf16"), None),
        ((f"{UNET}.fp16-00001-of-00002", f"{UNET}.fp16-00002-of-00002", VAE), "fp16"),
        ((f"{UNET}-00001-of-00002.fp16", f"{UNET}-00002-of-00002.fp16", VAE), "fp16"),
        ((f"{UNET}-00001-of-00002", f"{UNET}-00002-of-00002", VAE), None),
        ((UNET, VAE, TEXT, "safety_checker/model.fp16"), None),
        ((), None),
    ],
)
def test_a_folders_variant_is_the_one_that_its_files_name(tmp_path, files, variant):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.safetensors").touch()
    cell = one("sd-txt2img", weights=str(tmp_path))
    assert cell.stages[0].variant == variant
    (tmp_path / "III").mkdir()
    for name in files:
        (tmp_path / "III" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "III" / f"{name}.safetensors").touch()
    for stage in ("I", "II"):
        (tmp_path / stage).mkdir()
    assert [stage.variant for stage in one("if", weights=str(tmp_path)).stages] == [None, None, variant]


@pytest.mark.parametrize(
    ("pipeline", "flags", "said"),
    [
        ("if", {"size": 128}, "size: pipeline 'if' has a fixed size"),
        ("sd-img2img", {"steps": 1}, "steps: 1 at strength 0.8 leaves pipeline 'sd-img2img' no step; the least is 2"),
        ("if", {"weights": "owner/name"}, "weights: 'owner/name': pipeline 'if' has several stages"),
        ("sd-txt2img", {"weights": "published", "scale": "tiny"}, "weights: published weights are of full scale"),
    ],
)
def test_options_that_do_not_fit_a_pipeline(pipeline, flags, said):
    with pytest.raises(UserError) as caught:
        one(pipeline, **flags)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_own_entries_come_from_the_plan_alone(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(
        'pipelines = ["p", "sd-txt2img"]\nmodes = ["m", "compile"]\nbatch_sizes = [1]\n'
        '[mode.m]\nextends = "compile"\n'
        '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.width = 256\nstages.main.height = 256\n'
    )
    made = cells(path)
    assert [str(cell.slot) for cell in made][:2] == ["p.m.current.b1", "p.compile.current.b1"]
    assert made[0].stages[0].width == 256
    assert made[0].stages[0].flops_per_step is None
    assert made[0].pipeline_label == "p"
    work = [dataclasses.replace(cell.mode, name="", label="", description="") for cell in made]
    assert work[0] == work[1]
    assert made[2].id.rsplit("-", 1)[1] == made[3].id.rsplit("-", 1)[1]  # the same work under another name
