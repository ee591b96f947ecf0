"""Materialising: the files of records made what commits say, each whole, in one pass for all."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from statestore.drivers.catalogue import Catalogue, Known, known_of
from statestore.drivers.driver import RecordFile
from statestore.drivers.folding import encoded
from statestore.drivers.kind_folder import KindFolder, is_own
from statestore.drivers.names import file_stem
from statestore.drivers.overlay import Fold, Overlay
from statestore.drivers.place import Place
from statestore.drivers.reading import Reader
from statestore.drivers.staging import Stages
from statestore.errors import RecordNotFound, StateStoreError
from statestore.journal.entries import StagedOp
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key
from statestore.models.reports import Failure
from statestore.models.times import time_ns
from statestore.serializers.serializer import Serializer

_FEW = 30
"""So many files are synced one by one; for more the whole file system is."""

_CHUNK_BYTES = 32 * 1024 * 1024


@attrs.frozen
class _Look:
    """What has the name of a record now. `shows` says that its file shows the fold already."""

    file: RecordFile | None = None
    known: Known | None = None
    names: tuple[str, ...] = ()
    shows: bool = False


@attrs.frozen
class _Written:
    """A file that is written and has not its name yet."""

    fold: Fold
    folder: KindFolder
    temporary: str
    name: str
    known: Known
    superseded: tuple[str, ...]


class Materialiser:
    """Writes, moves and removes record files. Its caller has the lock for that."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        reader: Reader,
        stages: Stages,
        *,
        lock: threading.RLock,
        serializer: Callable[[], Serializer],
    ) -> None:
        """Write files of a place. `lock` is that of the place and the catalogue."""
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._reader, self._stages = reader, stages
        self._lock, self._serializer = lock, serializer
        self._superseded: list[tuple[Key, KindFolder, str]] = []
        self._touched: dict[str, KindFolder] = {}

    def write(self, folds: Mapping[Key, Fold]) -> tuple[dict[Key, Fold], list[Failure]]:
        """Make the files show what `folds` say; return those that are shown, and what is not.

        When it returns the files that are shown, and their names, are on the disk.

        Raises:
            StorageError: the system refused to sync; nobody knows what is shown.
        """
        shown: dict[Key, Fold] = {}
        failures: list[Failure] = []
        self._superseded, self._touched = [], {}
        one_by_one = len(folds) <= _FEW
        written: list[_Written] = []
        size = 0
        for key, fold in folds.items():
            try:
                one = self._write(fold, sync=one_by_one)
            except StateStoreError as error:
                failures.append(Failure(key, "materialise", error))
                continue
            shown[key] = fold
            if one is not None:
                written.append(one)
                size += one.known.mark.size_bytes
            if size > _CHUNK_BYTES:
                self._name(written, shown, failures, synced=one_by_one)
                written, size = [], 0
        self._name(written, shown, failures, synced=one_by_one)
        self._sync()  # the new names stay before the old ones go
        self._clear_away(shown, failures)
        wanted = _stages_of(fold for key, fold in folds.items() if key not in shown)
        for token in {op.stage.partition("/")[0] for op in _stages_of(shown.values())}:
            self._stages.drop(token, wanted)
        return shown, failures

    # --- writing ----------------------------------------------------------------------

    def _write(self, fold: Fold, *, sync: bool) -> _Written | None:
        """Write the file of a fold under a temporary name; None if there is nothing to name."""
        with self._lock:
            folder = self._place.kind(fold.key.kind, create=not fold.is_gone)
            if folder is None:
                return None
            look = self._look(fold, folder)
        # Also where nothing is left to do: who did it may have died before he could sync.
        self._touched[folder.kind] = folder
        if look.shows and look.file is not None:
            self._keep_shown(fold.key, folder, look, look.file.name)
            return None
        if fold.is_gone:
            self._superseded += [(fold.key, folder, name) for name in look.names]
            return None
        name = file_stem(fold.key.id) + self._serializer().extension
        if isinstance(fold.begin, StagedOp) and not fold.patched:
            return self._move_staged(fold, fold.begin, folder, look)
        file = look.file
        if file is None and fold.begin is None and look.known is not None:
            file = folder.read(look.known.name)
        if file is None and fold.begin is None:
            raise RecordNotFound(fold.key.kind, fold.key.id)
        base = self._reader.document(fold, file)
        envelope = Envelope(
            fold.key.kind, base.schema, fold.revision, fold.saved_at, base.document, base.extra
        )
        data = encoded(self._serializer(), envelope)
        temporary, mark = folder.folder.write_temporary(
            name, data, mtime_ns=time_ns(fold.saved_at), sync=sync
        )
        known = known_of(
            name, mark, data, revision=fold.revision, schema=base.schema,
            extra=base.extra, lengths=fold.lengths,
        )  # fmt: skip
        superseded = tuple(old for old in look.names if old != name)
        return _Written(fold, folder, temporary, name, known, superseded)

    def _keep_shown(self, key: Key, folder: KindFolder, look: _Look, name: str) -> None:
        """See to it that a file which is as it should be stays so, and is the only one."""
        # Whoever wrote it may have died before it, or its name, was synced.
        folder.folder.sync_file(name)
        self._superseded += [(key, folder, old) for old in look.names if old != name]

    def _move_staged(
        self, fold: Fold, op: StagedOp, folder: KindFolder, look: _Look
    ) -> _Written | None:
        mark = self._stages.move(op, folder.folder)
        if mark is None:
            record = folder.read(op.name)
            if record is None or record.envelope.revision < fold.revision:
                raise RecordNotFound(fold.key.kind, fold.key.id)
            mark = record.mark
        if fold.extra is not None:
            known = Known(
                op.name, mark, op.checksum, op.revision, op.schema, fold.extra, fold.lengths
            )
            with self._lock:
                self._catalogue.written(fold.key, known)
        self._superseded += [(fold.key, folder, old) for old in look.names if old != op.name]
        return None

    def _look(self, fold: Fold, folder: KindFolder) -> _Look:
        """Look at what is there, and see to it that nothing which others made is lost."""
        stem, extension = file_stem(fold.key.id), self._serializer().extension
        known = self._catalogue.get(fold.key)
        if fold.is_gone:
            known = self._catalogue.take_left(fold.key)
        marks = folder.marks(stem, extension)
        if not marks:
            return _Look()
        if known is not None and marks == {known.name: known.mark}:
            return _Look(None, known, (known.name,), shows=False)
        found = folder.find(stem, marks, extension)
        for failure, name in zip(found.unreadable, found.unreadable_names, strict=True):
            if name == stem + extension or fold.is_gone:
                self._place.set_aside(folder.kind, name, str(failure.error))
        self._place.set_rivals_aside(found.rivals)
        record = found.record
        names = tuple(one.name for one in found.stale) + ((record.name,) if record else ())
        if record is None:
            return _Look(names=names)
        if not is_own(record) and not self._is_known(record, known):
            why = "it was edited while newer changes of the record were being saved"
            self._place.link_aside(folder.kind, record.name, why)
        elif record.envelope.revision >= fold.revision and record.key == fold.key:
            if not self._overlay.is_gone(fold.key):  # by a later commit: the file has still to go
                self._catalogue.read(record)
            return _Look(record, None, names, shows=not fold.is_gone)
        return _Look(record, None, names)

    def _is_known(self, record: RecordFile, known: Known | None) -> bool:
        return known is not None and known.mark == record.mark

    # --- naming -----------------------------------------------------------------------

    def _name(
        self,
        written: Sequence[_Written],
        shown: dict[Key, Fold],
        failures: list[Failure],
        *,
        synced: bool,
    ) -> None:
        """Give written files their names, when they are on the disk."""
        if not written:
            return
        if not synced:
            self._sync_written(written)
        for one in written:
            key = one.fold.key
            try:
                with self._lock:
                    one.folder.folder.put_in_place(one.temporary, one.name)
                    self._catalogue.written(key, one.known)
            except StateStoreError as error:
                shown.pop(key, None)
                failures.append(Failure(key, "materialise", error))
            else:
                self._superseded += [(key, one.folder, name) for name in one.superseded]

    def _sync_written(self, written: Sequence[_Written]) -> None:
        try:
            if not written[0].folder.folder.sync_file_system():
                for one in written:
                    one.folder.folder.sync_file(one.temporary)
        except BaseException:
            for one in written:  # what may not be on the disk never gets a name
                one.folder.folder.try_remove(one.temporary)
            raise

    def _sync(self) -> None:
        for folder in self._touched.values():
            folder.folder.sync()
        self._touched = {}

    def _clear_away(self, shown: dict[Key, Fold], failures: list[Failure]) -> None:
        """Remove the files of what is deleted, and those that others have replaced."""
        for key, folder, name in self._superseded:
            try:
                folder.folder.remove(name)
            except StateStoreError as error:
                shown.pop(key, None)
                failures.append(Failure(key, "materialise", error))
            else:
                self._touched[folder.kind] = folder
        self._sync()


def _stages_of(folds: Iterable[Fold]) -> list[StagedOp]:
    return [fold.begin for fold in folds if isinstance(fold.begin, StagedOp)]
