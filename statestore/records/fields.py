"""Fields of the built-in record classes: each checks what it is given when a record is made.

What they take can be stored: so a bad value is refused by the operation that is given it, and not
by a save, which would leave the record out from then on, with all that came after.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import Enum
from types import NoneType
from typing import Any, TypeVar

import attrs

from statestore.errors import EncodeError
from statestore.models.documents import (
    INT_MAX,
    INT_MIN,
    FrozenDict,
    dumps_checked,
    freeze,
    freeze_mapping,
)
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
            validator=_want_optional_text,
            metadata=stored_as_is(column),
        )
    column = plain_column(str)
    return attrs.field(
        default=default,
        kw_only=True,
        validator=_want_text,
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
            raise ValueError(f"{attribute.name} takes a number {_range(low, high)}")

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
            raise ValueError(f"{attribute.name} takes an integer {_range(low, high)}")
        if not INT_MIN <= value <= INT_MAX:
            raise ValueError(f"{attribute.name} takes an integer of 64 bits")

    column = number_column(int, low, high, optional=default is None)
    return attrs.field(
        default=default, kw_only=True, validator=check, metadata=stored_as_is(column)
    )


def choice_field(choices: type[Enum], default: Any) -> Any:
    """Return a field that takes a member of an enum, or its value."""

    def convert(value: object) -> Any:
        try:
            return choices(value)
        except (ValueError, RecursionError):  # it is in the error's text, however deep it is
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
        validator=want_storable,
        metadata=stored_as_is(mapping_column),
    )


def json_field() -> Any:
    """Return a field that takes any JSON value of the host's own and freezes a copy of it."""
    return attrs.field(
        default=None,
        kw_only=True,
        converter=freeze,
        validator=want_storable,
        metadata={FROZEN: True, **stored_as_is(json_column)},
    )


def extra_field() -> Any:
    """Return the field in which a class keeps what it does not know, to be written back.

    For a class of your own: `extra: FrozenDict = extra_field()`.
    """
    return attrs.field(
        factory=FrozenDict,
        kw_only=True,
        converter=freeze_mapping,
        validator=_want_no_field,
        metadata={EXTRA: True},
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
        try:
            return value.astimezone(UTC)
        except OverflowError:
            raise ValueError("a time from the year 1 to 9999 in UTC is wanted") from None

    factory: Callable[[], datetime | None] = (lambda: None) if optional else _now
    column = time_column(optional=optional)
    return attrs.field(factory=factory, kw_only=True, converter=convert, metadata={COLUMN: column})


def _now() -> datetime:
    return datetime.now(UTC)


def want_storable(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse, as the validator of a field, a value that no format could hold.

    Raises:
        ValueError: as it says; it begins with the name of the field and the way to the value.
    """
    kind = type(value)
    if kind is str:
        if not value.isascii():
            want_unicode(attribute.name, value)
        return
    if value is None or (not value and (kind is FrozenDict or kind is tuple)):
        return
    try:
        dumps_checked({attribute.name: value})
    except EncodeError as error:
        raise ValueError(f"{error.where.removeprefix('$.')}: {error.reason}") from error


def _want_no_field(record: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """Refuse extra fields that cannot be stored, or that the class of the record has itself."""
    want_storable(record, attribute, value)
    cls: Any = type(record)
    if value and attrs.has(cls):
        for name in (attrs.fields_dict(cls).keys() & value.keys()) - {attribute.name}:
            reason = "it is a field, so it cannot be in extra too"
            raise ValueError(f"{attribute.name}.{name}: {reason}")


def want_unicode(name: str, text: str) -> None:
    """Refuse a text with half a character in it, as a broken stream or file name may have.

    Raises:
        ValueError: as it says.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: it has a lone surrogate, which is no Unicode text") from None


def _want_text(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if type(value) is not str:
        raise TypeError(f"{attribute.name} takes a str")
    if not value.isascii():
        want_unicode(attribute.name, value)


def _want_optional_text(record: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _want_text(record, attribute, value)


def _range(low: float | None, high: float | None) -> str:
    if high is None:
        return "" if low is None else f"from {low:,} on"
    return f"up to {high:,}" if low is None else f"from {low:,} to {high:,}"


def _to_texts(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        raise TypeError("a list of texts is wanted, not one text")
    texts = tuple(value)
    if not all(type(text) is str for text in texts):
        raise TypeError("texts are wanted")
    for text in texts:
        if not text.isascii():
            want_unicode("one of them", text)
    return texts
