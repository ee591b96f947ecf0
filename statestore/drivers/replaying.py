"""Replaying: what a record is after the changes that a journal holds, where some may be missing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import attrs
import orjson

from statestore.drivers.driver import RecordFile
from statestore.drivers.folding import Base
from statestore.drivers.overlay import extra_of, patched
from statestore.errors import StateStoreError
from statestore.journal.entries import DeleteOp, Op, PatchOp, PutOp, StagedOp
from statestore.models.envelopes import Envelope
from statestore.models.keys import Key, Revision


@attrs.frozen
class Replayed:
    """What a record has become. `envelope` is None where it is gone, or never was whole.

    `is_newer` says that its file, if it has one, does not show it. `sequence` is that of the last
    commit that was applied. `problems` say what could not be.
    """

    envelope: Envelope | None
    revision: Revision
    is_newer: bool
    is_deleted: bool
    sequence: int
    problems: tuple[str, ...]


@attrs.define
class Trail:
    """The changes of one record, in order, from the last one on that needs none before it."""

    _steps: list[tuple[Op, int, datetime]] = attrs.field(factory=list)

    def take(self, op: Op, sequence: int, at: datetime) -> None:
        """Go on with the next change, of a commit and its time."""
        if isinstance(op, PutOp | DeleteOp):
            self._steps.clear()
        self._steps.append((op, sequence, at))

    def replay(
        self,
        key: Key,
        file: RecordFile | None,
        files_upto: int,
        staged: Callable[[StagedOp], Envelope],
    ) -> Replayed:
        """Return what the record is: the highest revision wins, and what does not fit is left out.

        Args:
            file: the record's file, where it can be read.
            files_upto: all commits up to here were in files once. A file that is there although
                one of those has deleted the record was put back by somebody.
            staged: what reads a staged file.
        """
        now = _State.of(file)
        for op, sequence, at in self._steps:
            if op.revision <= now.revision:
                continue
            if isinstance(op, DeleteOp):
                if file is None or sequence > files_upto:
                    now.become(None, op.revision, sequence, at)
            elif isinstance(op, PatchOp):
                now.change(op, sequence, at)
            else:
                try:
                    now.become(_whole(op, staged), op.revision, sequence, at)
                except (StateStoreError, ValueError) as error:
                    now.problems.append(f"revision {op.revision}: {error}")
        envelope = None
        if now.base is not None and now.saved_at is not None:
            envelope = Envelope(
                key.kind,
                now.base.schema,
                now.revision,
                now.saved_at,
                now.base.document,
                now.base.extra,
            )
        is_newer = now.sequence > 0
        return Replayed(
            envelope,
            now.revision,
            is_newer,
            is_newer and envelope is None,
            now.sequence,
            tuple(now.problems),
        )


@attrs.define
class _State:
    base: Base | None
    revision: Revision
    saved_at: datetime | None
    sequence: int = 0
    problems: list[str] = attrs.field(factory=list)

    @classmethod
    def of(cls, file: RecordFile | None) -> _State:
        if file is None:
            return cls(None, 0, None)
        envelope = file.envelope
        base = Base(envelope.schema, envelope.data, envelope.extra)
        return cls(base, envelope.revision, envelope.saved_at)

    def become(self, base: Base | None, revision: Revision, sequence: int, at: datetime) -> None:
        self.base, self.revision, self.sequence, self.saved_at = base, revision, sequence, at

    def change(self, op: PatchOp, sequence: int, at: datetime) -> None:
        if self.base is None or op.revision != self.revision + 1:
            self.problems.append(
                f"revision {op.revision} is only a change, and revision {op.revision - 1}, which "
                "it changes, was not found"
            )
            return
        try:
            self.become(patched(self.base, [op]), op.revision, sequence, at)
        except ValueError as error:
            self.problems.append(f"revision {op.revision} does not fit the one before it: {error}")


def _whole(op: PutOp | StagedOp, staged: Callable[[StagedOp], Envelope]) -> Base:
    if isinstance(op, PutOp):
        return Base(op.schema, orjson.loads(op.data), extra_of(op))
    envelope = staged(op)
    return Base(envelope.schema, envelope.data, envelope.extra)
