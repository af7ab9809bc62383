"""Turns what a cell died of into a status and one line."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch

from sdtui.model.results import Phase, Status
from sdtui.worker.build import WeightsError
from sdtui.worker.options import UnsupportedError

_OUT_OF_MEMORY = re.compile(
    r"out of memory|CUDNN_STATUS_ALLOC_FAILED|CUBLAS_STATUS_ALLOC_FAILED|not enough memory|can't allocate memory", re.I
)
_REASON_CHARS = 400


class OutputError(Exception):
    """The output cannot be right; the message says why in one line."""


def classify(error: BaseException, phase: Phase) -> tuple[Status, str]:
    """Returns the status and reason of a cell that ended with ``error`` in ``phase``."""
    if isinstance(error, UnsupportedError):
        return "unsupported", one_line(str(error))
    if isinstance(error, (WeightsError, OutputError)):
        return "failed", one_line(str(error))
    for link in _chain(error):
        if isinstance(link, (torch.cuda.OutOfMemoryError, MemoryError)) or (
            isinstance(link, RuntimeError) and _OUT_OF_MEMORY.search(str(link))
        ):
            return "oom", one_line(str(link)) or "out of memory"
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return "failed", one_line(f"torch.compile: {type(error).__name__}: {error}")
    return "failed", one_line(f"{type(error).__name__}: {error} (in {phase})")


def one_line(text: str) -> str:
    """Returns the text on one line, cut where it gets long."""
    line = " ".join(text.split())
    return line if len(line) <= _REASON_CHARS else line[: _REASON_CHARS - 1] + "…"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__
