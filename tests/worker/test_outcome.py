"""What a cell died of, as status and one line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sdtui.report import text
from sdtui.worker import outputs
from sdtui.worker.build import WeightsError
from sdtui.worker.options import UnsupportedError
from sdtui.worker.outcome import OutputError, classify
from sdtui.worker.reasons import REASON_CHARS

SHORT = (
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN Frontend error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried to …"),
    OSError(12, "Cannot allocate memory"),
    MemoryError(),
)


@pytest.mark.parametrize("error", SHORT, ids=str)
def test_every_way_to_run_out_of_memory_is_oom(error):
    status, reason = classify(error, "measure")
    assert (status, reason) == ("oom", " ".join(str(error).split()) or "out of memory")


def test_torchs_own_allocator_says_it_like_that():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert classify(caught.value, "load")[0] == "oom"


@pytest.mark.parametrize(("call", "label"), [(1, "OOM after warmup"), (2, "OOM after 2nd iteration")])
def test_a_later_call_for_which_torch_gets_no_memory_is_labelled_as_on_the_page(call, label, tmp_path):
    program = [sys.executable, str(Path(__file__).with_name("out_of_memory_cell.py")), str(call), str(tmp_path)]
    unkept = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # what torch frees goes back to the system
    ended = json.loads(subprocess.run(program, env=os.environ | unkept, check=True, stdout=subprocess.PIPE).stdout)
    assert (ended["status"], ended["phase"], ended["call"]) == ("oom", "measure", call + 1)
    assert "DefaultCPUAllocator: can't allocate memory" in ended["reason"]
    assert text.outcome(ended["status"], ended["call"], ()) == label


def wrapped(error, hide):
    """As torch._inductor and torch._dynamo do: raised from it, or ``from None`` while handling it."""
    from torch._dynamo.exc import BackendCompilerFailed

    try:
        try:
            raise error
        except Exception as inner:
            if hide:
                raise RuntimeError(f"lowering failed: {inner}") from None
            raise RuntimeError(f"lowering failed: {inner}") from inner
    except RuntimeError as outer:
        try:
            raise BackendCompilerFailed(lambda: None, outer, None) from outer
        except BackendCompilerFailed as compiler:
            return compiler


@pytest.mark.parametrize("hide", [False, True])
def test_out_of_memory_behind_a_compilers_exceptions_is_oom(hide):
    status, reason = classify(wrapped(SHORT[0], hide), "compile")
    assert (status, reason) == ("oom", "CUDA out of memory. Tried to allocate 20.00 MiB.")


def test_compile_failure_says_that_it_is_one():
    status, reason = classify(wrapped(ValueError("no such kernel"), False), "compile")
    assert status == "failed"
    assert reason.startswith("torch.compile: BackendCompilerFailed: ")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (UnsupportedError("the UNet\ncannot"), ("unsupported", "the UNet cannot")),
        (WeightsError("weights /x: none"), ("failed", "weights /x: none")),
        (OutputError("output check: …"), ("failed", "output check: …")),
        (KeyError("unet"), ("failed", "KeyError: 'unet' (in load)")),
        (
            RuntimeError("triton: out of resource: shared memory"),
            ("failed", "RuntimeError: triton: out of resource: shared memory (in load)"),
        ),
        (AssertionError(), ("failed", "AssertionError: (in load)")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_endings(error, expected):
    assert classify(error, "load") == expected


def test_memory_that_ran_out_while_weights_were_read_is_oom():
    error = WeightsError("weights /x: not loadable")
    error.__cause__ = MemoryError()
    assert classify(error, "load") == ("oom", "out of memory")


def test_reasons_are_one_bounded_line_and_keep_the_phase():
    _, reason = classify(ValueError("many\nlines " * 500), "measure")
    assert "\n" not in reason
    assert len(reason) <= REASON_CHARS + len(" (in measure)")
    assert reason.endswith("… (in measure)")


def test_a_circle_of_exceptions_ends():
    one, two = ValueError("one"), ValueError("two")
    one.__cause__, two.__cause__ = two, one
    assert classify(one, "load")[0] == "failed"


# ----------------------------------------------------------------------------------------------- the output check


def noise(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def test_a_good_output_passes():
    outputs.check(noise(1, 3, 8, 8), noise(1, 4, 2, 2), "main")
    outputs.check(noise(1, 3, 8, 8), None, "I")


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_one_bad_value_is_enough(value, dtype):
    latents = noise(1, 4, 2, 2).to(dtype)
    latents[0, 0, 0, 0] = value
    with pytest.raises(OutputError, match="1 of 16 values are NaN or infinite in the final latents"):
        outputs.check(noise(1, 3, 8, 8), latents, "main")
    with pytest.raises(OutputError, match="1 of 16 values are NaN or infinite in the image of stage I"):
        outputs.check(latents, None, "I")


def test_constant_output_fails():
    with pytest.raises(OutputError, match=r"the final latents is constant \(0\)"):
        outputs.check(noise(1, 3, 8, 8), torch.zeros(1, 4, 2, 2), "main")
    with pytest.raises(OutputError, match=r"the image is constant \(-1\)"):
        outputs.check(torch.full((1, 3, 8, 8), -1.0), noise(1, 4, 2, 2), "main")
