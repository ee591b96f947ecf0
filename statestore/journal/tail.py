"""The end of the journal: appended to, synced, and followed as other processes append to it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

import attrs

from statestore.errors import CorruptJournal, StorageError, StoreInDoubt, StoreReplaced
from statestore.files.folders import Folder
from statestore.files.locks import FileLock, Idle
from statestore.files.open_files import OpenFile
from statestore.journal.frames import Frame
from statestore.journal.segments import Segment, Uncertain, open_segment, segment_name
from statestore.journal.shared import BLOCK_BYTES, SharedBlock
from statestore.journal.standing import News, Standing, commits_of
from statestore.journal.syncing import FailedElsewhere, Syncs

_LOOKS = 100
"""How often one looks again at what others are just writing."""


class Tail:
    """The newest segment, as far as this process has read it, and what others tell of it.

    Methods whose names say `locked` are called within `held()`. One thread makes all calls.
    """

    _folder: Folder
    _shared: OpenFile
    _syncs: Syncs

    def __init__(self, path: str, store_id: str) -> None:
        """Know nothing yet. `path` is that of the store, for messages."""
        self._path = path
        self._store_id = bytes.fromhex(store_id)
        self._segment: Segment | None = None
        self._block = SharedBlock()
        self._taken = self._shown = b""
        self._is_hidden = False
        self._durable = 0
        self._has_appended = False
        self._in_doubt = self._is_told_all = False
        self._is_garbled = False
        """Whether this process has left half a block, when it had appended nothing."""
        self._lock: FileLock | None = None

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
        if self._in_doubt:
            return not self._is_told_all
        return self._shared.read_at(0, BLOCK_BYTES) != self._shown

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
        if block is None and self._is_garbled:
            # Nobody has appended anything since, as nobody does who finds no whole block.
            block = self._block
            told = block.to_bytes()
            self._shared.write_at(0, told)
        self._is_garbled = False
        if block is None:  # a write to it has failed
            self._in_doubt = True
            raise StoreInDoubt(self._path)
        if block.rotating and not block.is_poisoned:
            self._undo_rotation(block)
            told = block.to_bytes()
        return self._taken_in(block, told)

    def on_disk(self, after: int) -> News:
        """Return the commits behind `after` that are on the disk, where the rest is in doubt.

        Nothing comes after them any more.

        Raises:
            CorruptJournal, StorageError: they cannot be read.
        """
        self._is_told_all = True
        block = SharedBlock.read(self._shared) or self._block
        if not block.tail:
            return News()
        segment = self._opened(block.generation)
        try:
            frames = segment.read_to(max(block.durable, self._syncs.durable(block.generation)))
            checkpoint = Standing.of(segment, frames).checkpoint
            entries = [one for one in commits_of(segment, frames) if one.sequence > after]
            self._block = attrs.evolve(block, sequence=max(after, segment.chain.sequence))
        finally:
            segment.close()
        return News(entries, checkpoint)

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
        is_next = block.generation != self._block.generation
        if self._segment is None and (block.tail or is_next) and block.generation:
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
            # Who has recovered it may have found nothing to go on with, but for what is gone.
            frames = self._read_live(segment, block.tail) if block.tail else segment.read_to()
            checkpoint = Standing.of(segment, frames).checkpoint
            entries = [one for one in commits_of(segment, frames) if one.sequence > self.sequence]
        except BaseException:
            segment.close()
            raise
        if not block.tail:
            segment.close()
            return News(entries, checkpoint)
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
        if tail > segment.allocated:  # else zeros over zeros do no harm
            segment.allocated = segment.file.size()
        return frames

    # --- appending --------------------------------------------------------------------

    def _append(self, payloads: Sequence[bytes], type: int) -> None:
        segment = self._segment
        assert segment is not None  # noqa: S101 # a tail says that there is one
        if not segment.file.status().st_nlink:
            raise StoreReplaced(self._path, "its journal was removed or replaced by another")
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

    # --- inside -----------------------------------------------------------------------

    def _opened(self, generation: int) -> Segment:
        segment = open_segment(self._folder, generation, self._store_id)
        if segment is None:
            path = self._folder.place(segment_name(generation))
            raise CorruptJournal(path, 0, "it is missing")
        return segment

    def _undo_rotation(self, block: SharedBlock) -> None:
        """Remove the segment that a process had begun when it died: all went on in the old one."""
        self._folder.remove(segment_name(block.rotating))
        self._folder.sync()
        block.rotating = 0
        block.write(self._shared)
