"""An opening of a directory store: all that one process holds of it until it is closed."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

import attrs

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.driver import Clock
from statestore.drivers.following import Follower
from statestore.drivers.formats import WrittenFormat
from statestore.drivers.layout import META_FILE, OWN_FOLDER, read_meta
from statestore.drivers.ledger import Ledger
from statestore.drivers.overlay import Overlay
from statestore.drivers.place import Place
from statestore.drivers.reading import Reader
from statestore.drivers.recovering import DirectoryRecovery
from statestore.drivers.runs import FileRuns
from statestore.drivers.staging import Stages
from statestore.errors import StoreForked, StoreReplaced
from statestore.files.calls import Files
from statestore.files.folders import Modes
from statestore.journal.entries import Entry
from statestore.journal.journal import JournalOptions
from statestore.models.reports import Failure

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class How:
    """How a store is opened. See `DirectoryDriver`."""

    path: str
    format: str | None
    read_only: bool
    allow_unsafe: bool
    modes: Modes
    files: Files
    clock: Clock
    journal: JournalOptions
    lock_timeout_s: float
    tell: Callable[[Failure], None]


class Opening:
    """The folders, files, locks and threads of one opening, and what is known of the records."""

    def __init__(self, how: How, run: str) -> None:
        """Open the store, and recover it if that is needed. See `DirectoryDriver`.

        `run` is what tells this opening from every other one.
        """
        self.run = run
        self.lock = threading.RLock()
        self.is_left = False
        self.catalogue, self.overlay = Catalogue(), Overlay()
        self.ledger: Ledger | None = None
        self.follower: Follower | None = None
        self.place = Place(
            how.path,
            read_only=how.read_only,
            allow_unsafe=how.allow_unsafe,
            modes=how.modes,
            files=how.files,
            clock=how.clock,
            lock_timeout_s=how.lock_timeout_s,
        )
        self.path, self.store_id = self.place.path, self.place.meta.store_id
        self._meta_path = os.path.join(self.path, OWN_FOLDER, META_FILE)
        self._is_early = how.read_only and not os.path.exists(self._meta_path)
        self.stages = Stages(self.place.own)
        self.runs = FileRuns(self.place, run)
        try:
            self.format = WrittenFormat(self.place, how.format, how.tell)
            if how.read_only:
                self.follower = Follower(self.place, self.catalogue, self.overlay, self.lock)
                self.reader = self._opened_for_reading(self.follower)
                commits = self.follower.taken_up
            else:
                self.ledger = Ledger(
                    self.place,
                    self.catalogue,
                    self.overlay,
                    self.stages,
                    lock=self.lock,
                    clock=how.clock,
                    format=self.format,
                    options=how.journal,
                    run=run,
                    tell=how.tell,
                )
                self.reader = self.ledger.reader
                commits = self.ledger.taken_up
        except BaseException:
            self.let_go()
            raise
        self.recovery = DirectoryRecovery(
            self.place,
            self.catalogue,
            self.overlay,
            self.stages,
            self.lock,
            self.history,
            lambda: self.ledger.left if self.ledger is not None else (),
            commits=commits,
        )

    def _opened_for_reading(self, follower: Follower) -> Reader:
        return Reader(
            self.place,
            self.catalogue,
            self.overlay,
            self.stages,
            self.lock,
            lambda: self.format.serializer,
            None,
            follower.catch_up,
        )

    @property
    def is_outdated(self) -> bool:
        """Whether it was opened for reading before the store had been made, which it is by now."""
        return self._is_early and os.path.exists(self._meta_path)

    @property
    def sequence(self) -> int:
        """See `Driver.sequence`."""
        source = self.ledger or self.follower
        return source.sequence if source is not None else 0

    def catch_up(self) -> int:
        """See `Driver.catch_up`."""
        self.place.want_in_place()
        if self.ledger is not None:
            self.ledger.catch_up()
        elif self.follower is not None:
            self.follower.catch_up()
        return self.sequence

    def history(self, after: int) -> Iterator[Entry]:
        """Yield the commits behind `after`. See `Driver.changes`."""
        self.place.want_open()
        if self.ledger is not None:
            return self.here(self.ledger.history(after))
        return self.here(self.follower.history(after)) if self.follower is not None else iter(())

    def here(self, items: Iterator[T]) -> Iterator[T]:
        """Yield the items, in this process only.

        Raises:
            StoreForked: a forked child wants the next one.
        """
        while True:
            if self.is_left:
                raise StoreForked(self.path)
            try:
                one = next(items)
            except StopIteration:
                return
            yield one

    def leave_to_parent(self) -> None:
        """Refuse all use from now on: this is a forked child, and what is open is its parent's."""
        self.is_left = True
        self.place.leave_to_parent()

    def close(self) -> None:
        """Write what has to be written, and let go of everything. See `Driver.close`."""
        try:
            if self.ledger is not None and not self.is_left:
                self.ledger.finish()
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Let go of everything as it is. Twice is harmless."""
        if self.ledger is not None:
            self.ledger.close()
        if self.follower is not None:
            self.follower.close()
        self.stages.close()
        self.runs.close()
        self.place.close()


def opened_in_time(how: How, early: Opening, run: str) -> Opening:
    """Open for reading, once more, a store that had not been made at the first time."""
    return Opening(attrs.evolve(how, path=early.path), run)


def opened_again(how: How, left: Opening, run: str) -> Opening:
    """Open, in a forked child, the store that its parent has open.

    Raises:
        StoreReplaced: it is not there any more.
        StateStoreError: it cannot be opened. See `DirectoryDriver`.
    """
    if not how.read_only and not os.path.isdir(os.path.join(left.path, OWN_FOLDER)):
        raise StoreReplaced(left.path, "it was moved or removed")
    # The path as it was found then: the child may have another working folder.
    chosen = left.format.chosen
    opening = Opening(attrs.evolve(how, path=left.path, format=None), run)
    if chosen is not None:
        opening.format.use(chosen, remember=False)
    meta = read_meta(opening.place.own) if opening.place.own is not None else None
    if meta is not None and meta.store_id != left.store_id:
        opening.close()
        raise StoreReplaced(left.path, "another store has its place")
    return opening
