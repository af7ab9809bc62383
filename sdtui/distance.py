"""How far two outputs lie apart, from the files that workers keep of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sdtui.model.results import Distance

Floats = np.ndarray[Any, np.dtype[np.float64]]

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}
"""safetensors' names of what a pipeline puts out, as numpy reads them."""


class OutputsError(Exception):
    """Two outputs cannot be compared; the message is one line."""


class UnreadableError(OutputsError):
    """The file of one cannot be read, which says nothing of what was in it."""


def distance(folder: Path, name: str, against: str) -> Distance:
    """Compares two outputs in a run's ``outputs/``.

    Args:
        folder: Holds ``<name>.safetensors`` and ``<name>.png`` of both.
        name: Of the output in question.
        against: Of the one it is held against.

    Raises:
        FileNotFoundError: One of the files is not there.
        UnreadableError: A file cannot be read.
        OutputsError: The outputs are of different shapes, or hold what is no finite number.
    """
    mine, other = (_latents(folder / f"{each}.safetensors") for each in (name, against))
    my_image, other_image = (_image(folder / f"{each}.png") for each in (name, against))
    if mine.shape != other.shape or my_image.shape != other_image.shape:
        raise OutputsError(f"the shapes differ: latents {mine.shape} and {other.shape}")
    norm = float(np.linalg.norm(other))
    relative = float(np.linalg.norm(mine - other)) / norm if norm else math.inf
    if not math.isfinite(relative):
        raise OutputsError("the latents hold NaN or infinity, or are all zero")
    difference = np.abs(my_image - other_image)
    error = float(np.mean(difference**2))
    return Distance(relative, 10 * math.log10(255**2 / error) if error else None, int(difference.max()))


def _latents(path: Path) -> Floats:
    """Reads the one tensor of a file that `sdtui.worker.outputs` wrote, as float64.

    Read by hand: safetensors' own reader for numpy knows no bfloat16. Format: 8 bytes with the header's length, a JSON
    header, the bytes (https://github.com/huggingface/safetensors, "Format").
    """
    try:
        data = path.read_bytes()
        end = 8 + int.from_bytes(data[:8], "little")
        entry = json.loads(data[8:end])["latents"]
        begin, stop = entry["data_offsets"]
        values = np.frombuffer(data[end + begin : end + stop], _DTYPES[entry["dtype"]])
        if entry["dtype"] == "BF16":  # the upper half of a float32
            values = (values.astype("<u4") << 16).view("<f4")
        floats: Floats = values.astype(np.float64).reshape(entry["shape"])
        return floats
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error


def _image(path: Path) -> Floats:
    try:
        with Image.open(path) as image:
            values: Floats = np.asarray(image.convert("RGB"), dtype=np.float64)
            return values
    except FileNotFoundError:
        raise
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow raises over a broken PNG
        raise UnreadableError(f"{path.name} cannot be read: {error}") from error
