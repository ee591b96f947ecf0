"""The feed: commits as others are told of them, the last ones kept in memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial

import orjson

from statestore.drivers.overlay import extra_of
from statestore.errors import CorruptRecord
from statestore.journal.entries import DeleteOp, Entry, Op, PatchOp, PutOp, StagedOp
from statestore.models.changes import Append, Change, Commit, Delete, Patch, Put

MOST_BYTES = 4 * 1024 * 1024
MOST_ENTRIES = 4096

_OP_BYTES = 256
"""About what an operation takes besides its document."""


class Feed:
    """The last commits, in order and without a gap. Any thread may use it."""

    def __init__(self, *, most_bytes: int = MOST_BYTES, most_entries: int = MOST_ENTRIES) -> None:
        """Keep so many commits at most, and not more of them than have so many bytes."""
        self._most_bytes, self._most_entries = most_bytes, most_entries
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, entries: Sequence[Entry]) -> None:
        """Go on with commits. Where some are missing before them, all that was kept is dropped."""
        with self._lock:
            kept = self._entries
            for entry in entries:
                if kept and entry.sequence != kept[-1].sequence + 1:
                    kept.clear()
                    self._bytes = 0
                kept.append(entry)
                self._bytes += _memory_of(entry)
            while kept and (self._bytes > self._most_bytes or len(kept) > self._most_entries):
                self._bytes -= _memory_of(kept.popleft())

    def between(self, after: int, upto: int) -> Sequence[Entry] | None:
        """Return the commits behind `after`, up to `upto`; None if they are not all kept here."""
        if after >= upto:
            return ()
        with self._lock:
            kept = self._entries
            if not kept or kept[0].sequence > after + 1 or kept[-1].sequence < upto:
                return None
            last = kept[-1].sequence
            return [kept[number - last - 1] for number in range(after + 1, upto + 1)]


def commit_of(entry: Entry) -> Commit:
    """Return a commit of the journal as others are told of it."""
    return Commit(
        entry.sequence,
        entry.committed_at,
        {op.key: op.revision for op in entry.ops},
        entry.size_bytes,
        entry.source,
        entry.run,
        partial(_changes_of, entry),
    )


def _memory_of(entry: Entry) -> int:
    return sum(map(_bytes_of, entry.ops))


def _bytes_of(op: Op) -> int:
    if isinstance(op, PutOp):
        return _OP_BYTES + len(op.data) + len(op.extra)
    return _OP_BYTES + (len(op.data) if isinstance(op, PatchOp) else 0)


def _changes_of(entry: Entry) -> list[Change]:
    """Return what a commit made of records, but for those whose files were staged.

    Raises:
        CorruptRecord: something else than a store has written it.
    """
    return [change for op in entry.ops for change in _change_of(op)]


def _change_of(op: Op) -> Iterator[Change]:
    if isinstance(op, StagedOp):
        return  # the file has moved since, or was written over
    if isinstance(op, DeleteOp):
        yield Delete(op.key)
        return
    try:
        if isinstance(op, PutOp):
            yield Put(op.key, orjson.loads(op.data), op.schema, extra_of(op))
        else:
            patch = orjson.loads(op.data)
            rows = [Append(field, length, tuple(new)) for field, length, new in patch["append"]]
            yield Patch(op.key, patch["set"], tuple(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise CorruptRecord(str(op.key), f"a change of it cannot be read: {error}") from error
