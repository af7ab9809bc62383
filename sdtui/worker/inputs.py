"""Pictures and embeddings that calls need: generated, deterministic, no network. Scripts carry it verbatim."""

from __future__ import annotations

import hashlib
import math

import torch
from PIL import Image, ImageDraw, ImageFilter, ImageOps


def picture(width: int, height: int) -> Image.Image:
    """Returns a landscape of sky, sun and hills: RGB, smooth and with edges."""
    image = Image.merge(
        "RGB",
        [
            Image.linear_gradient("L").resize((width, height)).point(lambda v, base=base: base + v // 3)
            for base in (70, 110, 165)
        ],
    )
    pen = ImageDraw.Draw(image)
    radius = width // 10
    pen.ellipse((width * 7 // 10, height // 8, width * 7 // 10 + 2 * radius, height // 8 + 2 * radius), (250, 220, 120))
    for level, colour in ((0.55, (90, 110, 90)), (0.68, (60, 90, 50)), (0.82, (40, 60, 30))):
        ridge = [
            (x, int(height * (level + 0.06 * math.sin(9 * level * math.pi * x / width + 7 * level))))
            for x in range(0, width + 1, 4)
        ]
        pen.polygon([(0, height), *ridge, (width, height)], colour)
    return image


def mask(width: int, height: int) -> Image.Image:
    """Returns a mask (L): white where the middle of the picture is to be painted anew."""
    image = Image.new("L", (width, height), 0)
    ImageDraw.Draw(image).rectangle((width // 4, height // 4, width * 3 // 4, height * 3 // 4), 255)
    return image


def edges(width: int, height: int) -> Image.Image:
    """Returns the edges of `picture`, white on black (RGB), as a Canny ControlNet takes them."""
    outline = ImageOps.grayscale(picture(width, height)).filter(ImageFilter.FIND_EDGES)
    return outline.point(lambda v: 255 if v > 24 else 0).convert("RGB")


def embeddings(name: str, shape: tuple[int, ...], seed: int, dtype: torch.dtype, device: str) -> torch.Tensor:
    """Returns standard normal text embeddings of ``shape``; prompt and negative prompt differ by their ``name``."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    generator = torch.Generator("cpu").manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    return torch.randn(shape, generator=generator).to(device, dtype)
