"""Frozen dataclasses to JSON values and back, driven by their type hints.

Handles what the model uses: nested dataclasses, tuples, mappings, unions with ``None``, ``Literal`` and scalars.
Unknown keys are ignored and missing ones take their default, so that an older or newer run folder still reads.
Numbers are finite and texts are Unicode: what was decoded can always be written as JSON in UTF-8.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, Union

T = TypeVar("T")


class DecodeError(ValueError):
    """A JSON value does not fit the dataclass it was to become."""


def encode(value: Any) -> Any:
    """Returns ``value`` as plain JSON values (dict, list, str, int, float, bool, None)."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: encode(getattr(value, name)) for name in _names(type(value))}
    if isinstance(value, Mapping):
        return {str(key): encode(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [encode(item) for item in value]
    return value


def decode(cls: type[T], value: Any) -> T:
    """Builds the dataclass ``cls`` from a JSON value.

    Raises:
        DecodeError: The value is no object, misses a required key, or holds a value of the wrong type.
    """
    if not isinstance(value, (dict, Mapping)):  # dict is what it is, and the quicker question
        raise DecodeError(f"{cls.__name__}: expected an object, got {type(value).__name__}")
    arguments: dict[str, Any] = {}
    for name, read, where, required in _fields(cls):  # type: ignore[arg-type]  # mypy: a class is no Hashable
        if name in value:
            arguments[name] = read(value[name], where)
        elif required:
            raise DecodeError(f"{cls.__name__}: '{name}' is missing")
    return cls(**arguments)


@functools.cache
def _names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


# Journals have a million lines: what a type hint asks for is looked at once, and becomes a function.
_Reader = Callable[[Any, str], Any]
"""Takes a JSON value and where it is, for messages."""


@functools.cache
def _fields(cls: type[Any]) -> tuple[tuple[str, _Reader, str, bool], ...]:
    """Returns of each field its name, how it is read, how messages name it, and whether it must be there."""
    hints, missing = typing.get_type_hints(cls), dataclasses.MISSING
    return tuple(
        (
            field.name,
            _reader(hints[field.name]),
            f"{cls.__name__}.{field.name}",
            field.default is missing and field.default_factory is missing,
        )
        for field in dataclasses.fields(cls)
    )


def _reader(hint: Any) -> _Reader:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return lambda value, where: value  # noqa: ARG005, as all readers
    if origin in (Union, types.UnionType):
        return _union_reader(inner)
    if origin is typing.Literal:
        return _literal_reader(inner)
    if origin is tuple:
        return _tuple_reader(_reader(inner[0]))
    if origin is not None and issubclass(origin, Mapping):
        return _mapping_reader(_reader(inner[1]))
    if dataclasses.is_dataclass(hint):
        return lambda value, where: decode(typing.cast("type[Any]", hint), value)  # noqa: ARG005
    return {float: _read_float, str: _read_text}.get(hint) or _scalar_reader(hint)


def _union_reader(options: tuple[Any, ...]) -> _Reader:
    optional = type(None) in options
    readers = [_reader(option) for option in options if option is not type(None)]

    def read(value: Any, where: str) -> Any:
        if value is None and optional:
            return None
        errors = []
        for each in readers:
            try:
                return each(value, where)
            except DecodeError as error:
                errors.append(str(error))
        raise DecodeError("; ".join(errors) or f"{where}: null is not allowed")

    return read


def _literal_reader(allowed: tuple[Any, ...]) -> _Reader:
    def read(value: Any, where: str) -> Any:
        if value not in allowed:
            raise DecodeError(f"{where}: {value!r} is none of {allowed}")
        return value

    return read


def _tuple_reader(item: _Reader) -> _Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise DecodeError(f"{where}: expected a list, got {type(value).__name__}")
        return tuple([item(element, where) for element in value])

    return read


def _mapping_reader(item: _Reader) -> _Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, (dict, Mapping)):
            raise DecodeError(f"{where}: expected an object, got {type(value).__name__}")
        return {str(key): item(element, f"{where}.{key}") for key, element in value.items()}

    return read


def _scalar_reader(hint: type[Any]) -> _Reader:
    def read(value: Any, where: str) -> Any:
        if not isinstance(value, hint) or (isinstance(value, bool) and hint is int):
            raise DecodeError(f"{where}: expected {hint.__name__}, got {type(value).__name__}")
        return value

    return read


def _read_float(value: Any, where: str) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return finite(value, where)
    raise DecodeError(f"{where}: expected float, got {type(value).__name__}")


def _read_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise DecodeError(f"{where}: expected str, got {type(value).__name__}")
    if not value.isascii():
        _check_text(value, where)
    return value


def finite(value: float, where: str) -> float:
    """Returns a number as a finite float.

    Raises:
        DecodeError: It is none, or none that a float can hold.
    """
    try:
        number = float(value)
    except OverflowError as error:
        raise DecodeError(f"{where}: the number is too large") from error
    if not math.isfinite(number):
        raise DecodeError(f"{where}: {number} is no finite number")
    return number


def _check_text(value: str, where: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DecodeError(f"{where}: half a surrogate pair is no text") from error
