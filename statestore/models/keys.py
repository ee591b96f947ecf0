"""Kinds, ids and keys: the names of records."""

from __future__ import annotations

import re
from typing import TypeAlias

import attrs

from statestore.errors import InvalidId, InvalidKind

Revision: TypeAlias = int
"""How often a record was changed by commits. 0 stands for no record."""

MAX_ID_BYTES = 1024

SETTINGS_ID = "\0manager"
"""The id of what the manager of a kind remembers beside its records. No record can have it.

What is stored under it has no field `id`: so no record that somebody copies is taken for it.
"""

SETTINGS_NAME = "@manager"
"""What people call it: the name of its file, and the end of its key in messages."""

RESERVED_KINDS = frozenset({"archive", "backups", "quarantine"})
"""Folders of a store that hold no records of their own."""

_CHECKED_KINDS: set[str] = set()
_MOST_CHECKED = 1000
_KIND = re.compile(r"[a-z][a-z0-9_-]{0,62}[a-z0-9]|[a-z]")
# Windows keeps these names for devices. Source: Naming Files, learn.microsoft.com.
_DEVICES = {"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))}


@attrs.frozen(order=True, cache_hash=True)
class Key:
    """Which record: its kind and its id."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{SETTINGS_NAME if self.is_settings else self.id}"

    @property
    def is_settings(self) -> bool:
        """Whether it names what a manager remembers, and no record."""
        return self.id == SETTINGS_ID

    @property
    def inner_id(self) -> str | None:
        """What a document of it has as `id`; None for what a manager remembers: it has none."""
        return None if self.id == SETTINGS_ID else self.id

    @property
    def shown(self) -> str:
        """The key for messages: what a terminal would not print is escaped."""
        text = str(self)
        return text if text.isprintable() else ascii(text)[1:-1]


def settings_key(kind: str) -> Key:
    """Return the key of what the manager of a kind remembers beside its records."""
    return Key(kind, SETTINGS_ID)


def check_kind(kind: object) -> str:
    """Return `kind` if it may name a family of records and its folder.

    Raises:
        InvalidKind: it is not 1 to 64 of a-z, 0-9, `_` and `-`, beginning with a letter and ending
            with no mark; or it is a folder that stores use for something else.
    """
    if type(kind) is str and kind in _CHECKED_KINDS:
        return kind
    if not isinstance(kind, str) or not _KIND.fullmatch(kind):
        raise InvalidKind(
            str(kind), "is not a name of 1 to 64 letters a-z, digits, '-' and '_', a letter first"
        )
    if kind in RESERVED_KINDS or kind in _DEVICES:
        raise InvalidKind(kind, "is reserved; choose another name")
    if len(_CHECKED_KINDS) < _MOST_CHECKED:
        _CHECKED_KINDS.add(kind)
    return kind


def check_id(id: object) -> str:
    """Return `id` if it may name a record.

    Any text may: slashes, dots, spaces, emoji. Ids are compared exactly, never folded.

    Raises:
        InvalidId: it is no string, is empty, has a NUL or a lone surrogate, or is longer than
            `MAX_ID_BYTES` in UTF-8.
    """
    if not isinstance(id, str):
        raise InvalidId(id, "is no string")
    if not id:
        raise InvalidId(id, "is empty")
    if "\0" in id:
        raise InvalidId(id, "has a NUL character")
    try:
        size = len(id.encode())
    except UnicodeEncodeError as error:
        raise InvalidId(id, "has a lone surrogate, which is no Unicode text") from error
    if size > MAX_ID_BYTES:
        raise InvalidId(id, f"is longer than {MAX_ID_BYTES} bytes in UTF-8")
    return id


def check_key(key: Key) -> Key:
    """Return `key` if something may be stored under it: a record, or what a manager remembers.

    Raises:
        InvalidKind, InvalidId: nothing may.
    """
    check_kind(key.kind)
    if key.id != SETTINGS_ID:
        check_id(key.id)
    return key
