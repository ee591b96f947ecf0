"""What the processes that have a store open tell each other, in the lock file's first bytes.

It lives in the page cache only: the opener who is alone writes it anew, and nothing in it is
believed after a crash. It is read and written under the lock.
"""

from __future__ import annotations

import struct
import zlib

import attrs

from statestore.files.open_files import OpenFile

_MAGIC = b"ssshared"
_BLOCK = struct.Struct("<8sQQQQQQQII")
_FIELDS = struct.Struct("<8sQQQQQQQI")
BLOCK_BYTES = _BLOCK.size


@attrs.define
class SharedBlock:
    """Where the journal stands.

    `generation` is that of the newest segment and `tail` where it ends; a tail of 0 says that
    nobody may append to it, so that the next commit begins a new one. `sequence` is that of the
    last frame, `checksum` its. The segment is known to be on the disk up to `durable`; a mark that
    is too low does no harm. Commits up to `files_upto` are in synced files. `poisoned` is the
    generation whose sync has failed, `rotating` one that somebody is about to begin; else 0.
    """

    generation: int = 0
    tail: int = 0
    sequence: int = 0
    files_upto: int = 0
    poisoned: int = 0
    rotating: int = 0
    durable: int = 0
    checksum: int = 0

    @property
    def is_poisoned(self) -> bool:
        """Whether nobody may go on in the newest segment."""
        return self.poisoned > 0 and self.poisoned == self.generation

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
            self.durable,
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
