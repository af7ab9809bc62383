"""The distance between outputs that a worker kept."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from sdtui.distance import OutputsError, distance
from sdtui.worker import outputs

PIXELS = np.full((2, 8, 8, 3), 100, dtype=np.uint8)


def save(folder, name, latents, pixels=PIXELS):
    outputs.save([Image.fromarray(image) for image in pixels], latents, folder, name)


def latents(*shape, seed=0):
    return torch.randn(shape or (2, 4, 8, 8), generator=torch.Generator().manual_seed(seed))


def test_equal_outputs_have_no_distance(tmp_path):
    for name in ("a", "b"):
        save(tmp_path, name, latents())
    found = distance(tmp_path, "a", "b")
    assert (found.relative_l2, found.psnr_db, found.max_difference) == (0, None, 0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_relative_l2_is_over_the_batch_and_in_the_dtype_that_was_kept(tmp_path, dtype):
    mine, other = latents().to(dtype), latents()
    mine[1] *= 1.125
    save(tmp_path, "mine", mine)
    save(tmp_path, "other", other)
    expected = (mine.double() - other.double()).norm() / other.double().norm()
    assert distance(tmp_path, "mine", "other").relative_l2 == pytest.approx(expected.item(), rel=1e-12)


def test_psnr_and_largest_difference_are_of_the_first_image(tmp_path):
    changed = PIXELS.copy()
    changed[0, 0, 0] = (110, 80, 100)
    changed[1] = 0
    save(tmp_path, "a", latents(), changed)
    save(tmp_path, "b", latents())
    found = distance(tmp_path, "a", "b")
    assert found.psnr_db == pytest.approx(10 * np.log10(255**2 / ((10**2 + 20**2) / (3 * 64))))
    assert found.max_difference == 20


def test_a_pipeline_of_pixels_compares_by_them(tmp_path):
    for name, value in (("a", 0.5), ("b", 0.25)):
        outputs.save(torch.full((2, 3, 8, 8), value), None, tmp_path, name)
    found = distance(tmp_path, "a", "b")
    assert found.relative_l2 == pytest.approx(1.0)
    assert found.max_difference == 191 - 159


def test_what_is_not_there_is_told_from_what_does_not_compare(tmp_path):
    save(tmp_path, "a", latents())
    with pytest.raises(FileNotFoundError):
        distance(tmp_path, "a", "b")
    save(tmp_path, "b", latents(1, 4, 8, 8))
    with pytest.raises(OutputsError, match=r"shapes differ: latents \(2, 4, 8, 8\) and \(1, 4, 8, 8\)"):
        distance(tmp_path, "a", "b")
    (tmp_path / "b.png").unlink()
    with pytest.raises(FileNotFoundError):
        distance(tmp_path, "a", "b")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0])
def test_no_number_comes_of_no_numbers(tmp_path, value):
    save(tmp_path, "a", latents())
    save(tmp_path, "b", torch.full((2, 4, 8, 8), value))
    with pytest.raises(OutputsError, match="NaN or infinity, or are all zero"):
        distance(tmp_path, "a", "b")


@pytest.mark.parametrize(
    "broken",
    [b"", b"\xff" * 20, (2).to_bytes(8, "little") + b"{}", b"\0" * 8 + b"x", None],
    ids=["empty", "noise", "no latents", "no header", "folder"],
)
def test_a_broken_file_is_named(tmp_path, broken):
    save(tmp_path, "a", latents())
    save(tmp_path, "b", latents())
    for suffix in ("safetensors", "png"):
        path = tmp_path / f"b.{suffix}"
        whole = path.read_bytes()
        path.unlink()
        path.mkdir() if broken is None else path.write_bytes(broken)
        with pytest.raises(OutputsError, match=f"b.{suffix} cannot be read"):
            distance(tmp_path, "a", "b")
        path.rmdir() if broken is None else path.unlink()
        path.write_bytes(whole)


def test_a_shape_that_is_not_its_bytes_is_broken(tmp_path):
    save(tmp_path, "a", latents())
    header = json.dumps({"latents": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "b.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"\0" * 4)
    with pytest.raises(OutputsError, match=r"b.safetensors cannot be read: ValueError"):
        distance(tmp_path, "a", "b")
