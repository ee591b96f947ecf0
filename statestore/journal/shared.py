"""What the processes that have a store open tell each other, in the lock file's first bytes.

It lives in the page cache only: the opener who is alone writes it anew, and nothing in it is
believed after a crash. All of it but the durable mark is read and written under the lock.
"""

from __future__ import annotations

import struct
import zlib

import attrs

from statestore.files.open_files import OpenFile

_MAGIC = b"ssshared"
_BLOCK = struct.Struct("<8sQQQQQQII")
_FIELDS = struct.Struct("<8sQQQQQQI")
_MARK = struct.Struct("<QQI")
_MARKED = struct.Struct("<QQ")
BLOCK_BYTES = _BLOCK.size
_MARK_OFFSET = 128  # beside the block, as it is written without the lock


@attrs.define
class SharedBlock:
    """Where the journal stands.

    `generation` is that of the newest segment and `tail` where it ends; a tail of 0 says that
    nobody may append to it, so that the next commit begins a new one. `sequence` is that of the
    last frame, `checksum` its. Commits up to `files_upto` are in synced files. `poisoned` is the
    generation whose sync has failed, `rotating` one that somebody is about to begin; else 0.
    """

    generation: int = 0
    tail: int = 0
    sequence: int = 0
    files_upto: int = 0
    poisoned: int = 0
    rotating: int = 0
    checksum: int = 0

    def write(self, file: OpenFile) -> None:
        """Tell the others."""
        file.write_at(0, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what is told."""
        data = _FIELDS.pack(
            _MAGIC,
            self.generation,
            self.tail,
            self.sequence,
            self.files_upto,
            self.poisoned,
            self.rotating,
            self.checksum,
        )
        return data + zlib.crc32(data).to_bytes(4, "little")

    @classmethod
    def read(cls, file: OpenFile) -> SharedBlock | None:
        """Return what is told; None if nothing is."""
        return cls.from_bytes(file.read_at(0, BLOCK_BYTES))

    @classmethod
    def from_bytes(cls, data: bytes) -> SharedBlock | None:
        """Return what is told; None if nothing is."""
        if len(data) != BLOCK_BYTES:
            return None
        magic, *fields, crc = _BLOCK.unpack(data)
        if magic != _MAGIC or zlib.crc32(data[:-4]) != crc:
            return None
        return cls(*fields)


def write_durable_mark(file: OpenFile, generation: int, offset: int) -> None:
    """Tell that a segment is on the disk up to `offset`. A mark that is too low does no harm."""
    data = _MARKED.pack(generation, offset)
    file.write_at(_MARK_OFFSET, data + zlib.crc32(data).to_bytes(4, "little"))


def read_durable_mark(file: OpenFile, generation: int) -> int:
    """Return how far a segment is known to be on the disk; 0 if nothing is known."""
    data = file.read_at(_MARK_OFFSET, _MARK.size)
    if len(data) != _MARK.size:
        return 0
    told, offset, crc = _MARK.unpack(data)
    return offset if told == generation and zlib.crc32(data[:-4]) == crc else 0
