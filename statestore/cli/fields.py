"""Fields of stored records as the command line names them: compared, sorted and shown."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from statestore.models.changes import Stored
from statestore.models.times import format_time

SHOWN: Mapping[str, tuple[str, ...]] = {
    "sessions": ("status", "mode"),
    "conversations": ("status", "messages"),
    "focus": ("focuses",),
    "tasks": ("status", "priority", "lease.worker"),
    "logs": ("entries",),
    "reports": ("type",),
}
"""The fields of the built-in kinds that tell a person which record is which."""

MISSING = object()
"""What a record has in a field that it does not have."""


@attrs.frozen
class Condition:
    """A field, and what it must be: a text as it was typed, or the JSON value that it spells."""

    field: str
    text: str

    def holds(self, stored: Stored) -> bool:
        """Say whether a record's field is this, or is a list that has it as an item."""
        value = field_of(stored, self.field)
        if value is MISSING:
            return False
        items = value if isinstance(value, list | tuple) else ()
        return any(self._is(one) for one in (value, *items))

    def _is(self, value: object) -> bool:
        if isinstance(value, str) and value == self.text:
            return True
        try:
            wanted = json.loads(self.text)
        except ValueError:
            return False
        if isinstance(value, bool) or isinstance(wanted, bool):  # in Python True is 1 too
            return value is wanted
        return bool(_lists(value) == wanted)


def field_of(stored: Stored, field: str) -> Any:
    """Return the value at a dotted path of the document, or of what the listing shows beside it.

    A number steps into a list. What the record does not have is `MISSING`.
    """
    value: Any = stored.document
    if field in value:
        return value[field]
    for step in field.split("."):
        if isinstance(value, Mapping) and step in value:
            value = value[step]
        elif isinstance(value, Sequence) and not isinstance(value, str) and _is_index(step, value):
            value = value[int(step)]
        else:
            return _BESIDE[field](stored) if field in _BESIDE else MISSING
    return value


def sort_key(value: Any) -> tuple[int, Any]:
    """Return what orders values of any types: null, booleans, numbers, texts, the rest."""
    if value is None:
        return 0, 0
    if isinstance(value, bool):
        return 1, value
    if isinstance(value, int | float):
        return 2, value
    if isinstance(value, str):
        return 3, value
    return 4, json.dumps(value, sort_keys=True)


def title_of(stored: Stored) -> str:
    """Return what a person would call a record: its title or its name."""
    for field in ("title", "name"):
        value = stored.document.get(field)
        if isinstance(value, str) and value:
            return value
    return ""


def shown_of(stored: Stored) -> dict[str, Any]:
    """Return what the listing of a kind shows of its records, by column: `SHOWN`.

    Of a list its length; what a record does not have is None.
    """
    shown = {}
    for field in SHOWN.get(stored.key.kind, ()):
        value = field_of(stored, field)
        if isinstance(value, list | tuple):
            value = len(value)
        plain = isinstance(value, str | int | float)
        shown[field.rpartition(".")[2]] = value if plain else None
    return shown


def columns_of(kind: str) -> tuple[str, ...]:
    """Return the columns by which the listing of a kind shows more than of any record."""
    return tuple(field.rpartition(".")[2] for field in SHOWN.get(kind, ()))


_BESIDE: Mapping[str, Any] = {
    "revision": lambda stored: stored.revision,
    "saved_at": lambda stored: format_time(stored.saved_at),
    "format": lambda stored: stored.format,
    "size": lambda stored: stored.size_bytes,
    "schema": lambda stored: stored.schema,
    "path": lambda stored: stored.path,
}


def _is_index(step: str, value: Sequence[Any]) -> bool:
    return step.isascii() and step.isdigit() and int(step) < len(value)


def _lists(value: Any) -> Any:
    """Return a value with lists where its document has tuples."""
    if isinstance(value, Mapping):
        return {key: _lists(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_lists(one) for one in value]
    return value
