"""The driver that keeps one readable file per record in a directory.

A commit is one frame of the journal and one sync. Record files follow in the background, each
written whole; until they have, readers put what the journal has on top.
"""

from __future__ import annotations

import os
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import attrs

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.drafts import Request, drafted
from statestore.drivers.driver import (
    Clock,
    DriverTraits,
    RecordFile,
    RecordFiles,
    Recovery,
    Rewritten,
    Settle,
    Submission,
    utc_now,
)
from statestore.drivers.feed import commit_of
from statestore.drivers.following import Follower
from statestore.drivers.formats import WrittenFormat
from statestore.drivers.ledger import Ledger
from statestore.drivers.overlay import Fold, Overlay
from statestore.drivers.place import Place
from statestore.drivers.reading import Reader
from statestore.drivers.recovering import DirectoryRecovery
from statestore.drivers.registered import DriverOptions
from statestore.drivers.rewriting import Rewriter
from statestore.drivers.staging import Stages
from statestore.errors import (
    CorruptRecord,
    QuarantinedRecord,
    ReadOnlyStore,
    StateStoreError,
    StoreClosed,
    StoreForked,
    UnsafeFile,
)
from statestore.files.calls import Files, SystemFiles
from statestore.files.folders import Modes
from statestore.files.locks import LOCK_TIMEOUT_S
from statestore.journal.entries import Entry
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Change, Commit, Stored
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.reports import Failure
from statestore.serializers import get
from statestore.serializers.serializer import Serializer

_TRAITS = DriverTraits(name="directory", durable=True, atomic=True, feed=True, queues=True)

Tell: TypeAlias = Callable[[BaseException], None]


