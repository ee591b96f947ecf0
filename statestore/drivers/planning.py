"""Planning commits: what each request makes of records as they are now.

All of it runs on the committer's thread, under the lock of the journal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import attrs
import orjson

from statestore.drivers.catalogue import Catalogue, Known
from statestore.drivers.drafts import DeleteDraft, Draft, PatchDraft, PutDraft, Request
from statestore.drivers.folding import Base
from statestore.drivers.kind_folder import KindFolder
from statestore.drivers.names import file_stem, stem_of
from statestore.drivers.overlay import Fold, Overlay, begun, extra_of, lengths_of
from statestore.drivers.place import Place
from statestore.drivers.reading import Edited
from statestore.drivers.refusing import refuse_mismatch, refuse_unknown, refuse_unreadable
from statestore.drivers.staging import StagedFile
from statestore.errors import (
    CommitRefused,
    EncodeError,
    HeldKey,
    RecordNotFound,
    StateStoreError,
)
from statestore.journal.entries import DeleteOp, Entry, Op, PatchOp, PutOp, StagedOp
from statestore.models.keys import Key, Revision
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer

_MANY = 32
"""For more records than these the folder of a kind is listed once, instead of asked for each."""


@attrs.frozen
class _Current:
    """A key as commits have left it. `found` is its file, where that had to be looked for."""

    revision: Revision = 0
    fold: Fold | None = None
    known: Known | None = None

    @property
    def lengths(self) -> Mapping[str, int] | None:
        if self.fold is not None:
            return self.fold.lengths
        return self.known.lengths if self.known else {}


class Looks:
    """The folders of kinds, looked at once for a whole batch."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._folders: dict[str, KindFolder | None] = {}
        self._stems: dict[str, frozenset[str | None]] = {}

    def folder(self, kind: str) -> KindFolder | None:
        """Return the folder of a kind, if there is one."""
        if kind not in self._folders:
            self._folders[kind] = self._place.kind(kind)
        return self._folders[kind]

    def list_kinds(self, kinds: Iterable[str]) -> None:
        """Read the names in the folders of kinds."""
        for kind in kinds:
            folder = self.folder(kind)
            if folder is not None and kind not in self._stems:
                self._stems[kind] = frozenset(map(stem_of, folder.names()))

    def has_none(self, kind: str, stem: str) -> bool:
        """Say whether it is known that a kind has no file of this stem."""
        return kind in self._stems and stem not in self._stems[kind]


@attrs.define
class Batch:
    """What a number of requests come to. `sequence` and `now` are those of the last commit of it.

    `folds` begins with what others have committed and is not shown yet.
    """

    sequence: int
    now: datetime
    folds: dict[Key, Fold]
    looks: Looks
    run: str
    entries: list[Entry] = attrs.field(factory=list)
    made: list[tuple[Request, Entry]] = attrs.field(factory=list)
    unchanged: list[Request] = attrs.field(factory=list)

    def add(self, source: str, ops: Sequence[Op]) -> Entry:
        """Make operations the next commit."""
        self.sequence += 1
        self.entries.append(Entry(self.sequence, self.now, source, ops, self.run))
        return self.entries[-1]


