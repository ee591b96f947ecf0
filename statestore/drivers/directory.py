"""The driver that keeps one readable file per record in a directory.

Each file is written by the honest protocol: a temporary file with all its bytes, synced, renamed,
and the folder synced. A batch is not atomic: stopped half way, each record is the old or the new
one, whole. `traits` say so.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

import attrs

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.driver import (
    Clock,
    DriverTraits,
    RecordFile,
    RecordFiles,
    Rewritten,
    utc_now,
)
from statestore.drivers.kind_folder import Found, KindFolder
from statestore.drivers.names import file_stem
from statestore.drivers.place import Place
from statestore.drivers.planning import Planner
from statestore.drivers.registered import DriverOptions
from statestore.drivers.rewriting import Rewriter
from statestore.drivers.writing import Writer
from statestore.errors import (
    CommitRefused,
    CorruptRecord,
    NotSupported,
    PartialCommit,
    RecordNotFound,
    UnsafeFile,
)
from statestore.files.calls import Files, SystemFiles
from statestore.files.folders import Modes
from statestore.models.changes import Change, Commit, Stored
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.reports import Failure
from statestore.models.times import time_ns
from statestore.serializers import get
from statestore.serializers.serializer import Serializer

_LOOKS = 100
"""How often a record whose file has another name each time is looked for."""

_TRAITS = DriverTraits(name="directory", durable=True, atomic=False, feed=False)


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
        if format is not None:
            get(format)  # a wrong name is refused before a folder is made
        self._lock = threading.RLock()
        self._clock = clock
        self._catalogue = Catalogue()
        self._sequence = 0
        self._place = Place(
            os.fspath(path),
            read_only=read_only,
            allow_unsafe=allow_unsafe,
            modes=modes or Modes(),
            files=files or SystemFiles(),
            clock=clock,
        )
        self._writer = Writer(self._place, self._catalogue)
        try:
            self._serializer = get(format or self._place.meta.format)
        except BaseException:
            self._place.close()
            raise
        self._last_time = self._place.meta.created_at

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
        return self._sequence

    @property
    def store_id(self) -> str:
        """What tells this store from every other: 32 hexadecimal digits."""
        return self._place.meta.store_id

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """See `Driver.commit`."""
        with self._lock, self._place.writing("save"):
            now = max(self._clock(), self._last_time)
            plan = self._planner(now).plan(changes, expect)
            if plan.seen_at > now:  # a record that was just looked at was saved later
                now = plan.seen_at
                plan = self._planner(now).plan(changes, expect)
            if plan.failures:
                raise CommitRefused(plan.failures)
            self._writer.sync_unsure()
            if not plan.writes:
                return Commit(self._sequence, self._last_time, {})
            self._last_time = now
            failed = self._writer.write(plan.writes, time_ns(now))
            done = [write for write in plan.writes if write.key not in failed]
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
            self._place.want_open()
            folder = self._place.kind(key.kind)
            if folder is not None:
                extension = self._serializer.extension
                found = folder.find(stem, folder.marks(stem, extension), extension)
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
            self._place.want_open()
            return self._place.kinds()

    def changes(self, after: int) -> Iterator[Commit]:  # noqa: ARG002 # the seam's argument
        """See `Driver.changes`: files alone do not tell what was committed before."""
        raise NotSupported("directory", "a feed of changes")

    def flush(self) -> None:
        """See `Driver.flush`: files are written before `commit` returns."""
        with self._lock:
            self._place.want_open()

    def close(self) -> None:
        """See `Driver.close`."""
        with self._lock:
            self._place.close()

    # --- the files --------------------------------------------------------------------

    @property
    def serializer(self) -> Serializer:
        """See `RecordFiles.serializer`."""
        return self._serializer

    def use(self, serializer: Serializer, *, remember: bool = False) -> None:
        """See `RecordFiles.use`."""
        with self._lock:
            if remember:
                with self._place.writing("change the format"):
                    self._place.remember_format(serializer.name)
            self._serializer = serializer

    def prepare(self, kind: str) -> None:
        """See `RecordFiles.prepare`."""
        with self._lock, self._place.writing("make a folder"):
            self._place.kind(check_kind(kind), create=True)

    def entries(self, kind: str) -> Iterator[RecordFile | Failure]:
        """See `RecordFiles.entries`."""
        for found in self._found(kind):
            yield from found.unreadable
            if found.record is not None:
                yield found.record

    def strangers(self, kind: str) -> Sequence[str]:
        """See `RecordFiles.strangers`."""
        with self._lock:
            self._place.want_open()
            folder = self._place.kind(check_kind(kind))
            return [f"{kind}/{name}" for name in folder.strangers()] if folder else []

    def rewrite(self, kind: str, serializer: Serializer) -> Rewritten:
        """See `RecordFiles.rewrite`."""
        with self._lock, self._place.writing("convert"):
            folder = self._place.kind(check_kind(kind))
            if folder is None:
                return Rewritten()
            return Rewriter(self._place, self._catalogue, serializer).rewrite(folder)

    @contextmanager
    def held_still(self) -> Iterator[int]:
        """See `RecordFiles.held_still`."""
        with self._lock, self._place.writing("hold the files still"):
            yield self._sequence

    def set_aside(self, failure: Failure) -> str:
        """See `RecordFiles.set_aside`."""
        error = failure.error
        if failure.key is None or not isinstance(error, CorruptRecord | UnsafeFile):
            raise error
        kind, name = failure.key.kind, os.path.basename(error.path)
        with self._lock, self._place.writing("set a file aside"):
            return self._place.set_aside(kind, name, str(error))

    # --- inside -----------------------------------------------------------------------

    def _planner(self, now: datetime) -> Planner:
        return Planner(self._place, self._catalogue, self._serializer, now)

    def _found(self, kind: str) -> Iterator[Found]:
        """Yield what lies under each stem, reading one at a time."""
        with self._lock:
            self._place.want_open()
            folder = self._place.kind(check_kind(kind))
            stems = list(folder.stems()) if folder else []
        for stem, names in stems:
            with self._lock:
                self._place.want_open()
                assert folder is not None  # noqa: S101 # there are stems
                found = self._named(self._find(folder, stem, names))
            yield found

    def _find(self, folder: KindFolder, stem: str, names: Sequence[str]) -> Found:
        """Read what lies under a stem, again where another process has just renamed it."""
        extension = self._serializer.extension
        found = folder.find(stem, names, extension)
        for _ in range(_LOOKS):
            if found.record is not None or found.unreadable:
                break
            marks = folder.marks(stem, extension)
            if not marks:
                break
            found = folder.find(stem, marks, extension)
        return found

    def _named(self, found: Found) -> Found:
        """Return what was found with the true ids of unreadable files, as far as they are known."""
        if not found.unreadable:
            return found
        failures = []
        for failure, name in zip(found.unreadable, found.unreadable_names, strict=True):
            kind = failure.key.kind if failure.key else ""
            key = self._catalogue.key_of(kind, name) or failure.key
            failures.append(attrs.evolve(failure, key=key))
        return attrs.evolve(found, unreadable=tuple(failures))

    def _stored(self, record: RecordFile, notes: tuple[str, ...]) -> Stored:
        """Return what a file holds, and remember the file."""
        with self._lock:
            revision = self._catalogue.read(record)
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
            record.envelope.extra,
        )


def open_directory(options: DriverOptions) -> DirectoryDriver:
    """Open a directory store as a `DriverFactory` does."""
    return DirectoryDriver(
        options.target,
        format=options.format,
        read_only=options.read_only,
        allow_unsafe=options.allow_unsafe,
        modes=options.modes,
        clock=options.clock,
    )
