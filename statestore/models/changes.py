"""Changes of records, the commits that make them, and what is stored afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeAlias

import attrs

from statestore.errors import EncodeError
from statestore.models.documents import Document, FrozenDict, Json
from statestore.models.keys import Key, Revision


@attrs.frozen
class Put:
    """Make `document` the content of a record, whether it exists or not.

    `document["id"]` is the key's id: see `Key.inner_id`. `schema` is the version of the record's
    class. `extra` are fields beside the document that this version does not know; those that are
    there stay, too.
    """

    key: Key
    document: Document
    schema: int = 1
    extra: Mapping[str, Any] = attrs.field(factory=FrozenDict)


@attrs.frozen
class Append:
    """Items to add to a list field that holds `from_length` items now."""

    field: str
    from_length: int
    items: tuple[Json, ...]


@attrs.frozen
class Patch:
    """Set some fields of an existing record, and add items to list fields of it."""

    key: Key
    set: Mapping[str, Json] = attrs.field(factory=FrozenDict)
    append: tuple[Append, ...] = ()


@attrs.frozen
class Delete:
    """Remove a record. Removing what is not there is no fault."""

    key: Key


Change: TypeAlias = Put | Patch | Delete


@attrs.frozen
class Commit:
    """A batch of changes that was made.

    Shape: `revisions` maps each key that was changed to its revision after the commit; that of a
    deleted key is the number which its deletion took. `size_bytes` is what was written of records.
    `source` is who asked for it, `run` the opening of the store that made it; empty where that is
    not known.
    """

    sequence: int
    committed_at: datetime
    revisions: Mapping[Key, Revision]
    size_bytes: int = 0
    source: str = "commit"
    run: str = ""
    _made: Callable[[], Sequence[Change]] = attrs.field(default=tuple, eq=False, repr=False)

    @property
    def changes(self) -> Sequence[Change]:
        """What it made of each record, in order; made anew at each call.

        A key of `revisions` may be missing: then its record can only be read as it is now.
        """
        return self._made()


@attrs.frozen
class Stored:
    """A record as a driver holds it: its document with every patch applied.

    `saved_at` is the time of the commit that wrote it. `path` is where a person finds it, relative
    to the store, and `format` the serializer it is written in; both empty where there are no files.
    """

    key: Key
    document: Mapping[str, Any]
    schema: int
    revision: Revision
    saved_at: datetime
    size_bytes: int = 0
    path: str = ""
    format: str = ""
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = attrs.field(factory=FrozenDict)


def apply_patch(document: Document, patch: Patch) -> dict[str, Json]:
    """Return a copy of `document` with `patch` applied.

    Raises:
        EncodeError: it would change the id, or a field to append to is no list of the length that
            the patch was made for.
    """
    changed: dict[str, Json] = dict(document)
    if patch.set.get("id", patch.key.inner_id) != patch.key.inner_id:
        raise EncodeError("$.id", "the id of a record cannot be changed")
    changed.update(patch.set)
    for append in patch.append:
        items = changed.get(append.field)
        if not isinstance(items, list | tuple):
            raise EncodeError(f"$.{append.field}", "it is no list, so nothing can be appended")
        if len(items) != append.from_length:
            raise EncodeError(
                f"$.{append.field}",
                f"it has {len(items)} items, not the {append.from_length} it was extended from",
            )
        changed[append.field] = [*items, *append.items]
    return changed
