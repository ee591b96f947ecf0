"""The bytes of a segment: its header, its frames, and what tells a torn end from corruption.

docs/concepts/journal.md has the tables and the reasons.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import attrs

SEGMENT_MAGIC = b"ssjrnl\x00\x01"
FRAME_MAGIC = b"\xf5SJF"

DATA, CHECKPOINT = 0, 1
"""The types of frames: a commit, or what is known of the files so far."""

MAX_PAYLOAD_BYTES = 1 << 30

_HEADER = struct.Struct("<8s16sQQQQ4xI")
_FRAME = struct.Struct("<4sIIIQQB7x")
_CHECKED = struct.Struct("<IIQQB")  # of a frame's head, what its checksum covers besides payload

_SEED = struct.Struct("<16sQQQ")

HEADER_BYTES = _HEADER.size
FRAME_BYTES = _FRAME.size
_ALIGNMENT = 8


@attrs.frozen
class SegmentHeader:
    """What a segment says of itself.

    All commits up to `base` are in synced record files. The first `synced` bytes were on the disk
    before the segment had its name. `salt` makes the checksums of two segments differ although all
    else is alike.
    """

    store_id: bytes
    generation: int
    base: int
    salt: int
    synced: int

    def to_bytes(self) -> bytes:
        """Return the 64 bytes at the beginning of the segment."""
        fields = _HEADER.pack(
            SEGMENT_MAGIC, self.store_id, self.generation, self.base, self.salt, self.synced, 0
        )
        return fields[:-4] + struct.pack("<I", zlib.crc32(fields[:-4]))

    @property
    def seed(self) -> int:
        """What the checksums of all frames begin with, and what the first one follows.

        Made of what does not depend on the frames: they are encoded before `synced` is known.
        """
        return zlib.crc32(_SEED.pack(self.store_id, self.generation, self.base, self.salt))

    @classmethod
    def from_bytes(cls, data: bytes) -> SegmentHeader:
        """Return what the beginning of a segment says.

        Raises:
            ValueError: it is no whole header; the text says what is wrong.
        """
        if len(data) < HEADER_BYTES:
            raise ValueError("it ends within its header")
        magic, store_id, generation, base, salt, synced, crc = _HEADER.unpack_from(data)
        if magic != SEGMENT_MAGIC:
            raise ValueError("it does not begin as a segment")
        if zlib.crc32(data[: HEADER_BYTES - 4]) != crc:
            raise ValueError("the checksum of its header is wrong")
        return cls(store_id, generation, base, salt, synced)


def read_header_fields(data: bytes) -> SegmentHeader:
    """Return what the first 64 bytes of a segment say, true or not."""
    _, store_id, generation, base, salt, synced, _ = _HEADER.unpack_from(data)
    return SegmentHeader(store_id, generation, base, salt, synced)


@attrs.frozen
class Frame:
    """One whole frame. `offset` and `end` are those in its segment; `end` is where the next begins.

    `durable` is the offset up to which the segment was known to be on the disk when the frame was
    written: by it a frame vouches for all that lies before.
    """

    offset: int
    end: int
    checksum: int
    previous: int
    sequence: int
    durable: int
    type: int
    payload: bytes


def encode_frame(
    payload: bytes, *, seed: int, previous: int, sequence: int, durable: int, type: int = DATA
) -> tuple[bytes, int]:
    """Return the bytes of a frame, and its checksum, which the next frame has as `previous`."""
    length = len(payload)
    checked = _CHECKED.pack(length, previous, sequence, durable, type)
    checksum = zlib.crc32(payload, zlib.crc32(checked, seed))
    head = _FRAME.pack(FRAME_MAGIC, length, checksum, previous, sequence, durable, type)
    return head + payload + bytes(-length % _ALIGNMENT), checksum


def decode_frame(data: bytes, at: int, *, seed: int, offset: int) -> Frame | None:
    """Return the frame at `data[at:]`, which is at `offset` of its segment; None if none is whole.

    Nothing is said of its place in the chain.
    """
    if len(data) - at < FRAME_BYTES:
        return None
    magic, length, checksum, previous, sequence, durable, type = _FRAME.unpack_from(data, at)
    if magic != FRAME_MAGIC or length > MAX_PAYLOAD_BYTES:
        return None
    payload = data[at + FRAME_BYTES : at + FRAME_BYTES + length]
    if len(payload) != length:
        return None
    checked = _CHECKED.pack(length, previous, sequence, durable, type)
    if zlib.crc32(payload, zlib.crc32(checked, seed)) != checksum:
        return None
    end = offset + FRAME_BYTES + length + -length % _ALIGNMENT
    return Frame(offset, end, checksum, previous, sequence, durable, type, payload)


def read_previous(data: bytes, at: int) -> int | None:
    """Return the `previous` that the head of a frame at `data[at:]` says, true or not."""
    if len(data) - at < FRAME_BYTES:
        return None
    _, _, _, previous, *_ = _FRAME.unpack_from(data, at)
    return int(previous)


@attrs.define
class Chain:
    """Where a segment ends for a reader: the next frame must begin here and continue this."""

    seed: int
    end: int
    checksum: int
    sequence: int

    @classmethod
    def of(cls, header: SegmentHeader) -> Chain:
        """Return the beginning of a segment's chain."""
        return cls(header.seed, HEADER_BYTES, header.seed, header.base)

    def follow(self, data: bytes, offset: int) -> Iterator[Frame]:
        """Yield the frames that continue the chain, and move to the end of each.

        Args:
            data: the bytes of the segment from `offset` on, at or before the end of the chain.
        """
        while True:
            frame = decode_frame(data, self.end - offset, seed=self.seed, offset=self.end)
            if frame is None or frame.previous != self.checksum:
                return
            if frame.sequence != self.sequence + (frame.type == DATA):
                return
            self.end, self.checksum, self.sequence = frame.end, frame.checksum, frame.sequence
            yield frame


def vouching_frame(data: bytes, offset: int, chain: Chain) -> Frame | None:
    """Return a whole frame behind the end of a chain which proves that there was more, or None.

    A frame that was written when the bytes at the chain's end were known to be on the disk proves
    that they have been damaged since. One that was not is what a power cut leaves of commits that
    nobody was told of.

    Args:
        data: the bytes of the segment from `offset` on.
    """
    at = data.find(FRAME_MAGIC, chain.end - offset)
    while at >= 0:
        if (offset + at) % _ALIGNMENT == 0:
            frame = decode_frame(data, at, seed=chain.seed, offset=offset + at)
            if frame is not None and frame.durable > chain.end:
                return frame
        at = data.find(FRAME_MAGIC, at + 1)
    return None
