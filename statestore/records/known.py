"""Types of fields that can be stored: what cannot is told when a class is registered, by field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)
from uuid import UUID

import cattrs

from statestore.errors import NotARecordClass
from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.classes import bare_type, field_types, has_fields, plain_class
from statestore.records.mapping_keys import is_number_key, is_text_key, key_type
from statestore.records.scalars import TEXT_TYPES, is_enum
from statestore.records.shapes import ShapeConverter
from statestore.records.tags import classes_by_tag
from statestore.records.unions import members_of, parted

_SCALARS = (str, int, float, bytes, bytearray, date, time, timedelta, Decimal, UUID)
_EXACT = frozenset({*_SCALARS, bool, datetime})


def check_types(record_class: type[Any], converter: ShapeConverter) -> None:
    """Check that values of the types of all fields of a class can be stored, and read again.

    Raises:
        NotARecordClass: of one they cannot; it names the field.
        NameError: a type in it is not known by its name.
    """
    _Look(record_class, converter).at_fields(record_class, "")


class _Look:
    """One look through a class and those within it, each once."""

    def __init__(self, record_class: type[Any], converter: ShapeConverter) -> None:
        self._name = getattr(record_class, "__qualname__", repr(record_class))
        self._converter = converter
        self._seen: set[Any] = set()

    def at_fields(self, cls: Any, place: str) -> None:
        if cls in self._seen:
            return
        self._seen.add(cls)
        for name, type_ in field_types(cls).items():
            self.at(type_, f"{place}.{name}" if place else name)

    def at(self, type_: Any, place: str) -> None:
        type_ = bare_type(type_)
        if type_ is Any or isinstance(type_, TypeVar) or self._has_own_shape(type_):
            return
        members = members_of(type_)
        if get_origin(type_) is Annotated:
            self.at(get_args(type_)[0], place)
        elif members:
            self._at_union(type_, members, place)
        elif is_enum(type_):
            self._at_enum(type_, place)
        else:
            self._at_parts(type_, place)
            self._at_class(type_, place)
            self._ask(type_, place)

    def _at_parts(self, type_: Any, place: str) -> None:
        if has_fields(type_):
            self.at_fields(plain_class(type_), place)
        if is_typeddict(type_):
            for name, inner in get_type_hints(type_).items():
                self.at(inner, f"{place}.{name}")
        if get_origin(type_) is Literal:
            return
        self._at_keys(type_, place)
        for arg in get_args(type_):
            if arg is not Ellipsis and not isinstance(arg, list | tuple):
                self.at(arg, place)

    def _at_class(self, type_: Any, place: str) -> None:
        """Refuse a class that would be taken for the one that it is derived from."""
        if not isinstance(type_, type) or get_args(type_):
            return
        for base in type_.__mro__[1:]:
            if base in self._converter.own:
                what = f"{type_.__name__}, which is derived from {base.__name__}"
                self._refuse(place, f"its type is {what}; give the manager it in types, too")
        if issubclass(type_, _SCALARS) and type_ not in _EXACT:
            base = next(one for one in type_.__mro__ if one in _EXACT)
            self._unknown(type_, place, f": a kind of {base.__name__} that would not come back")

    def _at_union(self, type_: Any, members: Sequence[Any], place: str) -> None:
        for member in members:
            self.at(member, place)
        classes, others = parted(type_, self._converter.own)
        if len(classes) > 1:
            classes_by_tag(classes, self._name, f"field {place!r}")
        shapes: dict[str, Any] = {"a mapping": classes[0]} if classes else {}
        for member in others:
            for shape in _shapes_of(member):
                before = shapes.setdefault(shape, member)
                if before is not member and not _is_alike(before, member):
                    both = f"{_named(before)} and {_named(member)}"
                    reason = f"its type has {both}, which are both {shape} in a document"
                    self._refuse(place, f"{reason} and could not be told apart; keep to one")
        self._ask(type_, place)

    def _at_enum(self, type_: Any, place: str) -> None:
        if not all(type(one.value) in (str, int, float) or _is_word(one.value) for one in type_):
            reason = f"its type is the enum {type_.__name__}, whose values are not texts or numbers"
            self._refuse(place, reason)

    def _at_keys(self, type_: Any, place: str) -> None:
        key = key_type(type_)
        if key is None or key in self._converter.own:
            return
        if not is_text_key(key) and not is_number_key(key) and not _is_union_of_texts(key):
            reason = f"its type has keys of type {_named(key)}, and keys are texts in a document"
            self._refuse(place, f"{reason}; use texts, integers, enums, UUIDs, or a list of pairs")

    def _ask(self, type_: Any, place: str) -> None:
        if type_ is None or type_ is NoneType:
            return
        try:
            self._converter.get_structure_hook(type_)
        except cattrs.errors.StructureHandlerNotFoundError:
            self._unknown(type_, place, "")
        except (TypeError, ValueError) as error:
            self._refuse(place, f"its type {_named(type_)} cannot be stored: {error}")

    def _has_own_shape(self, type_: Any) -> bool:
        own = self._converter.own
        return type_ in own or any(shape == type_ for shape in self._converter.shapes)

    def _unknown(self, type_: Any, place: str, more: str) -> None:
        reason = f"its type {_named(type_)} is not known{more}"
        way = "say how it is stored: Manager(..., types=[OwnType(class, write, read)])"
        self._refuse(place, f"{reason}; use another type, or {way}")

    def _refuse(self, place: str, reason: str) -> None:
        raise NotARecordClass(self._name, f"field {place!r}: {reason}")


def _is_word(value: object) -> bool:
    return isinstance(value, str)  # an enum of texts, written in the older way


def _is_union_of_texts(type_: Any) -> bool:
    members = members_of(type_)
    return bool(members) and all(one is str or get_origin(one) is Literal for one in members)


def _is_alike(one: Any, other: Any) -> bool:
    """Say whether values of two types are stored as they are, so that each comes back as it was."""
    return all(type_ in (str, int, float) or get_origin(type_) is Literal for type_ in (one, other))


def _shapes_of(type_: Any) -> set[str]:
    """Return what values of a type are in a document, as far as that is known."""
    if get_origin(type_) is Literal:
        return {_shape_of_value(value) for value in get_args(type_)}
    if is_enum(type_):
        return {_shape_of_value(member.value) for member in type_}
    plain = plain_class(type_)
    if not isinstance(plain, type) or plain is NoneType:
        return set()
    if plain in TEXT_TYPES:
        return {"a text"}
    if plain is bool:
        return {"true or false"}
    if plain is int:
        return {"an integer"}
    if plain in (float, timedelta):
        return {"a number"}
    if issubclass(plain, Mapping | FrozenDict) or is_typeddict(plain):
        return {"a mapping"}
    return {"a list"} if issubclass(plain, Sequence | Set | Items) else set()


def _shape_of_value(value: object) -> str:
    if isinstance(value, str):
        return "a text"
    return "an integer" if isinstance(value, int) else "a number"


def _named(type_: Any) -> str:
    if isinstance(type_, type) and not get_args(type_):
        return type_.__name__
    return str(type_).replace("typing.", "")
