"""Which types have no value that could change: records of them are compared by identity."""

from __future__ import annotations

import uuid
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import (
    Annotated,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import attrs

from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items

FROZEN = "statestore.frozen"
"""Metadata of a field whose value is frozen on the way in, whatever its type says."""


def is_immutable(type_: object) -> bool:
    """Say whether no value of a type can change, not even deep inside."""
    return _is_immutable(type_, set())


_SCALARS = (str, int, float, bool, bytes, NoneType, Decimal, uuid.UUID)
_IMMUTABLE = (*_SCALARS, date, datetime, timedelta, PurePath, Enum, FrozenDict)


def _is_immutable(type_: object, seen: set[object]) -> bool:
    if type_ in seen or type_ is None or type_ is Ellipsis:
        return True
    origin, args = get_origin(type_), get_args(type_)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_immutable(args[0], seen)
    if origin in (Union, UnionType, tuple, frozenset, Items):
        return all(_is_immutable(arg, seen) for arg in args)
    if not isinstance(type_, type):
        return False
    if issubclass(type_, _IMMUTABLE):
        return True
    if not attrs.has(type_) or not attrs.inspect(type_).is_frozen:
        return False
    seen.add(type_)
    hints = get_type_hints(type_)
    return all(
        field.metadata.get(FROZEN) or _is_immutable(hints[field.name], seen)
        for field in attrs.fields(type_)
    )
