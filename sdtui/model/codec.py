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
from collections.abc import Mapping
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
    if not isinstance(value, Mapping):
        raise DecodeError(f"{cls.__name__}: expected an object, got {type(value).__name__}")
    arguments: dict[str, Any] = {}
    for name, (hint, required) in _fields(cls).items():  # type: ignore[arg-type]  # mypy: a class is no Hashable
        if name in value:
            arguments[name] = _decode(hint, value[name], f"{cls.__name__}.{name}")
        elif required:
            raise DecodeError(f"{cls.__name__}: '{name}' is missing")
    return cls(**arguments)


@functools.cache
def _names(cls: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(cls))


@functools.cache
def _fields(cls: type[Any]) -> dict[str, tuple[Any, bool]]:
    hints = typing.get_type_hints(cls)
    return {
        field.name: (
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
    }


def _decode(hint: Any, value: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return value
    if origin in (Union, types.UnionType):
        return _decode_union(typing.get_args(hint), value, where)
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise DecodeError(f"{where}: {value!r} is none of {typing.get_args(hint)}")
        return value
    if origin is tuple:
        if not isinstance(value, (list, tuple)):
            raise DecodeError(f"{where}: expected a list, got {type(value).__name__}")
        item = typing.get_args(hint)[0]
        return tuple(_decode(item, element, where) for element in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise DecodeError(f"{where}: expected an object, got {type(value).__name__}")
        item = typing.get_args(hint)[1]
        return {str(key): _decode(item, element, f"{where}.{key}") for key, element in value.items()}
    if dataclasses.is_dataclass(hint):
        return decode(typing.cast("type[Any]", hint), value)
    return _decode_scalar(hint, value, where)


def _decode_union(options: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    errors = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _decode(option, value, where)
        except DecodeError as error:
            errors.append(str(error))
    raise DecodeError("; ".join(errors) or f"{where}: null is not allowed")


def _decode_scalar(hint: Any, value: Any, where: str) -> Any:
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return finite(value, where)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is int):
        raise DecodeError(f"{where}: expected {hint.__name__}, got {type(value).__name__}")
    if isinstance(value, str):
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
