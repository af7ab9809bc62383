import json
import os
import tomllib
from pathlib import Path

import pytest

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plan_toml import plan_to_toml
from sdtui.catalog.plans import FLAGS, resolve_plan
from sdtui.model.errors import UserError
from sdtui.model.plan import Plan

CATALOG = load_catalog()
DOCS = ("sd-txt2img", "sd-img2img", "sd-inpaint", "sd-controlnet", "if")


def resolve(source=None, gpu=True, **flags):
    return resolve_plan(CATALOG, None if source is None else str(source), flags, gpu_available=gpu)


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "plan.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def complaint(*args, **kwargs):
    with pytest.raises(UserError) as caught:
        resolve(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_without_anything_the_docs_preset_counts():
    assert resolve() == Plan(pipelines=DOCS, modes=("no-compile", "compile"), batch_sizes=(1, 4, 16))


def test_presets_choose_by_gpu():
    with_gpu, without = resolve("demo"), resolve("demo", gpu=False)
    assert (with_gpu.pipelines, with_gpu.modes, with_gpu.scale, with_gpu.device) == (
        ("sd-txt2img",),
        ("no-compile", "compile"),
        "full",
        "cuda:0",
    )
    assert (without.pipelines, without.modes, without.scale, without.device) == (DOCS, ("no-compile",), "tiny", "cpu")
    assert with_gpu.batch_sizes == without.batch_sizes == (1,)
    smoke = resolve("smoke", gpu=False)
    assert (smoke.pipelines, smoke.scale, smoke.calls, smoke.device) == (("sd-txt2img",), "tiny", 2, "cpu")
    assert resolve("smoke").device == "cuda:0"


def test_a_device_flag_makes_the_presets_choice():
    assert resolve("demo", device="cpu").scale == "tiny"
    assert "no usable GPU" in complaint("demo", gpu=False, device="cuda:0")


def test_flags_replace_keys():
    plan = resolve("smoke", modes=["compile"], batch_sizes="1, 4", steps=20, guidance=5, prompt="", device="cuda")
    assert plan.modes == ("compile",)
    assert plan.batch_sizes == (1, 4)
    assert (plan.steps, plan.guidance, plan.prompt, plan.device) == (20, 5.0, "", "cuda:0")
    assert plan.pipelines == ("sd-txt2img",)
    assert resolve(seed=None).seed == 0


def test_a_plan_file_is_completed_by_the_docs_preset(write):
    plan = resolve(write('pipelines = ["if"]\nscale = "tiny"\ndevice = "cpu"\n'), gpu=False)
    assert (plan.pipelines, plan.modes, plan.calls) == (("if",), ("no-compile", "compile"), 3)


OWN = """
pipelines = ["mine", "sd-img2img"]
modes = ["no-compile", "quick"]
batch_sizes = [1]

[mode.quick]
extends = "compile"
memory_format = "channels_last"
[mode.quick.compile]
options = { "triton.cudagraphs" = true, epsilon = 1e-5 }

[mode.unused]
dtype = "bfloat16"

[pipeline.mine]
extends = "sd-txt2img"
[pipeline.mine.stages.main]
steps = 30
[pipeline.mine.stages.main.components.scheduler]
class_name = "DDIMScheduler"
config = { timestep_spacing = "trailing" }
"""


def test_own_modes_and_pipelines_are_written_into_the_plan(write):
    plan = resolve(write(OWN))
    assert set(plan.mode_definitions) == {"quick"}
    assert plan.mode_definitions["quick"] == {
        "memory_format": "channels_last",
        "compile": {
            "backend": "inductor",
            "fullgraph": True,
            "options": {"triton.cudagraphs": True, "epsilon": 1e-5},
        },
    }
    scheduler = plan.pipeline_definitions["mine"]["stages"]["main"]["components"]["scheduler"]
    assert scheduler["config"]["timestep_spacing"] == "trailing"
    assert scheduler["config"]["beta_end"] == 0.012


@pytest.mark.parametrize(
    ("source", "flags"),
    [
        (None, {}),
        ("demo", {"gpu": False}),
        (OWN, {}),
        (OWN, {"prompt": 'a "b"\\\n\t\x7f é 猫 {x}', "guidance": 1e-7, "seed": 2**63 - 1, "dtype": "bfloat16"}),
    ],
)
def test_a_plan_reads_back_from_its_toml(write, source, flags, tmp_path):
    plan = resolve(write(source) if source and "\n" in source else source, **flags)
    text = plan_to_toml(plan)
    again = resolve(write(text))
    assert again == plan
    assert plan_to_toml(again) == text
    assert tomllib.loads(text)["pipelines"] == list(plan.pipelines)


def test_the_docs_plan_is_readable():
    assert plan_to_toml(resolve()) == (
        "# Measure this again: sdtui run plan.toml\n"
        'pipelines = ["sd-txt2img", "sd-img2img", "sd-inpaint", "sd-controlnet", "if"]\n'
        'modes = ["no-compile", "compile"]\n'
        'environments = ["current"]\n'
        "batch_sizes = [1, 4, 16]\n"
        "calls = 3\n"
        'scale = "full"\n'
        'weights = "random"\n'
        'device = "cuda:0"\n'
        "seed = 0\n"
    )


def test_every_key_of_a_plan_has_a_flag_and_reaches_the_toml(tmp_path):
    keys = set(Plan.__dataclass_fields__) - {"timeouts", "mode_definitions", "pipeline_definitions"}
    assert set(FLAGS) == keys
    plan = resolve(
        slots=["if.compile.current.b4"],
        steps=9,
        size=64,
        guidance=2.0,
        dtype="float32",
        prompt="x",
        cold=True,
        trace=True,
        exclusive=True,
        precision="1%",
        processes=2,
        vram_limit="15GiB",
        skip_larger_after_oom=True,
        budget="20m",
        tune=True,
    )
    assert set(tomllib.loads(plan_to_toml(plan))) == keys


@pytest.mark.parametrize("text", ['"1%"', "0.01", '"0.01"'])
def test_a_precision_has_limits_and_is_written_again(write, text):
    plan = resolve(write(f'pipelines = ["sd-txt2img"]\nprecision = {text}\n'))
    assert (plan.precision, plan.max_calls, plan.max_seconds) == (0.01, 50, 120.0)
    assert resolve(write(plan_to_toml(plan))) == plan
    least = resolve(write('precision = "0.000001%"\n'))
    assert resolve(write(plan_to_toml(least))).precision == least.precision == 1e-8
    assert resolve(write(f"precision = {text}\ncalls = 60\n")).max_calls == 60
    assert resolve(write(f"precision = {text}\nmax_calls = 9\n"), max_seconds=7).max_calls == 9


def test_a_vram_limit_is_written_again(write):
    plan = resolve(write('vram_limit = "15360MiB"\n'))
    assert plan.vram_limit == 15 * 2**30
    assert 'vram_limit = "15 GiB"\n' in plan_to_toml(plan)
    assert resolve(write(plan_to_toml(plan))) == plan


def test_a_vram_limit_needs_a_gpu(write):
    limits = "limits torch's allocator on a GPU, and the device is cpu; leave it out"
    on_cpu = {"scale": "tiny", "device": "cpu"}
    assert complaint(vram_limit="15GiB", **on_cpu) == f"--vram-limit: {limits}"
    path = write('vram_limit = "15 GiB"\n')
    assert complaint(path, **on_cpu) == f"{path}: vram_limit: {limits}"


@pytest.mark.parametrize("key", [{"precision": "1%"}, {"budget": "20m"}])
def test_what_changes_no_work_does_not_enter_a_cells_id(key):
    assert [cell.id for cell in expand(resolve(**key), CATALOG)] == [cell.id for cell in expand(resolve(), CATALOG)]


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("20m", 1200), ("1h30m", 5400), ("1h5s", 3605)])
def test_a_budget_is_a_span_of_time_and_is_written_again(write, text, seconds):
    plan = resolve(write(f'pipelines = ["sd-txt2img"]\nbudget = "{text}"\n'))
    assert plan.budget == seconds
    assert resolve(write(plan_to_toml(plan))) == plan
    assert resolve(budget=text).budget == seconds


