"""How a stage is called: its arguments, resolved to objects."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from sdtui.model.cell import Cell, Input, Stage
from sdtui.model.errors import near
from sdtui.worker import inputs

_ALWAYS = {"num_inference_steps", "guidance_scale", "num_images_per_prompt", "generator"}


class ArgumentError(Exception):
    """A pipeline does not have an argument that it would be called with; the message says so in one line."""


def check(stage: Stage, pipe: Any) -> None:
    """Refuses arguments that the pipeline does not have: some of diffusers take any name, and do nothing with it.

    Raises:
        ArgumentError: There is one.
    """
    known = inspect.signature(type(pipe).__call__).parameters
    names = _ALWAYS | {*stage.arguments, *stage.inputs}
    names |= {"width", "height"} if stage.takes_size else set()
    names |= {"prompt"} if stage.takes_prompt else set()
    for name in sorted(names - known.keys()):
        hint = f"; did you mean '{close}'?" if (close := near(name, known)) else ""
        raise ArgumentError(f"{type(pipe).__name__} takes no argument '{name}'{hint}")


def arguments(cell: Cell, stage: Stage, device: str, dtype: torch.dtype, earlier: dict[str, Any]) -> dict[str, Any]:
    """Returns the keyword arguments of one call; the generator starts afresh, so every call makes the same image.

    A stage that is fed with an earlier stage's images takes one prompt per image; the first stage makes the batch from
    one prompt, as the page does.

    Args:
        cell: Whose stage it is.
        stage: To be called.
        device: Of the pipeline.
        dtype: Of the embeddings.
        earlier: Output images of the stages before, by stage name.
    """
    fed = any(made.source == "stage" for made in stage.inputs.values())
    prompts = cell.slot.batch_size if fed else 1
    call: dict[str, Any] = {
        "num_inference_steps": stage.steps,
        "guidance_scale": stage.guidance,
        "num_images_per_prompt": 1 if fed else cell.slot.batch_size,
        "generator": torch.Generator(device).manual_seed(cell.seed),
        **stage.arguments,
    }
    if stage.takes_size:
        call |= {"width": stage.width, "height": stage.height}
    if stage.takes_prompt:
        call["prompt"] = [cell.prompt] * prompts if prompts > 1 else cell.prompt
    for name, made in stage.inputs.items():
        call[name] = _make(name, made, cell.seed, prompts, device, dtype, earlier)
    return call


def _make(
    name: str, made: Input, seed: int, prompts: int, device: str, dtype: torch.dtype, earlier: dict[str, Any]
) -> Any:
    if made.source == "image":
        return inputs.picture(made.width, made.height)
    if made.source == "mask":
        return inputs.mask(made.width, made.height)
    if made.source == "edges":
        return inputs.edges(made.width, made.height)
    if made.source == "embeddings":
        return inputs.embeddings(name, made.shape, seed, dtype, device).repeat_interleave(prompts, 0)
    return earlier[made.stage]
