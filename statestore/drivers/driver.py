"""The seam behind which records are kept, and what an implementation says of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol, TypeAlias

import attrs

from statestore.files.folders import Mark
from statestore.models.changes import Change, Commit, Put, Stored
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision
from statestore.models.managed import Runs
from statestore.models.reports import AbsentRecord, Failure, QuarantinedFile
from statestore.serializers.serializer import Serializer

Clock: TypeAlias = Callable[[], datetime]


def utc_now() -> datetime:
    """Return the present time, aware, in UTC."""
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class DriverTraits:
    """What a driver promises besides the seam. Ask these, never its class."""

    name: str
    durable: bool
    """What was committed survives the process, and a power cut."""
    atomic: bool
    """A commit happens wholly or not at all. If not, `commit` may raise `PartialCommit`."""
    feed: bool
    """`changes()` tells what was committed before."""
    files_at_once: bool = False
    """Whoever commits wants its files written, too, before going on: by `flush()`."""
    queues: bool = False
    """The driver is a `QueueingDriver` too: commits of many threads share the wait for the disk."""


@attrs.frozen
class RecordFile:
    """One record's file. `name` is that in the folder of its kind.

    `notes` say what a person should know of it, such as that there is a second file.
    """

    key: Key
    name: str
    data: bytes
    mark: Mark
    envelope: Envelope
    format: str
    notes: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path of the file relative to the store."""
        return f"{self.key.kind}/{self.name}"


@attrs.frozen
class Rewritten:
    """What rewriting the files of one kind came to."""

    items: int = 0
    unchanged: int = 0
    size_bytes: int = 0
    failures: tuple[Failure, ...] = ()
    notes: tuple[str, ...] = ()


@attrs.frozen
class LastVersion:
    """The last version of a record that can be made of the history.

    `put` would make it again; None where the history holds none. `copied` is the revision that it
    had, `revision` the last one of the record; `is_deleted` says that this one was its deletion.
    """

    put: Put | None
    copied: Revision
    revision: Revision
    is_deleted: bool


@attrs.frozen
class LeftInJournal:
    """A record that could not be written as a file when that was tried last, and why.

    All commits from `since` on are kept in the journal until it can.
    """

    key: Key
    since: int
    error: BaseException

    def __str__(self) -> str:
        return (
            f"commits from {self.since} on are kept in the journal because {self.key.shown} cannot "
            f"be written as a file: {self.error}"
        )


class Recovery(Protocol):
    """What a driver with a journal can tell of what went wrong. Looking changes nothing."""

    @property
    def commits(self) -> int:
        """How many commits the journal had, at the opening, that the files did not show."""
        ...

    @property
    def is_taken_up(self) -> bool:
        """Whether the opening has taken them up; one for reading only looks at them."""
        ...

    @property
    def left(self) -> Sequence[LeftInJournal]:
        """What cannot be written as files, and holds the journal back."""
        ...

    def quarantined(self) -> Sequence[QuarantinedFile]:
        """Return what is in quarantine."""
        ...

    def absent(self) -> Sequence[AbsentRecord]:
        """Return the records that the kept history knows, nobody has deleted, and have no file.

        Raises:
            CorruptJournal: a part of the history is damaged.
        """
        ...

    def last_version(self, key: Key) -> LastVersion:
        """Return the last version of a record that the kept history can make. See `absent`."""
        ...

    def used(self, key: Key, revision: Revision) -> None:
        """Note that a record which is not there had a revision, so that it is not used again."""
        ...


class RecordFiles(Protocol):
    """The files of a driver that keeps one readable file per record."""

    @property
    def path(self) -> str:
        """The absolute path of the folder that holds the folders of the kinds."""
        ...

    @property
    def serializer(self) -> Serializer:
        """What the next files are written with."""
        ...

    def use(self, serializer: Serializer, *, remember: bool = False) -> None:
        """Write the next files with `serializer`; `remember` makes it the store's format."""
        ...

    def prepare(self, kind: str) -> None:
        """Make the folder of a kind, for good."""
        ...

    def entries(self, kind: str) -> Iterator[RecordFile | Failure]:
        """Yield the file of each record, in the order of names; one at a time is in memory.

        What is committed and not in a file yet comes as the file that it will have. While this
        thread holds the files still, what was committed since does not come.
        """
        ...

    def strangers(self, kind: str) -> Sequence[str]:
        """Return the paths, relative to the store, of what is no record file: it is left alone."""
        ...

    def rewrite(self, kind: str, serializer: Serializer) -> Rewritten:
        """Write each record of a kind with `serializer`; its content and revision stay.

        Each file changes at once or not at all; stopped half way, the others are as they were.
        """
        ...

    def held_still(self) -> AbstractContextManager[int]:
        """Write all that is committed, then write, move and remove no file until the block ends.

        Gives the sequence of a commit: within the block `entries` yields, to this thread, the
        records as that one has left them. Commits go on meanwhile. It does not nest.
        """
        ...

    def watch(self, failed: Callable[[Failure], None]) -> None:
        """Call `failed`, on a thread of the driver, for what goes wrong while nobody waits for it:
        a file that cannot be written, or an edit that cannot be taken up.
        """
        ...

    @property
    def recovery(self) -> Recovery:
        """What can be told of what went wrong."""
        ...

    def set_aside(self, failure: Failure) -> str:
        """Move what could not be read to quarantine, with the reason; return its new path."""
        ...


