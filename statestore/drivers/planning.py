"""Planning a commit of a directory store: what is to be written, before anything is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from statestore.drivers.catalogue import Catalogue, Known
from statestore.drivers.driver import RecordFile
from statestore.drivers.folding import (
    Base,
    below_envelope,
    fold,
    group,
    needs_document,
    refuse_mismatch,
)
from statestore.drivers.kind_folder import Found
from statestore.drivers.names import file_stem
from statestore.drivers.place import Place
from statestore.errors import EncodeError, HeldKey, RecordNotFound, StateStoreError
from statestore.models.changes import Change, Delete
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer


@attrs.frozen
class Write:
    """One file to replace or remove. `data` and `envelope` are None for a removal.

    `superseded` are the names of older files of the record, which go when it is written; `rivals`
    are files of its revision with another content, which are set aside.
    """

    key: Key
    name: str
    data: bytes | None
    envelope: Envelope | None
    revision: Revision
    before: Revision
    superseded: tuple[str, ...]
    rivals: tuple[RecordFile, ...]

    @property
    def operation(self) -> str:
        """What failures of it say that was tried."""
        return "delete" if self.data is None else "save"


@attrs.frozen
class Plan:
    """What a batch of changes comes to: writes, or the reasons why there will be none.

    `seen_at` is the latest time at which any record that was looked at had been saved.
    """

    writes: tuple[Write, ...]
    failures: tuple[Failure, ...]
    seen_at: datetime


@attrs.frozen
class _Current:
    """A key as it is on disk now: its revision (0: none), the file, and what else is there."""

    revision: Revision = 0
    known: Known | None = None
    found: Found | None = None


class Planner:
    """Plans one commit. It reads what it has to, and notes it in the catalogue."""

    def __init__(
        self, place: Place, catalogue: Catalogue, serializer: Serializer, now: datetime
    ) -> None:
        self._place, self._catalogue, self._serializer = place, catalogue, serializer
        self._now = self._seen_at = now

    def plan(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Plan:
        """Return what `changes` come to, or for each key why it is refused."""
        writes: list[Write] = []
        failures: list[Failure] = []
        for key, own in group(changes, expect).items():
            try:
                write = self._plan_one(key, own, expect)
            except StateStoreError as error:
                operation = "delete" if own and isinstance(own[-1], Delete) else "save"
                failures.append(Failure(key, operation, error))
            else:
                if write is not None:
                    writes.append(write)
        return Plan(tuple(writes), tuple(failures), self._seen_at)

    def _plan_one(
        self, key: Key, changes: Sequence[Change], expect: Mapping[Key, Revision]
    ) -> Write | None:
        check_kind(key.kind)
        stem = file_stem(check_id(key.id))
        current = self._current(key, stem)
        known = current.known
        if known is None or expect.get(key) != known.replaced:
            refuse_mismatch(key, expect, current.revision, changes)
        if not changes:
            return None
        result = fold(key, self._base(key, current, changes), changes)
        if known is None and result is None:
            return None
        revision = max(current.revision, self._catalogue.highest(key)) + 1
        if result is None:
            data, envelope, name = None, None, known.name if known else ""
        else:
            envelope = Envelope(
                key.kind, result.schema, revision, self._now, result.document, result.extra
            )
            data = encoded(self._serializer, envelope)
            name = stem + self._serializer.extension
        superseded: list[str] = []
        if current.found is not None:
            refuse_unreadable(key, name, current.found)
            superseded = superseded_by(name, current.found)
        elif known is not None and known.name != name:
            superseded = [known.name]
        rivals = current.found.rivals if current.found else ()
        return Write(
            key, name, data, envelope, revision, current.revision, tuple(superseded), rivals
        )

    def _current(self, key: Key, stem: str) -> _Current:
        folder = self._place.kind(key.kind)
        known = self._catalogue.get(key)
        marks = folder.marks(stem, self._serializer.extension) if folder else {}
        if folder is None or not marks:
            return _Current()
        if known is not None and marks == {known.name: known.mark}:
            return _Current(known.revision, known)
        found = folder.find(stem, marks, self._serializer.extension)
        if found.record is None and not found.unreadable:
            return _Current()  # it was removed since it was seen
        if found.record is None:
            error = found.unreadable[0].error
            name = found.unreadable_names[0]
            raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error
        revision = self._catalogue.read(found.record)
        self._seen_at = max(self._seen_at, found.record.envelope.saved_at)
        return _Current(revision, self._catalogue.get(key), found)

    def _base(self, key: Key, current: _Current, changes: Sequence[Change]) -> Base | None:
        if current.known is None:
            return None
        if not needs_document(changes):
            return Base(1, {}, current.known.extra)
        record = current.found.record if current.found else None
        record = record or self._read_known(key, current.known)
        return Base(record.envelope.schema, record.envelope.data, record.envelope.extra)

    def _read_known(self, key: Key, known: Known) -> RecordFile:
        folder = self._place.kind(key.kind)
        record = folder.read(known.name) if folder else None
        if record is None:
            raise RecordNotFound(key.kind, key.id)
        return record


def refuse_unreadable(key: Key, name: str, found: Found) -> None:
    """Check that what has the name of a record's file can be read.

    Raises:
        HeldKey: it cannot.
    """
    if name in found.unreadable_names:
        error = found.unreadable[found.unreadable_names.index(name)].error
        raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error


def superseded_by(name: str, found: Found) -> list[str]:
    """Return the files of a record that go when it is written as `name`."""
    files = [*found.stale, *([found.record] if found.record else [])]
    return [one.name for one in files if one.name != name]


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
