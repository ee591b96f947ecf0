"""What all drivers do alike with a batch of changes before they write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from statestore.errors import Conflict, EncodeError, RecordNotFound, StateStoreError
from statestore.models.changes import Change, Delete, Patch, Put, apply_patch
from statestore.models.documents import Document, FrozenDict, dumps_checked
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision, check_key
from statestore.serializers.serializer import Serializer


@attrs.frozen
class Base:
    """A record before or after some changes: the version of its class, its document, the rest."""

    schema: int
    document: Mapping[str, Any]
    extra: Mapping[str, Any] = attrs.field(factory=FrozenDict)


def group(changes: Sequence[Change], expect: Mapping[Key, Revision]) -> dict[Key, list[Change]]:
    """Return the changes of each key, in their order; none for keys that are only expected."""
    grouped: dict[Key, list[Change]] = {}
    for change in changes:
        grouped.setdefault(change.key, []).append(change)
    for key in expect:
        grouped.setdefault(key, [])
    return grouped


def fold(key: Key, base: Base | None, changes: Sequence[Change]) -> Base | None:
    """Return what a record is after `changes` of its key; None if it is gone.

    Raises:
        InvalidKind, InvalidId: the key cannot be stored.
        RecordNotFound: a patch of a record that is not there.
        EncodeError: a document whose id is not the key's, or a patch that does not fit.
    """
    check_key(key)
    for change in changes:
        if isinstance(change, Delete):
            base = None
        elif isinstance(change, Put):
            if change.document.get("id") != key.inner_id:
                raise EncodeError("$.id", f"it is not the id of its key, {str(key)!r}")
            kept = base.extra if base is not None else {}
            base = Base(change.schema, change.document, FrozenDict({**kept, **change.extra}))
        elif base is None:
            raise RecordNotFound(key.kind, key.id)
        else:
            base = Base(base.schema, apply_patch(base.document, change), base.extra)
    return base


def refuse_mismatch(
    key: Key, expect: Mapping[Key, Revision], found: Revision, changes: Sequence[Change]
) -> None:
    """Check that a key is at the revision that was expected, if one was.

    Raises:
        Conflict: it is not. Deleting what is gone already is none, whoever removed it.
    """
    expected = expect.get(key)
    if expected is None or expected == found:
        return
    if not found and changes and all(isinstance(change, Delete) for change in changes):
        return
    raise Conflict(key.kind, key.id, expected, found)


def check_data(document: Document) -> None:
    """Check that a record's document can be stored, one level below its envelope.

    Raises:
        EncodeError: it cannot; `where` is the path in the document.
    """
    try:
        dumps_checked({"data": document})
    except EncodeError as error:
        raise below_envelope(error) from error


def below_envelope(error: EncodeError) -> EncodeError:
    """Return an error about an envelope as one about its record, which is what a caller knows."""
    return EncodeError("$" + error.where.removeprefix("$.data"), error.reason)


def needs_document(changes: Sequence[Change]) -> bool:
    """Say whether what a key held before matters to the outcome of `changes`."""
    return bool(changes) and isinstance(changes[0], Patch)


def encoded(serializer: Serializer, envelope: Envelope) -> bytes:
    """Return the content of a record's file.

    Raises:
        EncodeError: it cannot be stored, or the serializer, which may be anybody's, raised.
        TooLarge: it is over the limit.
    """
    try:
        return serializer.dumps(envelope.to_document())
    except EncodeError as error:
        raise below_envelope(error) from error
    except StateStoreError:
        raise
    except Exception as error:
        reason = f"the serializer {serializer.name!r} raised {type(error).__name__}"
        raise EncodeError("$", reason) from error