def test_slots_are_read_and_written_again(write):
    chosen = ("sd-inpaint.compile.current.b4", "sd-txt2img.no-compile.current.b1")
    plan = resolve(write(f"slots = {json.dumps(chosen)}\n"))
    assert plan.slots == chosen
    assert plan.pipelines == DOCS
    assert 'slots = ["sd-inpaint.compile.current.b4", "sd-txt2img.no-compile.current.b1"]\n' in plan_to_toml(plan)
    assert resolve(write(plan_to_toml(plan))) == plan
    assert resolve(slots=list(chosen)) == plan
    mine = resolve(write(OWN + "\n"), slots=["mine.quick.current.b1"])
    assert resolve(write(plan_to_toml(mine))).slots == ("mine.quick.current.b1",)


def test_timeouts_are_read_and_written_again(write):
    plan = resolve(write('pipelines = ["sd-txt2img"]\n[timeouts]\nmeasure = 30\nwarm-up = 2.5\n'))
    assert plan.timeouts == {"measure": 30.0, "warm-up": 2.5}
    assert resolve(write(plan_to_toml(plan))) == plan


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('pipelines = ["sd-txt2imgs"]', "plan.toml: pipelines: unknown name 'sd-txt2imgs'; did you mean 'sd-txt2img'?"),
        ('modes = ["complie"]', "plan.toml: modes: unknown name 'complie'; did you mean 'compile'?"),
        ("batch_size = [1]", "plan.toml: batch_size: unknown key; did you mean 'batch_sizes'?"),
        ("batch_sizes = [4, 0]", "plan.toml: batch_sizes[1]: 0 is too small; the least is 1"),
        ("batch_sizes = [-1]", "plan.toml: batch_sizes[0]: -1 is too small; the least is 1"),
        ('batch_sizes = ["x"]', 'plan.toml: batch_sizes[0]: "x" is no whole number'),
        ('batch_sizes = ["1"]', 'plan.toml: batch_sizes[0]: "1" is no whole number'),
        ("batch_sizes = [true]", "plan.toml: batch_sizes[0]: true is no whole number"),
        ("batch_sizes = [1.5]", "plan.toml: batch_sizes[0]: 1.5 is no whole number"),
        ("batch_sizes = 4", "plan.toml: batch_sizes: 4 is no list"),
        ("batch_sizes = []", "plan.toml: batch_sizes: must not be empty"),
        ("pipelines = []", "plan.toml: pipelines: must not be empty"),
        ("modes = []", "plan.toml: modes: must not be empty"),
        ("timeouts.mesure = 9", "plan.toml: timeouts.mesure: \"mesure\" is not allowed; did you mean 'measure'?"),
        ("timeouts.measure = 0", "plan.toml: timeouts.measure: 0 is too small; the least is 1"),
        ('timeouts.measure = "9"', 'plan.toml: timeouts.measure: "9" is no number'),
        ("timeouts = 9", "plan.toml: timeouts: 9 is no table"),
        ("environments = []", "plan.toml: environments: must not be empty"),
        ("batch_sizes = [4, 4]", "plan.toml: batch_sizes: 4 is there twice, which makes the same cell twice"),
        ('modes = ["compile", "compile"]', "plan.toml: modes: compile is there twice"),
        ("slots = []", "plan.toml: slots: must not be empty"),
        ('slots = "if.compile.current.b1"', 'plan.toml: slots: "if.compile.current.b1" is no list; write ["if.'),
        (
            'slots = ["if.compile.current.b1", "if.compile.current.b1"]',
            "plan.toml: slots: if.compile.current.b1 is there twice",
        ),
        (
            'modes = ["compile"]\nslots = ["if.no-compile.current.b4"]',
            "plan.toml: slots: 'if.no-compile.current.b4' is outside the plan's pipelines, modes, environments and "
            "batch_sizes; did you mean 'if.compile.current.b4'?",
        ),
        ('slots = ["x"]', "batch_sizes; write it such as 'sd-txt2img.no-compile.current.b1'"),
        ("steps = 0", "plan.toml: steps: 0 is too small; the least is 1"),
        ("calls = 0", "plan.toml: calls: 0 is too small; the least is 1"),
        ("size = 500", "plan.toml: size: 500 is no multiple of 8; did you mean 496?"),
        ("size = 0", "plan.toml: size: 0 is too small; the least is 8"),
        ("guidance = nan", "plan.toml: guidance: "),
        ("guidance = -1", "plan.toml: guidance: -1 is too small; the least is 0"),
        ('scale = "fulll"', "plan.toml: scale: \"fulll\" is not allowed; did you mean 'full'?"),
        ('dtype = "fp16"', 'plan.toml: dtype: "fp16" is not allowed; '),
        ('device = "gpu"', 'plan.toml: device: "gpu" is no device; write'),
        ("prompt = 3", "plan.toml: prompt: 3 is no text"),
        ("seed = 2024-01-01", 'plan.toml: seed: "2024-01-01" is no whole number'),
        ('weights = "sd15"', "plan.toml: weights: 'sd15' names no weights; write 'random'"),
        ('weights = "./none"', "plan.toml: weights: './none' is no folder"),
        ("mode = 1", "plan.toml: mode: 1 is no table"),
        ("[mode.a]\nfuse = true", "plan.toml: mode.a: fuse: unknown key; did you mean 'fuse_qkv'?"),
        (
            "[mode.a.compile]\nfullgrap = true",
            "plan.toml: mode.a: compile.fullgrap: unknown key; did you mean 'fullgraph'?",
        ),
        (
            '[mode.a.compile]\nmode = "max-autotune"\noptions.freezing = true',
            "plan.toml: mode.a: compile.options: torch.compile takes them or compile.mode; leave one out",
        ),
        ('[mode.a]\nlabel = "one\\ntwo"', 'plan.toml: mode.a: label: "one\\ntwo" is more than a line'),
        ('[mode.a]\ndescription = "one\\ntwo"', "plan.toml: mode.a: description: "),
        ('[mode.a]\nextend = "fast"', "plan.toml: mode.a: extend: unknown key; did you mean 'extends'?"),
        ('[pipeline.p]\nextnds = "if"', "plan.toml: pipeline.p: extnds: unknown key; did you mean 'extends'?"),
        ('[mode.a]\nextends = "b"', "plan.toml: mode.a: extends: unknown name 'b'; "),
        ('[mode.a]\nextends = "b"\n[mode.b]\nextends = "a"', "extends: a → b → a goes round in a circle"),
        ('[mode.a]\nextends = "a"', "extends: a → a goes round in a circle"),
        ('[mode.compile]\nextends = "no-compile"', "plan.toml: mode.compile: sdtui ships a 'compile'"),
        ('[mode."a.b"]', "plan.toml: mode.a.b: 'a.b' is no name"),
        (
            '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.steps = 0',
            "pipeline.p: stages.main.steps: 0 is too small",
        ),
        ('[pipeline.p]\nprompt = "x"', "plan.toml: pipeline.p: stages: is missing"),
        (
            '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.denoisers = ["unett"]',
            "plan.toml: pipeline.p: stages.main.denoisers: unknown name 'unett'; did you mean 'unet'?",
        ),
        (
            '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.denoisers = ["unet", "unet"]',
            "plan.toml: pipeline.p: stages.main.denoisers: unet is there twice",
        ),
        (
            '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.denoisers = ["unet", "scheduler"]',
            "plan.toml: pipeline.p: stages.main.denoisers: scheduler is a PNDMScheduler, which is no network",
        ),
        (
            '[pipeline.p]\nextends = "sd-controlnet"\nstages.main.denoisers = ["controlnet"]',
            "plan.toml: pipeline.p: stages.main.denoisers: leaves out 'unet', which runs at every step",
        ),
        *(
            (
                f'[pipeline.p]\nextends = "sd-img2img"\nstages.main.arguments.{name} = 4',
                f"plan.toml: pipeline.p: stages.main.arguments.{name}: leave it out; what decides it is {what}",
            )
            for name, what in {
                "num_images_per_prompt": "the batch size",
                "num_inference_steps": "steps",
                "guidance_scale": "guidance",
                "generator": "seed",
                "width": "the stage's width and height",
                "prompt": "the pipeline's prompt",
                "image": "the stage's inputs",
            }.items()
        ),
        *(
            (
                f'[pipeline.p]\nextends = "{extends}"\nstages.{stage}.arguments.output_type = "{kind}"',
                f"plan.toml: pipeline.p: stages.{stage}.arguments.output_type: must be {kinds}, as sdtui keeps",
            )
            for extends, stage, kind, kinds in (
                ("sd-txt2img", "main", "pt", "'pil'"),
                ("sd-txt2img", "main", "latent", "'pil'"),
                ("if", "I", "np", "'pil' or 'pt'"),
            )
        ),
        (
            '[pipeline.p]\nextends = "sd-txt2img"\nstages.main.components.vae.config = "IF-I-M-v1.0/unett.json"',
            "plan.toml: pipeline.p: stages.main.components.vae.config: 'IF-I-M-v1.0/unett.json' is no file; did",
        ),
        (
            '[pipeline.p]\nextends = "if"\nstages.I.inputs.image = { source = "stage", stage = "II" }',
            "plan.toml: pipeline.p: stages.I.inputs.image.stage: unknown name 'II'; there is none to choose from",
        ),
        *(
            (
                f'[pipeline.p]\nextends = "sd-img2img"\nstages.main.arguments.strength = {strength}',
                f"plan.toml: pipeline.p: stages.main.arguments.strength: {strength} is no number over 0 and up to 1",
            )
            for strength in ("0.0", "-1", "1.5", "true", '"x"', "[1]")
        ),
        (
            '[pipeline.p]\nextends = "sd-img2img"\nstages.main.arguments.strength = 0.01',
            "plan.toml: pipeline.p: stages.main.arguments.strength: 0.01 of 50 steps is less than one step",
        ),
        (
            '[pipeline.p]\nextends = "sd-img2img"\nstages.main.tiny.steps = 1',
            "plan.toml: pipeline.p: stages.main.arguments.strength: 0.8 of 1 tiny steps is less than one step",
        ),
        ("pipelines = [", "plan.toml: not TOML: "),
        (b'prompt = "\xff"', "plan.toml: not UTF-8: byte 10 is 0xff"),
    ],
)
def test_a_wrong_plan_gets_one_line(write, text, said):
    assert said in complaint(write(text))


