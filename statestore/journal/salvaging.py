"""Salvaging: the whole commits of a journal that is damaged, and where the damage is.

Nothing is locked and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

import attrs

from statestore.errors import StateStoreError
from statestore.files.folders import Folder
from statestore.journal.entries import Checkpoint, Entry, decode_entry
from statestore.journal.frames import (
    DATA,
    FRAME_MAGIC,
    HEADER_BYTES,
    Frame,
    SegmentHeader,
    decode_frame,
    read_header_fields,
    read_previous,
)
from statestore.journal.segments import generations, segment_name, write_segment
from statestore.journal.standing import Deleted

_ALIGNMENT = 8
_LIMIT_BYTES = 1 << 32


@attrs.frozen
class Damage:
    """A part of a segment that holds no whole commit. `size_bytes` is 0 where nothing was read.

    `is_end` says that nothing whole comes behind it, as after a power cut: the commits that it may
    have held were perhaps never told to anybody.
    """

    path: str
    offset: int
    size_bytes: int
    reason: str
    is_end: bool = False


@attrs.frozen
class Salvage:
    """What can be read of a journal. `store_id` is empty, and `newest` None, where nothing says it.

    `newest` is the last checkpoint, `newest_at` its sequence. All commits up to `files_upto` were
    in record files.
    """

    store_id: str
    files_upto: int
    newest: Checkpoint | None
    newest_at: int
    damages: Sequence[Damage]
    _folder: Folder
    _places: Mapping[int, tuple[_Segment, int]]

    @property
    def sequences(self) -> Sequence[int]:
        """The sequences of all whole commits, ascending."""
        return sorted(self._places)

    def entries(self) -> Iterator[Entry]:
        """Yield the whole commits, each once, their sequences ascending. Some may be missing."""
        name, data = "", b""
        for sequence in self.sequences:
            segment, offset = self._places[sequence]
            if segment.name != name:
                name, data = segment.name, _bytes(self._folder, segment.name)
            frame = decode_frame(data, offset, seed=segment.seed, offset=offset)
            if frame is not None:  # else it was changed since it was looked at
                yield decode_entry(sequence, frame.payload)


def salvage_entries(folder: Folder, store_id: str | None = None) -> Salvage:
    """Find what can be read of all segments: each frame is verified by its checksum, and may stand
    behind damage.

    A process that goes on writing to the journal, or removes segments, makes it incomplete.

    Args:
        folder: that of the journal.
        store_id: that of the store, if it is known. Segments of others are damages, unless all are.
    """
    damages: list[Damage] = []
    segments = _segments(folder, damages)
    ids = [one.store_id for one in segments if one.store_id]
    own = store_id if store_id in ids else ids[-1] if ids else ""
    places: dict[int, tuple[_Segment, int]] = {}
    files_upto, newest, newest_at = 0, None, 0
    for segment in segments:
        if segment.store_id not in ("", own):
            damages.append(Damage(segment.path, 0, 0, "it belongs to another store"))
            continue
        files_upto = max(files_upto, segment.base)
        for found in _found(folder, segment, damages):
            content = _decoded(found)
            if content is None:
                size = found.end - found.offset
                damages.append(Damage(segment.path, found.offset, size, "it is no known commit"))
            elif isinstance(content, Entry):
                places.setdefault(found.sequence, (segment, found.offset))
            else:
                files_upto = max(files_upto, content.files_upto)
                newest, newest_at = content, found.sequence
    return Salvage(own, files_upto, newest, newest_at, damages, folder, places)


def begin_journal(
    folder: Folder, store_id: str, sequence: int, committed_at: datetime, deleted: Deleted
) -> None:
    """Begin the journal of a store whose record files show all commits up to a sequence.

    `folder` is an empty one. Durable when it returns.
    """
    temporary, segment = write_segment(
        folder,
        generation=1,
        store_id=bytes.fromhex(store_id),
        base=sequence,
        checkpoint=Checkpoint(sequence, committed_at, deleted).to_bytes(),
        window=(),
    )
    segment.close()
    folder.move(temporary, folder, segment_name(1))
    folder.sync()


@attrs.frozen
class _Segment:
    """A segment of which the seed is known. `store_id` and `base` are true, or empty and 0."""

    name: str
    path: str
    store_id: str
    base: int
    seed: int


def _segments(folder: Folder, damages: list[Damage]) -> list[_Segment]:
    segments = []
    for generation in generations(folder):
        name = segment_name(generation)
        path = folder.place(name)
        try:
            data = _bytes(folder, name)
        except StateStoreError as error:
            damages.append(Damage(path, 0, 0, f"it cannot be read: {error}"))
            continue
        try:
            header = SegmentHeader.from_bytes(data)
        except ValueError as error:
            seed = _guessed_seed(data)
            if seed is None:
                reason = f"{error}, and no commit in it can be verified without it"
                damages.append(Damage(path, 0, len(data), reason))
            else:
                damages.append(Damage(path, 0, HEADER_BYTES, str(error)))
                segments.append(_Segment(name, path, "", 0, seed))
        else:
            segments.append(_Segment(name, path, header.store_id.hex(), header.base, header.seed))
    return segments


def _guessed_seed(data: bytes) -> int | None:
    """Return the seed of a segment whose header is damaged, if a frame can be verified with it.

    The first frame tells it, as what it follows; and the damage may be in a field that has no part
    in it.
    """
    seeds = [read_previous(data, HEADER_BYTES)]
    if len(data) >= HEADER_BYTES:
        seeds.append(read_header_fields(data).seed)
    for seed in seeds:
        if seed is not None and _next_frame(data, HEADER_BYTES, seed) is not None:
            return seed
    return None


def _found(folder: Folder, segment: _Segment, damages: list[Damage]) -> Iterator[Frame]:
    """Yield the whole frames of a segment, and note what lies between them."""
    data = _bytes(folder, segment.name)
    at, previous = HEADER_BYTES, segment.seed
    while True:
        frame = decode_frame(data, at, seed=segment.seed, offset=at)
        # One that stands right behind another and does not continue it is left of a write that
        # failed: what was written afterwards ended before it.
        if frame is not None and frame.previous == previous:
            yield frame
            at, previous = frame.end, frame.checksum
            continue
        behind = _next_frame(data, at + _ALIGNMENT, segment.seed)
        end = behind.offset if behind else len(data.rstrip(b"\0"))
        if end > at:
            is_end = behind is None
            damages.append(Damage(segment.path, at, end - at, "no whole commit is there", is_end))
        if behind is None:
            return
        at, previous = behind.offset, behind.previous


def _next_frame(data: bytes, at: int, seed: int) -> Frame | None:
    at = data.find(FRAME_MAGIC, at)
    while at >= 0:
        if at % _ALIGNMENT == 0:
            frame = decode_frame(data, at, seed=seed, offset=at)
            if frame is not None:
                return frame
        at = data.find(FRAME_MAGIC, at + 1)
    return None


def _decoded(frame: Frame) -> Entry | Checkpoint | None:
    try:
        if frame.type == DATA:
            return decode_entry(frame.sequence, frame.payload)
        return Checkpoint.from_bytes(frame.payload)
    except ValueError:
        return None


def _bytes(folder: Folder, name: str) -> bytes:
    content = folder.read(name, _LIMIT_BYTES)
    return b"" if content is None else content.data
