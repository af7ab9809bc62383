"""Dataclasses to JSON and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from sdtui.model.codec import DecodeError, decode, encode


@dataclass(frozen=True)
class Part:
    name: str
    sizes: tuple[int, ...] = ()


@dataclass(frozen=True)
class Whole:
    count: int
    ratio: float
    kind: Literal["a", "b"]
    on: bool = False
    note: str | None = None
    share: float | None = None
    part: Part | None = None
    parts: tuple[Part, ...] = ()
    by_name: Mapping[str, Part] = field(default_factory=dict)
    anything: Mapping[str, Any] = field(default_factory=dict)


FULL = Whole(
    count=3,
    ratio=0.5,
    kind="b",
    on=True,
    note="né, “quoted”",
    share=1.0,
    part=Part("p", (1, 2)),
    parts=(Part("q"), Part("r", (3,))),
    by_name={"s": Part("s")},
    anything={"n": None, "l": [1, {"k": "v"}]},
)
LEAST = {"count": 1, "ratio": 2.5, "kind": "a"}


def test_what_is_encoded_is_decoded_as_it_was() -> None:
    assert decode(Whole, json.loads(json.dumps(encode(FULL)))) == FULL
    assert decode(Whole, LEAST) == Whole(1, 2.5, "a")


def test_encoding_gives_plain_values() -> None:
    value = encode(FULL)
    assert value["part"] == {"name": "p", "sizes": [1, 2]}
    assert value["by_name"] == {"s": {"name": "s", "sizes": []}}
    assert list(value) == list(Whole.__dataclass_fields__)


def test_unknown_keys_are_ignored_and_whole_numbers_pass_for_floats() -> None:
    found = decode(Whole, {**LEAST, "ratio": 2, "share": 3, "from_the_future": [1]})
    assert (found.ratio, found.share) == (2.0, 3.0)
    assert type(found.ratio) is type(found.share) is float


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": None}, "Whole.count: expected int, got NoneType"),
        ({"count": 1.0}, "Whole.count: expected int, got float"),
        ({"count": True}, "Whole.count: expected int, got bool"),
        ({"count": "1"}, "Whole.count: expected int, got str"),
        ({"ratio": True}, "Whole.ratio: expected float, got bool"),
        ({"ratio": "1"}, "Whole.ratio: expected float, got str"),
        ({"ratio": float("nan")}, "Whole.ratio: nan is no finite number"),
        ({"share": float("inf")}, "Whole.share: inf is no finite number"),
        ({"share": float("-inf")}, "Whole.share: -inf is no finite number"),
        ({"ratio": 10**400}, "Whole.ratio: the number is too large"),
        ({"kind": "c"}, "Whole.kind: 'c' is none of ('a', 'b')"),
        ({"kind": ["a"]}, "Whole.kind: ['a'] is none of ('a', 'b')"),
        ({"on": 1}, "Whole.on: expected bool, got int"),
        ({"note": 3}, "Whole.note: expected str, got int"),
        ({"note": "\udcff"}, "Whole.note: half a surrogate pair is no text"),
        ({"part": "p"}, "Part: expected an object, got str"),
        ({"part": {}}, "Part: 'name' is missing"),
        ({"parts": {"name": "p"}}, "Whole.parts: expected a list, got dict"),
        ({"parts": [{"name": "p"}, None]}, "Part: expected an object, got NoneType"),
        ({"parts": [{"name": "p", "sizes": [1, "2"]}]}, "Part.sizes: expected int, got str"),
        ({"by_name": []}, "Whole.by_name: expected an object, got list"),
        ({"by_name": {"s": 1}}, "Part: expected an object, got int"),
    ],
)
def test_a_value_that_does_not_fit_is_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(Whole, {**LEAST, **change})
    assert str(caught.value) == said


@pytest.mark.parametrize("value", [None, [], "x", 3])
def test_only_an_object_becomes_a_dataclass(value: Any) -> None:
    with pytest.raises(DecodeError, match="Whole: expected an object, got"):
        decode(Whole, value)


def test_a_missing_key_is_named() -> None:
    with pytest.raises(DecodeError, match="Whole: 'ratio' is missing"):
        decode(Whole, {"count": 1, "kind": "a"})
