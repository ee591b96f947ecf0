"""Making commits: requests become entries of the journal, which readers see when it is synced.

All of it runs on the committer's thread.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from queue import Empty, SimpleQueue

import attrs

from statestore.drivers.catalogue import Catalogue
from statestore.drivers.drafts import Request
from statestore.drivers.driver import Clock
from statestore.drivers.feed import Feed, commit_of
from statestore.drivers.following import note_gone
from statestore.drivers.overlay import Fold, Overlay, follow
from statestore.drivers.place import Place
from statestore.drivers.planning import Batch, Looks, Planner
from statestore.errors import CommitRefused, StateStoreError, StoreInDoubt
from statestore.journal.entries import Checkpoint, Entry, encode_entry
from statestore.journal.journal import Journal
from statestore.journal.standing import News, Recovered
from statestore.models.changes import Commit
from statestore.models.keys import Key


class Action:
    """Something else that is done in turn with commits."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._error: BaseException | None = None
        self._done = threading.Event()

    def run(self) -> None:
        """Do it, and keep what it raises for whoever waits."""
        try:
            self._act()
        except BaseException as error:  # noqa: BLE001 # it is raised again where it is awaited
            self._error = error
        finally:
            self._done.set()

    def wait(self) -> None:
        """Return when it is done; raise what it raised."""
        self._done.wait()
        if self._error is not None:
            raise self._error


@attrs.define
class _Foreign:
    """What others have committed that was taken in, and is not shown yet."""

    entries: list[Entry] = attrs.field(factory=list)
    folds: dict[Key, Fold] = attrs.field(factory=dict)
    is_empty: bool = True


