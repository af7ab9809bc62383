"""What a cell's id depends on, and what it does not."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

import pytest

from sdtui.catalog.expand import expand
from sdtui.catalog.load import load_catalog
from sdtui.catalog.plans import resolve_plan
from sdtui.model.cell import SINCE_FIRST_IDS, Cell, CompileOptions, Input, Mode, cell_id, weights_kind

CATALOG = load_catalog()


def cell(pipeline: str = "sd-img2img", mode: str = "compile", **flags: Any) -> Cell:
    asked = {"pipelines": [pipeline], "modes": [mode], "batch_sizes": [1], **flags}
    (found,) = expand(resolve_plan(CATALOG, None, asked, gpu_available=True), CATALOG)
    return found


def identity(base: Cell, **changes: Any) -> str:
    """Returns the id that the cell would have with other values."""
    keys = ("slot", "mode", "scale", "calls", "dtype", "weights", "stages", "vram_limit_bytes")
    return cell_id(**{key: changes.get(key, getattr(base, key)) for key in keys})


BASE = cell()


def test_an_id_is_the_readable_slot_and_eight_digits() -> None:
    assert re.fullmatch(r"sd-img2img\.compile\.current\.b1-[0-9a-f]{8}", BASE.id)
    assert re.fullmatch(r"sd-img2img\.compile\.current\.b4\.tiny-[0-9a-f]{8}", cell(scale="tiny", batch_sizes=[4]).id)
    assert BASE.id == identity(BASE)


def test_an_id_is_the_same_in_every_process_and_release() -> None:
    """Results of other releases compare by it: change this only where the work changed."""
    assert BASE.id == "sd-img2img.compile.current.b1-e3d7fecd"


@pytest.mark.parametrize(
    "flags",
    [{"seed": 7}, {"prompt": "another"}, {"device": "cuda:1"}, {"device": "cuda:GPU-1"}, {"calls": 3}, {"size": 512}],
)
def test_what_changes_no_work_changes_no_id(flags: dict[str, Any]) -> None:
    assert cell(**flags).id == BASE.id


def test_the_cpu_counts_by_its_dtype_alone() -> None:
    on_cpu = {"device": "cpu", "scale": "tiny"}
    assert cell(**on_cpu).dtype == "float32"
    assert cell(**on_cpu).id == cell(scale="tiny", dtype="float32").id


@pytest.mark.parametrize(
    "flags",
    [
        {"scale": "tiny"},
        {"calls": 4},
        {"dtype": "bfloat16"},
        {"guidance": 3.0},
        {"size": 256},
        {"steps": 20},
        {"weights": "published"},
        {"weights": "owner/name"},
    ],
)
def test_what_changes_the_work_changes_the_hash(flags: dict[str, Any]) -> None:
    digest = cell(**flags).id.rsplit("-", 1)[1]
    assert digest != BASE.id.rsplit("-", 1)[1]


@pytest.mark.parametrize(
    "options",
    [
        {"compile": None},
        {"compile": CompileOptions(mode="max-autotune", fullgraph=True)},
        {"compile": CompileOptions(mode="reduce-overhead", fullgraph=True, options={"x": 1})},
        {"memory_format": "channels_last"},
        {"fuse_qkv": True},
        {"attention_processor": "vanilla"},
        {"attention_backend": "flash"},
        {"tf32": True},
        {"tf32": False},
        {"cudnn_benchmark": True},
        {"vae_slicing": True},
        {"vae_tiling": True},
    ],
)
def test_each_option_of_a_mode_changes_the_id(options: dict[str, Any]) -> None:
    assert identity(BASE, mode=dataclasses.replace(BASE.mode, **options)) != BASE.id


def test_a_modes_name_and_words_change_only_the_readable_part() -> None:
    renamed = dataclasses.replace(BASE.mode, name="mine", label="my mode", description="of my own")
    assert identity(BASE, mode=renamed) == BASE.id
    slot = dataclasses.replace(BASE.slot, mode="mine")
    assert identity(BASE, mode=renamed, slot=slot).rsplit("-", 1)[1] == BASE.id.rsplit("-", 1)[1]


def test_the_dtype_that_counts_is_the_cells() -> None:
    """A mode may name it or leave it to the plan: the work is the same."""
    named = dataclasses.replace(BASE.mode, dtype=BASE.dtype)
    assert identity(BASE, mode=named) == BASE.id


def _stage(**changes: Any) -> tuple[Any, ...]:
    return (dataclasses.replace(BASE.stages[0], **changes),)


def _component(index: int, **changes: Any) -> tuple[Any, ...]:
    components = list(BASE.stages[0].components)
    components[index] = dataclasses.replace(components[index], **changes)
    return _stage(components=tuple(components))


UNET = next(part for part in BASE.stages[0].components if part.name == "unet")


@pytest.mark.parametrize(
    "stages",
    [
        _stage(pipeline_class="Another"),
        _stage(denoisers=("unet", "vae")),
        _stage(constructor={"requires_safety_checker": True}),
        _stage(arguments={"strength": 0.3}),
        _stage(inputs={"image": Input("image", 64, 64)}),
        _stage(inputs={"image": Input("stage", stage="I")}),
        _stage(takes_size=True),
        _stage(takes_prompt=False),
        _stage(width=64),
        _stage(height=64),
        _component(0, class_name="Another"),
        _component(0, config={"changed": 1}),
        (*BASE.stages, *BASE.stages),
    ],
)
def test_the_wiring_of_stages_changes_the_id(stages: tuple[Any, ...]) -> None:
    assert identity(BASE, stages=stages) != BASE.id


def test_a_key_of_a_config_changes_the_id() -> None:
    index = BASE.stages[0].components.index(UNET)
    assert identity(BASE, stages=_component(index, config={**UNET.config, "attention_head_dim": 9})) != BASE.id
    reordered = dict(reversed(UNET.config.items()))
    assert identity(BASE, stages=_component(index, config=reordered)) == BASE.id


def test_counted_flops_and_where_weights_lie_change_no_id() -> None:
    changed = _stage(flops_per_step=1.0, weights="/models/sd", variant="fp16")
    assert identity(BASE, stages=changed) == BASE.id
    assert identity(BASE, stages=_component(0, weights="owner/part")) == BASE.id


def test_weights_count_by_hub_id_or_by_the_folders_last_name() -> None:
    assert weights_kind("random") == "random"
    assert weights_kind("owner/name") == "owner/name"
    assert weights_kind("/here/model") == weights_kind("/there/model/") == "model"
    assert identity(BASE, weights="/here/model") == identity(BASE, weights="/there/model")
    ids = {identity(BASE, weights=weights) for weights in ("random", "published", "owner/name", "/here/name")}
    assert len(ids) == 4


@dataclasses.dataclass(frozen=True)
class LaterMode(Mode):
    """A mode with an option of a later release."""

    cpu_offload: bool = dataclasses.field(default=False, metadata=SINCE_FIRST_IDS)


@dataclasses.dataclass(frozen=True)
class LaterCompileOptions(CompileOptions):
    regional: bool = dataclasses.field(default=False, metadata=SINCE_FIRST_IDS)


@dataclasses.dataclass(frozen=True)
class LaterInput(Input):
    frames: int = dataclasses.field(default=1, metadata=SINCE_FIRST_IDS)


def test_an_option_of_a_later_release_changes_the_id_only_where_it_is_used() -> None:
    assert BASE.mode.compile is not None
    options = {field.name: getattr(BASE.mode, field.name) for field in dataclasses.fields(BASE.mode)}
    compile_ = {field.name: getattr(BASE.mode.compile, field.name) for field in dataclasses.fields(CompileOptions)}
    without = LaterMode(**{**options, "compile": LaterCompileOptions(**compile_)})
    assert identity(BASE, mode=without) == BASE.id
    offloaded = dataclasses.replace(without, cpu_offload=True)
    regional = dataclasses.replace(without, compile=LaterCompileOptions(**compile_, regional=True))
    assert len({identity(BASE, mode=mode) for mode in (without, offloaded, regional)}) == 3


def test_a_field_of_a_later_release_deep_in_a_stage_changes_the_id_only_where_it_is_used() -> None:
    image = BASE.stages[0].inputs["image"]
    one, many = (
        _stage(inputs={"image": LaterInput(image.source, image.width, image.height, frames=n)}) for n in (1, 8)
    )
    assert identity(BASE, stages=one) == BASE.id
    assert identity(BASE, stages=many) != BASE.id


def test_what_a_limit_of_the_allocator_leaves_never_meets_what_was_measured_without_one() -> None:
    limits = ("15GiB", "15360 MiB", "15GB", "16GiB")
    without, same, decimal, larger = (cell(vram_limit=limit) for limit in limits)
    assert without.id == same.id == identity(without)
    assert len({BASE.id, without.id, decimal.id, larger.id}) == 4


def test_events_leave_out_configs_and_keep_the_id() -> None:
    spec = BASE.without_configs()
    assert spec.id == BASE.id
    assert all(not stage.components for stage in spec.stages)
    assert dataclasses.replace(spec, stages=BASE.stages) == BASE
