"""Generated pictures and embeddings: the same everywhere, and made of something."""

import numpy as np
import pytest
import torch

from sdtui.worker import inputs


@pytest.mark.parametrize("size", [(512, 512), (128, 128), (64, 96)])
def test_pictures_have_their_size_and_are_the_same_every_time(size):
    for make, mode in ((inputs.picture, "RGB"), (inputs.mask, "L"), (inputs.edges, "RGB")):
        image = make(*size)
        assert (image.size, image.mode) == (size, mode)
        assert image.tobytes() == make(*size).tobytes()


def test_picture_is_smooth_and_has_edges():
    pixels = np.asarray(inputs.picture(512, 512)).astype(int)
    assert pixels.std() > 30
    steps = np.abs(np.diff(pixels, axis=0)).max(axis=2)
    assert 0.9 < (steps <= 2).mean() < 1
    assert steps.max() > 50


def test_mask_is_white_in_the_middle_half_alone():
    mask = np.asarray(inputs.mask(512, 512))
    assert set(np.unique(mask)) == {0, 255}
    assert mask[128:385, 128:385].min() == 255
    assert mask.astype(bool).sum() == 257 * 257


def test_edges_are_white_on_black_and_few():
    edges = np.asarray(inputs.edges(512, 512))
    assert set(np.unique(edges)) == {0, 255}
    assert 0.001 < (edges > 0).mean() < 0.1


def test_embeddings_are_standard_normal_by_seed_and_name():
    made = inputs.embeddings("prompt_embeds", (1, 77, 4096), 0, torch.float32, "cpu")
    assert made.shape == (1, 77, 4096)
    assert float(made.mean()) == pytest.approx(0, abs=0.01)
    assert float(made.std()) == pytest.approx(1, abs=0.01)
    assert torch.equal(made, inputs.embeddings("prompt_embeds", (1, 77, 4096), 0, torch.float32, "cpu"))
    for name, seed in (("negative_prompt_embeds", 0), ("prompt_embeds", 1)):
        assert not torch.equal(made, inputs.embeddings(name, (1, 77, 4096), seed, torch.float32, "cpu"))
    assert torch.equal(made.half(), inputs.embeddings("prompt_embeds", (1, 77, 4096), 0, torch.float16, "cpu"))