def test_files_that_cannot_be_read(tmp_path, write):
    assert complaint(tmp_path / "none.toml").endswith("none.toml: no such file")
    assert complaint(tmp_path).endswith("is a folder, not a file")
    path = write("seed = 1")
    path.chmod(0)
    if not os.access(path, os.R_OK):
        assert complaint(path).endswith("cannot be read: Permission denied")


def test_an_unknown_preset():
    assert complaint("dcos") == "preset 'dcos': unknown, and no such plan file; did you mean 'docs'?"


def test_a_preset_wins_over_a_folder_of_its_name(tmp_path, monkeypatch):
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resolve("docs") == resolve()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"batch_sizes": "1,x"}, '--batch-size: "x" is no whole number'),
        ({"batch_sizes": "0"}, "--batch-size: 0 is too small; the least is 1"),
        ({"batch_sizes": "-1"}, "--batch-size: -1 is too small; the least is 1"),
        ({"batch_sizes": ""}, '--batch-size: "" is no whole number'),
        ({"batch_sizes": "1,1"}, "--batch-size: 1 is there twice, which makes the same cell twice"),
        (
            {"slots": ["if.bf16.current.b4"]},
            "--slot: 'if.bf16.current.b4' is outside the plan's pipelines, modes, environments and batch_sizes; did",
        ),
        ({"steps": 0}, "--steps: 0 is too small; the least is 1"),
        ({"pipelines": ["sd-txt2im"]}, "--pipeline: unknown name 'sd-txt2im'; did you mean 'sd-txt2img'?"),
        ({"scale": "huge"}, '--scale: "huge" is not allowed; choose from: full, tiny'),
        ({"weights": "nowhere"}, "--weights: 'nowhere' names no weights"),
        ({"prompt": "caf\udce9"}, "--prompt: 'caf\\udce9' is not UTF-8"),
    ],
)
def test_a_wrong_flag_is_named(flags, said):
    assert said in complaint(**flags)


