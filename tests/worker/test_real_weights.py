"""Weights that ``save_pretrained`` wrote, and all that may be wrong with a folder or a hub id."""

import dataclasses
import json
import shutil

import diffusers
import huggingface_hub
import numpy as np
import pytest
import torch
from tiny_cells import cell_of, pipe_of

from sdtui.worker import call
from sdtui.worker.build import WeightsError, build

OTHER_SEED = 7  # of the weights that are saved: those that a cell would draw itself have seed 0
PIPELINES = {"sd-txt2img": {"main": ""}, "sd-controlnet": {"main": ""}, "if": {"I": "I", "II": "II", "III": "III"}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A folder of weights for each pipeline; IF's holds one folder for each stage."""
    folders = {}
    for pipeline, subfolders in PIPELINES.items():
        cell, folder = cell_of(pipeline, seed=OTHER_SEED), tmp_path_factory.mktemp(pipeline)
        for number, stage in enumerate(cell.stages):
            pipe_of(cell, number).save_pretrained(folder / subfolders[stage.name])
        folders[pipeline] = folder
    return folders


@pytest.fixture
def folder(saved, tmp_path):
    """A copy of sd-txt2img's, to be spoilt."""
    return shutil.copytree(saved["sd-txt2img"], tmp_path / "weights")


def with_weights(folder, pipeline="sd-txt2img", **overrides):
    return cell_of(pipeline, weights=str(folder), **overrides)


def pixels(images):
    return np.stack([np.asarray(image) for image in images])


@pytest.mark.parametrize("pipeline", PIPELINES)
def test_cell_with_saved_weights_is_a_bare_diffusers_call(saved, measured, pipeline):
    cell = with_weights(saved[pipeline], pipeline)
    run = measured(cell)
    assert run.end.status == "ok", run.end.reason
    direct = {}
    for stage in cell.stages:
        path = saved[pipeline] / PIPELINES[pipeline][stage.name]
        pipe = diffusers.DiffusionPipeline.from_pretrained(path)
        assert type(pipe).__name__ == stage.pipeline_class
        pipe.set_progress_bar_config(disable=True)
        direct[stage.name] = pipe(**call.arguments(cell, stage, "cpu", torch.float32, direct)).images
    random = measured(cell_of(pipeline))
    for stage in cell.stages:
        (images,) = run.images[stage.name]
        assert np.array_equal(pixels(images), pixels(direct[stage.name]))
        assert not np.array_equal(pixels(images), pixels(random.images[stage.name][0]))


def test_weights_are_cast_to_the_cells_dtype(saved):
    cell = with_weights(saved["sd-txt2img"], dtype="bfloat16")
    pipe = build(cell.stages[0], 0, "cpu", torch.bfloat16)
    assert {pipe.unet.dtype, pipe.vae.dtype, pipe.text_encoder.dtype} == {torch.bfloat16}


def test_img2img_takes_a_text_to_image_folder(saved, measured):
    assert measured(with_weights(saved["sd-txt2img"], "sd-img2img")).end.status == "ok"


def test_controlnet_of_its_own_goes_with_a_folder_that_has_none(saved):
    stage = with_weights(saved["sd-txt2img"], "sd-controlnet").stages[0]
    own = str(saved["sd-controlnet"] / "controlnet")
    parts = tuple(
        dataclasses.replace(part, weights=own) if part.name == "controlnet" else part for part in stage.components
    )
    pipe = build(dataclasses.replace(stage, components=parts), 0, "cpu", torch.float32)
    expected = diffusers.ControlNetModel.from_pretrained(own)
    assert torch.equal(pipe.controlnet.conv_in.weight, expected.conv_in.weight)


def test_variant_names_the_files(saved, tmp_path):
    diffusers.DiffusionPipeline.from_pretrained(saved["sd-txt2img"]).save_pretrained(tmp_path, variant="fp16")
    stage = with_weights(tmp_path).stages[0]
    assert stage.variant == "fp16"
    pipe = build(stage, 0, "cpu", torch.float16)
    assert pipe.unet.dtype == torch.float16
    with pytest.raises(WeightsError, match="no file named"):
        build(dataclasses.replace(stage, variant=None), 0, "cpu", torch.float16)


def test_folder_that_holds_a_variant_for_one_part_only(saved, tmp_path):
    pipe = diffusers.DiffusionPipeline.from_pretrained(saved["sd-txt2img"])
    pipe.save_pretrained(tmp_path)
    shutil.rmtree(tmp_path / "unet")
    pipe.unet.save_pretrained(tmp_path / "unet", variant="fp16")
    built = build(with_weights(tmp_path).stages[0], 0, "cpu", torch.float32)
    assert torch.equal(built.unet.conv_in.weight, pipe.unet.conv_in.weight)


# --------------------------------------------------------------------------------------------- what may be wrong


def failure(measured, cell):
    run = measured(cell)
    assert (run.end.status, run.end.phase, run.end.call) == ("failed", "load", None)
    assert "\n" not in run.end.reason
    return run.end.reason


def test_empty_folder(measured, tmp_path):
    assert failure(measured, with_weights(tmp_path)) == (
        f"weights {tmp_path}: no pipeline there (model_index.json is missing)"
    )


def test_folder_of_a_component_is_no_pipeline(measured, saved):
    component = saved["sd-txt2img"] / "unet"
    assert failure(measured, with_weights(component)).startswith(f"weights {component}: no pipeline there")


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("{}", "no pipeline there (model_index.json names no pipeline class)"),
        ("[1]", "no pipeline there (model_index.json names no pipeline class)"),
        ("not json", "model_index.json cannot be read: Expecting value: line 1 column 1 (char 0)"),
    ],
)
def test_index_that_is_none(measured, folder, index, reason):
    (folder / "model_index.json").write_text(index)
    assert failure(measured, with_weights(folder)) == f"weights {folder}: {reason}"


