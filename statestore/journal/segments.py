"""Segments: the files of the journal, begun whole and then only appended to."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Sequence

import attrs

from statestore.errors import CorruptJournal, StorageError
from statestore.files.folders import TEMPORARY_PREFIX, TEMPORARY_SUFFIX, Folder
from statestore.files.open_files import OpenFile
from statestore.journal.frames import (
    CHECKPOINT,
    DATA,
    FRAME_BYTES,
    HEADER_BYTES,
    Chain,
    Frame,
    SegmentHeader,
    encode_frame,
    vouching_frame,
)

FIRST_ALLOCATION_BYTES = 64 * 1024
LARGEST_ALLOCATION_BYTES = 1024 * 1024

_NAME = re.compile(r"([0-9a-f]{16})\.log")
_READ_BYTES = 1 << 20


def segment_name(generation: int) -> str:
    """Return the file name of a segment."""
    return f"{generation:016x}.log"


def generations(folder: Folder) -> list[int]:
    """Return the generations of all segments in a folder, oldest first."""
    return [int(match[1], 16) for name in folder.names() if (match := _NAME.fullmatch(name))]


def leftovers(folder: Folder) -> list[str]:
    """Return the names of what a process that died while it began a segment has left."""
    return [name for name in folder.names() if name.startswith(TEMPORARY_PREFIX)]


@attrs.define
class Segment:
    """A segment held open. `chain` is where it ends for this process; `allocated` its size."""

    file: OpenFile
    header: SegmentHeader
    chain: Chain
    allocated: int

    @property
    def generation(self) -> int:
        """The number that it has among the segments."""
        return self.header.generation

    def read_to(self, end: int | None = None) -> list[Frame]:
        """Return the frames behind the end of the chain, up to `end` or to the last whole one."""
        frames: list[Frame] = []
        while True:
            start = self.chain.end
            size = _READ_BYTES if end is None else end - start
            if size <= 0:
                return frames
            data = self.file.read_at(start, size)
            frames += self.chain.follow(data, start)
            if end is not None or len(data) < size:
                return frames
            if self.chain.end == start:  # a frame longer than what was read, or none at all
                data = self.file.read_at(start, self.file.size() - start)
                frames += self.chain.follow(data, start)
                return frames

    def check_end(self) -> None:
        """Check that behind the chain there is nothing which proves that it went on.

        Raises:
            CorruptJournal: there is.
        """
        end = self.chain.end
        if end < self.header.synced:
            raise CorruptJournal(self.file.path, end, "a commit that was whole once is damaged")
        data = self.file.read_at(end, max(self.file.size() - end, 0))
        vouching = vouching_frame(data, end, self.chain)
        if vouching is not None:
            reason = f"a commit is damaged; commit {vouching.sequence} behind it is whole"
            raise CorruptJournal(self.file.path, end, reason)

    def append(self, payloads: Sequence[bytes], *, durable: int, type: int = DATA) -> None:
        """Write frames behind the chain and move to their end. Durable only after a sync.

        Raises:
            StorageError: nothing was appended, and none of it will be replayed.
            _Uncertain: nobody can say any more what a replay would find.
        """
        now = self.chain
        chain = Chain(now.seed, now.end, now.checksum, now.sequence)
        frames = bytearray()
        for payload in payloads:
            chain.sequence += type == DATA
            frame, chain.checksum = encode_frame(
                payload,
                seed=chain.seed,
                previous=chain.checksum,
                sequence=chain.sequence,
                durable=durable,
                type=type,
            )
            frames += frame
        end = chain.end + len(frames)
        if end > self.allocated:
            self._allocate(end)
        try:
            self.file.write_at(chain.end, frames)
        except StorageError as error:
            # The first frames may be there whole, and a replay would take them for commits.
            try:
                self.file.write_at(chain.end, bytes(FRAME_BYTES))
            except StorageError:
                raise Uncertain(error) from error
            raise
        chain.end = end
        self.chain = chain

    def _allocate(self, end: int) -> None:
        """Put zeros behind the end: then a sync has no new size to write, and it is quicker."""
        more = min(max(self.allocated, FIRST_ALLOCATION_BYTES), LARGEST_ALLOCATION_BYTES)
        wanted = end + more
        # What was there before a failure is overwritten too: the size may be larger than known.
        self.file.write_at(self.allocated, bytes(wanted - self.allocated))
        self.allocated = wanted

    def close(self) -> None:
        """Let go of the file. Twice is harmless."""
        self.file.close()


class Uncertain(Exception):
    """A write failed, and what it left behind could not be taken back; `args[0]` says why."""


def open_segment(folder: Folder, generation: int, store_id: bytes) -> Segment | None:
    """Return a segment held open, nothing of it read yet; None if there is none.

    Raises:
        CorruptJournal: its header is damaged, or it belongs to another store.
    """
    file = folder.open_file(segment_name(generation), write=True)
    return None if file is None else _opened(file, generation, store_id)


def read_segment(folder: Folder, generation: int, store_id: bytes) -> Segment | None:
    """Do as `open_segment`, for reading only."""
    file = folder.open_file(segment_name(generation))
    return None if file is None else _opened(file, generation, store_id)


def _opened(file: OpenFile, generation: int, store_id: bytes) -> Segment:
    try:
        header = SegmentHeader.from_bytes(file.read_at(0, HEADER_BYTES))
        _want_own(file, header, generation, store_id)
        return Segment(file, header, Chain.of(header), file.size())
    except ValueError as error:
        file.close()
        raise CorruptJournal(file.path, 0, str(error)) from error
    except BaseException:
        file.close()
        raise


def _want_own(file: OpenFile, header: SegmentHeader, generation: int, store_id: bytes) -> None:
    if header.generation != generation:
        raise CorruptJournal(file.path, 0, f"it says that it is number {header.generation}")
    if header.store_id != store_id:
        raise CorruptJournal(file.path, 0, "it belongs to another store")


def write_segment(
    folder: Folder,
    *,
    generation: int,
    store_id: bytes,
    base: int,
    checkpoint: bytes,
    window: Iterable[bytes],
) -> tuple[str, Segment]:
    """Write a new segment, synced, under a temporary name; return that name and the segment.

    Args:
        checkpoint: the payload of its first frame.
        window: the payloads of the commits from `base` + 1 on.
    """
    header = SegmentHeader(store_id, generation, base, secrets.randbits(64), 0)
    chain = Chain.of(header)
    frames = bytearray()
    for payload, type in [(checkpoint, CHECKPOINT), *((one, DATA) for one in window)]:
        chain.sequence += type == DATA
        frame, chain.checksum = encode_frame(
            payload,
            seed=chain.seed,
            previous=chain.checksum,
            sequence=chain.sequence,
            durable=0,
            type=type,
        )
        frames += frame
    chain.end += len(frames)
    header = attrs.evolve(header, synced=chain.end)
    allocated = chain.end + FIRST_ALLOCATION_BYTES
    temporary = f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}{TEMPORARY_SUFFIX}"
    file = folder.open_file(temporary, create=True)
    assert file is not None  # noqa: S101 # it was to be created
    try:
        file.write_at(0, header.to_bytes() + bytes(frames) + bytes(FIRST_ALLOCATION_BYTES))
        file.sync()
    except BaseException:
        file.close()
        folder.try_remove(temporary)
        raise
    return temporary, Segment(file, header, chain, allocated)
