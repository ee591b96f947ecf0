"""Salvage: what can be read of a damaged store, saved as a new one; the old one is only read."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator

import attrs

from statestore.drivers.driver import Clock, RecordFile, utc_now
from statestore.drivers.folding import encoded
from statestore.drivers.kind_folder import Found, KindFolder, is_own
from statestore.drivers.layout import (
    CONFIGURATION_FILE,
    DEFAULT_FORMAT,
    META_FILE,
    OWN_FOLDER,
    QUARANTINE,
    Meta,
    looks_like_store,
    new_meta,
    read_meta,
    write_meta,
)
from statestore.drivers.names import file_stem, stem_of
from statestore.drivers.quarantine import WHY_SUFFIX, why_bytes
from statestore.drivers.replaying import Replayed, Trail
from statestore.drivers.staging import Stages
from statestore.engine.configuration import read_configuration
from statestore.engine.opening import modes_of
from statestore.errors import (
    ConfigurationError,
    CorruptStore,
    FolderInUse,
    InvalidKind,
    NotSalvaged,
    StateStoreError,
    StoreNotFound,
    UnknownName,
)
from statestore.files.folders import TEMPORARY_PREFIX, Folder, Modes, open_folder
from statestore.journal.journal import JOURNAL_FOLDER
from statestore.journal.salvaging import begin_journal
from statestore.models.keys import RESERVED_KINDS, Key, check_kind
from statestore.models.reports import Failure, SalvageReport
from statestore.models.times import time_ns
from statestore.serializers import get, names
from statestore.serializers.serializer import Serializer
from statestore.services.building import built_at, is_within
from statestore.services.salvaged_journal import Journalled, read_journal

_BESIDE = (CONFIGURATION_FILE, ".gitignore")
_COPIED = tuple(sorted(RESERVED_KINDS - {"backups"}))
_LARGEST_BYTES = 1 << 34


def salvage(
    source: str | os.PathLike[str], target: str | os.PathLike[str], *, clock: Clock = utc_now
) -> SalvageReport:
    """Save all that can be read of the store at `source` as a new store at `target`.

    Each record in its highest revision, from its file or from the whole commits of the journal,
    also those behind damage; a change whose record was not found is told, never guessed. Files that
    cannot be read are copied to the quarantine of the new store. Settings, archive, logs, reports
    and the old quarantine are copied, backups are not. The new store has an id of its own, and goes
    on with the sequences and revisions of the old one.

    The old store is only read: nothing below it is written, locked or touched. No process may write
    to it meanwhile. The new one is there whole or not at all.

    Raises:
        StoreNotFound: there is no store at `source`.
        FolderInUse: `target` is there and is not an empty folder.
        ConfigurationError: one of the two folders is within the other.
        NewerLayout: the store was written by a newer version.
        StorageError: the system refused; nothing is left at `target`.
    """
    started = time.monotonic()
    old, new = os.path.realpath(source), os.path.realpath(target)
    _want_free(old, new)
    root = open_folder(old)
    if root is None:
        raise StoreNotFound(old)
    with root:
        if not looks_like_store(root):
            raise StoreNotFound(old)
        with built_at(new, _modes(old)) as built:
            work = _Work(root, built, clock)
            work.run()
    return SalvageReport(
        path=new,
        format=work.serializer.name,
        items=work.items,
        size_bytes=work.size_bytes,
        timestamp=clock(),
        duration_s=time.monotonic() - started,
        failures=tuple(work.failures),
        notes=tuple(work.notes),
        source=old,
        from_journal=work.from_journal,
        commits=len(work.journal.sequences),
        lost=tuple(work.journal.lost),
        quarantined=tuple(work.quarantined),
    )


def _want_free(old: str, new: str) -> None:
    if old == new or is_within(new, old) or is_within(old, new):
        reason = "the new store cannot be inside of the old one, nor around it; name another folder"
        raise ConfigurationError(new, reason)
    if os.path.lexists(new) and not (os.path.isdir(new) and not os.listdir(new)):
        raise FolderInUse(new)


def _modes(old: str) -> Modes:
    try:
        return modes_of(read_configuration(old))
    except StateStoreError:
        return Modes()  # settings that cannot be used open nothing to others


class _Work:
    """One salvage on its way from an old folder to a new one."""

    def __init__(self, root: Folder, built: Folder, clock: Clock) -> None:
        self.items = self.size_bytes = self.from_journal = 0
        self.failures: list[Failure] = []
        self.notes: list[str] = []
        self.quarantined: list[str] = []
        self._root, self._built, self._clock = root, built, clock
        self.journal = Journalled()

    def run(self) -> None:
        """Copy everything, and sync it."""
        own = self._root.child(OWN_FOLDER)
        try:
            meta = self._meta(own)
            self.serializer = self._format(meta)
            self.journal = read_journal(own, meta)
            self.notes += self.journal.notes
            self.failures += self.journal.failures
            self._stages = Stages(own)
            kinds = sorted({*self._kinds(), *(key.kind for key in self.journal.trails)})
            for kind in kinds:
                self._save_kind(kind)
            self._stages.close()
        finally:
            if own is not None:
                own.close()
        for name in _BESIDE:
            self._copy(self._root, name, self._built, name)
        for name in _COPIED:
            self._copy_tree(self._root, name, self._built, name)
        if "backups" in self._root.names():
            self.notes.append("backups were not copied; they are where they were")
        self._begin(meta)
        self._built.sync()

    # --- what the store says of itself ------------------------------------------------

    def _meta(self, own: Folder | None) -> Meta | None:
        place = f"{OWN_FOLDER}/{META_FILE}"
        if own is None:
            self.notes.append(f"the store has no folder {OWN_FOLDER}: its files are all there is")
            return None
        try:
            meta = read_meta(own)
        except CorruptStore as error:
            self.notes.append(f"{place} cannot be read: {error.reason}; it was made anew")
            return None
        if meta is None:
            self.notes.append(f"{place} is missing; it was made anew")
        return meta

    def _format(self, meta: Meta | None) -> Serializer:
        if meta is not None:
            try:
                return get(meta.format)
            except UnknownName:
                self.notes.append(f"the format {meta.format!r} is not known here")
        counts = dict.fromkeys([DEFAULT_FORMAT, *names()], 0)
        for kind in self._kinds():
            folder = self._root.child(kind)
            if folder is not None:
                with folder:
                    for name in counts:
                        extension = get(name).extension
                        counts[name] += sum(one.endswith(extension) for one in folder.names())
        chosen = max(counts, key=lambda name: counts[name])
        self.notes.append(f"the format of the new store is {chosen}, as most files suggest")
        return get(chosen)

    def _kinds(self) -> Iterator[str]:
        for name in self._root.names():
            try:
                check_kind(name)
                folder = self._root.child(name)
            except InvalidKind:
                continue
            except StateStoreError as error:
                if all(failure.error != error for failure in self.failures):
                    self._fail(None, name, str(error))
                continue
            if folder is not None:
                folder.close()
                yield name

    # --- records ----------------------------------------------------------------------

    def _save_kind(self, kind: str) -> None:
        target = _made(self._built, kind)
        with target:
            done: set[str] = set()
            source = self._root.child(kind)
            if source is not None:
                with source:
                    done = self._save_files(KindFolder(kind, source), target)
            for key, trail in self.journal.trails.items():
                if key.kind == kind and file_stem(key.id) not in done:
                    self._save_record(key, trail, None, target)
            if not target.sync_file_system():
                for name in target.names():
                    target.sync_file(name)
            target.sync()

    def _save_files(self, folder: KindFolder, target: Folder) -> set[str]:
        """Save what the files of a kind hold; return the stems of the records that are done."""
        done: set[str] = set()
        for stem, file_names in folder.stems():
            found = folder.find(stem, file_names, self.serializer.extension)
            record = found.record
            key = record.key if record else self._key_of(folder.kind, stem)
            is_saved = False
            if key is not None:
                trail = self.journal.trails.get(key, Trail())
                is_saved = self._save_record(key, trail, record, target, folder)
                done.add(stem)
            self._keep_rest(folder, found, is_saved=is_saved)
        for name in folder.folder.names():
            if stem_of(name) is None and not name.startswith(TEMPORARY_PREFIX):
                self._copy_any(folder.folder, name, target, f"{folder.kind}/{name}")
        return done

    def _key_of(self, kind: str, stem: str) -> Key | None:
        return next(
            (key for key in self.journal.trails if key.kind == kind and file_stem(key.id) == stem),
            None,
        )

    def _save_record(
        self,
        key: Key,
        trail: Trail,
        file: RecordFile | None,
        target: Folder,
        folder: KindFolder | None = None,
    ) -> bool:
        """Save a record as its file and the journal tell it; say whether there is one now."""
        after = trail.replay(key, file, self.journal.files_upto, self._stages.read)
        for problem in after.problems:
            self._fail(key, str(key), problem)
        if file is not None and after.is_newer and folder is not None:
            self._keep_edit(folder, file, after)
        if after.envelope is None:
            return after.is_deleted
        self.journal.gone.pop(key, None)
        if file is not None and not after.is_newer:
            name, data, mtime_ns = file.name, file.data, file.mark.mtime_ns
        else:
            data = encoded(self.serializer, after.envelope)
            name = file_stem(key.id) + self.serializer.extension
            mtime_ns = time_ns(after.envelope.saved_at)
            self.from_journal += 1
        target.write_new(name, data, mtime_ns=mtime_ns, sync=False)
        self.items += not key.is_settings
        self.size_bytes += len(data)
        return True

    def _keep_edit(self, folder: KindFolder, file: RecordFile, after: Replayed) -> None:
        """Keep a file that somebody has edited, or put back, where the journal has a newer one."""
        if not is_own(file) or after.sequence <= self.journal.files_upto:
            why = f"the journal has revision {after.revision} of the record; this was another text"
            self._quarantine(folder.kind, file.name, file.data, file.mark.mtime_ns, why)

    def _keep_rest(self, folder: KindFolder, found: Found, *, is_saved: bool) -> None:
        for failure, name in zip(found.unreadable, found.unreadable_names, strict=True):
            reason = getattr(failure.error, "reason", str(failure.error))
            try:
                content = folder.folder.read(name, _LARGEST_BYTES)
            except StateStoreError as error:
                self._fail(failure.key, f"{folder.kind}/{name}", str(error))
                continue
            if content is None:
                continue
            mtime_ns = content.mark.mtime_ns
            place = self._quarantine(folder.kind, name, content.data, mtime_ns, reason)
            if not is_saved:
                text = f"{reason}; the journal holds no version of it; it was copied to {place}"
                self._fail(failure.key, f"{folder.kind}/{name}", text)
        for rival in found.rivals:
            why = "another file of this record was saved later"
            self._quarantine(folder.kind, rival.name, rival.data, rival.mark.mtime_ns, why)

    def _quarantine(self, kind: str, name: str, data: bytes, mtime_ns: int, why: str) -> str:
        new_name = f"{secrets.token_hex(4)}-{name}"
        with _made(self._built, QUARANTINE) as quarantine, _made(quarantine, kind) as target:
            target.write_new(new_name + WHY_SUFFIX, why_bytes(f"{kind}/{name}", self._clock(), why))
            target.write_new(new_name, data, mtime_ns=mtime_ns)
            target.sync()
        place = f"{QUARANTINE}/{kind}/{new_name}"
        self.quarantined.append(place)
        return place

    # --- the rest ---------------------------------------------------------------------

    def _copy_tree(self, around: Folder, name: str, target: Folder, path: str) -> None:
        try:
            source = around.child(name)
        except StateStoreError as error:
            self._fail(None, path, str(error))
            return
        if source is None:
            return
        with source, _made(target, name) as made:
            for inner in source.names():
                self._copy_any(source, inner, made, f"{path}/{inner}")
            made.sync()

    def _copy_any(self, source: Folder, name: str, target: Folder, path: str) -> None:
        """Copy a file, or a folder with all that is in it."""
        try:
            is_file = source.mark(name) is not None
        except StateStoreError:
            is_file = False  # a folder, or what the next call refuses
        if is_file:
            self._copy(source, name, target, path)
        else:
            self._copy_tree(source, name, target, path)

    def _copy(self, source: Folder, name: str, target: Folder, path: str) -> None:
        try:
            content = source.read(name, _LARGEST_BYTES)
        except StateStoreError as error:
            self._fail(None, path, str(error))
            return
        if content is not None:
            target.write_new(name, content.data, mtime_ns=content.mark.mtime_ns)

    def _begin(self, old: Meta | None) -> None:
        """Make the new store's own folder. What is gone stays known, and sequences go on."""
        meta = new_meta(self.serializer.name, self._clock)
        if old is not None:
            meta = attrs.evolve(meta, created_at=old.created_at)
        with _made(self._built, OWN_FOLDER) as own:
            write_meta(own, meta)
            if self.journal.sequence:
                with _made(own, JOURNAL_FOLDER) as journal:
                    gone = [
                        (key, revision, at) for key, (revision, at) in self.journal.gone.items()
                    ]
                    last_time = self.journal.last_time or meta.created_at
                    begin_journal(journal, meta.store_id, self.journal.sequence, last_time, gone)
            own.sync()

    def _fail(self, key: Key | None, path: str, reason: str) -> None:
        self.failures.append(Failure(key, "salvage", NotSalvaged(path, reason)))


def _made(around: Folder, name: str) -> Folder:
    folder = around.child(name, create=True)
    if folder is None:
        raise NotSalvaged(around.place(name), "it cannot be made a folder")
    return folder
