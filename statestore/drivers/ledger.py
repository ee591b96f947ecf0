"""The ledger of a directory store: its commits in turn, and the files that follow them."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from typing import TypeAlias

from statestore.drivers.background import Background
from statestore.drivers.catalogue import Catalogue
from statestore.drivers.drafts import Request, edit_draft, encode_all
from statestore.drivers.driver import Clock, LeftInJournal, Submission
from statestore.drivers.following import take_up
from statestore.drivers.formats import WrittenFormat
from statestore.drivers.large_saves import LargeSaves
from statestore.drivers.making import Action, CommitMaker
from statestore.drivers.materialising import Materialiser
from statestore.drivers.overlay import Fold, Overlay
from statestore.drivers.place import Place
from statestore.drivers.planning import Planner
from statestore.drivers.reading import Edited, Reader
from statestore.drivers.staging import Stages
from statestore.errors import (
    FilesBehind,
    LockTimeout,
    StateStoreError,
    StorageError,
    StoreClosed,
    StoreInDoubt,
    StoreReplaced,
    UnsafeFile,
)
from statestore.journal.committer import Committer
from statestore.journal.entries import Entry, StagedOp
from statestore.journal.journal import Journal, JournalOptions
from statestore.journal.standing import State
from statestore.models.changes import Commit
from statestore.models.keys import Key
from statestore.models.reports import Failure
from statestore.serializers.serializer import Serializer

Tell: TypeAlias = Callable[[BaseException], None]

ADOPTION_S = 1.0
"""So long a reader waits for what somebody has made of a file to become a commit."""


class Ledger:
    """Makes commits, and writes the files of records after them. Any thread may use it."""

    def __init__(
        self,
        place: Place,
        catalogue: Catalogue,
        overlay: Overlay,
        stages: Stages,
        *,
        lock: threading.RLock,
        clock: Clock,
        format: WrittenFormat,
        options: JournalOptions,
        run: str,
        tell: Callable[[Failure], None],
    ) -> None:
        """Open the journal of a place that may be written to, and recover it if that is needed.

        Args:
            lock: that of the place and the catalogue.
            run: the name of this opening, for its commits.
            tell: what is told of failures that nobody waits for.
        Raises:
            CorruptJournal: commits are damaged; nothing was changed.
            StorageError: the system refused.
        """
        if place.own is None:
            raise UnsafeFile(place.path, "has no folder of its own")
        self._place, self._catalogue, self._overlay = place, catalogue, overlay
        self._stages, self._lock, self._clock = stages, lock, clock
        self._large = LargeSaves(stages, catalogue, overlay, clock, format, options.staged_bytes)
        self._format, self._watcher = format, tell
        self._process, self._is_ended = os.getpid(), False
        self._looked_at = 0
        self.left: tuple[LeftInJournal, ...] = ()
        """What the last pass could not write."""
        self._adoption: Request | None = None
        self._told: set[tuple[Key | None, str]] = set()
        self._journal = Journal(
            place.own,
            place.meta.store_id,
            path=place.path,
            options=options,
            now_s=time.time,
            state=self._state,
            lock_timeout_s=place.lock_timeout_s,
        )
        # Before it is open: from then on others may open the store, and stage files, too.
        left = stages.tokens()
        try:
            recovered = self._journal.open()
        except BaseException:
            self._journal.close()
            raise
        take_up(recovered, catalogue, overlay)
        self.taken_up = len(recovered.window)
        if recovered.alone:
            begins = [fold.begin for fold in overlay.snapshot().values()]
            stages.sweep(left, [one for one in begins if isinstance(one, StagedOp)])

        def serializer() -> Serializer:
            return format.serializer

        self.reader = Reader(
            place, catalogue, overlay, stages, lock, serializer, self._adopt, self.catch_up
        )
        self._materialiser = Materialiser(
            place, catalogue, overlay, self.reader, stages, lock=lock, serializer=serializer
        )
        self._background = Background(self._pass, self._tell, self._is_left)
        self._maker = CommitMaker(
            place,
            catalogue,
            overlay,
            self._journal,
            Planner(catalogue, overlay, serializer=serializer, base=self.reader.base),
            lock=lock,
            clock=clock,
            committed=self._background.note,
            committed_elsewhere=self._background.note_elsewhere,
            recovered=recovered,
            run=run,
        )
        self._committer: Committer[Request | Action] = Committer(
            self._maker.make, "statestore-commits"
        )
        if len(overlay):
            self._background.note()

    @property
    def sequence(self) -> int:
        """The sequence of the last commit that is on the disk and known here."""
        return self._maker.sequence

    @property
    def is_in_doubt(self) -> bool:
        """Whether nothing may be committed any more."""
        return self._journal.is_in_doubt

    def submit(self, request: Request) -> Submission:
        """Queue a request. See `QueueingDriver.submit`."""
        if self.is_in_doubt:
            request.finish(StoreInDoubt(self._place.path))
            return request
        if not request.failures:
            try:
                request.staged = self._large.staged(request, self._maker.last_time)
            except StateStoreError as error:
                request.finish(error)
                return request
            if not request.staged and not request.is_encoded:
                encode_all(request)
        if not self._committer.put(request):
            request.finish(StoreClosed(self._place.path))
        return request

    def history(self, after: int) -> Iterator[Entry]:
        """Return the commits behind `after`, in order. See `Driver.changes`."""
        upto = self.sequence
        kept = self._maker.feed.between(after, upto)
        return self._journal.history(after, upto) if kept is None else iter(kept)

    def flush(self) -> None:
        """Return when the files show all that is committed. See `Driver.flush`."""
        self._background.flush()

    def flush_or_tell(self) -> None:
        """Do as `flush()`; what goes wrong is told, and not raised: the commits are made."""
        try:
            self._background.flush()
        except StateStoreError as error:
            self._tell(error)

    def catch_up(self) -> None:
        """Let readers see what other processes have committed up to now. Waits for none of them.

        Raises:
            CorruptJournal, StorageError: it cannot be read.
        """
        if self._is_ended or self._process != os.getpid() or not self._journal.is_behind:
            return
        with contextlib.suppress(StoreInDoubt):  # what is known goes on being read
            self._soon(self._maker.catch_up)

    def write_files(self) -> int:
        """Make the files show all commits so far; return the sequence of the last one.

        The caller has the lock for writing them.

        Raises:
            FilesBehind: some files cannot be written.
        """
        upto, _, failures = self._written()
        if failures:
            raise FilesBehind(failures)
        return upto

    def hold(self) -> tuple[int, Mapping[Key, Fold]]:
        """Make the files show all commits so far, as far as they can be written.

        Returns the sequence of the last commit, and what it and those before it have made of
        records whose files cannot be written. The caller has the lock for writing them.
        """
        upto, behind, _ = self._written()
        return upto, behind

    def _written(self) -> tuple[int, dict[Key, Fold], list[Failure]]:
        self._format.follow()
        folds: dict[Key, Fold] = {}
        upto = 0

        def take() -> None:
            nonlocal upto
            self._maker.catch_up()
            folds.update(self._overlay.snapshot())
            upto = self._maker.sequence

        self._soon(take)
        shown, failures = self._materialiser.write(folds)
        behind = {key: fold for key, fold in folds.items() if key not in shown}
        self.left = tuple(
            LeftInJournal(one.key, behind[one.key].since, one.error)
            for one in failures
            if one.key in behind
        )
        until = min([upto, *(fold.since - 1 for fold in behind.values())])
        self._in_turn(lambda: self._note_written(shown, until))
        return upto, behind, failures

    def finish(self) -> None:
        """Write all files, and note that they are written if nobody else is at work."""
        self._is_ended = True
        try:
            if not self.is_in_doubt:
                self._background.flush()
        except StoreInDoubt:
            return  # who commits is told; the next opening finds out
        except StorageError:
            if len(self._overlay):
                raise
        except LockTimeout as error:
            behind = self._overlay.snapshot()
            if behind:  # all is committed: who were told "nothing was changed" would repeat it
                failures = [Failure(key, "materialise", error) for key in behind]
                raise FilesBehind(failures) from error
            return  # whoever has the lock goes on
        except StoreReplaced:
            if len(self._overlay):
                raise
            return  # no file is behind, and whoever has the place goes on
        finally:
            self._background.stop()
            self._committer.stop()
        # Whoever has the lock is at work; and all is in files, wherever the journal may be.
        with contextlib.suppress(LockTimeout, StoreReplaced):
            self._journal.end()

    def close(self) -> None:
        """Let go of all files and locks. Twice is harmless."""
        self._journal.close()

    # --- inside -----------------------------------------------------------------------

    def _state(self) -> State:
        return self._maker.last_time, self._catalogue.deleted()

    def _pass(self) -> None:
        with self._place.writing("write the files of"):
            self.write_files()
        self._told = set()

    def _is_left(self) -> bool:
        """Say whether commits that were there at the last look are not in files yet.

        Whoever made them may be dead, or unable to write them.
        """
        try:
            sequence, files_upto = self._journal.standing()
        except StorageError:
            return False  # whoever wants something of the store is told
        before, self._looked_at = self._looked_at, sequence
        return files_upto < min(before, sequence)

    def _note_written(self, shown: Mapping[Key, Fold], upto: int) -> None:
        journal = self._journal
        if not shown and upto <= journal.files_upto and not journal.wants_rotation:
            return  # another process has written all
        try:
            with journal.held(idle=self._maker.serve_for):
                self._maker.catch_up_locked()
                journal.files_written_locked(upto)
                if journal.wants_rotation:
                    self._catalogue.forget_deleted(journal.rotate_locked())
        finally:
            self._maker.show()  # it was taken in, whatever failed after it
        with self._lock:
            self._overlay.settle(shown)

    def _soon(self, act: Callable[[], None]) -> None:
        """Have something done on the committer's thread, though it may wait for the lock."""
        action = Action(act)
        self._maker.wanted(action)
        if not self._committer.put(Action(self._maker.serve)):
            raise StoreClosed(self._place.path)
        action.wait()

    def _in_turn(self, act: Callable[[], None]) -> None:
        action = Action(act)
        if not self._committer.put(action):
            raise StoreClosed(self._place.path)
        action.wait()

    def _adopt(self, edited: Sequence[Edited]) -> Set[Key]:
        """Make what others have written commits, so that no revision is used twice.

        Returns the keys of those that another commit came before, so that they are none.
        """
        overtaken = {one.record.key for one in edited}
        if self.is_in_doubt:
            return set()
        drafts = {one.record.key: [edit_draft(one.record)] for one in edited}
        failed: list[BaseException] = []

        def settle(result: Commit | BaseException) -> None:
            if isinstance(result, Commit):
                overtaken.difference_update(result.revisions)
            else:
                failed.append(result)

        request = Request(
            drafts, {}, [], settle, "external", edited={one.record.key: one for one in edited}
        )
        if not self._committer.put(request):
            request.finish(StoreClosed(self._place.path))
        # Somebody may have stopped while he had the lock: readers wait for him once, and not long.
        is_patient = self._adoption is None or self._adoption.is_done_within(0)
        self._adoption = request
        if not request.is_done_within(ADOPTION_S if is_patient else 0):
            return set()
        for error in failed:  # their revisions hold in this process, and are taken up again later
            self._tell(error)
        return set() if failed else overtaken

    def _tell(self, error: BaseException) -> None:
        if isinstance(error, FilesBehind):
            told, self._told = self._told, set()
            for failure in error.failures:
                if isinstance(failure, Failure):
                    self._told.add((failure.key, str(failure.error)))
                    if (failure.key, str(failure.error)) not in told:  # it is tried every second
                        self._watcher(failure)
        elif isinstance(error, Exception):
            self._watcher(Failure(None, "materialise", error))
