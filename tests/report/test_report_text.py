from __future__ import annotations

import pytest

from sdtui.model.vram import VramNeed
from sdtui.report import text


@pytest.mark.parametrize(
    ("its", "expected"),
    [(21.664, "21.66"), (1.0, "1.00"), (0.999, "1.00s"), (0.4273504, "2.34s"), (0.0, "–"), (154.7, "154.70")],
)
def test_rate(its: float, expected: str) -> None:
    assert text.rate(its) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1606.6, "1607"),
        (798.21, "798.2"),
        (1.6067, "1.607"),
        (0.00004808, "0.00004808"),
        (25705.0, "25705"),
        (0.0, "0"),
    ],
)
def test_significant(value: float, expected: str) -> None:
    assert text.significant(value, 4) == expected


@pytest.mark.parametrize(
    ("status", "call", "expected"),
    [
        ("oom", None, "OOM"),
        ("oom", 1, "OOM"),
        ("oom", 2, "OOM after warmup"),
        ("oom", 3, "OOM after 2nd iteration"),
        ("oom", 4, "OOM after 3rd iteration"),
        ("oom", 12, "OOM after 11th iteration"),
        ("oom", 22, "OOM after 21st iteration"),
        ("unsupported", None, "❌"),
        ("failed", 2, "failed"),
        ("timeout", 1, "timeout"),
        ("cancelled", 2, "–"),
        (None, None, "–"),
        ("ok", 3, "25.02 / 2.34s"),
    ],
)
def test_outcome(status, call, expected) -> None:
    assert text.outcome(status, call, (25.02, 1 / 2.34)) == expected


def test_ordinals() -> None:
    numbers = (1, 2, 3, 4, 11, 12, 13, 21, 101, 111, 112, 122)
    expected = "1st 2nd 3rd 4th 11th 12th 13th 21st 101st 111th 112th 122nd"
    assert " ".join(text.ordinal(number) for number in numbers) == expected


@pytest.mark.parametrize(
    ("environments", "expected"),
    [
        ([("current", "2.11.0+cu130"), ("new", "2.13.0")], ["torch 2.11", "torch 2.13"]),
        ([("current", "2.14.0.dev20261101+cu130")], ["torch nightly"]),
        ([("a", "2.11.0"), ("b", "2.11.1"), ("c", "2.13.0")], ["torch 2.11.0", "torch 2.11.1", "torch 2.13"]),
        ([("a", "2.11.0"), ("b", "2.11.0")], ["torch 2.11 (a)", "torch 2.11 (b)"]),
        (
            [("a", "2.11.0"), ("b", "2.11.0"), ("c", "2.11.1")],
            ["torch 2.11 (a)", "torch 2.11 (b)", "torch 2.11.1"],
        ),
        ([("a", "2.12.0.dev1"), ("b", "2.12.0.dev2")], ["torch 2.12.0.dev1", "torch 2.12.0.dev2"]),
        ([("a", None), ("b", None)], ["torch not available (a)", "torch not available (b)"]),
        ([("a", "2.13.0+cpu"), ("b", "2.13.1+cpu")], ["torch 2.13.0", "torch 2.13.1"]),
        ([("a", "2.13.0+cpu"), ("b", "2.13.0+cu130")], ["torch 2.13.0+cpu", "torch 2.13.0+cu130"]),
        ([("a", "2.13.0", "our build"), ("b", "2.13.0")], ["our build", "torch 2.13"]),
        ([("a", None, "our build")], ["our build"]),
        ([("a", "2.13.0", "ours"), ("b", "2.13.1", "ours")], ["ours (2.13.0)", "ours (2.13.1)"]),
        ([("a", "2.13.0", "ours"), ("b", "2.13.0", "ours")], ["ours (a)", "ours (b)"]),
        ([("a", "2.13.0", "torch 2.14"), ("b", "2.14.1")], ["torch 2.14 (2.13.0)", "torch 2.14.1"]),
        (
            [("a", "2.13.0", "ours"), ("a", "2.14.0", "ours"), ("b", "2.13.0", "ours"), ("b", "2.14.0", "ours")],
            ["ours (a, 2.13.0)", "ours (a, 2.14.0)", "ours (b, 2.13.0)", "ours (b, 2.14.0)"],
        ),
    ],
)
def test_torch_labels(environments, expected) -> None:
    assert text.torch_labels([text.Torch(*each) for each in environments]) == expected


def test_inline_shows_special_characters_as_they_are() -> None:
    assert text.inline("a | b\n <class 'X'> *x*") == r"a \| b \<class 'X'> \*x\*"
    assert text.inline("__init__ of max_split_size_mb") == r"\_\_init\_\_ of max_split_size_mb"


def test_moment_is_utc() -> None:
    assert text.moment(1_795_500_000.5) == "2026-11-24 06:00:00 UTC"
    assert text.moment(None) == "not available"


@pytest.mark.parametrize(
    ("line", "written"),
    [
        ("Tried [2] of [4] ways, then", "Tried [2] of [4] ways, then"),
        ("[a](b)", r"\[a\](b)"),
        ("see [^1] there", r"see \[^1\] there"),
        ("a [b][c] d", r"a \[b\]\[c\] d"),
        ("ends in [b]", r"ends in \[b\]"),
    ],
)
def test_brackets_are_escaped_where_they_could_link(line: str, written: str) -> None:
    assert text.inline(line) == written


@pytest.mark.parametrize(
    ("need", "written"),
    [
        (VramNeed(3439.0, 80_500.0, False), "needs about 3.4 GiB of VRAM, 78.6 GiB free"),
        (VramNeed(3439.0, None, True), "needs 3.4 GiB of VRAM as measured before"),
        (VramNeed(18_534.0, 16_110.0, False), "needs about 18.1 GiB of VRAM, 15.7 GiB free"),
    ],
)
def test_what_a_cell_needs_of_the_gpus_memory(need, written):
    assert text.vram_need(need) == written
