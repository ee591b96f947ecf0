"""What can be recovered in a directory store: from its journal, its history, its quarantine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence

import orjson

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.driver import LastVersion, LeftInJournal
from statestore.drivers.folding import Base
from statestore.drivers.names import file_stem, stem_of
from statestore.drivers.overlay import Overlay, extra_of, patched
from statestore.drivers.place import Place
from statestore.drivers.staging import Stages
from statestore.errors import HistoryPruned, StateStoreError
from statestore.journal.entries import DeleteOp, Entry, Op, PatchOp, PutOp
from statestore.models.changes import Put
from statestore.models.keys import Key, Revision
from statestore.models.reports import AbsentRecord, QuarantinedFile


class DirectoryRecovery:
    """See `Recovery`. Any thread may use it."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        stages: Stages,
        lock: threading.RLock,
        history: Callable[[int], Iterator[Entry]],
        left: Callable[[], Sequence[LeftInJournal]],
        *,
        commits: int,
    ) -> None:
        """Look at a place.

        Args:
            lock: that of the place and the catalogue.
            history: what yields the commits behind a sequence.
            left: what tells what could not be written as files.
            commits: how many the journal had that were not in the files at the opening.
        """
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._stages, self._lock, self._history, self._left = stages, lock, history, left
        self.commits = commits

    @property
    def is_taken_up(self) -> bool:
        """See `Recovery.is_taken_up`."""
        return not self._place.is_read_only

    @property
    def left(self) -> Sequence[LeftInJournal]:
        """See `Recovery.left`."""
        return self._left()

    def quarantined(self) -> Sequence[QuarantinedFile]:
        """See `Recovery.quarantined`."""
        with self._lock:
            self._place.want_open()
            return self._place.quarantined()

    def absent(self) -> Sequence[AbsentRecord]:
        """See `Recovery.absent`."""
        ends: dict[Key, tuple[Revision, bool]] = {}
        for entry in self._kept():
            for op in entry.ops:
                ends[op.key] = op.revision, isinstance(op, DeleteOp)
        folds = self._overlay.snapshot()
        there = {kind: self._stems(kind) for kind in {key.kind for key in ends}}
        missing = {
            key: revision
            for key, (revision, is_gone) in ends.items()
            if not is_gone and key not in folds and file_stem(key.id) not in there[key.kind]
        }
        versions = self._versions(missing)
        return [
            AbsentRecord(key, revision, versions[key].version(key).copied)
            for key, revision in sorted(missing.items())
        ]

    def last_version(self, key: Key) -> LastVersion:
        """See `Recovery.last_version`."""
        return self._versions({key})[key].version(key)

    def used(self, key: Key, revision: Revision) -> None:
        """See `Recovery.used`."""
        with self._lock:
            if revision > self._catalogue.highest(key):
                self._catalogue.buried(key, revision, 0)

    def _versions(self, keys: Collection[Key]) -> dict[Key, _Versions]:
        found = {key: _Versions() for key in keys}
        if found:
            for entry in self._kept():
                for op in entry.ops:
                    if op.key in found:
                        found[op.key].take(op, self._stages)
        return found

    def _kept(self) -> Iterator[Entry]:
        """Yield all commits that are kept, whatever is missing between them."""
        after = 0
        while True:
            try:
                yield from self._history(after)
            except HistoryPruned as gap:
                after = gap.oldest - 1
            else:
                return

    def _stems(self, kind: str) -> set[str | None]:
        with self._lock:
            self._place.want_open()
            folder = self._place.kind(kind)
            return set(map(stem_of, folder.folder.names())) if folder else set()


class _Versions:
    """The changes of one record, as far as whole versions of it can be made of them."""

    def __init__(self) -> None:
        self._revision = 0
        self._is_gone = False
        self._whole: Base | None = None
        self._patches: list[PatchOp] = []
        self._copied = 0

    def take(self, op: Op, stages: Stages) -> None:
        """Go on with the next change."""
        self._revision, self._is_gone = op.revision, isinstance(op, DeleteOp)
        if isinstance(op, DeleteOp):
            return
        if isinstance(op, PatchOp):
            if op.revision == self._copied + 1:
                self._patches.append(op)
                self._copied = op.revision
            return
        try:
            if isinstance(op, PutOp):
                whole = Base(op.schema, orjson.loads(op.data), extra_of(op))
            else:
                envelope = stages.read(op)
                whole = Base(envelope.schema, envelope.data, envelope.extra)
        except (StateStoreError, ValueError):
            return  # a file that was moved to its place, and was there only
        self._whole, self._patches, self._copied = whole, [], op.revision

    def version(self, key: Key) -> LastVersion:
        """Return the last version that can be made."""
        if self._whole is None:
            return LastVersion(None, 0, self._revision, self._is_gone)
        try:
            base = patched(self._whole, self._patches)
        except ValueError:
            return LastVersion(None, 0, self._revision, self._is_gone)
        put = Put(key, base.document, base.schema, base.extra)
        return LastVersion(put, self._copied, self._revision, self._is_gone)
