"""Reading a journal without taking part in it: for openings that may not write a byte."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from statestore.errors import StorageError
from statestore.files.folders import Folder
from statestore.files.open_files import OpenFile
from statestore.journal.entries import Entry
from statestore.journal.frames import HEADER_BYTES, SegmentHeader
from statestore.journal.history import History
from statestore.journal.journal import JOURNAL_FOLDER, LOCK_FILE
from statestore.journal.segments import Segment, generations, read_segment, segment_name
from statestore.journal.shared import BLOCK_BYTES, SharedBlock
from statestore.journal.standing import Recovered, commits_of, read_whole
from statestore.journal.syncing import Syncs

_LOOKS = 100


class JournalReader:
    """Reads a journal and goes on reading. One thread at a time uses it, but for `has_news()`.

    The segment and the shared block stay open: what is new costs what is new.
    """

    def __init__(self, own: Folder | None, store_id: str) -> None:
        """Read the journal below `.statestore`, where there is one."""
        self._own, self._store_id = own, bytes.fromhex(store_id)
        self._segment: Segment | None = None
        self._shared: OpenFile | None = None
        self._told = b""
        self._doubted = 0
        self.files_upto = 0
        """All commits up to this sequence are in synced files."""

    def open(self) -> Recovered:
        """Return where the journal stands, for as much as is in it now.

        Not promised: that what a process has just appended survives a power cut.

        Raises:
            CorruptJournal: it is damaged.
        """
        self._told = self._tell()  # before the commits: those that come later are news
        self._leave()
        nothing = Recovered(0, None, 0, (), (), alone=False)
        folder = self._own.child(JOURNAL_FOLDER) if self._own else None
        if folder is None:
            return nothing
        with folder:
            for _ in range(_LOOKS):
                known = generations(folder)
                if not known:
                    return nothing
                segment = read_segment(folder, known[-1], self._store_id)
                if segment is not None:  # else it was removed since its name was read
                    return self._entered(segment)
        return nothing

    def has_news(self) -> bool:
        """Say whether others have done something since the last call that took it in."""
        return self._tell() != self._told

    def catch_up(self) -> Recovered | Sequence[Entry]:
        """Return the commits since the last call, or where the journal stands now, all of it.

        Commits since the last call are on the disk: what may not be there is left out.

        Raises:
            CorruptJournal: it is damaged.
        """
        told, block = self._tell(), None
        for _ in range(_LOOKS):
            block = SharedBlock.from_bytes(told)
            if block is not None:
                break
            told = self._tell()  # it was being written
        segment = self._segment
        if block is None or segment is None or block.generation != segment.generation:
            return self._opened_again()
        if block.is_poisoned or self._doubted == block.generation:
            self._told = told
            return commits_of(segment, segment.read_to(self._durable(block)))
        before = attrs.evolve(segment.chain)
        frames = segment.read_to(max(block.tail, before.end))
        if (segment.chain.end, segment.chain.checksum) != (block.tail, block.checksum):
            # Also where one of the same generation was begun by who died, and then by another.
            return self._opened_again()
        if block.durable < block.tail and frames and not self._is_synced(segment):
            segment.chain, self._doubted = before, block.generation
            return ()
        self._told = told
        self.files_upto = max(self.files_upto, block.files_upto)
        return commits_of(segment, frames)

    def close(self) -> None:
        """Let go of all files. Twice is harmless."""
        self._leave()
        if self._shared is not None:
            self._shared.close()

    def _entered(self, segment: Segment) -> Recovered:
        try:
            read = read_whole(segment)
        except BaseException:
            segment.close()
            raise
        self._segment, self.files_upto = segment, read.files_upto
        return read.recovered(segment, alone=False)

    def _opened_again(self) -> Recovered:
        recovered = self.open()
        if self._segment is not None and not self._is_synced(self._segment):
            self._doubted = self._segment.generation
        return recovered

    def _is_synced(self, segment: Segment) -> bool:
        try:
            segment.file.sync_data()
        except StorageError:
            return False  # never again: the system would say that all is well
        # The system may have told of an error before this process has opened the file.
        return self._shared is None or not Syncs(self._shared).has_failed(segment.generation)

    def _durable(self, block: SharedBlock) -> int:
        """Return how far the newest segment is known to be on the disk."""
        noted = Syncs(self._shared).durable(block.generation) if self._shared else 0
        return max(block.durable, noted)

    def _tell(self) -> bytes:
        """Return what the processes at work tell each other."""
        if self._shared is None:
            self._shared = self._own.open_file(LOCK_FILE) if self._own else None
        return self._shared.read_at(0, BLOCK_BYTES) if self._shared else b""

    def _leave(self) -> None:
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()


def store_id_of(own: Folder) -> str | None:
    """Return the id of the store that the newest segment belongs to, if that is told."""
    folder = own.child(JOURNAL_FOLDER)
    if folder is None:
        return None
    with folder:
        known = generations(folder)
        file = folder.open_file(segment_name(known[-1])) if known else None
        if file is None:
            return None
        try:
            return SegmentHeader.from_bytes(file.read_at(0, HEADER_BYTES)).store_id.hex()
        except ValueError:
            return None  # whoever opens the journal is told
        finally:
            file.close()


def history_read_only(
    own: Folder | None, store_id: str, after: int, upto: int, path: str
) -> Iterator[Entry]:
    """Yield the commits behind `after` of the journal below `.statestore`, as `History.between`."""
    folder = own.child(JOURNAL_FOLDER) if own else None
    if folder is not None:
        with folder:
            yield from History(folder, bytes.fromhex(store_id)).between(after, upto, path)
