"""How busy the GPU was: unions of intervals, and the kernels that took longest. No GPU is needed to add up."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from sdtui.worker.tracing import Activity, busy_ns, top_kernels


@pytest.mark.parametrize(
    ("intervals", "busy"),
    [
        ([], 0),
        ([(10, 20)], 10),
        ([(10, 20), (20, 30)], 20),
        ([(10, 20), (15, 30)], 20),  # two streams at once count once
        ([(10, 40), (15, 20)], 30),
        ([(30, 40), (10, 20)], 20),
        ([(-5, 5)], 5),  # began before the loop
        ([(95, 120)], 5),  # ended after it
        ([(-5, 200)], 100),
    ],
)
def test_busy_is_the_union_of_intervals_within_the_loop(intervals, busy):
    assert busy_ns([Activity("k", start, end) for start, end in intervals], 0, 100) == busy


def test_kernels_are_added_up_by_name_longest_first():
    ran = [Activity("gemm", 0, 2_000_000), Activity("copy", 0, 3_000_000), Activity("gemm", 5_000_000, 9_000_000)]
    first, second = top_kernels(ran)
    assert (first.name, first.ms, first.launches) == ("gemm", 6.0, 2)
    assert (second.name, second.ms, second.launches) == ("copy", 3.0, 1)


def test_only_the_longest_kernels_are_named():
    assert len(top_kernels([Activity(f"k{i}", 0, i) for i in range(50)])) == 10