class Planner:
    """Finds out what requests make of records. Nothing is changed by it but the catalogue."""

    def __init__(
        self,
        catalogue: Catalogue,
        overlay: Overlay,
        *,
        serializer: Callable[[], Serializer],
        base: Callable[[Key, Fold | None], Base],
    ) -> None:
        """Plan commits. `base` is what reads a record as it is now."""
        self._catalogue, self._overlay = catalogue, overlay
        self._serializer, self._base = serializer, base

    def plan(self, request: Request, batch: Batch) -> None:
        """Add to `batch` what a request comes to.

        Raises:
            CommitRefused: nothing of it was added.
        """
        failures = list(request.failures)
        found: dict[Key, _Current] = {}
        if len(request.drafts) > _MANY:
            batch.looks.list_kinds({key.kind for key in request.drafts})
        for key, drafts in request.drafts.items():
            try:
                if not request.edited:  # it may come upon an edit, which is a commit of its own
                    found[key] = self._current(key, batch)
                    refuse_mismatch(key, request.expect, found[key].revision, drafts)
            except StateStoreError as error:
                failures.append(_failure(key, drafts, error))
        ops: list[Op] = []
        folds: dict[Key, Fold] = {}
        for key, drafts in request.drafts.items():
            try:
                if request.edited:
                    ops += self._plan_edit(request.edited[key], drafts, batch, folds)
                elif key in found and drafts:
                    ops += self._plan_key(key, drafts, request, found[key], batch, folds)
            except StateStoreError as error:
                if all(failure.key != key for failure in failures):
                    failures.append(_failure(key, drafts, error))
        if failures:
            raise CommitRefused(failures)
        if not ops:
            batch.unchanged.append(request)
            return
        batch.folds.update(folds)
        batch.made.append((request, batch.add(request.source, ops)))

    def _plan_key(
        self,
        key: Key,
        drafts: Sequence[Draft],
        request: Request,
        current: _Current,
        batch: Batch,
        folds: dict[Key, Fold],
    ) -> list[Op]:
        highest = max(current.revision, self._catalogue.highest(key))
        if current.fold is not None:
            highest = max(highest, current.fold.revision)
        ops: list[Op] = []
        fold, exists, lengths = current.fold, current.revision > 0, current.lengths
        extra: Mapping[str, object] | None = None if exists else {}  # looked up where it is wanted
        for draft in drafts:
            op: Op
            if isinstance(draft, DeleteDraft):
                if not exists:
                    continue
                op, exists, lengths = DeleteOp(key, highest + 1), False, {}
                extra = {}
            elif isinstance(draft, PutDraft):
                before = self._extra(key, current) if extra is None else extra
                extra = {**before, **draft.extra}
                op = self._put(key, draft, highest + 1, extra, request.staged.get(key))
                exists, lengths = True, draft.lengths
            else:
                if not exists:
                    raise RecordNotFound(key.kind, key.id)
                if lengths is None:
                    lengths = lengths_of(self._base(key, current.fold).document)
                lengths = _extended(draft, lengths)
                schema = fold.schema if fold else current.known.schema if current.known else 1
                op = PatchOp(key, highest + 1, schema, draft.data)
            if fold is None:
                fold = begun(op, batch.sequence + 1, batch.now, lengths)
            else:
                fold = fold.followed(op, batch.sequence + 1, batch.now, lengths)
            if isinstance(op, StagedOp):
                fold = attrs.evolve(fold, extra=request.staged[key].envelope.extra)
            ops.append(op)
        if not exists and not current.revision:
            return []  # it was not there, and is not there
        if fold is not None and ops:
            folds[key] = fold
        return ops

    def _put(
        self,
        key: Key,
        draft: PutDraft,
        revision: Revision,
        extra: Mapping[str, object],
        staged: StagedFile | None,
    ) -> Op:
        if staged is not None:
            envelope = staged.envelope
            if envelope.revision == revision and dict(envelope.extra) == extra:
                file = (staged.stage, staged.name, staged.size_bytes, staged.checksum)
                return StagedOp(key, revision, draft.schema, *file)
        return PutOp(key, revision, draft.schema, draft.data, orjson.dumps(extra) if extra else b"")

    def _plan_edit(
        self,
        edited: Edited,
        drafts: Sequence[Draft],
        batch: Batch,
        folds: dict[Key, Fold],
    ) -> list[Op]:
        """Plan what makes an edit a commit, unless it is not what is there any more."""
        key, draft = edited.record.key, drafts[0]
        if self._overlay.get(key) or key in batch.folds:
            return []
        if self._catalogue.get(key) is not edited.known or not isinstance(draft, PutDraft):
            return []
        op = self._put(key, draft, edited.known.revision, dict(draft.extra), None)
        folds[key] = begun(op, batch.sequence + 1, batch.now, draft.lengths)
        return [op]

    def _current(self, key: Key, batch: Batch) -> _Current:
        fold = batch.folds.get(key) or self._overlay.get(key)
        if fold is not None:
            return _Current(0 if fold.is_gone else fold.revision, fold, self._catalogue.get(key))
        known = self._catalogue.get(key)
        folder = batch.looks.folder(key.kind)
        if folder is None:
            return _Current()
        # An edit that is in no commit yet is looked at again, and becomes one before anything else:
        # a patch on the number that it counts as would fit neither the file nor any commit.
        is_settled = known is not None and not known.is_edited
        if known is not None and is_settled and folder.is_at(known.name, known.mark):
            return _Current(known.revision, None, known)
        stem = file_stem(key.id)
        extension = self._serializer().extension
        if known is None and batch.looks.has_none(key.kind, stem):
            return _Current()
        found = folder.look(stem, extension)
        if found.record is None and not found.unreadable:
            if known is not None and known.is_unread:
                refuse_unknown(key, stem, folder)
            return self._vanished(key)  # it was removed since it was seen
        if found.record is None:
            error = found.unreadable[0].error
            name = found.unreadable_names[0]
            raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error
        refuse_unreadable(key, stem + extension, found)
        seen = self._catalogue.read(found.record)
        if seen.is_edited:
            fold = self._adopt(Edited(found.record, seen), batch)
            return _Current(fold.revision, fold, seen)
        return _Current(seen.revision, None, seen)

    def _vanished(self, key: Key) -> _Current:
        self._catalogue.vanished(key)
        return _Current()

    def _adopt(self, edited: Edited, batch: Batch) -> Fold:
        """Make an edit a commit of its own, before the one that came upon it."""
        record = edited.record
        envelope = record.envelope
        extra = orjson.dumps(dict(envelope.extra)) if envelope.extra else b""
        data = orjson.dumps(envelope.data)
        op = PutOp(record.key, edited.known.revision, envelope.schema, data, extra)
        made = batch.add("external", [op])
        fold = begun(op, made.sequence, batch.now, lengths_of(envelope.data))
        batch.folds[record.key] = fold
        return fold

    def _extra(self, key: Key, current: _Current) -> Mapping[str, object]:
        fold = current.fold
        if fold is not None and fold.extra is not None:
            return fold.extra
        if fold is not None and isinstance(fold.begin, PutOp):
            return extra_of(fold.begin)
        known = current.known
        is_in_file = fold is None or (fold.begin is None and known and known.revision == fold.base)
        if known is not None and not known.is_unread and is_in_file:
            return known.extra
        try:
            return self._base(key, fold).extra
        except RecordNotFound:
            return {}  # somebody has removed the file that was changed


def _failure(key: Key, drafts: Sequence[Draft], error: StateStoreError) -> Failure:
    operation = "delete" if drafts and isinstance(drafts[-1], DeleteDraft) else "save"
    return Failure(key, operation, error)


def _extended(draft: PatchDraft, lengths: Mapping[str, int]) -> Mapping[str, int]:
    """Return the lengths of a record's lists after a patch.

    Raises:
        EncodeError: a list is not the one that the patch was made for.
    """
    changed = dict(lengths)
    for name, value in draft.patch.set.items():
        changed.pop(name, None)
        if isinstance(value, list | tuple):
            changed[name] = len(value)
    for append in draft.patch.append:
        length = changed.get(append.field)
        if length is None:
            raise EncodeError(f"$.{append.field}", "it is no list, so nothing can be appended")
        if length != append.from_length:
            reason = f"it has {length} items, not the {append.from_length} it was extended from"
            raise EncodeError(f"$.{append.field}", reason)
        changed[append.field] = length + len(append.items)
    return changed
