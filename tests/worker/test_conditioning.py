"""What does not change from step to step is computed before the loop, as the denoiser would have."""

import diffusers
import pytest
import torch
from tiny_cells import cell_of, pipe_of
from torch._inductor.utils import run_and_get_code

from sdtui.model.cell import CompileOptions, Mode
from sdtui.worker import options
from sdtui.worker.conditioning import Conditioning, Given


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


class Reader(torch.nn.Module):
    """Adds what a layer is known to make to what another makes."""

    def __init__(self):
        super().__init__()
        self.given, self.weights = Given(torch.nn.Linear(8, 8)), torch.nn.Linear(8, 8)

    def forward(self, tensor):
        return self.weights(tensor) + 2 * self.given(tensor)


def test_what_is_given_beforehand_is_not_frozen_with_the_weights():
    recipe, reader, tensor = CompileOptions(options={"freezing": True}), Reader().eval(), torch.randn(4, 8)
    reader.given.value = torch.randn(4, 8)
    with torch._inductor.config.patch(freezing=False):
        options.apply_global(Mode("mine", "mine", compile=recipe), "cpu")
        compiled = torch.compile(reader, **recipe.arguments)
        made, (code,) = run_and_get_code(compiled, tensor)
    assert "_frozen_param" in code
    torch.testing.assert_close(made, reader(tensor))
    reader.given.value.normal_()
    torch.testing.assert_close(compiled(tensor), reader(tensor))


def test_what_a_unet_is_given_beside_the_prompt_is_given_beforehand_too():
    """As SDXL's are: text embeddings and sizes."""
    unet = diffusers.UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
        cross_attention_dim=32,
    ).eval()
    generator = torch.Generator().manual_seed(0)
    rows = 2
    added = {
        "text_embeds": torch.randn(rows, 32, generator=generator),
        "time_ids": torch.arange(6.0).repeat(rows, 1),
    }
    sample = torch.randn(rows, 4, 8, 8, generator=generator)
    prompt = torch.randn(rows, 7, 32, generator=generator)
    times = torch.tensor([900, 500, 100])
    plain = [unet(sample, time, prompt, added_cond_kwargs=added).sample for time in times]
    conditioning = Conditioning(unet, unet.forward)
    conditioning.prepare(times, (sample, times[0], prompt), {"added_cond_kwargs": added})
    for step, time in enumerate(times):
        conditioning.at(step)
        again = unet(sample, time, prompt, added_cond_kwargs=added).sample
        assert torch.allclose(again, plain[step], atol=1e-5)
    assert not torch.allclose(plain[0], plain[1], atol=1e-3), "or the test could not fail"


def test_what_an_adapter_adds_stays_whole():
    """A UNet takes the residuals of one from a list, one by one."""
    pipe = pipe_of(cell_of())
    unet, generator = pipe.unet, torch.Generator().manual_seed(0)
    sample, prompt = (torch.randn(*size, generator=generator) for size in ((2, 4, 16, 16), (2, 77, 32)))
    times = torch.tensor([900, 500])

    def added():
        return {"down_intrablock_additional_residuals": [torch.full((2, 32, 16, 16), 3.0)]}

    plain = [unet(sample, time, prompt, **added()).sample for time in times]
    conditioning = Conditioning(unet, unet.forward)
    for step, time in enumerate(times):
        given = added()
        conditioning.prepare(times, (sample, time, prompt), given)
        conditioning.at(step)
        assert torch.allclose(unet(sample, time, prompt, **given).sample, plain[step], atol=1e-5)
    assert not torch.allclose(plain[0], unet(sample, times[0], prompt).sample, atol=1e-3), "or the test could not fail"


def test_a_control_image_may_be_of_another_scale():
    """As beside a VAE of three levels, which makes latents of a quarter."""
    cell = cell_of("sd-controlnet")
    net = diffusers.ControlNetModel.from_unet(
        pipe_of(cell).unet, conditioning_channels=3, conditioning_embedding_out_channels=(8, 16, 32)
    ).eval()
    generator = torch.Generator().manual_seed(0)
    sizes = ((2, 4, 16, 16), (2, 77, 32), (2, 3, 64, 64))
    sample, prompt, image = (torch.randn(*size, generator=generator) for size in sizes)
    for block in net.controlnet_down_blocks:
        torch.nn.init.normal_(block.weight, generator=generator)
    time = torch.tensor(500)
    plain = net(sample, time, prompt, image).down_block_res_samples[-1]
    conditioning = Conditioning(net, net.forward)
    conditioning.prepare(time[None], (sample, time, prompt, image), {})
    conditioning.at(0)
    torch.testing.assert_close(net(sample, time, prompt, image).down_block_res_samples[-1], plain)


def test_a_loras_scale_is_refused_where_the_prompts_layers_are_given_beforehand():
    unet = pipe_of(cell_of()).unet
    conditioning, times = Conditioning(unet, unet.forward), torch.tensor([900])
    given = torch.zeros(2, 4, 16, 16), times[0], torch.zeros(2, 77, 32)
    conditioning.prepare(times, given, {"cross_attention_kwargs": {"scale": 1.0}})
    with pytest.raises(RuntimeError, match="precompute leaves a LoRA's scale out"):
        conditioning.prepare(times, given, {"cross_attention_kwargs": {"scale": 0.5}})


def test_a_prompt_is_given_beforehand_beside_the_images_of_an_ip_adapter():
    unet, generator = pipe_of(cell_of()).unet, torch.Generator().manual_seed(0)
    prompt, times = torch.randn(2, 77, 32, generator=generator), torch.tensor([900])
    unet.process_encoder_hidden_states = lambda encoder_hidden_states, added_cond_kwargs: (encoder_hidden_states, [])
    conditioning = Conditioning(unet, unet.forward)
    conditioning.prepare(times, (torch.zeros(2, 4, 16, 16), times[0], prompt), {})
    layers = [module for module in unet.modules() if isinstance(module, Given) and module.linear.in_features == 32]
    assert layers
    assert any(torch.equal(layer.value, layer.linear(prompt)) for layer in layers)
