"""Fields of the built-in record classes: each checks what it is given when a record is made."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from types import NoneType
from typing import Any, TypeVar

import attrs

from statestore.models.documents import FrozenDict, freeze, freeze_mapping
from statestore.models.keys import check_id
from statestore.models.sequences import Items
from statestore.records.columns import (
    COLUMN,
    choice_column,
    id_column,
    json_column,
    mapping_column,
    number_column,
    plain_column,
    stored_as_is,
    texts_column,
    time_column,
)
from statestore.records.ids import new_id
from statestore.records.immutability import FROZEN
from statestore.records.shapes import EXTRA

T = TypeVar("T")


def id_field() -> Any:
    """Return the field of a record's id: any text that can be stored."""
    return attrs.field(
        validator=lambda _, __, value: check_id(value), metadata=stored_as_is(id_column)
    )


def made_id_field() -> Any:
    """Return the field of the id of a part of a record: by default a new one."""
    return attrs.field(
        factory=new_id,
        kw_only=True,
        validator=lambda _, __, value: check_id(value),
        metadata=stored_as_is(id_column),
    )


def text_field(default: str | None = "") -> Any:
    """Return a field that takes a text; also None, if that is the default."""
    if default is None:
        column = plain_column(str, NoneType)
        return attrs.field(
            default=None,
            kw_only=True,
            validator=_optional(str),
            metadata=stored_as_is(column),
        )
    column = plain_column(str)
    return attrs.field(
        default=default,
        kw_only=True,
        validator=_instance(str),
        metadata=stored_as_is(column),
    )


def number_field(
    default: float | None, *, low: float | None = None, high: float | None = None
) -> Any:
    """Return a field that takes a float in a range; also None, if that is the default."""

    def check(_: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
        if value is None and default is None:
            return
        if type(value) is not float or not math.isfinite(value):
            raise TypeError(f"{attribute.name} takes a finite number")
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{attribute.name} takes a number {_within(low, high)}")

    return attrs.field(
        default=default,
        kw_only=True,
        converter=lambda value: float(value) if type(value) is int else value,
        validator=check,
        metadata=stored_as_is(number_column(float, low, high, optional=default is None)),
    )


def integer_field(default: int | None, *, low: int | None = None, high: int | None = None) -> Any:
    """Return a field that takes an integer in a range; also None, if that is the default."""

    def check(_: object, attribute: attrs.Attribute[Any], value: int | None) -> None:
        if value is None and default is None:
            return
        if type(value) is not int:
            raise TypeError(f"{attribute.name} takes an integer")
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError(f"{attribute.name} takes an integer {_within(low, high)}")

    column = number_column(int, low, high, optional=default is None)
    return attrs.field(
        default=default, kw_only=True, validator=check, metadata=stored_as_is(column)
    )


def choice_field(choices: type[Enum], default: Any) -> Any:
    """Return a field that takes a member of an enum, or its value."""

    def convert(value: object) -> Any:
        try:
            return choices(value)
        except ValueError:
            known = ", ".join(str(member.value) for member in choices)
            raise ValueError(f"{choices.__name__} is one of: {known}") from None

    return attrs.field(
        default=default,
        kw_only=True,
        converter=convert,
        metadata={COLUMN: choice_column(choices)},
    )


def mapping_field() -> Any:
    """Return a field that takes a mapping of the host's own and freezes a copy of it."""
    return attrs.field(
        factory=FrozenDict,
        kw_only=True,
        converter=freeze_mapping,
        metadata=stored_as_is(mapping_column),
    )


def json_field() -> Any:
    """Return a field that takes any JSON value of the host's own and freezes a copy of it."""
    return attrs.field(
        default=None,
        kw_only=True,
        converter=freeze,
        metadata={FROZEN: True, **stored_as_is(json_column)},
    )


def extra_field() -> Any:
    """Return the field in which a class keeps what it does not know, to be written back.

    For a class of your own: `extra: FrozenDict = extra_field()`.
    """
    return attrs.field(
        factory=FrozenDict, kw_only=True, converter=freeze_mapping, metadata={EXTRA: True}
    )


def texts_field() -> Any:
    """Return a field that takes texts: tags, ids. A text alone is refused, not taken apart."""
    return attrs.field(
        factory=tuple,
        kw_only=True,
        converter=_to_texts,
        metadata=stored_as_is(texts_column),
    )


def items_field(item: Any) -> Any:
    """Return a field that takes any number of `item`, kept as `Items`: adding to them is cheap.

    `item` is a class or a union of classes: `items_field(Cat | Dog)`.

    For a frozen class of your own, as its last field: `entries: Items[Entry] = items_field(Entry)`.
    A subclass of `item` is refused, as what it adds would be lost. A save after `update(id,
    entries=record.entries.extended([entry]))` writes the entry, not the whole record.
    """
    return attrs.field(factory=Items, kw_only=True, converter=lambda value: to_items(value, item))


def to_items(value: Iterable[T], item: Any) -> Items[T]:
    """Return `value` as items that are checked to be of the class `item`: what a field converts by.

    Raises:
        TypeError: some are of another class, or of a subclass.
    """
    if isinstance(value, Items) and value.item_class == item:
        return value  # each was checked when it came in
    return Items(value, item)


def time_field(*, optional: bool = False) -> Any:
    """Return a field that takes an aware time, kept in UTC; by default the present, or None."""

    def convert(value: datetime | None) -> datetime | None:
        if value is None and optional:
            return None
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise TypeError("an aware time is wanted, such as datetime.now(UTC)")
        return value.astimezone(UTC)

    factory: Callable[[], datetime | None] = (lambda: None) if optional else _now
    column = time_column(optional=optional)
    return attrs.field(factory=factory, kw_only=True, converter=convert, metadata={COLUMN: column})


def _now() -> datetime:
    return datetime.now(UTC)


def _instance(wanted: type) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not wanted:
            raise TypeError(f"{attribute.name} takes a {wanted.__name__}")

    return check


def _optional(wanted: type) -> Any:
    check = _instance(wanted)

    def check_optional(record: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None:
            check(record, attribute, value)

    return check_optional


def _to_texts(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("a list of texts is wanted, not one text")
    texts = tuple(value)
    if not all(type(text) is str for text in texts):
        raise TypeError("texts are wanted")
    return texts


def _within(low: float | None, high: float | None) -> str:
    if high is None:
        return f"from {low} on"
    return f"up to {high}" if low is None else f"from {low} to {high}"
