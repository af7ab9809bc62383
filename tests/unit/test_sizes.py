"""Sizes of memory as people write them."""

import pytest

from sdtui.model.sizes import allocator_limited, parse_size, size_text

GIB, MIB = 2**30, 2**20


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("15GiB", 15 * GIB),
        (" 15 GiB ", 15 * GIB),
        ("1.5GiB", 3 * GIB // 2),
        ("512MiB", 512 * MIB),
        ("16GB", 16 * 10**9),
        ("500 MB", 500 * 10**6),
        ("0.001GB", 10**6),
    ],
)
def test_a_size_is_read(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "15", "15G", "GiB", "15gib", "-1GiB", "0GiB", "0.9MB", "1048576GiB", "1e3GiB"])
def test_what_is_no_size_is_none(text):
    assert parse_size(text) is None


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (15 * GIB, "15 GiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (512 * MIB, "512 MiB"),
        (16 * 10**9, "16 GB"),
        (500 * 10**6, "500 MB"),
        (123_456_789_012, "123.456789012 GB"),
        (2**50 - 1, "1125899.906842623 GB"),
    ],
)
def test_a_size_is_written_shortest_and_read_again(size, text):
    assert size_text(size) == text
    assert parse_size(text) == size


def test_a_limit_says_what_it_does():
    assert allocator_limited(15 * GIB) == "allocator limited to 15 GiB"
    assert allocator_limited(None) == ""
