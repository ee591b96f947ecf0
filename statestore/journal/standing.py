"""Standing: what a segment says to whoever opens a journal, or comes back to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TypeAlias

import attrs

from statestore.errors import CorruptJournal
from statestore.journal.entries import Checkpoint, DeleteOp, Entry, decode_entry
from statestore.journal.frames import CHECKPOINT, DATA, Frame
from statestore.journal.segments import Segment
from statestore.models.keys import Key, Revision


@attrs.frozen
class Recovered:
    """What opening a journal found: the last sequence and its time, if there was any, what is not
    in files yet, what is gone.
    """

    sequence: int
    committed_at: datetime | None
    files_upto: int
    window: Sequence[Entry]
    deleted: Sequence[tuple[Key, Revision, int]]
    alone: bool


@attrs.frozen
class News:
    """What other processes have done: their commits, in order. Where they have begun a segment,
    `checkpoint` is what it begins with. All commits up to its `files_upto` are in synced files, and
    those of them that were not read before are not among `entries`.
    """

    entries: Sequence[Entry] = ()
    checkpoint: Checkpoint | None = None


Deleted: TypeAlias = Sequence[tuple[Key, Revision, int]]
State: TypeAlias = tuple[datetime, Deleted]

NEVER = datetime.min.replace(tzinfo=UTC)


@attrs.frozen
class Standing:
    """The frames of a segment, sorted out. `checkpoint` is the last one, `behind` follows it."""

    files_upto: int
    checkpoint: Checkpoint
    behind: Sequence[Frame]

    @classmethod
    def of(cls, segment: Segment, frames: Sequence[Frame], files_upto: int = 0) -> Standing:
        checkpoint, behind = Checkpoint(segment.header.base, NEVER), frames
        for number, frame in enumerate(frames):
            if frame.type == CHECKPOINT:
                try:
                    checkpoint, behind = Checkpoint.from_bytes(frame.payload), frames[number + 1 :]
                except ValueError as error:
                    raise CorruptJournal(segment.file.path, frame.offset, str(error)) from error
        return cls(max(files_upto, checkpoint.files_upto), checkpoint, behind)

    @property
    def window(self) -> list[Frame]:
        """The commits that are not known to be in files."""
        return [frame for frame in self.behind if frame.sequence > self.files_upto]

    def entries(self, segment: Segment) -> list[Entry]:
        """Return the commits behind the checkpoint."""
        return commits_of(segment, self.behind)

    def state(self, segment: Segment) -> State:
        """Return the time of the last commit, and what is gone, without what the window tells."""
        committed_at = self.checkpoint.committed_at
        gone = {key: (revision, at) for key, revision, at in self.checkpoint.deleted}
        for entry in self.entries(segment):
            committed_at = entry.committed_at
            if entry.sequence <= self.files_upto:
                note_deleted(entry, gone)
        return committed_at, [(key, revision, at) for key, (revision, at) in gone.items()]

    def recovered(self, segment: Segment, *, alone: bool) -> Recovered:
        """Return what the segment says to whoever opens it."""
        window = [one for one in self.entries(segment) if one.sequence > self.files_upto]
        committed_at, deleted = self.state(segment)
        return Recovered(
            segment.chain.sequence, committed_at, self.files_upto, window, deleted, alone=alone
        )


def read_and_close(segment: Segment) -> tuple[Segment, Standing]:
    """Read a segment as far as it goes, and close it."""
    try:
        return segment, read_whole(segment)
    finally:
        segment.close()


def read_whole(segment: Segment) -> Standing:
    """Read a segment as far as it goes.

    Raises:
        CorruptJournal: it is damaged.
    """
    frames: list[Frame] = []
    while True:
        more = segment.read_to()
        frames += more
        try:
            segment.check_end()
        except CorruptJournal:
            if more:
                continue  # whoever reads only may have been overtaken by a commit
            raise
        return Standing.of(segment, frames)


def note_deleted(entry: Entry, gone: dict[Key, tuple[Revision, int]]) -> None:
    """Take a commit's deletions into `gone`, and what it has made anew out of it."""
    for op in entry.ops:
        if isinstance(op, DeleteOp):
            gone[op.key] = op.revision, entry.sequence
        else:
            gone.pop(op.key, None)


def commits_of(segment: Segment, frames: Sequence[Frame]) -> list[Entry]:
    """Return the commits that frames of a segment hold.

    Raises:
        CorruptJournal: one holds none.
    """
    entries = []
    for frame in frames:
        if frame.type == DATA:
            try:
                entries.append(decode_entry(frame.sequence, frame.payload))
            except ValueError as error:
                raise CorruptJournal(segment.file.path, frame.offset, str(error)) from error
    return entries
