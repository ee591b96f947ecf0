"""Columns: many documents of one class become objects at once, field by field.

The values of a field in all of them are checked together, which costs a fraction of what it costs
one by one. Only what is written exactly as this library writes it is read so; whatever else there
is, also what is wrong, is left to the converter, which takes or refuses it value by value.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from itertools import repeat
from operator import itemgetter
from types import NoneType
from typing import Any, Generic, TypeAlias, TypeVar

import attrs

from statestore.models.documents import FrozenDict, freeze, freeze_mapping
from statestore.models.keys import MAX_ID_BYTES
from statestore.models.sequences import Items
from statestore.models.times import parse_times
from statestore.records.shapes import PLAIN, extra_field_of

COLUMN = "statestore.column"
"""Metadata of a field: the `Column` that reads it."""

T = TypeVar("T")
C = TypeVar("C", bound=type)

Column: TypeAlias = Callable[[Sequence[Any]], Iterable[Any]]
"""Returns the values of a field in objects for those in documents, or raises `Unusual`.

It gives exactly what the converter and the field give, and writing that gives the same document.
"""

Make: TypeAlias = Callable[..., list[Any]]

_EMPTY = FrozenDict()


class Unusual(ValueError):
    """Values that are wrong, or not written as this library writes them."""


class Columns(Generic[T]):
    """Reads documents of one class. Any thread may use it."""

    def __init__(self, cls: type[Any], make: Make | None = None) -> None:
        """Prepare a class whose fields all have a column. See `read_in_columns`."""
        self._class: type[T] = cls
        self._extra = extra_field_of(cls)
        fields = {field.name: field.metadata for field in attrs.fields(cls)}
        fields.pop(self._extra or "", None)
        self._names = frozenset(fields)
        self._values = itemgetter(*fields)
        self._columns: list[Column] = [metadata[COLUMN] for metadata in fields.values()]
        # The slots themselves: objects of a frozen class refuse every other way.
        names = [*fields, *([self._extra] if self._extra else [])]
        self._slots = [getattr(cls, name).__set__ for name in names]
        self._make = make or self._make_by_slots

    def read(self, documents: Sequence[Any]) -> list[T]:
        """Return the objects that documents hold.

        Raises:
            Unusual, KeyError: some document is not as this library writes it.
        """
        if not documents:
            return []
        want_types(documents, dict)
        rows = list(map(self._values, documents))
        fields = zip(self._columns, zip(*rows, strict=True), strict=True)
        columns = [column(values) for column, values in fields]
        more = self._more(documents)
        if self._extra is not None:
            columns.append(more)
        return self._make(len(rows), *columns)

    def _make_by_slots(self, count: int, *columns: Iterable[Any]) -> list[T]:
        made: list[T] = list(map(object.__new__, repeat(self._class, count)))
        for put, column in zip(self._slots, columns, strict=True):
            deque(map(put, made, column), maxlen=0)
        return made

    def _more(self, documents: Sequence[Mapping[str, Any]]) -> Iterable[FrozenDict]:
        count = len(self._names)
        if set(map(len, documents)) == {count}:
            return repeat(_EMPTY)
        if self._extra is None:
            raise Unusual
        return [
            _EMPTY
            if len(one) == count
            else freeze_mapping({key: one[key] for key in one if key not in self._names})
            for one in documents
        ]


_known: dict[type, Columns[Any]] = {}


def read_in_columns(cls: C, make: Make | None = None) -> C:
    """Let objects of a slotted class, all of whose fields have a column, be read so.

    Args:
        make: returns so many objects from a column per field, that of the extra fields last; a
            column may be endless. By default each slot of each is set from outside.
    """
    _known[cls] = Columns(cls, make)
    return cls


def columns_of(cls: type) -> Columns[Any] | None:
    """Return what reads documents of a class in columns; None for one that is not read so."""
    return _known.get(cls)


def stored_as_is(column: Column) -> dict[str, Any]:
    """Return the metadata of a field that checks its values, which are stored as they are."""
    return {PLAIN: True, COLUMN: column}


# --- columns --------------------------------------------------------------------------


def want_types(values: Iterable[Any], *types: type) -> None:
    """Check that values are of some types, of no subclass.

    Raises:
        Unusual: one is not.
    """
    if not {*types}.issuperset(map(type, values)):
        raise Unusual


def _are_none(values: Sequence[Any]) -> bool:
    return values.count(None) == len(values)


def plain_column(*types: type) -> Column:
    """Return the column of values of these very types, stored as they are."""
    wanted, is_optional = frozenset(types), NoneType in types

    def read(values: Sequence[Any]) -> Iterable[Any]:
        if not (is_optional and _are_none(values)):
            want_types(values, *wanted)
        return values

    return read


def id_column(values: Sequence[Any]) -> Iterable[Any]:
    """Read ids: as `check_id`, for those of ASCII alone."""
    want_types(values, str)
    text = "".join(values)
    if not text.isascii() or "\0" in text or not all(values):
        raise Unusual
    if max(map(len, values)) > MAX_ID_BYTES:
        raise Unusual
    return values


def filled_column(values: Sequence[Any]) -> Iterable[Any]:
    """Read texts that are not empty."""
    want_types(values, str)
    if not all(values):
        raise Unusual
    return values


def number_column(type_: type, low: float | None, high: float | None, *, optional: bool) -> Column:
    """Return the column of finite numbers of one type in a range."""
    wanted = frozenset({type_, NoneType} if optional else {type_})

    def read(values: Sequence[Any]) -> Iterable[Any]:
        if optional and _are_none(values):
            return values
        want_types(values, *wanted)
        for value in {*values} - {None}:
            if not math.isfinite(value):
                raise Unusual
            if (low is not None and value < low) or (high is not None and value > high):
                raise Unusual
        return values

    return read


def choice_column(choices: type[Enum]) -> Column:
    """Return the column of the values of an enum of texts."""
    members = {member.value: member for member in choices}

    def read(values: Sequence[Any]) -> Iterable[Any]:
        want_types(values, str)
        return list(map(members.__getitem__, values))

    return read


def time_column(*, optional: bool) -> Column:
    """Return the column of times."""

    def read(values: Sequence[Any]) -> Iterable[Any]:
        texts = [value for value in values if value is not None] if optional else values
        if not texts:
            return values
        want_types(texts, str)
        moments = parse_times(texts)
        if len(moments) == len(values):
            return moments
        rest = iter(moments)
        return [None if value is None else next(rest) for value in values]

    return read


def texts_column(values: Sequence[Any]) -> Iterable[Any]:
    """Read lists of texts."""
    want_types(values, list)
    for value in values:
        want_types(value, str)
    return map(tuple, values)


def mapping_column(values: Sequence[Any]) -> Iterable[Any]:
    """Read mappings of the host's own."""
    want_types(values, dict)
    return map(freeze, values) if any(values) else repeat(_EMPTY)


def json_column(values: Sequence[Any]) -> Iterable[Any]:
    """Read values of the host's own."""
    return map(freeze, values)


def list_column(read_list: Callable[[list[Any]], Any]) -> Column:
    """Return the column of lists, each read by `read_list`."""

    def read(values: Sequence[Any]) -> Iterable[Any]:
        want_types(values, list)
        return map(read_list, values) if any(values) else repeat(read_list([]))

    return read


def object_column(cls: type) -> Column:
    """Return the column of single objects of a class."""
    return lambda values: read_objects(cls, values)


def items_column(cls: type) -> Column:
    """Return the column of a growing field with objects of a class."""
    return list_column(lambda values: Items(read_objects(cls, values), cls))


def read_objects(cls: type[T], documents: Sequence[Any]) -> list[T]:
    """Return the objects of a class that documents hold.

    Raises:
        Unusual, KeyError: as `Columns.read`; or the class is not read in columns.
    """
    columns = columns_of(cls)
    if columns is None:
        raise Unusual
    return columns.read(documents)
