"""Which records hold nothing that would have to be looked through before it is stored.

Only for classes that check their fields when they are made: what such a field holds is what its
type says. Left to look at are the fields that take what they are given: mappings, parts.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import attrs

from statestore.records.shapes import is_items, item_type

Test: TypeAlias = Callable[[Any], bool]

_SAFE = (str, int, bool, float, bytes, NoneType, datetime, date, Decimal, uuid.UUID, Enum, PurePath)


def plainness_of(cls: type) -> Test:
    """Return what says that the document of a record of `cls` needs no look.

    It says no where it does not know. What a JSON encoder refuses by itself, long integers and
    lone surrogates, need not be told.
    """
    hints = get_type_hints(cls)
    tests: list[tuple[str, Test]] = []
    for field in attrs.fields(cls):
        test = _test_of(hints[field.name])
        if test is not None:
            tests.append((field.name, test))

    def is_plain(record: Any) -> bool:
        return all(test(getattr(record, name)) for name, test in tests)

    return is_plain


def _test_of(type_: Any) -> Test | None:
    """Return the test of a field, or None where none is needed."""
    if _is_safe(type_):
        return None
    if is_items(type_):
        item = item_type(type_)
        if isinstance(item, type) and attrs.has(item):
            is_plain = plainness_of(item)
            return lambda items: all(map(is_plain, items))
    return _is_empty_or_text


def _is_empty_or_text(value: Any) -> bool:
    return not value or type(value) is str


def _is_safe(type_: Any) -> bool:
    if get_origin(type_) in (Union, UnionType):
        return all(map(_is_safe, get_args(type_)))
    if get_origin(type_) is tuple:
        args = [arg for arg in get_args(type_) if arg is not Ellipsis]
        return all(map(_is_safe, args))
    return isinstance(type_, type) and issubclass(type_, _SAFE)