class DirectoryDriver:
    """Keeps records as files below a folder. See `Driver` for what its methods promise."""

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
        journal: JournalOptions | None = None,
        materialize: str = "background",
        source: str = "commit",
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Open the store at `path`, and make it if it is missing; recover it if that is needed.

        Args:
            format: the serializer to write with; by default the one the store remembers.
            read_only: make and change nothing; what writes raises `ReadOnlyStore`.
            allow_unsafe: open it although other users could write to it, or its file system does
                not keep processes apart.
            modes: the permissions of new files and folders.
            materialize: "now": a commit returns when its record files are written, too.
            source: what the commits of this opening say of where they come from.
            lock_timeout_s: so long one waits for each lock that another process or thread has.
        Raises:
            StoreNotFound: `read_only`, and there is no store.
            CorruptJournal: commits are damaged; nothing was changed.
            LockTimeout: another process holds it for too long.
            UnsafeStore, UnsafeFilesystem, NewerLayout, CorruptStore, UnknownName, StorageError,
                UnsafeFile: it cannot be opened; nothing was changed.
        """
        if format is not None:
            get(format)  # a wrong name is refused before a folder is made
        self.traits = attrs.evolve(_TRAITS, files_at_once=materialize == "now")
        self.run = secrets.token_hex(8)
        self._source = source
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._closed = False
        self._watcher: Callable[[Failure], None] | None = None
        self._behind: Mapping[Key, Fold] | None = None
        self._catalogue, overlay = Catalogue(), Overlay()
        self._overlay = overlay
        self._ledger: Ledger | None = None
        self._follower: Follower | None = None
        self._place = Place(
            os.fspath(path),
            read_only=read_only,
            allow_unsafe=allow_unsafe,
            modes=modes or Modes(),
            files=files or SystemFiles(),
            clock=clock,
            lock_timeout_s=lock_timeout_s,
        )
        self._stages = Stages(self._place.own)
        try:
            self._format = WrittenFormat(self._place, format, self._told)
            if read_only:
                self._follower = Follower(self._place, self._catalogue, overlay, self._lock)
                self._reader = self._opened_for_reading(self._follower)
                commits = self._follower.taken_up
            else:
                self._ledger = Ledger(
                    self._place,
                    self._catalogue,
                    overlay,
                    self._stages,
                    lock=self._lock,
                    clock=clock,
                    format=self._format,
                    options=journal or JournalOptions(),
                    run=self.run,
                    tell=self._told,
                )
                self._reader = self._ledger.reader
                commits = self._ledger.taken_up
                _OPEN.add(self)
        except BaseException:
            self._let_go()
            raise
        self._recovery = DirectoryRecovery(
            self._place,
            self._catalogue,
            overlay,
            self._stages,
            self._lock,
            self._history,
            lambda: self._ledger.left if self._ledger is not None else (),
            commits=commits,
        )

    def _opened_for_reading(self, follower: Follower) -> Reader:
        return Reader(
            self._place,
            self._catalogue,
            self._overlay,
            self._stages,
            self._lock,
            lambda: self._format.serializer,
            None,
            follower.catch_up,
        )

    # --- the seam ---------------------------------------------------------------------

    @property
    def record_files(self) -> RecordFiles:
        """See `Driver.record_files`."""
        return self

    @property
    def path(self) -> str:
        """See `Driver.path`: an absolute path, without links."""
        return self._place.path

    @property
    def sequence(self) -> int:
        """See `Driver.sequence`."""
        source = self._ledger or self._follower
        return source.sequence if source is not None else 0

    @property
    def store_id(self) -> str:
        """What tells this store from every other: 32 hexadecimal digits."""
        return self._place.meta.store_id

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """See `Driver.commit`."""
        results: list[Commit | BaseException] = []
        self.submit(changes, expect, results.append).wait()
        if not isinstance(results[0], Commit):
            raise results[0]
        if self.traits.files_at_once and self._ledger is not None:
            self._ledger.flush_or_tell()
        return results[0]

    def submit(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], settle: Settle
    ) -> Submission:
        """See `QueueingDriver.submit`."""
        drafts, failures = drafted(changes, expect, self._format.serializer)
        request = Request(drafts, expect, failures, settle, self._source)
        try:
            ledger = self._writable("save")
        except StateStoreError as error:
            request.finish(error)
            return request
        return ledger.submit(request)

    def read(self, key: Key) -> Stored:
        """See `Driver.read`."""
        check_kind(key.kind)
        check_id(key.id)
        return self._reader.read(key)

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """See `Driver.scan`."""
        return self._reader.scan(check_kind(kind))

    def kinds(self) -> Sequence[str]:
        """See `Driver.kinds`."""
        return self._reader.kinds()

    def changes(self, after: int) -> Iterator[Commit]:
        """See `Driver.changes`.

        Raises:
            HistoryPruned: the history does not go back so far any more.
            CorruptJournal: a part of the history is damaged.
        """
        for entry in self._history(after):
            yield commit_of(entry)

    def _history(self, after: int) -> Iterator[Entry]:
        self._place.want_open()
        if self._ledger is not None:
            return self._writable("read the history of").history(after)
        return self._follower.history(after) if self._follower is not None else iter(())

    def catch_up(self) -> int:
        """See `Driver.catch_up`."""
        self._place.want_in_place()
        source = self._ledger or self._follower
        if source is None:
            return 0
        source.catch_up()
        return source.sequence

    def flush(self) -> None:
        """See `Driver.flush`.

        Raises:
            CommitRefused: some files cannot be written; what is committed is safe in the journal.
            StorageError: the system refused; likewise.
        """
        self._place.want_open()
        if self._ledger is not None:
            self._writable("write the files of").flush()

    def close(self) -> None:
        """See `Driver.close`.

        Raises:
            CommitRefused, StorageError: some files are not up to date. Nothing is lost: the next
                opening writes them.
        """
        if self._closed:
            return
        self._closed = True
        _OPEN.discard(self)
        try:
            if self._ledger is not None and self._process == os.getpid():
                self._ledger.finish()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._ledger is not None:
            self._ledger.close()
        if self._follower is not None:
            self._follower.close()
        self._stages.close()
        self._place.close()

    # --- the files --------------------------------------------------------------------

    @property
    def serializer(self) -> Serializer:
        """See `RecordFiles.serializer`."""
        return self._format.serializer

    def use(self, serializer: Serializer, *, remember: bool = False) -> None:
        """See `RecordFiles.use`."""
        self._format.use(serializer, remember=remember)

    def prepare(self, kind: str) -> None:
        """See `RecordFiles.prepare`."""
        with self._place.writing("make a folder"), self._lock:
            self._place.kind(check_kind(kind), create=True)

    def entries(self, kind: str) -> Iterator[RecordFile | Failure]:
        """See `RecordFiles.entries`."""
        behind = self._behind if self._place.is_writing_here else None
        return self._reader.entries(check_kind(kind), behind)

    def strangers(self, kind: str) -> Sequence[str]:
        """See `RecordFiles.strangers`."""
        with self._lock:
            self._place.want_open()
            folder = self._place.kind(check_kind(kind))
            return [f"{kind}/{name}" for name in folder.strangers()] if folder else []

    def rewrite(self, kind: str, serializer: Serializer) -> Rewritten:
        """See `RecordFiles.rewrite`."""
        with self._place.writing("convert"):
            self._writable("convert").write_files()
            with self._lock:
                folder = self._place.kind(check_kind(kind))
                if folder is None:
                    return Rewritten()
                return Rewriter(self._place, self._catalogue, serializer).rewrite(folder)

    @contextmanager
    def held_still(self) -> Iterator[int]:
        """See `RecordFiles.held_still`."""
        if self._ledger is None:
            self._place.want_open()
            yield self.sequence
            return
        with self._place.writing("hold the files still"):
            sequence, self._behind = self._writable("hold still").hold()
            try:
                yield sequence
            finally:
                self._behind = None

    def set_aside(self, failure: Failure) -> str:
        """See `RecordFiles.set_aside`."""
        error = failure.error
        if failure.key is None or not isinstance(error, CorruptRecord | UnsafeFile):
            raise error
        if isinstance(error, QuarantinedRecord):
            return error.place
        kind, name = failure.key.kind, os.path.basename(error.path)
        with self._place.writing("set a file aside"), self._lock:
            return self._place.set_aside(kind, name, error.reason)

    @property
    def recovery(self) -> Recovery:
        """See `RecordFiles.recovery`."""
        return self._recovery

    def watch(self, failed: Callable[[Failure], None]) -> None:
        """See `RecordFiles.watch`."""
        self._watcher = failed

    # --- inside -----------------------------------------------------------------------

    def _writable(self, operation: str) -> Ledger:
        if self._closed:
            raise StoreClosed(self.path)
        if self._process != os.getpid():
            raise StoreForked(self.path)
        if self._ledger is None:
            raise ReadOnlyStore(self.path, operation)
        return self._ledger

    def _told(self, failure: Failure) -> None:
        if self._watcher is not None:
            self._watcher(failure)

    def leave_to_parent(self) -> None:
        """Let go of the locks that a forked child has in common with its parent."""
        if self._ledger is not None:
            self._ledger.close()
        self._place.leave_to_parent()


_OPEN: weakref.WeakSet[DirectoryDriver] = weakref.WeakSet()


def _after_fork() -> None:
    for driver in list(_OPEN):
        driver.leave_to_parent()


os.register_at_fork(after_in_child=_after_fork)


def open_directory(options: DriverOptions) -> DirectoryDriver:
    """Open a directory store as a `DriverFactory` does."""
    return DirectoryDriver(
        options.target,
        format=options.format,
        read_only=options.read_only,
        allow_unsafe=options.allow_unsafe,
        modes=options.modes,
        clock=options.clock,
        journal=options.journal,
        materialize=options.materialize,
        source=options.source,
        lock_timeout_s=options.lock_timeout_s,
    )