class Driver(Protocol):
    """Keeps records. Any thread may call it; calls that change take their turns."""

    @property
    def traits(self) -> DriverTraits: ...

    @property
    def path(self) -> str:
        """What people call the place: a folder, a URL."""
        ...

    @property
    def store_id(self) -> str:
        """What tells this store from every other; empty where it says nothing of itself."""
        ...

    @property
    def sequence(self) -> int:
        """The sequence of the last commit that is known; 0 before the first.

        Counted from the opening where the traits say that the driver keeps no feed.
        """
        ...

    @property
    def run(self) -> str:
        """What tells this opening from every other one, as in `Commit.run`."""
        ...

    @property
    def runs(self) -> Runs:
        """Which openings go on, those of other processes included."""
        ...

    @property
    def record_files(self) -> RecordFiles | None:
        """The files of the records, where the driver keeps such files."""
        ...

    def commit(self, changes: Sequence[Change], expect: Mapping[Key, Revision]) -> Commit:
        """Make `changes`, in their order, as one commit; durable when it returns.

        Each key changed takes the next revision, one above the highest that it ever had. Where
        nothing changes there is no commit: what is returned has the sequence and the time of the
        last one, and no revisions.

        Args:
            expect: the revision that a key must have now; 0 means that it must not exist. Keys
                that are not in it are not checked. A delete of what is gone is no conflict.
        Raises:
            CommitRefused: nothing was written; per key a `Conflict`, `HeldKey`, `InvalidId`,
                `InvalidKind`, `EncodeError` or `RecordNotFound` (a patch of nothing).
            PartialCommit: some changes are durable, others not (only where not `traits.atomic`).
            StorageError: nothing was written.
            ReadOnlyStore: the driver was opened for reading.
        """
        ...

    def read(self, key: Key) -> Stored:
        """Return a record as it is stored.

        Raises:
            RecordNotFound: there is none.
            InvalidKind, InvalidId: there can be none.
            CorruptRecord, UnsafeFile, StorageError: there is something that cannot be read.
        """
        ...

    def scan(self, kind: str) -> Iterator[Stored | Failure]:
        """Yield every record of a kind, ordered by file name or id, and a failure for each that
        cannot be read. Memory is bounded by the largest record, not by their number.
        """
        ...

    def kinds(self) -> Sequence[str]:
        """Return the kinds of which there may be records, sorted."""
        ...

    def changes(self, after: int) -> Iterator[Commit]:
        """Yield the commits with a sequence above `after`, in order.

        Raises:
            HistoryPruned: the feed does not go back so far any more.
            NotSupported: the driver keeps no feed.
        """
        ...

    def catch_up(self) -> int:
        """Take in what others have committed; return the sequence of the last commit now known.

        What is known is on the disk. It waits for no writer; where nothing is new it costs
        microseconds.

        Raises:
            StoreReplaced: the place is not the one any more that was opened.
            CorruptJournal, StorageError, StoreClosed: as they say.
        """
        ...

    def flush(self) -> None:
        """Return when all that is visible outside is up to date."""
        ...

    def close(self) -> None:
        """Let go of everything held. Twice is harmless; other calls then raise `StoreClosed`."""
        ...


Settle: TypeAlias = Callable[[Commit | BaseException], None]


class Submission(Protocol):
    """A commit on its way."""

    def wait(self) -> None:
        """Return when it is settled. Being interrupted while waiting changes nothing about it."""
        ...


class QueueingDriver(Driver, Protocol):
    """A driver that can be given a commit without waiting for it."""

    def submit(
        self, changes: Sequence[Change], expect: Mapping[Key, Revision], settle: Settle
    ) -> Submission:
        """Queue what `commit` would do; commits are made in the order in which they are queued.

        Args:
            settle: called once with the commit, or with what `commit` would raise: on a thread of
                the driver, before anybody who waits goes on, and also where the caller was
                interrupted. It must be quick, and must not wait for a commit.
        """
        ...
