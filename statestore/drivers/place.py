"""The place of a directory store: its folders, held open, and what it says of itself."""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from collections.abc import Iterator, Sequence

import attrs

from statestore.drivers.driver import Clock, RecordFile
from statestore.drivers.file_systems import REFUSALS, want_exclusive, wanted_lock
from statestore.drivers.kind_folder import KindFolder
from statestore.drivers.layout import (
    DEFAULT_FORMAT,
    MATERIALISE_FILE,
    QUARANTINE,
    TURNSTILE_FILE,
    Meta,
    looks_like_store,
    new_meta,
    open_own,
    open_root,
    read_meta,
    write_meta,
)
from statestore.drivers.quarantine import WHY_SUFFIX, quarantined_in, why_bytes
from statestore.drivers.whereabouts import Whereabouts
from statestore.errors import (
    InvalidKind,
    ReadOnlyStore,
    RecordNotFound,
    StorageError,
    StoreClosed,
    StoreForked,
    StoreNotFound,
    UnsafeFile,
)
from statestore.files.calls import Files
from statestore.files.folders import Folder, Modes
from statestore.files.lockless import without_locks
from statestore.files.locks import FileLock
from statestore.files.open_files import OpenFile
from statestore.journal.journal import ALIVE_FILE, LOCK_FILE
from statestore.journal.reading import store_id_of
from statestore.models.documents import MAX_SIZE_BYTES
from statestore.models.keys import check_kind
from statestore.models.reports import QuarantinedFile


