"""Which types have no value that could change: records of them are compared by identity."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Literal,
    Union,
    get_args,
    get_origin,
)

import attrs

from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.classes import bare_type, field_types, has_fields, is_frozen, plain_class
from statestore.records.own_types import OwnType

FROZEN = "statestore.frozen"
"""Metadata of a field whose value is frozen on the way in, whatever its type says."""


def is_immutable(type_: object, own: Mapping[type[Any], OwnType] | None = None) -> bool:
    """Say whether no value of a type can change, not even deep inside.

    Args:
        own: types that the host stores in its own way, of which it says so itself.
    """
    return _is_immutable(type_, own or {}, set())


_SCALARS = (str, int, float, bool, bytes, NoneType, Decimal, uuid.UUID)
_IMMUTABLE = (*_SCALARS, date, datetime, time, timedelta, PurePath, Enum, FrozenDict)


def _is_immutable(type_: object, own: Mapping[type[Any], OwnType], seen: set[object]) -> bool:
    type_ = bare_type(type_)
    if type_ in seen or type_ is None or type_ is Ellipsis:
        return True
    origin, args = get_origin(type_), get_args(type_)
    if origin is Literal:
        return True
    if origin is Annotated:
        return _is_immutable(args[0], own, seen)
    if origin in (Union, UnionType, tuple, frozenset, Items):
        return all(_is_immutable(arg, own, seen) for arg in args)
    if not isinstance(type_, type):
        return False
    if type_ in own:
        return own[type_].is_frozen
    if issubclass(type_, _IMMUTABLE):
        return True
    if not has_fields(type_) or not is_frozen(type_):
        return False
    seen.add(type_)
    frozen_anyway = _frozen_on_the_way_in(type_)
    return all(
        name in frozen_anyway or _is_immutable(hint, own, seen)
        for name, hint in field_types(type_).items()
    )


def _frozen_on_the_way_in(type_: type[Any]) -> set[str]:
    plain = plain_class(type_)
    if not attrs.has(plain):
        return set()
    return {field.name for field in attrs.fields(plain) if field.metadata.get(FROZEN)}
