"""The journal of a directory store: commits in their order, on the disk before they are told.

docs/concepts/journal.md is its specification: bytes, steps, assumptions, limits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import attrs

from statestore.errors import (
    CorruptJournal,
    StorageError,
    UnsafeFile,
)
from statestore.files.folders import Folder
from statestore.files.locks import LOCK_TIMEOUT_S, FileLock, share
from statestore.files.open_files import OpenFile
from statestore.journal.entries import Checkpoint, Entry
from statestore.journal.frames import CHECKPOINT, DATA, HEADER_BYTES
from statestore.journal.history import History
from statestore.journal.segments import (
    generations,
    leftovers,
    read_segment,
    segment_name,
    write_segment,
)
from statestore.journal.shared import SharedBlock
from statestore.journal.standing import (
    News,
    Recovered,
    Standing,
    State,
    read_and_close,
)
from statestore.journal.syncing import Syncs
from statestore.journal.tail import Tail

JOURNAL_FOLDER = "journal"
LOCK_FILE = "lock"
ALIVE_FILE = "alive"


@attrs.frozen(kw_only=True)
class JournalOptions:
    """Sizes of a journal.

    A pass that leaves a segment longer than `segment_bytes` begins a new one. Closed segments are
    kept until there are more than `history_bytes` of them, or they are older than `history_days`.
    A commit of more than `staged_bytes` is written as files at once, not into the journal before.
    """

    segment_bytes: int = 4 * 1024 * 1024
    staged_bytes: int = 8 * 1024 * 1024
    history_bytes: int = 64 * 1024 * 1024
    history_days: float = 30.0


class Journal(Tail):
    """Appends commits and reads those of other processes.

    Methods whose names say `locked` are called within `held()`. One thread makes all calls, but for
    `history()`, which any may.
    """

    def __init__(
        self,
        own: Folder,
        store_id: str,
        *,
        path: str,
        options: JournalOptions,
        now_s: Callable[[], float],
        state: Callable[[], State],
        lock_timeout_s: float = LOCK_TIMEOUT_S,
    ) -> None:
        """Open the files; `open()` finds out where the journal stands.

        Args:
            own: the folder `.statestore`.
            path: that of the store, for messages.
            now_s: what tells the time, seconds since 1970, for the age of history.
            state: what tells the time of the last commit, and the revisions of records that are
                gone, for the next segment.
            lock_timeout_s: so long one waits for the lock.
        """
        super().__init__(path, store_id)
        self._options, self._now_s, self._state = options, now_s, state
        self._lock_timeout_s = lock_timeout_s
        self._folder = _wanted(own.child(JOURNAL_FOLDER, create=True), own, JOURNAL_FOLDER)
        self._alive: OpenFile | None = None
        try:
            self._folder.sync()
            file = _wanted(own.open_file(LOCK_FILE, create=True), own, LOCK_FILE)
            self._lock = FileLock(file, timeout_s=lock_timeout_s)
            self._alive = _wanted(own.open_file(ALIVE_FILE, create=True), own, ALIVE_FILE)
            self._shared = self._lock.file
            self._syncs = Syncs(self._shared)
        except BaseException:
            self.close()
            raise

    # --- opening ----------------------------------------------------------------------

    def open(self) -> Recovered:
        """Find out where the journal stands; recover it if no other process has it open.

        Raises:
            CorruptJournal: it is damaged; nothing was changed.
            LockTimeout: another process has the lock for too long.
            StorageError: the system refused.
        """
        assert self._lock is not None  # noqa: S101 # closed journals are not opened
        assert self._alive is not None  # noqa: S101
        with self._lock.held():
            share(self._alive, self._lock_timeout_s)
            try:
                alone = self._alive.lock(wait=False)
                recovered = self._recover(alone=True) if alone else self._join()
                self._alive.lock(shared=True)  # whoever wants to know takes our lock first
            except BaseException:
                # Before the lock is: the next one must not take this one for one at work.
                self._alive.unlock()
                raise
            self._taken = self._shown = self._block.to_bytes()
        return recovered

    def _recover(self, *, alone: bool) -> Recovered:
        """Take up what a process has left that is dead, or in doubt.

        Nothing is ever appended to its segment. What can be read of it may be in the page cache
        only, also after a sync that failed. What is not in files yet goes to a new segment, which
        is on the disk before anybody is told.
        """
        if alone:
            self._syncs.forget()
        known = generations(self._folder)
        if not known:
            self._block = SharedBlock()
            self._block.write(self._shared)
            return Recovered(0, None, 0, (), (), alone=alone)
        segment, read = read_and_close(self._opened(known[-1]))
        self._block = SharedBlock(
            generation=segment.generation,
            sequence=segment.chain.sequence,
            files_upto=read.files_upto,
            # Until the new one has its name: were it left undone, others would go on without what
            # is not in files.
            poisoned=0 if alone else segment.generation,
        )
        if read.window:
            window = [frame.payload for frame in read.window]
            self._begin_locked(read.files_upto, read.state(segment), window)
        else:
            self._block.poisoned = 0
            self._block.write(self._shared)
        for name in leftovers(self._folder) if alone else ():
            self._folder.try_remove(name)
        return read.recovered(segment, alone=alone)

    def _join(self) -> Recovered:
        """Read what the processes that are at work have in the journal."""
        block = SharedBlock.read(self._shared)
        if block is None:
            return self._recover(alone=False)  # a write to it has failed
        if block.is_poisoned or self._syncs.has_failed(max(block.generation, 1)):
            return self._recover(alone=False)  # those at work append nothing to it any more either
        self._block = block
        if not block.tail:
            if not block.generation:
                return Recovered(0, None, 0, (), (), alone=False)
            segment, read = read_and_close(self._opened(block.generation))
            return read.recovered(segment, alone=False)
        segment = self._opened(block.generation)
        frames = segment.read_to(block.tail)
        if segment.chain.end != block.tail:
            segment.close()
            raise CorruptJournal(segment.file.path, segment.chain.end, "a commit is damaged")
        self._segment = segment
        self._durable = block.durable
        if self._durable < block.tail:
            self.sync()  # nothing is shown that a power cut could take back
        read = Standing.of(segment, frames, files_upto=block.files_upto)
        return read.recovered(segment, alone=False)

    # --- committing -------------------------------------------------------------------

    def append_locked(self, payloads: Sequence[bytes]) -> None:
        """Append commits, which take the next sequences in order. Durable after `sync()`.

        Raises:
            StorageError: nothing was appended.
            StoreInDoubt: something may have been, and nothing more will be.
        """
        if not self._block.tail:
            # What was appended to by a process that is gone is never appended to again.
            self._begin_locked(self._block.files_upto, self._state(), [])
        self._append(payloads, DATA)

    # --- files and segments -----------------------------------------------------------

    def files_written_locked(self, upto: int) -> None:
        """Note that all commits up to a sequence are in synced record files."""
        if upto <= self._block.files_upto:
            return
        before = self._block
        try:
            self._block = attrs.evolve(before, files_upto=upto)
            self._tell_others()
        except StorageError:
            self._block, self._is_garbled = before, SharedBlock.read(self._shared) is None
            raise

    @property
    def wants_rotation(self) -> bool:
        """Whether the segment has grown so long that a new one is due."""
        segment = self._segment
        return segment is not None and segment.chain.end > self._options.segment_bytes

    def rotate_locked(self) -> int:
        """Begin a new segment with what is not in files yet. Called after `catch_up_locked()`.

        Returns the sequence up to which history has been forgotten.
        """
        segment = self._segment
        if segment is None:
            return 0
        self.sync()
        again = self._opened(segment.generation)
        try:
            frames = self._read_live(again, segment.chain.end)  # all of it, or nothing is begun
        finally:
            again.close()
        upto = self._block.files_upto
        window = [one.payload for one in frames if one.type == DATA and one.sequence > upto]
        self._begin_locked(upto, self._state(), window)
        self._prune()
        oldest = read_segment(self._folder, generations(self._folder)[0], self._store_id)
        if oldest is None:
            return 0
        oldest.close()
        return oldest.header.base

    def _begin_locked(self, base: int, state: State, window: Sequence[bytes]) -> None:
        """Begin a new segment, which holds the commits behind `base`, and leave the old one."""
        generation = self._block.generation + 1
        checkpoint = Checkpoint(base, *state).to_bytes()
        temporary, segment = write_segment(
            self._folder,
            generation=generation,
            store_id=self._store_id,
            base=base,
            checkpoint=checkpoint,
            window=window,
        )
        try:
            # Should this process die after the rename, the others go on in the old segment, and a
            # later opener must not find the new one.
            attrs.evolve(self._block, rotating=generation).write(self._shared)
            self._folder.move(temporary, self._folder, segment_name(generation))
            self._folder.sync()
        except BaseException:
            segment.close()
            self._take_back(temporary, generation)
            raise
        self._leave()
        self._segment, self._durable = segment, segment.chain.end
        self._block = attrs.evolve(self._block, generation=generation, rotating=0, files_upto=base)
        self._tell(segment)

    def _take_back(self, temporary: str, generation: int) -> None:
        """Undo the beginning of a segment; if that fails too, nobody may go on in the old one."""
        try:
            self._folder.remove(temporary)
            self._folder.remove(segment_name(generation))
            self._folder.sync()
            self._block.write(self._shared)
        except StorageError:
            self._poison()

    def _leave(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            with contextlib.suppress(StorageError):  # zeros that stay do no harm
                segment.file.truncate(max(segment.chain.end, HEADER_BYTES))
            segment.close()

    def _prune(self) -> None:
        """Remove closed segments that are older, or more, than the options want."""
        oldest_s = self._now_s() - self._options.history_days * 86400
        size, is_over = 0, False
        for generation in reversed(generations(self._folder)[:-1]):
            name = segment_name(generation)
            with contextlib.suppress(UnsafeFile, StorageError):
                mark = self._folder.mark(name)
                if mark is None:
                    continue
                size += mark.size_bytes
                is_over |= size > self._options.history_bytes
                is_over |= mark.mtime_ns < oldest_s * 1_000_000_000
                if is_over:  # and all that are older: history has no holes
                    self._folder.try_remove(name)

    # --- reading back -----------------------------------------------------------------

    def history(self, after: int, upto: int) -> Iterator[Entry]:
        """Yield the commits behind `after`, up to `upto`, in order. See `History.between`."""
        return History(self._folder, self._store_id).between(after, upto, self._path)

    # --- closing ----------------------------------------------------------------------

    def end(self) -> None:
        """Note, as the last process that is at work, that all commits are in synced files.

        Does nothing if others are at work, or something is in doubt, or not in files.
        """
        if self._alive is None or self._lock is None or self._in_doubt:
            return
        with self._lock.held():
            try:
                if self._alive.lock(wait=False):
                    self._end_locked()
            finally:
                # Before the lock is: an opener who has it waits for this one without a limit.
                self._alive.unlock()

    def _end_locked(self) -> None:
        foreign = self.catch_up_locked()
        segment = self._segment
        if foreign != News() or segment is None or self._block.files_upto != self.sequence:
            return  # what others have deleted meanwhile is not known to whoever tells the state
        self._append([Checkpoint(self.sequence, *self._state()).to_bytes()], CHECKPOINT)
        self.sync()
        self._block = attrs.evolve(self._block, tail=0)
        self._block.write(self._shared)
        self._leave()

    def close(self) -> None:
        """Let go of all files and locks. Twice is harmless."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        if self._lock is not None:
            self._lock.close()
        if self._alive is not None:
            self._alive.close()
        self._folder.close()


T = TypeVar("T", Folder, OpenFile)


def _wanted(made: T | None, around: Folder, name: str) -> T:
    if made is None:
        raise UnsafeFile(around.place(name), "vanished while it was opened")
    return made
