"""Tables that people write, checked against dataclasses, and one clear line for whatever is wrong in them.

Values are checked strictly: no text passes for a number, no ``true`` for 1.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from sdtui.model.errors import UserError, near, nearest

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """What a value must keep besides its type: ``Annotated[int, Limits(least=1)]``.

    Attributes:
        least: Of a number.
        most: Of a number.
        multiple: That a whole number must be of.
        filled: Whether a text, list or table must not be empty.
        before: Makes of what was written what is checked, or raises ``ValueError`` with what is wrong with it, such as
            ``is no share``.
        after: The same of what was checked.
    """

    least: float | None = None
    most: float | None = None
    multiple: int | None = None
    filled: bool = False
    before: Callable[[Any], Any] | None = None
    after: Callable[[Any], Any] | None = None


Text = Annotated[str, Limits(filled=True)]
"""One that is not empty."""


class _MistakeError(Exception):
    """What is wrong, and the keys and indices that lead there."""

    def __init__(self, location: tuple[str | int, ...], words: str) -> None:
        super().__init__(words)
        self.location = location
        self.words = words


def check(
    schema: type[T],
    table: Mapping[str, Any],
    where: str,
    flags: Mapping[str, str] | None = None,
    also: Mapping[str, Any] = types.MappingProxyType({}),
) -> T:
    """Checks what a person wrote.

    Args:
        schema: A dataclass of what it must be; fields are of scalars, literals, tuples, ``dict[str, …]``, further
            dataclasses, unions of these with ``None``, and ``Annotated`` with `Limits`.
        table: What was written.
        where: Begins the message: the file, and the table in it.
        flags: Command-line flag of each key, where the values came from there; replaces ``where`` and key.
        also: Type hints of keys that may be written too and are not in ``table``: names for one that is unknown.

    Raises:
        UserError: A key is unknown or missing, or a value is wrong.
    """
    try:
        found: T = _table(schema, json.loads(json.dumps(table, default=str)), (), also)
    except _MistakeError as mistake:
        key = flags[str(mistake.location[0])] if flags else f"{where}: {_dotted(mistake.location)}"
        raise UserError(f"{key}: {mistake.words}") from mistake
    return found


def fields_of(schema: type[Any]) -> Mapping[str, Any]:
    """Returns the keys of a table and their type hints, in order."""
    return {name: hint for name, (hint, _) in _fields(schema).items()}  # type: ignore[arg-type]  # a class is no Hashable


@functools.cache
def _fields(schema: type[Any]) -> dict[str, tuple[Any, bool]]:
    """Returns of each key its type hint, and whether it must be there."""
    hints, missing = typing.get_type_hints(schema, include_extras=True), dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(schema)
    }


def _dotted(location: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _shown(value: Any) -> str:
    return "a table" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)


# ---------------------------------------------------------------------------------------------------------- values


def _table(
    schema: type[Any], value: Any, at: tuple[str | int, ...], also: Mapping[str, Any] = types.MappingProxyType({})
) -> Any:
    if not isinstance(value, dict):
        raise _MistakeError(at, f"{_shown(value)} is no table")
    fields = _fields(schema)  # type: ignore[arg-type]  # as above
    found = {key: _value(hint, value[key], (*at, key)) for key, (hint, _) in fields.items() if key in value}
    for key in value:
        if key not in fields:
            known = {**also, **fields_of(schema)}
            raise _MistakeError((*at, key), f"unknown key; {_nearest_key(known, key, value[key])}")
    for key, (_, required) in fields.items():
        if required and key not in value:  # none that is there may be it, misspelt
            raise _MistakeError((*at, key), "is missing")
    return schema(**found)


def _value(hint: Any, value: Any, at: tuple[str | int, ...]) -> Any:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is Annotated:
        return _limited(inner[0], inner[1], value, at)
    if origin in (typing.Union, types.UnionType):
        return None if value is None else _value(_some(hint), value, at)
    if origin is Literal:
        return value if value in inner else _refuse_word(inner, value, at)
    if origin is tuple:
        if not isinstance(value, list):
            raise _MistakeError(at, _no_list(value, at))
        return tuple(_value(inner[0], item, (*at, index)) for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise _MistakeError(at, f"{_shown(value)} is no table")
        return {_value(inner[0], key, (*at, key)): _value(inner[1], item, (*at, key)) for key, item in value.items()}
    return (_table if dataclasses.is_dataclass(hint) else _scalar)(hint, value, at)


def _limited(hint: Any, limits: Limits, value: Any, at: tuple[str | int, ...]) -> Any:
    try:
        found = _value(hint, limits.before(value) if limits.before else value, at)
        found = limits.after(found) if limits.after else found
    except ValueError as error:
        raise _MistakeError(at, f"{_shown(value)} {error}") from error
    if limits.filled and not found:
        raise _MistakeError(at, "must not be empty")
    if limits.multiple and found % limits.multiple:
        close = max(limits.multiple, round(value / limits.multiple) * limits.multiple)
        raise _MistakeError(at, f"{_shown(value)} is no multiple of {limits.multiple}; did you mean {close}?")
    if limits.least is not None and found < limits.least:
        raise _MistakeError(at, f"{_shown(value)} is too small; the least is {limits.least}")
    if limits.most is not None and found > limits.most:
        raise _MistakeError(at, f"{_shown(value)} is too much; the most is {limits.most}")
    return found


def _scalar(hint: type[Any], value: Any, at: tuple[str | int, ...]) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise _MistakeError(at, f"{_shown(value)} is no finite number")
        return number
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _MistakeError(at, f"{_shown(value)} {_IS_NOT[hint]}")
    return value


_IS_NOT: Mapping[type[Any], str] = {
    int: "is no whole number",
    float: "is no number",
    str: "is no text",
    bool: "is neither true nor false",
}

# ----------------------------------------------------------------------------------------------------------- hints

_OTHER_WORDS = {"fp16": "float16", "half": "float16", "bf16": "bfloat16", "fp32": "float32", "float": "float32"}
"""What people call a dtype, and what torch calls it."""


def _refuse_word(allowed: tuple[str, ...], value: Any, at: tuple[str | int, ...]) -> NoReturn:
    meant = _OTHER_WORDS.get(str(value).lower(), "")
    hint = nearest(meant if meant in allowed else str(value), allowed)
    raise _MistakeError(at, f"{_shown(value)} is not allowed; {hint}")


def _no_list(value: Any, at: tuple[str | int, ...]) -> str:
    if not isinstance(value, dict):
        return f"{_shown(value)} is no list; write [{_shown(value)}]"
    if at in (("modes",), ("pipelines",)):  # it lists what to measure
        key = str(at[0])
        return f"a table is no list; a {key[:-1]} of your own is [{key[:-1]}.{next(iter(value), 'NAME')}]"
    return "a table is no list"


def _nearest_key(hints: Mapping[str, Any], key: str, value: Any) -> str:
    """Names the nearest key that takes a table where one was written, and none where none was; else any."""
    fitting = [name for name, hint in hints.items() if _takes_table(hint) == isinstance(value, dict)]
    return nearest(key, fitting if near(key, fitting) else hints)


def _takes_table(hint: Any) -> bool:
    inner = _some(hint)
    return typing.get_origin(inner) is dict or dataclasses.is_dataclass(inner)


def _some(hint: Any) -> Any:
    """Unwraps ``Annotated``, and the ``None`` of a union."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    return hint