class Place:
    """The root of a store and the folders of its kinds. Used by one thread at a time."""

    def __init__(
        self,
        path: str,
        *,
        read_only: bool,
        allow_unsafe: bool,
        modes: Modes,
        files: Files,
        clock: Clock,
        lock_timeout_s: float,
    ) -> None:
        """Open the place, and make it if it is missing. See `DirectoryDriver`."""
        self._read_only = read_only
        self.lock_timeout_s = lock_timeout_s
        self._clock = clock
        self._kinds: dict[str, KindFolder] = {}
        self._closed = self._forked = False
        self._own: Folder | None = None
        self._lock: FileLock | None = None
        self._writer: int | None = None
        if allow_unsafe:
            files = without_locks(files, REFUSALS)
        self._root = open_root(
            path, read_only=read_only, allow_unsafe=allow_unsafe, files=files, modes=modes
        )
        self.path = self._root.path
        try:
            self._want_store()
            self._own = open_own(
                self._root, read_only=read_only, allow_unsafe=allow_unsafe, modes=modes
            )
            self._whereabouts = Whereabouts(self._root, self._own)
            if self._own is not None and not read_only:
                for name in (LOCK_FILE, ALIVE_FILE):
                    self._remembered(self._own, name).close()  # the journal opens it again
                turnstile = self._own.open_file(TURNSTILE_FILE, create=True)
                try:
                    file = self._remembered(self._own, MATERIALISE_FILE)
                except BaseException:
                    if turnstile is not None:
                        turnstile.close()
                    raise
                self._lock = FileLock(file, timeout_s=lock_timeout_s, turnstile=turnstile)
                with wanted_lock(self._own):
                    _try_out(self._own, file, allow_unsafe=allow_unsafe)
            meta = read_meta(self._own) if self._own else None
            # Only who misses it waits for those who write files, as a pass of theirs may be long.
            self.meta = meta or self._found_again()
        except BaseException:
            self.close()
            raise

    def _remembered(self, own: Folder, name: str) -> OpenFile:
        """Return a file that processes lock, made if it is missing, whose place is looked after."""
        file = own.open_file(name, create=True)
        if file is None:
            raise UnsafeFile(own.place(name), "vanished while it was opened")
        try:
            self._whereabouts.remember(name, file)
        except BaseException:
            file.close()
            raise
        return file

    def _found_again(self) -> Meta:
        """Return what the store says of itself, after having it written where it is lost or new."""
        with self._lock.held() if self._lock else contextlib.nullcontext():
            meta = read_meta(self._own) if self._own else None
            if meta is not None:
                return meta
            # Where the file is lost the journal says which store it is: no other id fits.
            left = store_id_of(self._own) if self._own else None
            meta = new_meta(DEFAULT_FORMAT, self._clock, left)
            if self._own is not None and not self._read_only:
                write_meta(self._own, meta)
            return meta

    def close(self) -> None:
        """Let go of all folders. Twice is harmless."""
        self._closed = True
        for kind in self._kinds.values():
            kind.folder.close()
        self._kinds.clear()
        if self._lock is not None:
            self._lock.close()
        if self._own is not None:
            self._own.close()
        self._root.close()

    def leave_to_parent(self) -> None:
        """Refuse all use from now on: this is a forked child, where its files are closed."""
        self._forked = True

    @property
    def own(self) -> Folder | None:
        """The folder `.statestore`, where there is one."""
        return self._own

    @property
    def is_read_only(self) -> bool:
        """Whether nothing may be written."""
        return self._read_only

    def want_in_place(self) -> None:
        """Check that the place is open, and still where it was.

        Raises:
            StoreClosed, StoreReplaced: it is not.
            StorageError: the system does not tell.
        """
        self.want_open()
        self.want_here()

    def want_here(self) -> None:
        """Check that the place is still where it was. Costs one call of the system.

        Raises:
            StoreReplaced: its folder, `.statestore`, or the lock file in it was moved, removed or
                replaced. What is held open can be read all the same.
            StorageError: the system does not tell.
        """
        self._whereabouts.want(most=1)

    def want_open(self) -> None:
        """Check that the place was not closed, and not opened before a fork.

        Raises:
            StoreClosed, StoreForked: it was.
        """
        if self._closed:
            raise StoreClosed(self.path)
        if self._forked:
            raise StoreForked(self.path)

    @contextlib.contextmanager
    def writing(self, operation: str) -> Iterator[None]:
        """Be the only one, among all processes and threads, who writes visible files until the
        block ends. It does not nest.

        Raises:
            StoreClosed, StoreForked, ReadOnlyStore, StoreReplaced, StorageError: as they say.
            LockTimeout: another process or thread has been writing for too long.
        """
        self.want_open()
        if self._read_only or self._lock is None:
            raise ReadOnlyStore(self.path, operation)
        with self._lock.held():
            self._whereabouts.want()
            self._writer = threading.get_ident()
            try:
                yield
            finally:
                self._writer = None

    @property
    def is_writing_here(self) -> bool:
        """Whether the calling thread is within `writing`."""
        return self._writer == threading.get_ident()

    def remember_format(self, format: str) -> None:
        """Make `format` the one that the store says it has, for good."""
        meta = attrs.evolve(self.meta, format=format)
        # Compared with what is there: another process may have remembered another.
        if self._own is not None and meta != read_meta(self._own):
            write_meta(self._own, meta)
        self.meta = meta

    def kind(self, name: str, *, create: bool = False) -> KindFolder | None:
        """Return the folder of a kind, or None if there is none.

        Args:
            create: make it if it is missing, for good.
        Raises:
            UnsafeFile: something else stands in its place.
        """
        known = self._kinds.get(name)
        if known is not None and self._root.holds(name, known.folder):
            return known
        if known is not None:  # somebody removed the folder, or put another in its place
            del self._kinds[name]
            known.folder.close()
        folder = self._root.child(name, create=create)
        if folder is None:
            return None
        if not self._read_only:
            try:
                self._root.sync()  # whoever made the folder may have died before this
            except StorageError:
                folder.close()
                raise
        self._kinds[name] = KindFolder(name, folder)
        return self._kinds[name]

    def kinds(self) -> list[str]:
        """Return the names of the folders that may hold records, sorted."""
        kinds = []
        for name in self._root.names():
            with contextlib.suppress(InvalidKind, UnsafeFile):
                if self.kind(check_kind(name)) is not None:
                    kinds.append(name)
        return kinds

    def set_aside(self, kind: str, name: str, why: str) -> str:
        """Move a file to quarantine, with the reason beside it; return its new path, relative."""
        return self._quarantine(kind, name, why, keep=False)

    def link_aside(self, kind: str, name: str, why: str) -> str:
        """Keep what a file is now in quarantine, too; return that path, relative.

        For a file that is about to be replaced whole.
        """
        return self._quarantine(kind, name, why, keep=True)

    def _quarantine(self, kind: str, name: str, why: str, *, keep: bool) -> str:
        source = self.kind(kind)
        if source is None:
            raise RecordNotFound(kind, name)
        with contextlib.ExitStack() as stack:
            quarantine = _made_child(stack, self._root, QUARANTINE)
            target = _made_child(stack, quarantine, kind)
            new_name = f"{secrets.token_hex(4)}-{name}"
            data = why_bytes(f"{kind}/{name}", self._clock(), why)
            target.replace(new_name + WHY_SUFFIX, data)
            if keep:
                self._keep(source.folder, name, target, new_name)
            else:
                source.folder.move(name, target, new_name)
            target.sync()
            source.folder.sync()
        return os.path.join(QUARANTINE, kind, new_name)

    def _keep(self, source: Folder, name: str, target: Folder, new_name: str) -> None:
        try:
            source.link(name, target, new_name)
        except StorageError:  # a file system without hard links
            content = source.read(name, MAX_SIZE_BYTES)
            if content is not None:
                target.replace(new_name, content.data, mtime_ns=content.mark.mtime_ns)

    def set_rivals_aside(self, rivals: Sequence[RecordFile]) -> list[str]:
        """Move files of a record that lost to another of it to quarantine; return where to."""
        why = "another file of this record was saved later"
        return [self.set_aside(rival.key.kind, rival.name, why) for rival in rivals]

    def quarantined(self) -> list[QuarantinedFile]:
        """Return what is in quarantine."""
        folder = self._root.child(QUARANTINE)
        if folder is None:
            return []
        with folder:
            return quarantined_in(folder)

    def _want_store(self) -> None:
        if self._read_only and not looks_like_store(self._root):
            raise StoreNotFound(self.path)


def _try_out(own: Folder, file: OpenFile, *, allow_unsafe: bool) -> None:
    """Make sure that a lock keeps others out. Where it does so just now, nobody is waited for.

    Raises:
        UnsafeFilesystem: it does not.
        StorageError: the system refused.
    """
    if not file.lock(wait=False):
        return
    try:
        if not allow_unsafe:
            want_exclusive(own, MATERIALISE_FILE)
    finally:
        file.unlock()


def _made_child(stack: contextlib.ExitStack, folder: Folder, name: str) -> Folder:
    child = folder.child(name, create=True)
    if child is None:
        raise UnsafeFile(folder.place(name), "cannot be made a folder")
    return stack.enter_context(child)
