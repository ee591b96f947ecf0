"""Queries: which of some records, in what order, and which page of them. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from statestore.errors import InvalidRecord, UnknownName
from statestore.models.sequences import Items

T = TypeVar("T")

Key: TypeAlias = Callable[[Any], Any]


@attrs.frozen
class Page(Generic[T]):
    """Some of the records that were found: `items`, of `total`.

    `offset` is how many of them are before these, `limit` how many a page has at most; None is
    without limit.
    """

    items: tuple[T, ...]
    total: int
    limit: int | None
    offset: int

    @property
    def number(self) -> int:
        """The number of this page, from 1."""
        return 1 if not self.limit else self.offset // self.limit + 1

    @property
    def pages(self) -> int:
        """How many pages there are; 1 also where nothing was found."""
        return 1 if not self.limit else max(1, -(-self.total // self.limit))

    @property
    def has_more(self) -> bool:
        """Whether there are records behind these."""
        return self.offset + len(self.items) < self.total


def page_of(
    kind: str,
    records: Sequence[T],
    *,
    limit: int | None = None,
    offset: int | None = None,
    page: int | None = None,
) -> Page[T]:
    """Return a part of the records that were found.

    Args:
        limit: how many at most, from 1; None for all.
        offset: how many to pass over first, from 0.
        page: which page of `limit` records, from 1, instead of an offset.
    Raises:
        InvalidRecord: an argument is no such number, or there is a page without a limit.
    """
    for name, number, low in (("limit", limit, 1), ("offset", offset, 0), ("page", page, 1)):
        if number is not None and (type(number) is not int or number < low):
            raise InvalidRecord(kind, None, f"{name} takes an integer from {low}", field=name)
    if page is not None and (limit is None or offset is not None):
        raise InvalidRecord(kind, None, "page wants a limit, and no offset", field="page")
    start = (page - 1) * (limit or 0) if page is not None else offset or 0
    end = None if limit is None else start + limit
    return Page(tuple(records[start:end]), len(records), limit, start)


# --- order ----------------------------------------------------------------------------


def sort_key(
    kind: str, cls: type[Any], sort: str | Iterable[str], keys: Mapping[str, Key] | None = None
) -> Key:
    """Return what sorts records by a field, or by several, the first first.

    A field with "-" before it sorts downwards; one with dots goes into mappings and parts of the
    record: "metadata.owner.name". Records without the value come last either way; values that
    cannot be compared are told apart by their types.

    Args:
        keys: what a field is sorted by instead of itself.
    Raises:
        UnknownName: the class has no such field.
        InvalidRecord: it is no name at all.
    """
    ways: tuple[Any, ...] = (sort,) if isinstance(sort, str) else tuple(sort)
    if not all(isinstance(one, str) for one in ways):
        raise InvalidRecord(kind, None, "sort takes names of fields", field="sort")
    parts = [_part(kind, cls, way, keys or {}) for way in ways]
    return lambda record: tuple(part(record) for part in parts)


def value_at(record: object, path: str) -> Any:
    """Return a value in a record by the names that lead to it, with dots between; else None."""
    value: Any = record
    for name in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif attrs.has(type(value)) and name in attrs.fields_dict(type(value)):
            value = getattr(value, name)
        else:
            return None
    return value


def _part(kind: str, cls: type[Any], way: str, keys: Mapping[str, Key]) -> Key:
    name = way.removeprefix("-")
    fields = attrs.fields_dict(cls)
    first = name.partition(".")[0]
    if name not in keys and first not in fields:
        raise UnknownName(f"field of {kind} to sort by", name, (*keys, *fields))
    find = keys.get(name) or partial(_found, name)
    is_down = way.startswith("-")

    def part(record: Any) -> tuple[bool, Any]:
        value = find(record)
        if value is None:
            return True, 0
        return False, _Down(_comparable(value)) if is_down else _comparable(value)

    return part


def _found(path: str, record: object) -> Any:
    return value_at(record, path)


def _comparable(value: Any) -> tuple[Any, ...]:
    if isinstance(value, bool | int | float):
        return "number", value
    if isinstance(value, datetime):
        return "time", value
    if isinstance(value, str):
        return "text", str(value).casefold(), str(value)
    if isinstance(value, tuple | Items):
        return "values", tuple(_comparable(one) for one in value)
    return type(value).__name__, repr(value)


class _Down:
    """A value that sorts the other way round."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value

    def __lt__(self, other: _Down) -> bool:
        return bool(other.value < self.value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and bool(self.value == other.value)

    __hash__ = None  # type: ignore[assignment]  # it is only ever compared


# --- what is looked for ---------------------------------------------------------------


def among(wanted: object) -> Collection[Any]:
    """Return the values that are wanted: several, or the one that was given."""
    if isinstance(wanted, list | tuple | set | frozenset):
        return wanted
    return (wanted,)


def is_between(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    """Say whether a time is not before `after` and before `before`; None is no bound."""
    if moment is None:
        return after is None and before is None
    return (after is None or moment >= after) and (before is None or moment < before)


def want_time(kind: str, name: str, moment: object) -> None:
    """Check a bound in time.

    Raises:
        InvalidRecord: it is no aware time.
    """
    if moment is None or (isinstance(moment, datetime) and moment.tzinfo is not None):
        return
    reason = f"{name} takes an aware time, such as datetime.now(UTC)"
    raise InvalidRecord(kind, None, reason, field=name)


def has_text(text: str, *values: object) -> bool:
    """Say whether a text stands in any of some values, whatever the case."""
    wanted = text.casefold()
    return any(wanted in value.casefold() for value in values if isinstance(value, str))
