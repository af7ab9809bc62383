"""What people write is checked strictly, and each mistake is said in one line."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import pytest

from sdtui.catalog.checking import Limits, Text, check, fields_of
from sdtui.model.errors import UserError


def _number(value: Any) -> Any:
    return int(value) if isinstance(value, str) else value


def _even(value: int) -> int:
    if value % 2:
        raise ValueError("is odd")
    return value // 2


@dataclass(frozen=True, kw_only=True)
class Inner:
    name: Text
    size: Annotated[int, Limits(least=8, most=64, multiple=8)] = 8


@dataclass(frozen=True, kw_only=True)
class Outer:
    modes: Annotated[tuple[str, ...], Limits(filled=True)] | None = None
    share: float | None = None
    dtype: Literal["float16", "float32"] | None = None
    fast: bool = False
    half: Annotated[int, Limits(before=_number, after=_even)] | None = None
    inner: dict[str, Inner] = field(default_factory=dict)
    anything: dict[str, Any] = field(default_factory=dict)


def complaint(table: dict[str, Any], **flags: str) -> str:
    with pytest.raises(UserError) as caught:
        check(Outer, table, "file.toml", flags or None)
    return str(caught.value)


def test_what_is_left_out_has_its_default() -> None:
    assert check(Outer, {}, "file.toml") == Outer()


def test_values_become_those_of_the_dataclass() -> None:
    written = {
        "modes": ["a"],
        "share": 1,
        "half": "6",
        "inner": {"x": {"name": "n", "size": 16}},
        "anything": {"k": [1]},
    }
    expected = Outer(modes=("a",), share=1.0, half=3, inner={"x": Inner(name="n", size=16)}, anything={"k": [1]})
    found = check(Outer, written, "file.toml")
    assert found == expected
    assert isinstance(found.share, float)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"mode": "x"}, "mode: unknown key; did you mean 'modes'?"),
        ({"innr": {}}, "innr: unknown key; did you mean 'inner'?"),
        ({"modes": "a"}, 'modes: "a" is no list; write ["a"]'),
        ({"modes": {"a": {}}}, "modes: a table is no list; a mode of your own is [mode.a]"),
        ({"modes": []}, "modes: must not be empty"),
        ({"modes": ["a", 1]}, "modes[1]: 1 is no text"),
        ({"share": True}, "share: true is no number"),
        ({"share": float("inf")}, "share: Infinity is no finite number"),
        ({"share": float("nan")}, "share: NaN is no finite number"),
        ({"share": "1"}, 'share: "1" is no number'),
        ({"dtype": "half"}, "dtype: \"half\" is not allowed; did you mean 'float16'?"),
        ({"dtype": ["float16"]}, 'dtype: ["float16"] is not allowed;'),
        ({"fast": 1}, "fast: 1 is neither true nor false"),
        ({"half": 3}, "half: 3 is odd"),
        ({"half": "5"}, 'half: "5" is odd'),
        ({"half": "x"}, 'half: "x" invalid literal'),
        ({"half": [4]}, "half: [4] is no whole number"),
        ({"inner": {"x": {"nam": "n"}}}, "inner.x.nam: unknown key; did you mean 'name'?"),
        ({"inner": []}, "inner: [] is no table"),
        ({"inner": {"x": 1}}, "inner.x: 1 is no table"),
        ({"inner": {"x": {}}}, "inner.x.name: is missing"),
        ({"inner": {"x": {"name": ""}}}, "inner.x.name: must not be empty"),
        ({"inner": {"x": {"name": "n", "size": 8.0}}}, "inner.x.size: 8.0 is no whole number"),
        ({"inner": {"x": {"name": "n", "size": True}}}, "inner.x.size: true is no whole number"),
        ({"inner": {"x": {"name": "n", "size": 20}}}, "inner.x.size: 20 is no multiple of 8; did you mean 16?"),
        ({"inner": {"x": {"name": "n", "size": 0}}}, "inner.x.size: 0 is too small; the least is 8"),
        ({"inner": {"x": {"name": "n", "size": 72}}}, "inner.x.size: 72 is too much; the most is 64"),
        ({"dtype": datetime.date(2026, 11, 25)}, 'dtype: "2026-11-25" is not allowed;'),
        ({"share": 10**400}, "is no finite number"),
    ],
)
def test_a_mistake_is_said_with_its_key(table: dict[str, Any], words: str) -> None:
    told = complaint(table)
    assert told.startswith("file.toml: ")
    assert words in told
    assert "\n" not in told


def test_a_mistake_on_the_command_line_is_said_with_its_flag() -> None:
    assert complaint({"modes": [1]}, modes="--mode") == "--mode: 1 is no text"


def test_keys_are_told_in_order() -> None:
    assert list(fields_of(Outer)) == ["modes", "share", "dtype", "fast", "half", "inner", "anything"]
