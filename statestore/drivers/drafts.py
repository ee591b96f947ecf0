"""What a commit is made of before it has its place in the order: encoded, checked, without numbers.

Made by the thread that commits, so that the one that appends has little left to do.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import attrs
import orjson

from statestore.drivers.driver import RecordFile, Settle
from statestore.drivers.folding import below_envelope, check_data, encoded, group
from statestore.drivers.overlay import lengths_of
from statestore.drivers.reading import Edited
from statestore.drivers.staging import StagedFile
from statestore.errors import EncodeError, StateStoreError, TooLarge
from statestore.models.changes import Change, Commit, Delete, Patch
from statestore.models.documents import MAX_SIZE_BYTES, dumps_checked
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision, check_key
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer

_MANY = 64
"""Of more documents than these JSON is made only when it is known that they go into the journal."""

_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


@attrs.define
class PutDraft:
    """A whole document. It becomes JSON when that is asked for."""

    schema: int
    document: Mapping[str, Any]
    extra: Mapping[str, Any]
    lengths: Mapping[str, int]
    _data: bytes | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether it is JSON by now."""
        return self._data is not None

    @property
    def data(self) -> bytes:
        """The document as canonical JSON.

        Raises:
            EncodeError, TooLarge: it cannot be stored.
        """
        if self._data is None:
            self._data = _encoded(self.document)
        return self._data


@attrs.frozen
class PatchDraft:
    """A patch, as JSON."""

    patch: Patch
    data: bytes


@attrs.frozen
class DeleteDraft:
    """A removal."""


Draft: TypeAlias = PutDraft | PatchDraft | DeleteDraft


@attrs.define(eq=False)
class Request:
    """One commit that was asked for, on its way to the thread that makes it."""

    drafts: Mapping[Key, Sequence[Draft]]
    expect: Mapping[Key, Revision]
    failures: list[Failure]
    settle: Settle
    source: str = "commit"
    staged: Mapping[Key, StagedFile] = attrs.field(factory=dict)
    edited: Mapping[Key, Edited] = attrs.field(factory=dict)
    _done: threading.Lock = attrs.field(factory=threading.Lock)

    def __attrs_post_init__(self) -> None:
        self._done.acquire()

    @property
    def is_encoded(self) -> bool:
        """Whether all its documents are JSON by now."""
        return all(
            draft.is_encoded
            for drafts in self.drafts.values()
            for draft in drafts
            if isinstance(draft, PutDraft)
        )

    @property
    def size_bytes(self) -> int:
        """The bytes of its documents."""
        return sum(
            len(draft.data)
            for drafts in self.drafts.values()
            for draft in drafts
            if not isinstance(draft, DeleteDraft)
        )

    def finish(self, result: Commit | BaseException) -> None:
        """Tell whoever asked what came of it, then let them go on. Once."""
        try:
            self.settle(result)
        finally:
            self._done.release()

    def is_done_within(self, timeout_s: float) -> bool:
        """Say whether it is settled, and wait for so long until it is."""
        is_done = self._done.acquire(timeout=timeout_s)
        if is_done:
            self._done.release()
        return is_done

    def wait(self) -> None:
        """See `Submission.wait`."""
        with self._done:
            pass


def drafted(
    changes: Sequence[Change], expect: Mapping[Key, Revision], serializer: Serializer
) -> tuple[dict[Key, Sequence[Draft]], list[Failure]]:
    """Return the changes of each key, encoded, and a failure for each key that cannot be stored.

    Args:
        serializer: what files will be written with; one that may refuse a document is asked.
    """
    later = len(changes) > _MANY and getattr(serializer, "takes_all", False)
    drafts: dict[Key, Sequence[Draft]] = {}
    failures: list[Failure] = []
    for key, own in group(changes, expect).items():
        try:
            check_key(key)
            drafts[key] = [_draft(key, change, serializer, later=later) for change in own]
        except StateStoreError as error:
            operation = "delete" if own and isinstance(own[-1], Delete) else "save"
            failures.append(Failure(key, operation, error))
    return drafts, failures


def _draft(key: Key, change: Change, serializer: Serializer, *, later: bool) -> Draft:
    if isinstance(change, Delete):
        return DeleteDraft()
    if isinstance(change, Patch):
        return _patch_draft(key, change)
    if change.document.get("id") != key.inner_id:
        raise EncodeError("$.id", f"it is not the id of its key, {str(key)!r}")
    if change.extra:
        check_data(change.extra)
    draft = PutDraft(change.schema, change.document, change.extra, lengths_of(change.document))
    if later:
        return draft
    if not getattr(serializer, "takes_all", False) or len(draft.data) > MAX_SIZE_BYTES // 2:
        envelope = Envelope(key.kind, change.schema, 1, _SOME_TIME, change.document, change.extra)
        encoded(serializer, envelope)
    return draft


def encode_all(request: Request) -> None:
    """Make JSON of all documents of a request, and note which cannot be stored."""
    for key, drafts in request.drafts.items():
        try:
            for draft in drafts:
                if isinstance(draft, PutDraft):
                    _ = draft.data
        except StateStoreError as error:
            request.failures.append(Failure(key, "save", error))


def edit_draft(record: RecordFile) -> PutDraft:
    """Return what makes a file, as somebody else has written it, a commit."""
    envelope = record.envelope
    data = orjson.dumps(envelope.data)
    lengths = lengths_of(envelope.data)
    return PutDraft(envelope.schema, envelope.data, envelope.extra, lengths, data)


def _patch_draft(key: Key, patch: Patch) -> PatchDraft:
    if patch.set.get("id", key.inner_id) != key.inner_id:
        raise EncodeError("$.id", "the id of a record cannot be changed")
    for append in patch.append:
        check_data({append.field: append.items})
    rows = [(one.field, one.from_length, one.items) for one in patch.append]
    data = b'{"set":' + _encoded(patch.set) + b',"append":' + orjson.dumps(rows) + b"}"
    return PatchDraft(patch, _limited(data))


_AROUND = len(b'{"data":')


def _encoded(document: Mapping[str, Any]) -> bytes:
    """Return a document as canonical JSON, checked as deep as it will stand in its envelope."""
    try:
        return _limited(dumps_checked({"data": document})[_AROUND:-1])
    except EncodeError as error:
        raise below_envelope(error) from error


def _limited(data: bytes) -> bytes:
    if len(data) > MAX_SIZE_BYTES:
        raise TooLarge("json", f"it has {len(data)} bytes")
    return data