def test_full_scale_needs_a_gpu():
    said = "preset 'docs': device: 'cuda:0': there is no usable GPU here; try --scale tiny --device cpu"
    assert complaint(gpu=False) == said
    assert complaint(gpu=False, scale="tiny") == said.replace("--scale tiny ", "")
    assert complaint(gpu=False, device="cpu").endswith("try --scale tiny --device cpu")
    assert resolve(gpu=False, scale="tiny", device="cpu").scale == "tiny"
    assert resolve(device="cpu").device == "cpu"


def test_weights_folders_become_absolute(tmp_path, monkeypatch, write):
    (tmp_path / "mine" / "deep").mkdir(parents=True)
    assert resolve(write('weights = "mine/deep"')).weights == str(tmp_path / "mine" / "deep")
    assert complaint(weights="./mine").startswith("--weights: './mine' is no folder")
    monkeypatch.chdir(tmp_path)
    assert resolve(weights="mine").weights == str(tmp_path / "mine")
    assert resolve(weights="owner/name").weights == "owner/name"


def test_a_persons_own_entries_are_found_and_checked(tmp_path):
    for kind in ("modes", "pipelines", "pipelines/configs"):
        (tmp_path / kind).mkdir()
    (tmp_path / "modes" / "mine.toml").write_text('extends = "compile"\n[compile]\nmode = "default"\n')
    config = json.loads(
        (Path(CATALOG.pipeline_entries["if"].where).parents[1] / "configs/IF-I-M-v1.0/unet.json").read_text()
    )
    (tmp_path / "pipelines/configs/unet.json").write_text(json.dumps(config | {"layers_per_block": 2}))
    (tmp_path / "pipelines" / "small-if.toml").write_text(
        'extends = "if"\n[stages.I.components.unet]\nconfig = "configs/unet.json"\n'
    )
    catalog = load_catalog(tmp_path)
    assert catalog.modes["mine"].label == "mine"
    assert catalog.modes["mine"].compile.mode == "default"
    assert catalog.modes["mine"].compile.fullgraph
    assert catalog.pipelines["small-if"].stages["I"].components["unet"].config["layers_per_block"] == 2

    plan = resolve_plan(catalog, None, {"pipelines": ["small-if"], "modes": ["mine"]}, gpu_available=True)
    path = tmp_path / "plan.toml"
    path.write_text(plan_to_toml(plan))
    assert resolve_plan(CATALOG, str(path), {}, gpu_available=True) == plan  # on a machine without those files

    (tmp_path / "modes" / "mine.toml").write_text("tf23 = true")
    with pytest.raises(UserError, match=r"modes/mine\.toml: tf23: unknown key; did you mean 'tf32'\?"):
        load_catalog(tmp_path)
    (tmp_path / "modes" / "mine.toml").rename(tmp_path / "modes" / "compile.toml")
    with pytest.raises(UserError, match=r"compile\.toml: sdtui ships a 'compile'"):
        load_catalog(tmp_path)


def test_presets_of_ones_own_are_named_like_those_that_are_shipped(tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    mine = tmp_path / "presets" / "mine.toml"
    mine.write_text('description = "Mine"\nmodes = ["bf16"]\nsteps = 20')

    plan = resolve_plan(load_catalog(tmp_path), "mine", {}, gpu_available=True)
    assert (plan.modes, plan.steps, plan.batch_sizes) == (("bf16",), 20, (1, 4, 16))

    mine.rename(mine.with_name("docs.toml"))
    with pytest.raises(UserError, match=r"presets/docs\.toml: sdtui ships a 'docs'; choose another name"):
        load_catalog(tmp_path)


def test_a_preset_is_not_taken_for_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"^preset 'docs': device: 'cuda:0': there is no usable GPU here"):
        resolve_plan(load_catalog(), "docs", {}, gpu_available=False)
