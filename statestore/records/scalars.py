"""Scalars: what single values look like in a document, strictly both ways."""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from enum import Enum
from functools import partial
from pathlib import Path, PurePath, PurePosixPath, PureWindowsPath
from typing import Any, Final, Union

import cattrs
from cattrs.strategies import configure_union_passthrough

from statestore.errors import EncodeError
from statestore.models.times import format_time, parse_time
from statestore.records.misfit import Misfit


def register_scalars(converter: cattrs.Converter) -> None:
    """Let a converter read and write values of the types that need no look into them."""
    # What stands in a field of type Any goes through as it is: converted, it would come back as
    # another type, and nobody would know.
    converter.register_unstructure_hook_func(_is_any, as_it_is)
    converter.register_structure_hook_func(_is_object, lambda value, _: value)
    for scalar in (str, int, bool):
        converter.register_structure_hook(scalar, partial(_exactly, scalar))
    converter.register_structure_hook(float, _to_float)
    converter.register_unstructure_hook(float, _from_float)
    for type_, write, read in _TEXTS:
        converter.register_unstructure_hook(type_, write)
        converter.register_structure_hook(type_, partial(from_text, read))
    converter.register_unstructure_hook(timedelta, _write_span)
    converter.register_structure_hook(timedelta, lambda v, _: timedelta(seconds=_to_float(v, _)))
    converter.register_structure_hook_func(is_enum, to_enum)
    configure_union_passthrough(Union[str, int, float, bool, None], converter)  # noqa: UP007 # a runtime value


def as_it_is(value: Any) -> Any:
    """Return a value."""
    return value


def is_enum(type_: object) -> bool:
    """Say whether a type is an enum."""
    return isinstance(type_, type) and issubclass(type_, Enum)


def from_enum(member: Any) -> Any:
    """Return the value of a member of an enum."""
    return member.value


def to_enum(value: Any, type_: Any) -> Any:
    """Return the member of an enum that has a value.

    Raises:
        Misfit: none has.
    """
    known = ", ".join(str(member.value) for member in type_)
    try:
        member = type_(value)
    except (ValueError, TypeError) as error:
        raise Misfit([f"it is none of {known}"]) from error
    if isinstance(member.value, int) and type(value) is not int:  # 1.0 and true equal 1
        raise Misfit([f"it is none of {known}"])
    return member


def from_text(read: Callable[[str], Any], value: Any, _: Any = None) -> Any:
    """Return what `read` makes of a text.

    Raises:
        Misfit: it is no text, or not of the form wanted.
    """
    if type(value) is not str:
        raise Misfit(["a text is wanted"])
    try:
        return read(value)
    except (ValueError, InvalidOperation, binascii.Error) as error:
        raise Misfit([f"the text is not of the form wanted ({type(error).__name__})"]) from error


def _is_any(type_: object) -> bool:
    return type_ is Any or type_ is object


def _is_object(type_: object) -> bool:
    return type_ is object


def _exactly(wanted: type, value: Any, _: Any) -> Any:
    if type(value) is not wanted:
        raise Misfit([f"a value of type {wanted.__name__} is wanted"])
    return value


def _to_float(value: Any, _: Any) -> float:
    if type(value) is not float and type(value) is not int:
        raise Misfit(["a number is wanted"])
    return float(value)


def _from_float(value: Any) -> Any:
    return float(value) if type(value) is int else value


def _write_time(moment: datetime) -> str:
    try:
        return format_time(moment)
    except ValueError as error:
        raise EncodeError("$", str(error)) from error


def _write_time_of_day(value: time) -> str:
    if value.tzinfo is not None and value.utcoffset() is None:
        raise EncodeError("$", "its zone has no fixed offset, which a time without a date needs")
    return value.isoformat()


def _write_span(span: timedelta) -> float:
    seconds = span.total_seconds()
    if timedelta(seconds=seconds) != span:  # a float holds the microseconds of 270 years
        raise EncodeError("$", "it is a span too long to be stored to the microsecond")
    return seconds


def _write_decimal(value: Decimal) -> str:
    if value.is_nan():
        raise EncodeError("$", "it is no number, and would not be equal to itself")
    return str(value)


def _read_decimal(text: str) -> Decimal:
    value = Decimal(text)
    if value.is_nan():
        raise ValueError
    return value


def _write_bytes(wanted: type[bytes] | type[bytearray], data: bytes | bytearray) -> str:
    if type(data) is not wanted:  # bytes and bytearrays are equal, so nobody would notice
        raise EncodeError("$", f"it is a {type(data).__name__}, where {wanted.__name__} belong")
    return base64.b64encode(data).decode()


def _read_bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _read_bytearray(text: str) -> bytearray:
    return bytearray(_read_bytes(text))


_TEXTS: Final[tuple[tuple[Any, Callable[[Any], Any], Callable[[str], Any]], ...]] = (
    (datetime, _write_time, parse_time),
    (date, date.isoformat, date.fromisoformat),
    (time, _write_time_of_day, time.fromisoformat),
    (bytes, partial(_write_bytes, bytes), _read_bytes),
    (bytearray, partial(_write_bytes, bytearray), _read_bytearray),
    (uuid.UUID, str, uuid.UUID),
    (Decimal, _write_decimal, _read_decimal),
    (PurePath, str, PurePath),
    (PurePosixPath, str, PurePosixPath),
    (PureWindowsPath, str, PureWindowsPath),
    (Path, str, Path),
)

TEXT_TYPES: Final = frozenset({str, *(type_ for type_, _, _ in _TEXTS)})
"""Types of which every value is a text in a document."""