def test_part_that_is_missing(measured, folder):
    shutil.rmtree(folder / "unet")
    assert failure(measured, with_weights(folder)).startswith(f"weights {folder}: not a loadable StableDiffusion")


def test_pipeline_of_another_kind(measured, saved):
    reason = failure(measured, with_weights(saved["if"] / "I"))
    assert reason.startswith(f"weights {saved['if'] / 'I'}: not a loadable StableDiffusionPipeline: ")


@pytest.mark.parametrize("content", [b"", b"garbage" * 100])
def test_weight_file_that_is_none(measured, folder, content):
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(content)
    assert failure(measured, with_weights(folder)).startswith(f"weights {folder}: not a loadable StableDiffusion")


@pytest.mark.parametrize(
    ("part", "kept", "pickled"),
    [
        ("unet", "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        ("text_encoder", "model.safetensors", "pytorch_model.bin"),
    ],
)
def test_pickled_weights_are_refused(measured, folder, part, kept, pickled):
    weights = getattr(diffusers.DiffusionPipeline.from_pretrained(folder), part).state_dict()
    torch.save(weights, folder / part / pickled)
    (folder / part / kept).unlink()
    reason = failure(measured, with_weights(folder))
    assert reason.startswith(f"weights {folder}: not a loadable StableDiffusionPipeline: ")
    assert kept in reason


CODE = "import pathlib\npathlib.Path({marker!r}).touch()\nfrom diffusers import {base}\nclass Mine({base}): pass\n"


@pytest.mark.parametrize(
    ("key", "value", "file", "base"),
    [
        ("unet", ["mine", "Mine"], "unet/mine.py", "UNet2DConditionModel"),
        ("_class_name", ["mine", "Mine"], "mine.py", "StableDiffusionPipeline"),
        ("_class_name", "StableDiffusionPipeline", "None.py", "StableDiffusionPipeline"),
        ("scheduler", ["mine", "Mine"], "scheduler/mine.py", "PNDMScheduler"),
    ],
)
def test_code_in_a_folder_is_not_run(measured, folder, tmp_path, key, value, file, base):
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {key: value}))
    marker = tmp_path / "ran"
    (folder / file).write_text(CODE.format(marker=str(marker), base=base))
    reason = failure(measured, with_weights(folder))
    assert reason == f"weights {folder}: holds Python code ({file}), which sdtui never runs"
    assert not marker.exists()


@pytest.mark.parametrize("pipeline", ["sd-txt2img", "sd-controlnet"])
def test_hub_that_cannot_be_reached_is_said(measured, tmp_path, monkeypatch, pipeline):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    reason = failure(measured, cell_of(pipeline, weights="someone/something"))
    named = {"sd-txt2img": "someone/something", "sd-controlnet": "lllyasviel/sd-controlnet-canny"}[pipeline]
    assert reason.startswith(f"weights {named}: the hub cannot be reached, and its cache here does not hold them (")


def refusing(cause):
    def from_pretrained(*_, **__):
        raise OSError("Cannot load model someone/private: model is not cached") from cause

    return from_pretrained


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "the hub cannot be reached, and its cache here"),
        (TimeoutError("timed out"), "the hub cannot be reached, and its cache here"),
        (RuntimeError("401 Client Error.\n\nAccess to model is restricted"),
         "the hub does not give them: 401 Client Error. Access to model is restricted"),
        (None, "the hub does not give them: Cannot load model someone/private: model is not cached"),
    ],
    ids=str,
)  # fmt: skip
def test_hub_that_refuses_is_another_thing(measured, monkeypatch, cause, reason):
    monkeypatch.setattr(diffusers.StableDiffusionPipeline, "from_pretrained", refusing(cause))
    said = failure(measured, cell_of(weights="someone/private"))
    assert said.startswith(f"weights someone/private: {reason}")


def test_random_weights_ask_nobody(measured, monkeypatch):
    def asked(*_, **__):
        raise AssertionError

    monkeypatch.setattr(huggingface_hub.file_download, "hf_hub_download", asked)
    monkeypatch.setattr(diffusers.DiffusionPipeline, "from_pretrained", asked)
    assert measured(cell_of(steps=1)).end.status == "ok"
