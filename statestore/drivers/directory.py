"""The driver that keeps one readable file per record in a directory.

Each file is written by the honest protocol: a temporary file with all its bytes, synced, renamed,
and the folder synced. A batch is not atomic: stopped half way, each record is the old or the new
one, whole. `traits` say so.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

import attrs
import orjson

from statestore.drivers.driver import (
    Clock,
    DriverTraits,
    RecordFile,
    RecordFiles,
    Rewritten,
    utc_now,
)
from statestore.drivers.folding import Base, fold, group, needs_document, refuse_mismatch
from statestore.drivers.kind_folder import Found, KindFolder, checksum
from statestore.drivers.layout import (
    QUARANTINE,
    Meta,
    looks_like_store,
    new_meta,
    open_own,
    open_root,
    read_meta,
    write_meta,
)
from statestore.drivers.names import file_stem
from statestore.errors import (
    CommitRefused,
    CorruptRecord,
    EncodeError,
    HeldKey,
    InvalidKind,
    NotSupported,
    PartialCommit,
    ReadOnlyStore,
    RecordNotFound,
    StateStoreError,
    StorageError,
    StoreClosed,
    StoreNotFound,
    UnsafeFile,
)
from statestore.files.calls import Files, SystemFiles
from statestore.files.folders import Folder, Mark, Modes
from statestore.models.changes import Change, Commit, Delete, Stored
from statestore.models.documents import FrozenDict
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.reports import Failure
from statestore.models.times import format_time, time_ns
from statestore.serializers import get
from statestore.serializers.serializer import Serializer

_TRAITS = DriverTraits(name="directory", durable=True, atomic=False, feed=False)

T = TypeVar("T")


@attrs.frozen
class _Known:
    """A record's file as this driver last read or wrote it.

    `replaced` is the revision before a write whose commit has not ended: a caller who was told of
    an error still believes in it.
    """

    name: str
    mark: Mark
    checksum: int
    revision: Revision
    extra: Mapping[str, object]
    replaced: Revision | None = None


@attrs.frozen
class _Current:
    """A key as it is on disk now: its revision (0: none), the file, and what else is there."""

    revision: Revision = 0
    known: _Known | None = None
    found: Found | None = None


@attrs.frozen
class _Write:
    """One file to replace or remove. `data` is None for a removal."""

    key: Key
    name: str
    data: bytes | None
    envelope: Envelope | None
    revision: Revision
    before: Revision
    superseded: tuple[str, ...]
    rivals: tuple[RecordFile, ...]


class DirectoryDriver:
    """Keeps records as files below a folder. See `Driver` for what its methods promise."""

    traits = _TRAITS

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        format: str | None = None,
        read_only: bool = False,
        allow_unsafe: bool = False,
        modes: Modes | None = None,
        files: Files | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """Open the store at `path`, and make it if it is missing.

        Args:
            format: the serializer to write with; by default the one the store remembers.
            read_only: make and change nothing; what writes raises `ReadOnlyStore`.
            allow_unsafe: open it although other users could write to it.
            modes: the permissions of new files and folders.
        Raises:
            StoreNotFound: `read_only`, and there is no store.
            UnsafeStore, NewerLayout, CorruptStore, UnknownName, StorageError, UnsafeFile: it
                cannot be opened; nothing was changed.
        """
        self._read_only = read_only
        self._clock = clock
        self._modes = modes or Modes()
        self._lock = threading.RLock()
        self._kinds: dict[str, KindFolder] = {}
        self._known: dict[Key, _Known] = {}
        self._buried: dict[Key, Revision] = {}
        self._sequence = 0
        self._closed = False
        self._root = open_root(
            os.fspath(path),
            read_only=read_only,
            allow_unsafe=allow_unsafe,
            files=files or SystemFiles(),
            modes=self._modes,
        )
        self.path = self._root.path
        self._own: Folder | None = None
        try:
            self._want_store()
            self._own = open_own(
                self._root, read_only=read_only, allow_unsafe=allow_unsafe, modes=self._modes
            )
            self._meta = read_meta(self._own) if self._own else None
            if self._meta is None:
                self._meta = new_meta(format or "json", clock)
                if self._own is not None and not read_only:
                    write_meta(self._own, self._meta)
            self._serializer = get(format or self._meta.format)
        except BaseException:
            self.close()
            raise
        self._last_time = self._meta.created_at

    # --- the seam ---------------------------------------------------------------------

    @property
    def record_files(self) -> RecordFiles:
        """See `Driver.record_files`."""
        return self

    @property
    def sequence(self) -> int:
        """See `Driver.sequence`."""
        return self._sequence

    @property
    def store_id(self) -> str:
        """What tells this store from every other: 32 hexadecimal digits."""
        return self._opened_meta().store_id

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """See `Driver.commit`."""
        with self._lock:
            self._want_writable("save")
            now = max(self._clock(), self._last_time)
            writes, failures = self._plan(changes, expect, now)
            if failures:
                raise CommitRefused(failures)
            if not writes:
                return Commit(self._sequence, self._last_time, {})
            self._last_time = now
            failed = self._write_all(writes, time_ns(now))
            done = [write for write in writes if write.key not in failed]
            self._settle(done)
            if done:
                self._sequence += 1
            commit = Commit(
                self._sequence,
                now,
                {write.key: write.revision for write in done},
                sum(len(write.data) for write in done if write.data is not None),
            )
            if failed:
                raise PartialCommit(commit, list(failed.values()))
            return commit

    def read(self, key: Key) -> Stored:
        """See `Driver.read`."""
        check_kind(key.kind)
        stem = file_stem(check_id(key.id))
        with self._lock:
            self._want_open()
            folder = self._kind(key.kind)
            if folder is not None:
                found = folder.find(stem, folder.marks(stem), self._serializer.extension)
                if found.record is not None:
                    return self._stored(found.record, found.notes)
                if found.unreadable:
                    raise found.unreadable[0].error
        raise RecordNotFound(key.kind, key.id)

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """See `Driver.scan`."""
        for found in self._found(kind):
            yield from found.unreadable
            if found.record is not None:
                yield self._stored(found.record, found.notes)

    def kinds(self) -> Sequence[str]:
        """See `Driver.kinds`."""
        with self._lock:
            self._want_open()
            kinds = []
            for name in self._root.names():
                with contextlib.suppress(InvalidKind, UnsafeFile):
                    if self._kind(check_kind(name)) is not None:
                        kinds.append(name)
            return kinds

    def changes(self, after: int) -> Iterator[Commit]:  # noqa: ARG002 # the seam's argument
        """See `Driver.changes`: files alone do not tell what was committed before."""
        raise NotSupported("directory", "a feed of changes")

    def flush(self) -> None:
        """See `Driver.flush`: files are written before `commit` returns."""

    def close(self) -> None:
        """See `Driver.close`."""
        with self._lock:
            self._closed = True
            for kind in self._kinds.values():
                kind.folder.close()
            self._kinds.clear()
            if self._own is not None:
                self._own.close()
            self._root.close()

    # --- the files --------------------------------------------------------------------

    @property
    def serializer(self) -> Serializer:
        """See `RecordFiles.serializer`."""
        return self._serializer

    def use(self, serializer: Serializer, *, remember: bool = False) -> None:
        """See `RecordFiles.use`."""
        with self._lock:
            if remember:
                self._want_writable("change the format")
                meta = attrs.evolve(self._opened_meta(), format=serializer.name)
                if self._own is not None and meta != self._meta:
                    write_meta(self._own, meta)
                self._meta = meta
            self._serializer = serializer

    def prepare(self, kind: str) -> None:
        """See `RecordFiles.prepare`."""
        with self._lock:
            self._want_writable("make a folder")
            self._kind(check_kind(kind), create=True)

    def entries(self, kind: str) -> Iterator[RecordFile | Failure]:
        """See `RecordFiles.entries`."""
        for found in self._found(kind):
            yield from found.unreadable
            if found.record is not None:
                yield found.record

    def strangers(self, kind: str) -> Sequence[str]:
        """See `RecordFiles.strangers`."""
        with self._lock:
            self._want_open()
            folder = self._kind(kind)
            return [f"{kind}/{name}" for name in folder.strangers()] if folder else []

    def rewrite(self, kind: str, serializer: Serializer) -> Rewritten:
        """See `RecordFiles.rewrite`."""
        with self._lock:
            self._want_writable("convert")
            folder = self._kind(kind)
            if folder is None:
                return Rewritten()
            items = unchanged = size = 0
            failures: list[Failure] = []
            notes: list[str] = []
            superseded: list[str] = []
            for stem, names in folder.stems():
                found = folder.find(stem, names, serializer.extension)
                failures.extend(attrs.evolve(one, operation="convert") for one in found.unreadable)
                if found.record is None:
                    continue
                record, name = found.record, stem + serializer.extension
                notes.extend(found.notes)
                try:
                    self._refuse_unreadable(record.key, name, found)
                    data = serializer.dumps(record.envelope.to_document())
                    if (data, name) == (record.data, record.name):
                        unchanged += 1
                    else:
                        self._set_rivals_aside(found.rivals)
                        mtime_ns = record.mark.mtime_ns  # its content is as old as it was
                        mark = folder.folder.replace(name, data, mtime_ns=mtime_ns)
                        known = self._known.get(record.key)
                        revision = known.revision if known else record.envelope.revision
                        extra = record.envelope.extra
                        self._known[record.key] = _Known(
                            name, mark, checksum(data), revision, extra
                        )
                        items, size = items + 1, size + len(data)
                    superseded += _superseded(name, found)
                except StateStoreError as error:
                    failures.append(Failure(record.key, "convert", error))
            folder.folder.sync()  # the new names stay before the old ones go
            for name in superseded:
                folder.folder.remove(name)
            if superseded:
                folder.folder.sync()
            return Rewritten(items, unchanged, size, tuple(failures), tuple(notes))

    def set_aside(self, failure: Failure) -> str:
        """See `RecordFiles.set_aside`."""
        error = failure.error
        if failure.key is None or not isinstance(error, CorruptRecord | UnsafeFile):
            raise error
        kind, name = failure.key.kind, os.path.basename(error.path)
        with self._lock:
            self._want_writable("set a file aside")
            return self._move_to_quarantine(kind, name, str(error))

    # --- planning a commit ------------------------------------------------------------

    def _plan(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], now: datetime
    ) -> tuple[list[_Write], list[Failure]]:
        writes: list[_Write] = []
        failures: list[Failure] = []
        for key, own in group(changes, expect).items():
            try:
                write = self._plan_one(key, own, expect, now)
            except StateStoreError as error:
                operation = "delete" if own and isinstance(own[-1], Delete) else "save"
                failures.append(Failure(key, operation, error))
            else:
                if write is not None:
                    writes.append(write)
        return writes, failures

    def _plan_one(
        self, key: Key, changes: Sequence[Change], expect: Mapping[Key, Revision], now: datetime
    ) -> _Write | None:
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
        revision = max(current.revision, self._buried.get(key, 0)) + 1
        if result is None:
            data, envelope, name = None, None, known.name if known else ""
        else:
            extra = known.extra if known else FrozenDict()
            envelope = Envelope(key.kind, result.schema, revision, now, result.document, extra)
            data = _encoded(self._serializer, envelope)
            name = stem + self._serializer.extension
        superseded: list[str] = []
        if current.found is not None:
            self._refuse_unreadable(key, name, current.found)
            superseded = _superseded(name, current.found)
        elif known is not None and known.name != name:
            superseded = [known.name]
        rivals = current.found.rivals if current.found else ()
        return _Write(
            key, name, data, envelope, revision, current.revision, tuple(superseded), rivals
        )

    def _current(self, key: Key, stem: str) -> _Current:
        folder = self._kind(key.kind)
        known = self._known.get(key)
        marks = folder.marks(stem) if folder else {}
        if folder is None or not marks:
            return _Current()
        if known is not None and marks == {known.name: known.mark}:
            return _Current(known.revision, known)
        found = folder.find(stem, marks, self._serializer.extension)
        if found.record is None:
            error = found.unreadable[0].error
            name = found.unreadable_names[0]
            raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error
        stored = self._stored(found.record, ())
        return _Current(stored.revision, self._known[key], found)

    def _base(self, key: Key, current: _Current, changes: Sequence[Change]) -> Base | None:
        if current.known is None:
            return None
        if not needs_document(changes):
            return Base(1, {})
        record = current.found.record if current.found else None
        record = record or self._read_known(key, current.known)
        return Base(record.envelope.schema, record.envelope.data)

    def _read_known(self, key: Key, known: _Known) -> RecordFile:
        folder = self._kind(key.kind)
        record = folder.read(known.name) if folder else None
        if record is None:
            raise RecordNotFound(key.kind, key.id)
        return record

    def _refuse_unreadable(self, key: Key, name: str, found: Found) -> None:
        if name in found.unreadable_names:
            error = found.unreadable[found.unreadable_names.index(name)].error
            raise HeldKey(key.kind, key.id, f"{key.kind}/{name}", str(error)) from error

    # --- writing ----------------------------------------------------------------------

    def _write_all(self, writes: Sequence[_Write], mtime_ns: int) -> dict[Key, Failure]:
        """Write every file; return a failure for each that is not, or not surely, on the disk."""
        failed: dict[Key, Failure] = {}

        def attempt(write: _Write, step: Callable[[], T]) -> T | None:
            try:
                return step()
            except StateStoreError as error:
                operation = "delete" if write.data is None else "save"
                failed[write.key] = Failure(write.key, operation, error)
                return None

        for write in writes:
            attempt(write, lambda write=write: self._write(write, mtime_ns))  # type: ignore[misc]  # bound now, not later
        self._sync_kinds(writes, failed)  # the new names stay before the old ones go
        again = []
        for write in writes:
            if write.key not in failed and write.superseded:
                attempt(write, lambda write=write: self._clear_away(write))  # type: ignore[misc]  # likewise
                again.append(write)
        self._sync_kinds(again, failed)
        return failed

    def _write(self, write: _Write, mtime_ns: int) -> None:
        kind = self._kind(write.key.kind, create=True)
        assert kind is not None  # noqa: S101 # it was just made
        self._set_rivals_aside(write.rivals)
        if write.data is None or write.envelope is None:
            kind.folder.remove(write.name)
            self._known.pop(write.key, None)
            self._buried[write.key] = write.revision
            return
        mark = kind.folder.replace(write.name, write.data, mtime_ns=mtime_ns)
        self._known[write.key] = _Known(
            write.name,
            mark,
            checksum(write.data),
            write.revision,
            write.envelope.extra,
            replaced=write.before,
        )

    def _clear_away(self, write: _Write) -> None:
        kind = self._kind(write.key.kind)
        for name in write.superseded:
            if kind is not None:
                kind.folder.remove(name)

    def _sync_kinds(self, writes: Sequence[_Write], failed: dict[Key, Failure]) -> None:
        for name in dict.fromkeys(write.key.kind for write in writes):
            kind = self._kinds.get(name)
            try:
                if kind is not None:
                    kind.folder.sync()
            except StorageError as error:
                for write in writes:
                    if write.key.kind == name:
                        failed.setdefault(write.key, Failure(write.key, "save", error))

    def _settle(self, done: Sequence[_Write]) -> None:
        for write in done:
            known = self._known.get(write.key)
            if known is not None and known.replaced is not None:
                self._known[write.key] = attrs.evolve(known, replaced=None)

    def _set_rivals_aside(self, rivals: Sequence[RecordFile]) -> None:
        for rival in rivals:
            self._move_to_quarantine(
                rival.key.kind, rival.name, "another file of this record was saved later"
            )

    def _move_to_quarantine(self, kind: str, name: str, why: str) -> str:
        source = self._kind(kind)
        if source is None:
            raise RecordNotFound(kind, name)
        with contextlib.ExitStack() as stack:
            quarantine = self._made_child(stack, self._root, QUARANTINE)
            target = self._made_child(stack, quarantine, kind)
            new_name = f"{secrets.token_hex(4)}-{name}"
            reason = {"from": f"{kind}/{name}", "at": format_time(self._clock()), "why": why}
            data = orjson.dumps(reason, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
            target.replace(new_name + ".why.json", data)
            source.folder.move(name, target, new_name)
            target.sync()
            source.folder.sync()
        return f"{QUARANTINE}/{kind}/{new_name}"

    # --- reading ----------------------------------------------------------------------

    def _found(self, kind: str) -> Iterator[Found]:
        """Yield what lies under each stem, reading one at a time."""
        with self._lock:
            self._want_open()
            folder = self._kind(check_kind(kind))
            stems = list(folder.stems()) if folder else []
        for stem, names in stems:
            with self._lock:
                self._want_open()
                assert folder is not None  # noqa: S101 # there are stems
                found = folder.find(stem, names, self._serializer.extension)
            yield found

    def _stored(self, record: RecordFile, notes: tuple[str, ...]) -> Stored:
        """Return what a file holds, and remember the file."""
        with self._lock:
            revision = self._remember(record)
            self._last_time = max(self._last_time, record.envelope.saved_at)
        return Stored(
            record.key,
            record.envelope.data,
            record.envelope.schema,
            revision,
            record.envelope.saved_at,
            len(record.data),
            record.path,
            record.format,
            notes,
        )

    def _remember(self, record: RecordFile) -> Revision:
        """Note a file as it is now and return the record's revision.

        A file that was edited by hand still says the revision that it had; it counts as the next.
        """
        crc, revision = checksum(record.data), record.envelope.revision
        before = self._known.get(record.key)
        if before is not None:
            edited = (before.checksum, before.name) != (crc, record.name)
            if edited and before.mark != record.mark and revision <= before.revision:
                revision = before.revision + 1
            else:
                revision = max(revision, before.revision)
        self._known[record.key] = _Known(
            record.name, record.mark, crc, revision, record.envelope.extra
        )
        return revision

    def _kind(self, kind: str, *, create: bool = False) -> KindFolder | None:
        known = self._kinds.get(kind)
        if known is not None and self._root.holds(kind, known.folder):
            return known
        if known is not None:  # somebody removed the folder, or put another in its place
            del self._kinds[kind]
            known.folder.close()
        folder = self._root.child(kind, create=create)
        if folder is None:
            return None
        if not self._read_only:
            self._root.sync()  # whoever made the folder may have died before this
        self._kinds[kind] = KindFolder(kind, folder)
        return self._kinds[kind]

    def _made_child(self, stack: contextlib.ExitStack, folder: Folder, name: str) -> Folder:
        child = folder.child(name, create=True)
        if child is None:
            raise UnsafeFile(folder.place(name), "cannot be made a folder")
        return stack.enter_context(child)

    def _want_store(self) -> None:
        if self._read_only and not looks_like_store(self._root):
            raise StoreNotFound(self.path)

    def _opened_meta(self) -> Meta:
        if self._meta is None:
            raise StoreClosed(self.path)
        return self._meta

    def _want_open(self) -> None:
        if self._closed:
            raise StoreClosed(self.path)

    def _want_writable(self, operation: str) -> None:
        self._want_open()
        self._root.want_in_place()
        if self._read_only:
            raise ReadOnlyStore(self.path, operation)


def _encoded(serializer: Serializer, envelope: Envelope) -> bytes:
    try:
        return serializer.dumps(envelope.to_document())
    except EncodeError as error:
        # The caller knows the record, not its envelope.
        raise EncodeError("$" + error.where.removeprefix("$.data"), error.reason) from error


def _superseded(name: str, found: Found) -> list[str]:
    """Return the files of a record that go when it is written as `name`."""
    files = [*found.stale, *([found.record] if found.record else [])]
    return [one.name for one in files if one.name != name]