class CommitMaker:
    """Makes commits of requests. `last_time` is that of the last one known."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        journal: Journal,
        planner: Planner,
        *,
        lock: threading.RLock,
        clock: Clock,
        committed: Callable[[], None],
        committed_elsewhere: Callable[[], None],
        recovered: Recovered,
        run: str,
    ) -> None:
        """Make commits of a place.

        Args:
            lock: that of the place and the catalogue.
            committed: called when there is something new that files do not show, on this thread.
            committed_elsewhere: likewise, where another process has committed it.
            recovered: what opening the journal found; it is taken up already.
            run: the name of this opening.
        """
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._journal, self._planner, self._lock, self._clock = journal, planner, lock, clock
        self._committed, self._committed_elsewhere = committed, committed_elsewhere
        self._run = run
        self._foreign = _Foreign()
        self._readers: SimpleQueue[Action] = SimpleQueue()
        self._upto = journal.files_upto
        self.feed = Feed()
        self.feed.add(recovered.window)
        self.sequence = journal.sequence
        """That of the last commit that is on the disk, and that readers see."""
        created_at = place.meta.created_at
        times = [one.committed_at for one in recovered.window]
        self.last_time = max(recovered.committed_at or created_at, created_at, *times)

    def make(self, batch: Sequence[Request | Action]) -> None:
        """Make all commits of a batch with one sync, and do what else is in it, in order."""
        requests: list[Request] = []
        for one in batch:
            if isinstance(one, Request):
                requests.append(one)
                continue
            self._make(requests)
            requests = []
            one.run()
        self._make(requests)

    def catch_up(self) -> None:
        """Take in what other processes have committed, and let readers see it.

        Waits for nobody who has the lock.

        Raises:
            StoreInDoubt: a sync has failed; readers see what is on the disk all the same.
        """
        try:
            self._take_in(self._journal.catch_up())
            self.show()
        except StoreInDoubt:
            with contextlib.suppress(StateStoreError):  # what is known goes on being read
                self._show_rest()
            raise

    def wanted(self, action: Action) -> None:
        """Have a reader served by the next `serve()`, or while the lock is waited for."""
        self._readers.put(action)

    def serve(self) -> None:
        """Do what readers wait for."""
        with contextlib.suppress(Empty):
            while True:
                self._readers.get_nowait().run()

    def serve_for(self, seconds: float) -> None:
        """Do what readers wait for, for so long."""
        until = time.monotonic() + seconds
        with contextlib.suppress(Empty):
            while (left_s := until - time.monotonic()) > 0:
                self._readers.get(timeout=left_s).run()

    def catch_up_locked(self) -> None:
        """Take in what others have committed. `show()` follows, without the lock."""
        self._take_in(self._journal.catch_up_locked())

    def show(self) -> None:
        """Let all readers see what was taken in, when it is on the disk."""
        if self._foreign.is_empty and self._upto == self._journal.files_upto:
            return
        self._journal.sync()
        self._show((), {})

    def _show_rest(self) -> None:
        """Let readers see, once nothing more comes, what others have brought to the disk before."""
        if not self._journal.is_behind:
            return
        news = self._journal.on_disk(self.sequence)
        self._foreign = _Foreign()  # some of it may be in doubt
        self._take_in(news)
        self._show((), {})

    # --- a batch ----------------------------------------------------------------------

    def _make(self, requests: Sequence[Request]) -> None:
        if not requests:
            return
        waiting = {id(one): one for one in requests}
        try:
            batch, error = self._made(requests, waiting)
            if error is None:
                for request, entry in batch.made:
                    self._finish(request, commit_of(entry), waiting)
                for request in batch.unchanged:
                    self._finish(request, Commit(self.sequence, self.last_time, {}), waiting)
        except BaseException as raised:  # noqa: BLE001 # nobody may be left waiting
            error = raised
        if error is not None:
            for request in list(waiting.values()):
                self._finish(request, error, waiting)
        elif batch.entries:
            self._committed()  # whoever waits goes on first

    def _made(
        self, requests: Sequence[Request], waiting: dict[int, Request]
    ) -> tuple[Batch, BaseException | None]:
        failed: BaseException | None = None
        journal = self._journal
        journal.acquire(idle=self.serve_for)
        try:
            self._place.want_in_place()
            self.catch_up_locked()
            looks, folds = Looks(self._place), self._foreign.folds.copy()
            batch = Batch(journal.sequence, self.last_time, folds, looks, self._run)
            try:
                batch.now = max(self._clock(), self.last_time)
                with self._lock:
                    for request in requests:
                        self._plan(request, batch, waiting)
                if batch.entries:
                    journal.append_locked([_payload(entry) for entry in batch.entries])
            except BaseException as error:  # noqa: BLE001 # what others did is shown first
                failed = error
        finally:
            journal.release()
        if isinstance(failed, StoreInDoubt):
            return batch, failed
        journal.sync()
        if failed is None:
            self._show(batch.entries, batch.folds)
        else:
            self._show((), {})
        return batch, failed

    def _plan(self, request: Request, batch: Batch, waiting: dict[int, Request]) -> None:
        try:
            self._planner.plan(request, batch)
        except CommitRefused as error:
            self._finish(request, error, waiting)

    def _finish(
        self, request: Request, result: Commit | BaseException, waiting: dict[int, Request]
    ) -> None:
        waiting.pop(id(request), None)
        try:
            request.finish(result)
        except Exception:  # noqa: BLE001 # a fault of whoever asked, and no reason to stop
            sys.excepthook(*sys.exc_info())

    # --- what others have committed ---------------------------------------------------

    def _take_in(self, news: News) -> None:
        foreign = self._foreign
        if news.checkpoint is not None:
            self._go_on_from(news.checkpoint)
        if news.entries or news.checkpoint is not None:
            foreign.is_empty = False
        for entry in news.entries:
            follow(self._overlay.folds, entry, foreign.folds)
            foreign.entries.append(entry)
            self.last_time = max(self.last_time, entry.committed_at)

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        """Forget what is in files by now: what others made of it since may not be known here."""
        with self._lock:
            self._let_go(checkpoint.files_upto)
            for key, revision, at in checkpoint.deleted:
                if revision >= self._catalogue.highest(key):
                    self._catalogue.buried(key, revision, at)
        self.last_time = max(self.last_time, checkpoint.committed_at)

    def _let_go(self, upto: int) -> None:
        for fold in self._overlay.drop_upto(upto):
            self._catalogue.written_elsewhere(fold)

    def _show(self, entries: Sequence[Entry], folds: Mapping[Key, Fold]) -> None:
        """Let all readers see what is on the disk: what others have committed, then `entries`.

        Args:
            folds: what comes of both.
        """
        foreign = self._foreign
        if not foreign.is_empty:
            self._foreign = _Foreign()
        changed = folds or foreign.folds
        with self._lock:
            note_gone(changed.values(), self._catalogue)
            self._overlay.update(changed)
            if self._upto < self._journal.files_upto:  # another process has written files
                self._upto = self._journal.files_upto
                self._let_go(self._upto)
            if foreign.entries:
                self.feed.add(foreign.entries)
            if entries:
                self.feed.add(entries)
                self.last_time = entries[-1].committed_at
            self.sequence = self._journal.sequence
        self._journal.shown()
        if foreign.folds and not self._journal.is_in_doubt:
            self._committed_elsewhere()


def _payload(entry: Entry) -> bytes:
    return encode_entry(entry.committed_at, entry.source, entry.ops, entry.run)
