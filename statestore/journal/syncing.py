"""Syncing: a segment reaches the disk, and every process knows how far, and whether it failed.

The processes tell each other in the lock file, behind the shared block. Unlike that, each of the
two notes is written without the lock, by one call, and nothing else is ever written in its place:
who writes the block at the same moment does not undo it. The page cache holds them, and an opener
who is alone forgets them.
"""

from __future__ import annotations

import contextlib
import struct
import zlib

import attrs

from statestore.errors import StorageError
from statestore.files.open_files import OpenFile

NOTES_OFFSET = 96
NOTES_BYTES = 32

_FAILED = struct.Struct("<QI")  # generation, crc
_DURABLE = struct.Struct("<IQQ")  # crc, generation, offset
_DURABLE_OFFSET = NOTES_OFFSET + _FAILED.size
_DURABLE_FIELDS = struct.Struct("<QQ")


class FailedElsewhere(Exception):
    """Another process's sync of the same segment has failed, whatever this one's came to."""


@attrs.frozen
class Notes:
    """What is told: segments up to the generation `failed` are in doubt, 0 for none; that of the
    generation `generation` is on the disk up to the offset `durable`.
    """

    failed: int = 0
    generation: int = 0
    durable: int = 0

    @classmethod
    def from_bytes(cls, data: bytes) -> Notes:
        """Return what is told. What is only half written is believed if it is bad news."""
        data = data.ljust(NOTES_BYTES, b"\0")
        failed, failed_crc = _FAILED.unpack_from(data)
        if (failed or failed_crc) and zlib.crc32(data[:8]) != failed_crc:
            failed = (1 << 64) - 1
        crc, generation, durable = _DURABLE.unpack_from(data, _FAILED.size)
        if zlib.crc32(data[_FAILED.size + 4 :]) != crc:
            generation = durable = 0
        return cls(failed, generation, durable)


class Syncs:
    """Syncs segments, and tells and heeds the notes of other processes."""

    def __init__(self, file: OpenFile) -> None:
        """Keep the notes in the lock file, which stays the caller's."""
        self._file = file

    def forget(self) -> None:
        """Forget the notes of processes that are gone. The caller is alone and has the lock."""
        self._file.write_at(NOTES_OFFSET, bytes(NOTES_BYTES))

    def has_failed(self, generation: int) -> bool:
        """Say whether nobody may go on in the segment of a generation."""
        # A later one too: its failure took the place of the note of an earlier one.
        return self._notes().failed >= generation

    def durable(self, generation: int) -> int:
        """Return how far the segment of a generation is on the disk; 0 if that is not told."""
        notes = self._notes()
        return notes.durable if notes.generation == generation else 0

    def failed(self, generation: int) -> None:
        """Tell all others that nobody may go on in the segment of a generation."""
        data = generation.to_bytes(8, "little")
        with contextlib.suppress(StorageError):  # then they find out by themselves
            self._file.write_at(NOTES_OFFSET, _FAILED.pack(generation, zlib.crc32(data)))

    def sync(self, file: OpenFile, generation: int, end: int, *, is_own: bool) -> None:
        """Return when a segment is on the disk up to `end`.

        Processes do not wait for each other's syncs: the system serves those that run at the same
        time by the same flush, and a process that is stopped in its sync stops no other.

        Args:
            is_own: this process has appended some of it, so that nobody else can have synced it
                yet but by chance; else another's sync is enough.
        Raises:
            StorageError: the system failed; the caller tells all others by `failed()`.
            FailedElsewhere: the sync of another process has failed.
        """
        if not is_own:
            notes = self._notes()
            if notes.failed < generation == notes.generation and end <= notes.durable:
                return
        file.sync_data()
        # The system may tell of an error only once, and not to whoever opened the file after that.
        if self.has_failed(generation):
            raise FailedElsewhere
        # In any order: a mark that is too low does no harm.
        fields = _DURABLE_FIELDS.pack(generation, end)
        with contextlib.suppress(StorageError):
            self._file.write_at(_DURABLE_OFFSET, zlib.crc32(fields).to_bytes(4, "little") + fields)

    def _notes(self) -> Notes:
        return Notes.from_bytes(self._file.read_at(NOTES_OFFSET, NOTES_BYTES))
