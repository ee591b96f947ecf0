"""Reading records: their files, with what is committed and not in the files yet on top."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import attrs
import orjson

from statestore.drivers.catalogue import Catalogue, Known
from statestore.drivers.driver import RecordFile
from statestore.drivers.folding import Base, encoded
from statestore.drivers.kind_folder import Found, KindFolder
from statestore.drivers.names import file_stem
from statestore.drivers.overlay import Fold, Overlay, extra_of, patched
from statestore.drivers.place import Place
from statestore.drivers.staging import Stages
from statestore.drivers.tidying import Tidier
from statestore.errors import (
    CorruptRecord,
    RecordNotFound,
    StateStoreError,
)
from statestore.files.folders import Mark
from statestore.journal.entries import PutOp, StagedOp
from statestore.models.changes import Stored
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key
from statestore.models.reports import Failure
from statestore.models.times import time_ns
from statestore.serializers.serializer import Serializer

_LOOKS = 100
"""How often a record whose file has another name each time is looked for."""

_CHUNK = 256
"""How many stems a scan looks at before it yields what it found."""


@attrs.frozen
class Edited:
    """A file that somebody else has made what it is, and the revision that it counts as."""

    record: RecordFile
    known: Known


@attrs.frozen
class _Edit:
    """An edit that a scan has come upon, with all that lies beside it."""

    found: Found
    edited: Edited

    @property
    def key(self) -> Key:
        return self.edited.record.key


class Reader:
    """Reads records. Any thread may use it."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        stages: Stages,
        lock: threading.RLock,
        serializer: Callable[[], Serializer],
        adopt: Callable[[Sequence[Edited]], Set[Key]] | None,
        catch_up: Callable[[], None],
    ) -> None:
        """Read in a place.

        Args:
            lock: that of the place and the catalogue.
            serializer: what tells with which one the next files are written.
            adopt: what makes edits commits, and returns the keys of those that are none, as a
                commit came before them; None where nothing may be written.
            catch_up: what takes in the commits of other processes.
        """
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._stages, self._lock, self._serializer, self._adopt = stages, lock, serializer, adopt
        self._catch_up = catch_up
        self._tidier = Tidier(place, overlay, lock, serializer)

    def read(self, key: Key) -> Stored:
        """See `Driver.read`."""
        stem = file_stem(key.id)
        self._place.want_open()
        self._catch_up()
        for _ in range(_LOOKS):
            fold: Fold | None = None
            try:
                with self._lock:
                    self._place.want_open()
                    fold = self._overlay.get(key)
                    if fold is not None and fold.begin is not None:
                        return self._folded(key, fold, None)
                    folder = self._place.kind(key.kind)
                    found = self._find(folder, stem, None) if folder else Found()
                    known = self._noted(fold, found)
                if self._is_overtaken(found, known, fold):
                    continue
                stored = self._merged(key, fold, found, known)
            except CorruptRecord:
                if self._is_stale(fold):
                    continue
                raise
            if stored is not None:
                return stored
            if found.unreadable:
                raise found.unreadable[0].error
            if self._overlay.get(key) is fold:
                break  # else it was written or removed meanwhile
        raise RecordNotFound(key.kind, key.id)

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """See `Driver.scan`."""
        self._place.want_open()
        self._catch_up()
        with self._lock:
            # Before the names: what is not in a file yet is in here, and what is not in here any
            # more is in a file by then.
            folds = {file_stem(key.id): fold for key, fold in self._overlay.of_kind(kind).items()}
            folder = self._place.kind(kind)
            names = dict(folder.stems()) if folder else {}
        stems = sorted({*names, *folds})
        for start in range(0, len(stems), _CHUNK):
            yield from self._scanned(folder, stems[start : start + _CHUNK], names, folds)

    def _scanned(
        self,
        folder: KindFolder | None,
        stems: Sequence[str],
        names: Mapping[str, Sequence[str]],
        folds: Mapping[str, Fold],
    ) -> Iterator[Stored | Failure]:
        """Yield what some stems hold, in order; edits among them become one commit."""
        held: list[_Edit | Stored | Failure] = []
        for stem in stems:
            for one in self._looked_at(folder, stem, names.get(stem), folds.get(stem)):
                if held or isinstance(one, _Edit):
                    held.append(one)  # the order stays
                else:
                    yield one
        edits = [one.edited for one in held if isinstance(one, _Edit)]
        overtaken = self._adopt(edits) if edits and self._adopt is not None else ()
        for one in held:
            if not isinstance(one, _Edit):
                yield one
            elif one.key in overtaken and self._is_changed(one.key, one.edited.known, None):
                yield from self._again(one.key)
            else:
                yield self._stored(one.found, one.edited.known)

    def _looked_at(
        self,
        folder: KindFolder | None,
        stem: str,
        names: Sequence[str] | None,
        fold: Fold | None,
    ) -> Iterator[_Edit | Stored | Failure]:
        if fold is not None and fold.begin is not None:
            if not fold.is_gone:
                yield from self._whole(fold)
            return
        found, fold, known = self._look(folder, stem, names, fold)
        yield from self._unreadable(found)
        if fold is None and found.others:
            told = self._tidier.tidied(found).told
            found, fold, known = self._look(folder, stem, None, None)
            found = attrs.evolve(found, told=told)
        record = found.record
        if record is None:
            if fold is not None:
                yield from self._without_file(folder, stem, fold)
            return
        if fold is not None and fold.is_gone:
            return
        if fold is not None or known is None:
            stored = self._merged(record.key, fold, found, known)
            if stored is not None:
                yield stored
        elif known.is_edited and self._adopt is not None:
            yield _Edit(found, Edited(record, known))
        else:
            yield self._stored(found, known)

    def _without_file(
        self, folder: KindFolder | None, stem: str, fold: Fold
    ) -> Iterator[_Edit | Stored | Failure]:
        """Look again where changes are known of a record that has no file."""
        self._catch_up()  # others may have deleted it since the scan began, and removed its file
        now = self._overlay.get(fold.key)
        if now is fold:
            yield self._orphan(fold)
        elif now is not None:
            yield from self._looked_at(folder, stem, None, now)

    def _look(
        self,
        folder: KindFolder | None,
        stem: str,
        names: Sequence[str] | None,
        fold: Fold | None,
    ) -> tuple[Found, Fold | None, Known | None]:
        """Read what lies under a stem; say what is committed besides, and what is known of it."""
        with self._lock:
            self._place.want_open()
            found = self._find(folder, stem, names) if folder else Found()
            now = self._overlay.get(found.record.key) if found.record else fold
            if folder is not None and now is not fold:
                # Something was committed or written since the names were listed: what goes on top
                # of a file may be for one of another name.
                found = self._find(folder, stem, None)
                fold = now or fold
            return found, fold, self._noted(fold, found)

    def _noted(self, fold: Fold | None, found: Found) -> Known | None:
        """Note the file that was just found; None if there is none, or commits say more than it.

        The lock is held since it was read: a pass that put a newer one in its place, and noted
        that, would make this one look like an edit, whose old content would be committed again.
        """
        record = found.record
        if record is None or (fold is not None and record.envelope.revision < fold.revision):
            return None
        return self._catalogue.read(record)

    def _whole(self, fold: Fold) -> Iterator[Stored | Failure]:
        """Yield what commits alone make of a record."""
        one: Stored | Failure
        try:
            with self._lock:
                self._place.want_open()
                one = self._folded(fold.key, fold, None)
        except StateStoreError as error:
            if isinstance(error, CorruptRecord) and self._is_stale(fold):
                yield from self._again(fold.key)
                return
            one = Failure(fold.key, "load", error)
        yield one

    def _is_stale(self, fold: Fold | None) -> bool:
        """Say whether something has come of a record since: its staged file may have gone."""
        if fold is None:
            return False
        self._catch_up()
        return self._overlay.get(fold.key) is not fold

    def _again(self, key: Key) -> Iterator[Stored | Failure]:
        """Yield a record that a scan has come upon, as it is by now."""
        try:
            yield self.read(key)
        except RecordNotFound:
            return
        except StateStoreError as error:
            yield Failure(key, "load", error)

    def _orphan(self, fold: Fold) -> Failure:
        reason = "its file is missing, and only changes to it are left"
        return Failure(fold.key, "load", CorruptRecord(self._path(fold.key), reason))

    def _unreadable(self, found: Found) -> Iterator[Failure]:
        for failure, name in zip(found.unreadable, found.unreadable_names, strict=True):
            kind = failure.key.kind if failure.key else ""
            with self._lock:
                key = self._catalogue.key_of(kind, name) or failure.key
            yield attrs.evolve(
                failure, key=key, error=self._tidier.quarantined(kind, name, failure.error)
            )

    def kinds(self) -> list[str]:
        """See `Driver.kinds`."""
        self._place.want_open()
        self._catch_up()
        with self._lock:
            folds = self._overlay.snapshot().values()
            committed = {fold.key.kind for fold in folds if not fold.is_gone}
            return sorted(committed.union(self._place.kinds()))

    def entries(
        self, kind: str, behind: Mapping[Key, Fold] | None = None
    ) -> Iterator[RecordFile | Failure]:
        """See `RecordFiles.entries`. What has no file yet comes as the file that it will have.

        Args:
            behind: all that is to come so; by default whatever is not in files now.
        """
        with self._lock:
            self._place.want_open()
            pending = self._overlay.of_kind(kind) if behind is None else behind
            folds = {file_stem(key.id): fold for key, fold in pending.items() if key.kind == kind}
            folder = self._place.kind(kind)
            names = dict(folder.stems()) if folder else {}
        for stem in sorted({*names, *folds}):
            with self._lock:
                self._place.want_open()
                found = self._find(folder, stem, names.get(stem)) if folder else Found()
            yield from self._unreadable(found)
            fold = folds.get(stem)
            record = found.record
            if fold is not None and (record is None or record.envelope.revision < fold.revision):
                if not fold.is_gone:
                    yield self._as_file(fold, record)
            elif record is not None:
                yield attrs.evolve(record, notes=found.notes) if found.notes else record

    def _as_file(self, fold: Fold, file: RecordFile | None) -> RecordFile | Failure:
        try:
            base = self.document(fold, file)
            key, serializer = fold.key, self._serializer()
            envelope = Envelope(
                key.kind, base.schema, fold.revision, fold.saved_at, base.document, base.extra
            )
            data = encoded(serializer, envelope)
        except StateStoreError as error:
            return Failure(fold.key, "load", error)
        mark = Mark(0, len(data), time_ns(fold.saved_at))
        name = file_stem(key.id) + serializer.extension
        return RecordFile(key, name, data, mark, envelope, serializer.name)

    # --- one record -------------------------------------------------------------------

    def base(self, key: Key, fold: Fold | None) -> Base:
        """Return a record as it is with `fold`; without one, as it is in its file.

        Raises:
            RecordNotFound, CorruptRecord, UnsafeFile, StorageError: as they say.
        """
        if fold is not None and fold.begin is not None:
            return self.document(fold, None)
        folder = self._place.kind(key.kind)
        found = self._find(folder, file_stem(key.id), None) if folder else Found()
        if found.record is None:
            raise (
                found.unreadable[0].error if found.unreadable else RecordNotFound(key.kind, key.id)
            )
        if fold is not None:
            return self.document(fold, found.record)
        envelope = found.record.envelope
        return Base(envelope.schema, envelope.data, envelope.extra)

    def document(self, fold: Fold, file: RecordFile | None) -> Base:
        """Return a record that a fold makes, if need be of its file.

        Raises:
            CorruptRecord: they do not belong together.
        """
        if fold.begin is None and (file is None or file.envelope.revision < fold.base):
            raise CorruptRecord(self._path(fold.key), "its file is older than the changes to it")
        try:
            if isinstance(fold.begin, PutOp):
                document = orjson.loads(fold.begin.data)
                base = Base(fold.begin.schema, document, extra_of(fold.begin))
                return patched(base, fold.patched)
            if isinstance(fold.begin, StagedOp):
                envelope = self._staged(fold.begin)
            else:
                assert file is not None  # noqa: S101 # as was just looked at
                envelope = file.envelope
            rest = [patch for patch in fold.patched if patch.revision > envelope.revision]
            return patched(Base(envelope.schema, envelope.data, envelope.extra), rest)
        except ValueError as error:
            raise CorruptRecord(self._path(fold.key), str(error)) from error

    def _staged(self, op: StagedOp) -> Envelope:
        try:
            return self._stages.read(op)
        except CorruptRecord:
            # It may have its name by now; or what was changed since was written, in any format.
            folder = self._place.kind(op.key.kind)
            record = self._find(folder, file_stem(op.key.id), None).record if folder else None
            if record is None or record.envelope.revision < op.revision:
                raise
            return record.envelope

    def _find(self, folder: KindFolder, stem: str, names: Sequence[str] | None) -> Found:
        return folder.look(stem, self._serializer().extension, names)

    def _merged(
        self, key: Key, fold: Fold | None, found: Found, known: Known | None
    ) -> Stored | None:
        if found.record is None:
            return None
        if known is None:
            assert fold is not None  # noqa: S101 # it says more than the file
            return self._folded(key, fold, found)
        return self._stored(found, known)

    def _is_overtaken(self, found: Found, known: Known | None, fold: Fold | None) -> bool:
        """Make an edit a commit; say whether another one has come before it, so that it is none."""
        if known is None or not known.is_edited or found.record is None or self._adopt is None:
            return False
        key = found.record.key
        return key in self._adopt([Edited(found.record, known)]) and self._is_changed(
            key, known, fold
        )

    def _is_changed(self, key: Key, known: Known, fold: Fold | None) -> bool:
        return self._overlay.get(key) is not fold or self._catalogue.get(key) is not known

    def _folded(self, key: Key, fold: Fold, found: Found | None) -> Stored:
        if fold.is_gone:
            raise RecordNotFound(key.kind, key.id)
        base = self.document(fold, found.record if found else None)
        size = fold.begin.size_bytes if isinstance(fold.begin, StagedOp) else fold.size_bytes
        return Stored(
            key,
            base.document,
            base.schema,
            fold.revision,
            fold.saved_at,
            size,
            self._path(key),
            self._serializer().name,
            found.notes if found else (),
            base.extra,
        )

    def _stored(self, found: Found, known: Known) -> Stored:
        record = found.record
        assert record is not None  # noqa: S101 # only such are asked for
        envelope = record.envelope
        fold = self._overlay.get(record.key)
        adopted = fold is not None and fold.revision == known.revision
        return Stored(
            record.key,
            envelope.data,
            envelope.schema,
            known.revision,
            fold.saved_at if fold is not None and adopted else envelope.saved_at,
            len(record.data),
            record.path,
            record.format,
            found.notes,
            envelope.extra,
        )

    def _path(self, key: Key) -> str:
        return f"{key.kind}/{file_stem(key.id)}{self._serializer().extension}"
