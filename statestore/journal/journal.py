"""The journal of a directory store: commits in their order, on the disk before they are told.

docs/concepts/journal.md is its specification: bytes, steps, assumptions, limits.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import attrs

from statestore.errors import (
    CorruptJournal,
    StorageError,
    StoreInDoubt,
    UnsafeFile,
)
from statestore.files.folders import Folder
from statestore.files.locks import LOCK_TIMEOUT_S, FileLock, Idle
from statestore.files.open_files import OpenFile
from statestore.journal.entries import Checkpoint, Entry
from statestore.journal.frames import CHECKPOINT, DATA, HEADER_BYTES, Frame
from statestore.journal.history import History
from statestore.journal.segments import (
    Segment,
    Uncertain,
    generations,
    leftovers,
    open_segment,
    read_segment,
    segment_name,
    write_segment,
)
from statestore.journal.shared import BLOCK_BYTES, SharedBlock
from statestore.journal.standing import (
    News,
    Recovered,
    Standing,
    State,
    commits_of,
    read_and_close,
)
from statestore.journal.syncing import FailedElsewhere, Syncs

JOURNAL_FOLDER = "journal"
LOCK_FILE = "lock"
ALIVE_FILE = "alive"

_LOOKS = 100


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


class Journal:
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
        self._path, self._options, self._now_s = path, options, now_s
        self._state = state
        self._store_id = bytes.fromhex(store_id)
        self._folder = _wanted(own.child(JOURNAL_FOLDER, create=True), own, JOURNAL_FOLDER)
        self._segment: Segment | None = None
        self._block = SharedBlock()
        self._taken = self._shown = b""
        self._is_hidden = False
        self._durable = 0
        self._has_appended = False
        self._in_doubt = False
        self._lock: FileLock | None = None
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
            alone = self._alive.lock(wait=False)
            recovered = self._recover(alone=True) if alone else self._join()
            self._alive.lock(shared=True)  # whoever wants to know takes our lock first
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
        )
        if read.window:
            window = [frame.payload for frame in read.window]
            self._begin_locked(read.files_upto, read.state(segment), window)
        else:
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

    def _opened(self, generation: int) -> Segment:
        segment = open_segment(self._folder, generation, self._store_id)
        if segment is None:
            path = self._folder.place(segment_name(generation))
            raise CorruptJournal(path, 0, "it is missing")
        return segment

    # --- committing -------------------------------------------------------------------

    def held(self, *, idle: Idle = time.sleep) -> contextlib.AbstractContextManager[None]:
        """Keep all other processes and threads from appending until the block ends.

        Raises:
            LockTimeout: another one has kept this one from it for too long. See `FileLock.acquire`,
                for `idle` too.
        """
        assert self._lock is not None  # noqa: S101
        return self._lock.held(idle=idle)

    def acquire(self, *, idle: Idle = time.sleep) -> None:
        """Begin what `held()` does; `release()` follows."""
        assert self._lock is not None  # noqa: S101
        self._lock.acquire(idle=idle)

    def release(self) -> None:
        """End what `acquire()` began."""
        assert self._lock is not None  # noqa: S101
        self._lock.release()

    @property
    def is_in_doubt(self) -> bool:
        """Whether a sync has failed, so that nothing may be appended any more."""
        return self._in_doubt

    @property
    def sequence(self) -> int:
        """The sequence of the last commit that was read or appended."""
        return self._block.sequence

    @property
    def files_upto(self) -> int:
        """The sequence up to which all commits are known to be in synced record files."""
        return self._block.files_upto

    @property
    def is_behind(self) -> bool:
        """Whether others may have done something since the last `shown()` that took it all in.

        Asked without the lock; what it says may be out of date by the time that it is said.
        """
        return not self._in_doubt and self._shared.read_at(0, BLOCK_BYTES) != self._shown

    def standing(self) -> tuple[int, int]:
        """Return the sequence of the last commit of all processes, and `files_upto`, as told now.

        Asked without the lock; nothing is taken in. Both are 0 where nothing can be told.
        """
        block = SharedBlock.read(self._shared)
        return (0, 0) if block is None or self._in_doubt else (block.sequence, block.files_upto)

    def shown(self) -> None:
        """Note that all that was taken in so far is seen by whoever asks."""
        self._is_hidden = False
        self._shown = self._taken

    def catch_up(self) -> News:
        """Return what other processes have done since the last call, without waiting for any.

        Their commits may not be on the disk: `sync()` before they are shown to anybody. What
        somebody is about to do, or died while doing, is left to the next one who takes the lock.

        Raises:
            StoreInDoubt, CorruptJournal: as for `catch_up_locked()`.
        """
        for _ in range(_LOOKS):
            told = self._shared.read_at(0, BLOCK_BYTES)
            if told == self._taken and not self._in_doubt:
                return News()
            block = SharedBlock.from_bytes(told)
            if block is None:
                continue  # somebody writes it at this moment
            try:
                return self._taken_in(block, told)
            except CorruptJournal:
                # The segment may have been left, and removed, since the block was read.
                if self._shared.read_at(0, BLOCK_BYTES) == told:
                    raise
        return News()

    def catch_up_locked(self) -> News:
        """Return what other processes have done since the last call.

        Their commits may not be on the disk: `sync()` before they are shown to anybody. Where this
        raises, the next call tells all that this one would have told.

        Raises:
            StoreInDoubt: a sync has failed, here or in another process.
            CorruptJournal: what others have appended is damaged.
        """
        told = self._shared.read_at(0, BLOCK_BYTES)
        if told == self._taken and not self._in_doubt and not self._block.rotating:
            return News()  # nobody else was here
        block = SharedBlock.from_bytes(told)
        if block is None:  # a write to it has failed
            self._in_doubt = True
            raise StoreInDoubt(self._path)
        if block.rotating and not block.is_poisoned:
            self._undo_rotation(block)
            told = block.to_bytes()
        return self._taken_in(block, told)

    def _taken_in(self, block: SharedBlock, told: bytes) -> News:
        """Return what is new since the block that was taken in last."""
        if self._in_doubt or block.is_poisoned:
            self._in_doubt = True
            raise StoreInDoubt(self._path)
        news = News()
        if self._segment is not None and block.generation != self._segment.generation:
            # The newest one tells all: what is not in it is in files.
            self._segment.close()
            self._segment = None
        if self._segment is None and block.tail:
            news = self._entered(block)
        elif self._segment is not None and block.tail > self._segment.chain.end:
            news = self._continued(self._segment, block.tail)
        self._block, self._taken = block, told
        self._is_hidden |= bool(news.entries) or news.checkpoint is not None
        if not self._is_hidden:
            self._shown = told
        return news

    def _entered(self, block: SharedBlock) -> News:
        """Go to the newest segment, and return what is new in it."""
        segment = self._opened(block.generation)
        try:
            frames = self._read_live(segment, block.tail)
            checkpoint = Standing.of(segment, frames).checkpoint
            entries = [one for one in commits_of(segment, frames) if one.sequence > self.sequence]
        except BaseException:
            segment.close()
            raise
        self._segment = segment
        self._durable = block.durable
        return News(entries, checkpoint)

    def _continued(self, segment: Segment, tail: int) -> News:
        before = attrs.evolve(segment.chain)
        try:
            return News(commits_of(segment, self._read_live(segment, tail)))
        except BaseException:
            segment.chain = before  # or the next call would take what follows for all there is
            raise

    def _read_live(self, segment: Segment, tail: int) -> list[Frame]:
        frames = segment.read_to(tail)
        if segment.chain.end != tail:
            raise CorruptJournal(segment.file.path, segment.chain.end, "a commit is damaged")
        segment.allocated = max(segment.allocated, segment.file.size())
        return frames

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

    def _append(self, payloads: Sequence[bytes], type: int) -> None:
        segment = self._segment
        assert segment is not None  # noqa: S101 # a tail says that there is one
        try:
            segment.append(payloads, durable=self._durable, type=type)
        except Uncertain as error:
            self._poison()
            raise StoreInDoubt(self._path) from error
        self._has_appended = True
        self._tell(segment)

    def _tell(self, segment: Segment) -> None:
        chain = segment.chain
        block = self._block
        block.tail, block.sequence, block.checksum = chain.end, chain.sequence, chain.checksum
        block.durable = self._durable
        try:
            self._tell_others()
        except StorageError as error:
            # Others would append over what was appended, and this process behind it.
            self._poison()
            raise StoreInDoubt(self._path) from error

    def _tell_others(self) -> None:
        told = self._block.to_bytes()
        self._shared.write_at(0, told)
        self._taken = told
        if not self._is_hidden:  # what this process does is nothing that it has to catch up with
            self._shown = told

    def sync(self) -> None:
        """Return when all that was appended or read so far is on the disk.

        Raises:
            StoreInDoubt: the system failed; whether it is nobody knows, now or ever.
        """
        segment = self._segment
        if segment is None or self._durable >= segment.chain.end:
            return
        end = segment.chain.end
        if self._in_doubt:
            raise StoreInDoubt(self._path)
        try:
            self._syncs.sync(segment.file, segment.generation, end, is_own=self._has_appended)
        except (StorageError, FailedElsewhere) as error:
            # Never again: the system has marked the pages clean, and would say that all is well.
            self._poison()
            raise StoreInDoubt(self._path) from error
        self._durable, self._has_appended = end, False

    def _poison(self) -> None:
        self._in_doubt = True
        generation = self._block.generation
        self._syncs.failed(generation)
        with contextlib.suppress(StorageError):
            block = SharedBlock.read(self._shared) or self._block
            if block.generation == generation:  # else others have left that segment already
                self._block = attrs.evolve(block, poisoned=generation)
                self._block.write(self._shared)

    # --- files and segments -----------------------------------------------------------

    def files_written_locked(self, upto: int) -> None:
        """Note that all commits up to a sequence are in synced record files."""
        if upto > self._block.files_upto:
            self._block = attrs.evolve(self._block, files_upto=upto)
            self._tell_others()

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

    def _undo_rotation(self, block: SharedBlock) -> None:
        """Remove the segment that a process had begun when it died: all went on in the old one."""
        self._folder.remove(segment_name(block.rotating))
        self._folder.sync()
        block.rotating = 0
        block.write(self._shared)

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
            if not self._alive.lock(wait=False):
                return
            foreign = self.catch_up_locked()
            segment = self._segment
            if foreign.entries or segment is None or self._block.files_upto != self.sequence:
                return
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
