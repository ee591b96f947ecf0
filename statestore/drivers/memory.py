"""The driver that keeps records in memory, for tests and for state that need not last."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from statestore import forks
from statestore.drivers.driver import Clock, DriverTraits, utc_now
from statestore.drivers.folding import (
    Base,
    check_data,
    fold,
    group,
    needs_document,
    refuse_mismatch,
)
from statestore.drivers.pieces import Pieces
from statestore.drivers.registered import DriverOptions
from statestore.errors import (
    CommitRefused,
    ReadOnlyStore,
    RecordNotFound,
    StateStoreError,
    StoreClosed,
)
from statestore.models.changes import Change, Commit, Patch, Stored
from statestore.models.keys import Key, Revision, check_key, check_kind
from statestore.models.managed import Runs
from statestore.models.reports import Failure
from statestore.serializers import get

_TRAITS = DriverTraits(name="memory", durable=False, atomic=True, feed=True)


@attrs.frozen
class _Kept:
    """A record: all of `stored` but the document, which is made of `data` when it is wanted."""

    stored: Stored
    data: bytes | Pieces

    @property
    def document(self) -> dict[str, Any]:
        data = self.data.joined() if isinstance(self.data, Pieces) else self.data
        document: dict[str, Any] = orjson.loads(data)
        return document

    def patched(self, patches: Sequence[Change]) -> Pieces | None:
        """Return the document with patches applied; None where something is wrong with one."""
        pieces: Pieces | None = None
        for patch in patches:
            if not isinstance(patch, Patch):
                return None
            if pieces is None:
                whole = self.data
                pieces = whole if isinstance(whole, Pieces) else Pieces.of(self.document)
            pieces = pieces.patched(patch)
            if pieces is None:
                return None
        return pieces


class _OwnRun:
    """The one opening of what is in memory. See `Runs`."""

    def __init__(self, path: str, run: str, *, read_only: bool) -> None:
        self._path, self._run, self._read_only = path, run, read_only
        self._is_held = False

    def hold(self) -> None:
        if self._read_only:
            raise ReadOnlyStore(self._path, "hold a run")
        self._is_held = True

    def is_held(self, run: str) -> bool:
        return self._is_held and run == self._run


class MemoryDriver:
    """Keeps records as bytes in a dict: what is read is a copy, as from a disk."""

    traits = _TRAITS
    record_files = None

    def __init__(
        self, path: str = "memory:", *, read_only: bool = False, clock: Clock = utc_now
    ) -> None:
        """Begin empty. `path` is what messages call the place."""
        self._read_only = read_only
        self.path = path
        self.store_id = secrets.token_hex(16)
        self._begin_run()
        self._clock = clock
        self._kept: dict[Key, _Kept] = {}
        self._revisions: dict[Key, Revision] = {}
        self._commits: list[Commit] = []
        self._lock = threading.RLock()
        self._closed = False
        forks.note(self)

    @property
    def sequence(self) -> int:
        """See `Driver.sequence`."""
        with self._lock:
            return len(self._commits)

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """See `Driver.commit`."""
        with self._lock:
            self._want_open()
            if self._read_only:
                raise ReadOnlyStore(self.path, "save")
            now = self._clock()
            if self._commits:
                now = max(now, self._commits[-1].committed_at)
            planned: dict[Key, _Kept | None] = {}
            revisions: dict[Key, Revision] = {}
            failures: list[Failure] = []
            for key, own in group(changes, expect).items():
                try:
                    kept = self._kept.get(key)
                    refuse_mismatch(key, expect, kept.stored.revision if kept else 0, own)
                    if not own:
                        continue
                    new = self._made(key, kept, own)
                    if new is None and kept is None:
                        continue
                    revisions[key] = self._revisions.get(key, 0) + 1
                    if new is not None:
                        stored = attrs.evolve(new.stored, revision=revisions[key], saved_at=now)
                        new = attrs.evolve(new, stored=stored)
                    planned[key] = new
                except StateStoreError as error:
                    failures.append(Failure(key, "save", error))
            if failures:
                raise CommitRefused(failures)
            if not revisions:
                last = self._commits[-1].committed_at if self._commits else now
                return Commit(len(self._commits), last, {})
            for key, new in planned.items():
                if new is None:
                    del self._kept[key]
                else:
                    self._kept[key] = new
            self._revisions.update(revisions)
            size = sum(new.stored.size_bytes for new in planned.values() if new)
            commit = Commit(len(self._commits) + 1, now, revisions, size, run=self.run)
            self._commits.append(commit)
            return commit

    def read(self, key: Key) -> Stored:
        """See `Driver.read`."""
        check_key(key)
        with self._lock:
            self._want_open()
            if key not in self._kept:
                raise RecordNotFound(key.kind, key.id)
            return self._load(self._kept[key])

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """See `Driver.scan`. Records are those of the moment when the scan began."""
        check_kind(kind)
        with self._lock:
            self._want_open()
            kept = [self._kept[key] for key in sorted(self._kept) if key.kind == kind]
        for one in kept:
            yield self._load(one)

    def kinds(self) -> Sequence[str]:
        """See `Driver.kinds`."""
        with self._lock:
            self._want_open()
            return sorted({key.kind for key in self._kept})

    def changes(self, after: int) -> Iterator[Commit]:
        """See `Driver.changes`."""
        with self._lock:
            self._want_open()
            commits = self._commits[after:]
        yield from commits

    def catch_up(self) -> int:
        """See `Driver.catch_up`: there are no others."""
        self._want_open()
        return self.sequence

    def flush(self) -> None:
        """See `Driver.flush`: memory is always up to date."""
        self._want_open()

    def close(self) -> None:
        """See `Driver.close`."""
        self._closed = True

    def after_fork(self) -> None:
        """Go on in a child with a copy of its own."""
        self._lock = threading.RLock()
        self._begin_run()

    def _begin_run(self) -> None:
        self.run = secrets.token_hex(8)
        self.runs: Runs = _OwnRun(self.path, self.run, read_only=self._read_only)

    def _made(self, key: Key, kept: _Kept | None, changes: Sequence[Change]) -> _Kept | None:
        """Return what a record is after `changes`, but for its revision and time; None if gone."""
        # What only adds costs what it adds: a conversation may become long one by one.
        pieces = kept.patched(changes) if kept is not None else None
        if kept is not None and pieces is not None:
            return _Kept(attrs.evolve(kept.stored, size_bytes=pieces.size_bytes), pieces)
        base = None
        if kept is not None:
            document = kept.document if needs_document(changes) else {}
            base = Base(kept.stored.schema, document, kept.stored.extra)
        result = fold(key, base, changes)
        if result is None:
            return None
        check_data(result.document)
        data = orjson.dumps(result.document)
        stored = Stored(key, {}, result.schema, 0, self._clock(), len(data), extra=result.extra)
        return _Kept(stored, data)

    def _load(self, kept: _Kept) -> Stored:
        return attrs.evolve(kept.stored, document=kept.document)

    def _want_open(self) -> None:
        if self._closed:
            raise StoreClosed(self.path)


def open_memory(options: DriverOptions) -> MemoryDriver:
    """Open a store in memory as a `DriverFactory` does. It begins empty each time."""
    if options.format is not None:
        get(options.format)  # nothing is written with it, but a wrong name is a mistake
    path = f"memory:{options.target}"
    return MemoryDriver(path, read_only=options.read_only, clock=options.clock)
