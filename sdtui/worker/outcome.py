"""Turns what a cell died of into a status and one line."""

from __future__ import annotations

import re

import torch

from sdtui.model.results import Phase, Status
from sdtui.worker.build import WeightsError
from sdtui.worker.call import ArgumentError
from sdtui.worker.options import UnsupportedError
from sdtui.worker.reasons import chain, one_line

_OUT_OF_MEMORY = re.compile(
    r"out of memory|CU(DNN|BLAS)_STATUS_\w*ALLOC(ATION)?_FAILED|not enough memory|can(no|')t allocate memory", re.I
)


class OutputError(Exception):
    """The output cannot be right; the message says why in one line."""


def classify(error: BaseException, phase: Phase) -> tuple[Status, str]:
    """Returns the status and reason of a cell that ended with ``error`` in ``phase``."""
    if isinstance(error, UnsupportedError):
        return "unsupported", one_line(str(error))
    shortages = [link for link in chain(error) if _is_out_of_memory(link)]
    if shortages:
        return "oom", one_line(str(shortages[-1])) or "out of memory"
    if isinstance(error, (WeightsError, ArgumentError, OutputError)):
        return "failed", one_line(str(error))
    if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
        return "failed", one_line(f"torch.compile: {type(error).__name__}: {error}")
    return "failed", one_line(f"{type(error).__name__}: {error}") + f" (in {phase})"


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, (RuntimeError, OSError)) and _OUT_OF_MEMORY.search(str(error)) is not None
