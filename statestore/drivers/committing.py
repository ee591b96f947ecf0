"""Making commits: requests become entries of the journal, and what they make of records.

All of it runs on the committer's thread.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import attrs
import orjson

from statestore.drivers.catalogue import Catalogue, Known
from statestore.drivers.drafts import DeleteDraft, Draft, PatchDraft, PutDraft, Request
from statestore.drivers.driver import Clock
from statestore.drivers.folding import Base
from statestore.drivers.kind_folder import Found, KindFolder
from statestore.drivers.names import file_stem, stem_of
from statestore.drivers.overlay import (
    Fold,
    Overlay,
    begun,
    extra_of,
    follow,
    lengths_of,
)
from statestore.drivers.place import Place
from statestore.drivers.reading import Edited
from statestore.drivers.staging import StagedFile
from statestore.errors import (
    CommitRefused,
    Conflict,
    EncodeError,
    HeldKey,
    RecordNotFound,
    StateStoreError,
    StoreInDoubt,
)
from statestore.journal.entries import (
    Checkpoint,
    DeleteOp,
    Op,
    PatchOp,
    PutOp,
    StagedOp,
    encode_entry,
    size_of,
)
from statestore.journal.journal import Journal
from statestore.models.changes import Commit
from statestore.models.keys import Key, Revision
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer

_MANY = 32
"""For more records than these the folder of a kind is listed once, instead of asked for each."""


class Action:
    """Something else that is done in turn with commits."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._error: BaseException | None = None
        self._done = threading.Event()

    def run(self) -> None:
        """Do it, and keep what it raises for whoever waits."""
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 # it is raised again where it is awaited
            self._error = error
        finally:
            self._done.set()

    def wait(self) -> None:
        """Return when it is done; raise what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error


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
                self._stems[kind] = frozenset(map(stem_of, folder.folder.names()))

    def has_none(self, kind: str, stem: str) -> bool:
        """Say whether it is known that a kind has no file of this stem."""
        return kind in self._stems and stem not in self._stems[kind]


@attrs.define
class _Batch:
    """What a number of requests come to."""

    sequence: int
    now: datetime
    folds: dict[Key, Fold]
    looks: Looks
    payloads: list[bytes] = attrs.field(factory=list)
    commits: list[tuple[Request, Commit]] = attrs.field(factory=list)
    unchanged: list[Request] = attrs.field(factory=list)


class CommitMaker:
    """Makes commits of requests. `sequence` and `last_time` are those of the last one."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        journal: Journal,
        *,
        lock: threading.RLock,
        clock: Clock,
        serializer: Callable[[], Serializer],
        base: Callable[[Key, Fold | None], Base],
        committed: Callable[[], None],
        last_time: datetime,
    ) -> None:
        """Make commits of a place.

        Args:
            lock: that of the place and the catalogue.
            base: what reads a record as it is now.
            committed: called when there is something new that files do not show, on this thread.
        """
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._journal, self._lock, self._clock = journal, lock, clock
        self._serializer, self._base, self._committed = serializer, base, committed
        self.sequence = journal.sequence
        self.last_time = last_time

    def make(self, batch: Sequence[Request | Action]) -> None:
        """Make all commits of a batch with one sync, and do what else is in it, in order."""
        requests: list[Request] = []
        for one in batch:
            if isinstance(one, Request):
                requests.append(one)
                continue
            self._make(requests)
            requests = []
            one.run()
        self._make(requests)

    def catch_up(self) -> None:
        """Take in what other processes have committed."""
        with self._journal.held():
            foreign = self.catch_up_locked()
        self.apply(foreign)

    def apply(self, folds: Mapping[Key, Fold]) -> None:
        """Let all readers see commits, when they are on the disk."""
        self._journal.sync()
        self._apply(folds)

    # --- a batch ----------------------------------------------------------------------

    def _make(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        waiting = {id(one): one for one in requests}
        try:
            batch, error = self._made(requests, waiting)
            if error is None:
                for request, commit in batch.commits:
                    self._finish(request, commit, waiting)
                for request in batch.unchanged:
                    self._finish(request, Commit(self.sequence, self.last_time, {}), waiting)
        except BaseException as raised:  # noqa: BLE001 # nobody may be left waiting
            error = raised
        if error is not None:
            for request in list(waiting.values()):
                self._finish(request, error, waiting)

    def _made(
        self, requests: Sequence[Request], waiting: dict[int, Request]
    ) -> tuple[_Batch, BaseException | None]:
        failed: BaseException | None = None
        journal = self._journal
        journal.acquire()
        try:
            self._place.want_in_place()
            foreign = self.catch_up_locked()
            batch = _Batch(self.sequence, self.last_time, {**foreign}, Looks(self._place))
            try:
                batch.now = max(self._clock(), self.last_time)
                with self._lock:
                    for request in requests:
                        self._plan(request, batch, waiting)
                if batch.payloads:
                    journal.append_locked(batch.payloads)
            except BaseException as error:  # noqa: BLE001 # what others did is taken in first
                failed = error
        finally:
            journal.release()
        if isinstance(failed, StoreInDoubt):
            return batch, failed
        journal.sync()
        self._apply(batch.folds if failed is None else foreign)
        if failed is None and batch.payloads:
            self.sequence, self.last_time = batch.sequence, batch.now
        return batch, failed

    def catch_up_locked(self) -> dict[Key, Fold]:
        """Return what others have committed, and count it."""
        folds: dict[Key, Fold] = {}
        news = self._journal.catch_up_locked()
        if news.checkpoint is not None:
            self._go_on_from(news.checkpoint)
        for entry in news.entries:
            follow(self._overlay.folds, entry, folds)
            self.sequence = entry.sequence
            self.last_time = max(self.last_time, entry.committed_at)
        return folds

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        """Forget what is in files by now: what others made of it since may not be known here."""
        with self._lock:
            self._overlay.drop_upto(checkpoint.files_upto)
            for key, revision, at in checkpoint.deleted:
                if revision >= self._catalogue.highest(key):
                    self._catalogue.buried(key, revision, at)
        self.sequence = max(self.sequence, checkpoint.files_upto)
        self.last_time = max(self.last_time, checkpoint.committed_at)

    def _apply(self, folds: Mapping[Key, Fold]) -> None:
        with self._lock:
            for fold in folds.values():
                if fold.is_gone:
                    self._catalogue.buried(fold.key, fold.revision, fold.sequence)
            self._overlay.update(folds)
        if folds:  # those of others too: only a pass lets go of them
            self._committed()

    def _finish(
        self, request: Request, result: Commit | BaseException, waiting: dict[int, Request]
    ) -> None:
        waiting.pop(id(request), None)
        try:
            request.finish(result)
        except Exception:  # noqa: BLE001 # a fault of whoever asked, and no reason to stop
            sys.excepthook(*sys.exc_info())

    # --- planning ---------------------------------------------------------------------

    def _plan(self, request: Request, batch: _Batch, waiting: dict[int, Request]) -> None:
        failures = list(request.failures)
        found: dict[Key, _Current] = {}
        if len(request.drafts) > _MANY:
            batch.looks.list_kinds({key.kind for key in request.drafts})
        for key, drafts in request.drafts.items():
            try:
                if not request.edited:  # it may come upon an edit, which is a commit of its own
                    found[key] = self._current(key, batch)
                    _refuse_mismatch(key, request.expect, found[key].revision, drafts)
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
            self._finish(request, CommitRefused(failures), waiting)
            return
        if not ops:
            batch.unchanged.append(request)
            return
        batch.sequence += 1
        batch.folds.update(folds)
        batch.payloads.append(encode_entry(batch.now, request.source, ops))
        revisions = {op.key: op.revision for op in ops}
        size = sum(map(size_of, ops))
        commit = Commit(batch.sequence, batch.now, revisions, size, request.source)
        batch.commits.append((request, commit))

    def _plan_key(
        self,
        key: Key,
        drafts: Sequence[Draft],
        request: Request,
        current: _Current,
        batch: _Batch,
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
        batch: _Batch,
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

    def _current(self, key: Key, batch: _Batch) -> _Current:
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
        marks = folder.marks(stem, extension)
        if not marks:
            return self._vanished(key)
        found = folder.find(stem, marks, extension)
        if found.record is None and not found.unreadable:
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

    def _adopt(self, edited: Edited, batch: _Batch) -> Fold:
        """Make an edit a commit of its own, before the one that came upon it."""
        record, sequence = edited.record, batch.sequence + 1
        envelope = record.envelope
        extra = orjson.dumps(dict(envelope.extra)) if envelope.extra else b""
        data = orjson.dumps(envelope.data)
        op = PutOp(record.key, edited.known.revision, envelope.schema, data, extra)
        batch.payloads.append(encode_entry(batch.now, "external", [op]))
        batch.sequence = sequence
        fold = begun(op, sequence, batch.now, lengths_of(envelope.data))
        batch.folds[record.key] = fold
        return fold

    def _extra(self, key: Key, current: _Current) -> Mapping[str, object]:
        fold = current.fold
        if fold is not None and fold.extra is not None:
            return fold.extra
        if fold is not None and isinstance(fold.begin, PutOp):
            return extra_of(fold.begin)
        if current.known is not None and (fold is None or fold.begin is None):
            return current.known.extra
        try:
            return self._base(key, fold).extra
        except RecordNotFound:
            return {}  # somebody has removed the file that was changed


def _failure(key: Key, drafts: Sequence[Draft], error: StateStoreError) -> Failure:
    operation = "delete" if drafts and isinstance(drafts[-1], DeleteDraft) else "save"
    return Failure(key, operation, error)


def refuse_unreadable(key: Key, name: str, found: Found) -> None:
    """Check that what has the name of a record's file can be read.

    Raises:
        HeldKey: it cannot.
    """
    if name in found.unreadable_names:
        error = found.unreadable[found.unreadable_names.index(name)].error
        raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error


def _refuse_mismatch(
    key: Key, expect: Mapping[Key, Revision], found: Revision, drafts: Sequence[Draft]
) -> None:
    expected = expect.get(key)
    if expected is None or expected == found:
        return
    if not found and drafts and all(isinstance(draft, DeleteDraft) for draft in drafts):
        return
    raise Conflict(key.kind, key.id, expected, found)


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
