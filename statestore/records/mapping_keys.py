"""Keys of mappings: in a document all are texts, so numbers are written as such and read back."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, get_args, get_origin

import cattrs

from statestore.errors import EncodeError
from statestore.records.classes import bare_type, plain_class
from statestore.records.misfit import Misfit
from statestore.records.scalars import TEXT_TYPES, is_enum, to_enum

_INTEGER: Final = re.compile("0|-?[1-9][0-9]*")
_MAX_DIGITS: Final = 20


class _NumberKey:
    """Stands for a key that is a number: a subclass is made for each type of such keys."""

    of: Any


_number_keys: dict[Any, type[_NumberKey]] = {}


def key_type(type_: object) -> Any:
    """Return the type of the keys of a mapping, if its type says so."""
    plain = plain_class(type_)
    args = get_args(type_)
    if isinstance(plain, type) and issubclass(plain, Mapping) and len(args) == 2:
        return bare_type(args[0])
    return None


def is_number_key(type_: object) -> bool:
    """Say whether keys of a type are numbers, which are written as texts."""
    if type_ is int:
        return True
    return is_enum(type_) and all(type(member.value) is int for member in _members(type_))


def is_text_key(type_: object) -> bool:
    """Say whether keys of a type are texts in a document."""
    if type_ is Any or type_ in TEXT_TYPES:
        return True
    if get_origin(type_) is Literal:
        return all(type(value) is str for value in get_args(type_))
    return is_enum(type_) and all(isinstance(member.value, str) for member in _members(type_))


def has_number_keys(type_: object) -> bool:
    """Say whether a type is that of a mapping whose keys are numbers."""
    return is_number_key(key_type(type_))


def register_number_keys(converter: cattrs.Converter) -> None:
    """Let a converter read and write mappings whose keys are integers, or members of such enums."""
    converter.register_unstructure_hook_func(_is_key, _write_key)
    converter.register_structure_hook_func(_is_key, _read_key)
    converter.register_unstructure_hook_factory(has_number_keys, _writer)
    converter.register_structure_hook_factory(has_number_keys, _reader)


def _writer(type_: Any, converter: cattrs.Converter) -> Callable[[Any], Any]:
    write: Callable[[Any], Any] = converter.get_unstructure_hook(_with_texts(type_))
    return write


def _reader(type_: Any, converter: cattrs.Converter) -> Callable[[Any, Any], Any]:
    texts = _with_texts(type_)
    read = converter.get_structure_hook(texts)
    return lambda value, _: read(value, texts)


def _with_texts(type_: Any) -> Any:
    key = key_type(type_)
    if key not in _number_keys:
        _number_keys[key] = type(key.__name__, (_NumberKey,), {"of": key})
    return plain_class(type_)[_number_keys[key], get_args(type_)[1]]


def _members(type_: Any) -> list[Enum]:
    return list(type_)


def _is_key(type_: object) -> bool:
    return isinstance(type_, type) and issubclass(type_, _NumberKey)


def _write_key(key: Any) -> str:
    value = key.value if isinstance(key, Enum) else key
    if type(value) is not int:
        raise EncodeError("$", f"it has a key of type {type(key).__name__}, not an integer")
    return str(value)


def _read_key(text: Any, type_: Any) -> Any:
    if type(text) is not str or len(text) > _MAX_DIGITS or not _INTEGER.fullmatch(text):
        raise Misfit(["a key that is an integer is wanted"])
    return int(text) if type_.of is int else to_enum(int(text), type_.of)
