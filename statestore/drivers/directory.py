"""The driver that keeps one readable file per record in a directory.

A commit is one frame of the journal and one sync. Record files follow in the background, each
written whole; until they have, readers put what the journal has on top.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import attrs

from statestore import forks
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
from statestore.drivers.ledger import Ledger
from statestore.drivers.opened import How, Opening, opened_again, opened_in_time
from statestore.drivers.overlay import Fold
from statestore.drivers.registered import DriverOptions
from statestore.drivers.rewriting import Rewriter
from statestore.errors import (
    CorruptRecord,
    QuarantinedRecord,
    ReadOnlyStore,
    StateStoreError,
    StoreClosed,
    UnsafeFile,
)
from statestore.files.calls import Files, SystemFiles
from statestore.files.folders import Modes
from statestore.files.locks import LOCK_TIMEOUT_S
from statestore.journal.journal import JournalOptions
from statestore.models.changes import Change, Commit, Stored
from statestore.models.keys import Key, Revision, check_key, check_kind
from statestore.models.managed import Runs
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
        self._closed = False
        self._reopening = threading.Lock()
        self._watcher: Callable[[Failure], None] | None = None
        self._behind: Mapping[Key, Fold] | None = None
        self._how = How(
            path=os.fspath(path),
            format=format,
            read_only=read_only,
            allow_unsafe=allow_unsafe,
            modes=modes or Modes(),
            files=files or SystemFiles(),
            clock=clock,
            journal=journal or JournalOptions(),
            lock_timeout_s=lock_timeout_s,
            tell=self._told,
        )
        self._early: Opening | None = None
        self._opening = Opening(self._how, self.run)
        forks.note(self)

    # --- the seam ---------------------------------------------------------------------

    @property
    def record_files(self) -> RecordFiles:
        """See `Driver.record_files`."""
        return self

    @property
    def runs(self) -> Runs:
        """See `Driver.runs`."""
        return self._here.runs

    @property
    def path(self) -> str:
        """See `Driver.path`: an absolute path, without links."""
        return self._opening.path

    @property
    def sequence(self) -> int:
        """See `Driver.sequence`."""
        return self._here.sequence

    @property
    def store_id(self) -> str:
        """What tells this store from every other: 32 hexadecimal digits."""
        return self._opening.store_id

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """See `Driver.commit`."""
        results: list[Commit | BaseException] = []
        self.submit(changes, expect, results.append).wait()
        if not isinstance(results[0], Commit):
            raise results[0]
        if self.traits.files_at_once:
            self._writable("save").flush_or_tell()
        return results[0]

    def submit(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], settle: Settle
    ) -> Submission:
        """See `QueueingDriver.submit`."""
        drafts, failures = drafted(changes, expect, self.serializer)
        request = Request(drafts, expect, failures, settle, self._source)
        try:
            ledger = self._writable("save")
        except StateStoreError as error:
            request.finish(error)
            return request
        return ledger.submit(request)

    def read(self, key: Key) -> Stored:
        """See `Driver.read`."""
        return self._here.reader.read(check_key(key))

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """See `Driver.scan`."""
        here = self._here
        return here.here(here.reader.scan(check_kind(kind)))

    def kinds(self) -> Sequence[str]:
        """See `Driver.kinds`."""
        return self._here.reader.kinds()

    def changes(self, after: int) -> Iterator[Commit]:
        """See `Driver.changes`.

        Raises:
            HistoryPruned: the history does not go back so far any more.
            CorruptJournal: a part of the history is damaged.
        """
        for entry in self._here.history(after):
            yield commit_of(entry)

    def catch_up(self) -> int:
        """See `Driver.catch_up`."""
        return self._here.catch_up()

    def flush(self) -> None:
        """See `Driver.flush`.

        Raises:
            FilesBehind: some files cannot be written; what is committed is safe in the journal.
            LockTimeout, StorageError: they could not be written now; likewise.
        """
        self._here.place.want_open()
        if not self._how.read_only:
            self._writable("write the files of").flush()

    def close(self) -> None:
        """See `Driver.close`.

        Raises:
            FilesBehind, StoreReplaced, StorageError: some files are not up to date. Nothing is
                lost: the next opening writes them.
        """
        if self._closed:
            return
        self._closed = True
        if self._early is not None:
            self._early.let_go()
        self._opening.close()

    # --- the files --------------------------------------------------------------------

    @property
    def serializer(self) -> Serializer:
        """See `RecordFiles.serializer`."""
        return self._opening.format.serializer

    def use(self, serializer: Serializer, *, remember: bool = False) -> None:
        """See `RecordFiles.use`."""
        self._here.format.use(serializer, remember=remember)

    def prepare(self, kind: str) -> None:
        """See `RecordFiles.prepare`."""
        here = self._here
        with here.lock:
            here.place.want_open()
            if here.place.kind(check_kind(kind)) is not None and not here.place.is_read_only:
                return  # nobody has to be waited for
        with here.place.writing("make a folder"), here.lock:
            here.place.kind(kind, create=True)

    def entries(self, kind: str) -> Iterator[RecordFile | Failure]:
        """See `RecordFiles.entries`."""
        here = self._here
        behind = self._behind if here.place.is_writing_here else None
        return here.here(here.reader.entries(check_kind(kind), behind))

    def strangers(self, kind: str) -> Sequence[str]:
        """See `RecordFiles.strangers`."""
        here = self._here
        with here.lock:
            here.place.want_open()
            folder = here.place.kind(check_kind(kind))
            return [f"{kind}/{name}" for name in folder.strangers()] if folder else []

    def rewrite(self, kind: str, serializer: Serializer) -> Rewritten:
        """See `RecordFiles.rewrite`."""
        here = self._here
        with here.place.writing("convert"):
            self._writable("convert").write_files()
            with here.lock:
                folder = here.place.kind(check_kind(kind))
                if folder is None:
                    return Rewritten()
                rewriter = Rewriter(here.place, here.catalogue, here.overlay, serializer)
                return rewriter.rewrite(folder)

    @contextmanager
    def held_still(self) -> Iterator[int]:
        """See `RecordFiles.held_still`."""
        here = self._here
        if here.ledger is None:
            here.place.want_open()
            yield here.sequence
            return
        with here.place.writing("hold the files still"):
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
        here = self._here
        with here.place.writing("set a file aside"), here.lock:
            return here.place.set_aside(kind, name, error.reason)

    @property
    def recovery(self) -> Recovery:
        """See `RecordFiles.recovery`."""
        return self._here.recovery

    def watch(self, failed: Callable[[Failure], None]) -> None:
        """See `RecordFiles.watch`."""
        self._watcher = failed

    # --- inside -----------------------------------------------------------------------

    @property
    def _here(self) -> Opening:
        """What this process holds. A forked child opens its own, when it is first asked for."""
        opening = self._opening
        if (opening.is_left or opening.is_outdated) and not self._closed:
            with self._reopening:
                if self._opening.is_left:
                    self._opening = opened_again(self._how, self._opening, self.run)
                elif self._opening.is_outdated:
                    self._early = self._opening  # other threads may be reading in it
                    self._opening = opened_in_time(self._how, self._opening, self.run)
        return self._opening

    @property
    def _ledger(self) -> Ledger | None:
        return self._here.ledger

    def _writable(self, operation: str) -> Ledger:
        if self._closed:
            raise StoreClosed(self.path)
        ledger = self._ledger
        if ledger is None:
            raise ReadOnlyStore(self.path, operation)
        return ledger

    def _told(self, failure: Failure) -> None:
        if self._watcher is not None:
            self._watcher(failure)

    def after_fork(self) -> None:
        """Leave what is held to the parent: a child opens its own."""
        self.run = secrets.token_hex(8)
        self._reopening = threading.Lock()
        self._behind = None
        self._opening.leave_to_parent()


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
