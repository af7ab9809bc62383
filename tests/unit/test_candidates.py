"""Which modes are tried out, and which are not, with the reason."""

from __future__ import annotations

from pathlib import Path

from sdtui.catalog.candidates import candidates
from sdtui.catalog.load import Catalog, load_catalog
from sdtui.catalog.mode_toml import mode_to_toml
from sdtui.catalog.toml_files import read_toml
from sdtui.model.machine import Interpreter

CATALOG = load_catalog()
WITHOUT_XFORMERS = Interpreter("current", "python", "3.12", {"xformers": None})
WITH_XFORMERS = Interpreter("current", "python", "3.12", {"xformers": "0.0.30"})

LEFT_OUT = {
    "vanilla-attention": "its attention, written out, is the slowest",
    **dict.fromkeys(("fp8", "int8"), "its output differs by more than float16 rounds; name it with --mode"),
}


def with_modes(**tables: dict[str, object]) -> Catalog:
    return CATALOG.with_own({name.replace("_", "-"): table for name, table in tables.items()}, {}, "plan", Path())


def test_no_compile_comes_first_then_a_persons_own_then_what_ships() -> None:
    found = candidates(with_modes(mine={"vae_slicing": True}), "sd-txt2img", True, WITH_XFORMERS, "float16")
    assert found.modes[:3] == ("no-compile", "mine", "fast")
    assert found.modes[-1] == "max-autotune", "tuning kernels takes minutes"
    assert {*found.modes, *found.left_out} == {*CATALOG.modes, "mine"}
    assert found.left_out == LEFT_OUT


def test_what_is_certain_to_be_refused_is_left_out_with_the_reason() -> None:
    catalog = with_modes(
        tf={"tf32": True},
        graphs={"extends": "compile", "step_graphs": True},
        tiles={"vae_tiling": True},
        maybe={"extends": "compile", "compile_vae": True, "optional": ["compile_vae"]},
    )
    on_cpu = candidates(catalog, "sd-txt2img", False, WITHOUT_XFORMERS, "float16").left_out
    assert on_cpu == {
        **LEFT_OUT,
        "xformers": "xformers is not installed in environment 'current'",
        "tf": "tf32 needs a CUDA device",
        "graphs": "step_graphs needs a CUDA device",
        "fast": "step_graphs needs a CUDA device",
    }
    on_gpu = candidates(catalog, "if", True, WITH_XFORMERS, "float16")
    assert on_gpu.left_out["tiles"] == "vae_tiling: stage I: it has no VAE"
    assert on_gpu.left_out["compile-channels-last"].startswith("fuse_qkv: stage I: unet has added projections")
    assert "maybe" in on_gpu.modes


def test_what_does_the_same_is_tried_out_once() -> None:
    found = candidates(with_modes(again={"extends": "no-compile"}), "sd-txt2img", True, WITHOUT_XFORMERS, "float16")
    assert found.left_out["again"] == "does what no-compile does"
    assert "bf16" in found.modes
    found = candidates(CATALOG, "sd-txt2img", True, WITHOUT_XFORMERS, "bfloat16")
    assert found.left_out["bf16"] == "does what no-compile does", "which has that dtype already"


def test_every_mode_comes_back_from_its_toml(tmp_path: Path) -> None:
    tables = {
        "frozen": {
            "compile": {"backend": "inductor", "options": {"freezing": True, "triton.cudagraphs": True}},
            "sdpa_backends": ["flash", "math"],
            "optional": ["compile_vae"],
            "dtype": "bfloat16",
            "tf32": False,
        }
    }
    catalog = with_modes(**tables)
    path = tmp_path / "mode.toml"
    for name, mode in catalog.modes.items():
        path.write_text(mode_to_toml(mode, ["one", "two"]))
        table = read_toml(path)
        again = CATALOG.with_own({f"{name}-again": table}, {}, str(path), tmp_path).modes[f"{name}-again"]
        assert {**vars(again), "name": name} == vars(mode)
