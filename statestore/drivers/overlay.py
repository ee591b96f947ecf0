"""What commits have made of records whose files do not show it yet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import attrs
import orjson

from statestore.drivers.folding import Base
from statestore.journal.entries import DeleteOp, Entry, Op, PatchOp, PutOp, StagedOp
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.models.keys import Key, Revision


@attrs.frozen
class Fold:
    """All that is committed of one record and not yet in its file. Never changed, only replaced.

    `begin` is the last put, staged file or deletion; None where patches alone go on top of the
    file, whose revision is `base` or later. The first `count` of `patches`, a list that later folds
    go on with, come after it. `since` is the sequence of the first commit in it. `lengths` are
    those of the lists in the document, and `extra` what stands beside it, where they are known.
    """

    key: Key
    revision: Revision
    sequence: int
    saved_at: datetime
    schema: int
    begin: PutOp | StagedOp | DeleteOp | None
    base: Revision
    since: int
    lengths: Mapping[str, int] | None
    patches: list[PatchOp]
    count: int
    extra: Mapping[str, Any] | None = None

    @property
    def is_gone(self) -> bool:
        """Whether the record is deleted."""
        return isinstance(self.begin, DeleteOp)

    @property
    def patched(self) -> Sequence[PatchOp]:
        """The patches, in order. Never the list itself: a later fold may add to it any time."""
        return self.patches[: self.count]

    @property
    def size_bytes(self) -> int:
        """The bytes that it holds."""
        begin = len(self.begin.data) if isinstance(self.begin, PutOp) else 0
        return begin + sum(len(patch.data) for patch in self.patched)

    def followed(
        self, op: Op, sequence: int, saved_at: datetime, lengths: Mapping[str, int] | None
    ) -> Fold:
        """Return the fold after one more operation."""
        if not isinstance(op, PatchOp):
            return begun(op, sequence, saved_at, lengths)
        patches = self.patches
        if len(patches) != self.count:  # another fold went on from here, and came to nothing
            patches = patches[: self.count]
        patches.append(op)
        return Fold(
            self.key,
            op.revision,
            sequence,
            saved_at,
            self.schema,
            self.begin,
            self.base,
            self.since,
            lengths,
            patches,
            self.count + 1,
        )

    def after(self, revision: Revision) -> Fold | None:
        """Return what is left when the file shows a revision; None if nothing is."""
        if revision >= self.revision:
            return None
        rest = [patch for patch in self.patched if patch.revision > revision]
        if self.begin is not None and self.begin.revision > revision:
            return self
        # `since` stays: it may be too early, which costs a little space in the journal.
        return attrs.evolve(self, begin=None, base=revision, patches=rest, count=len(rest))


def begun(
    op: Op, sequence: int, saved_at: datetime, lengths: Mapping[str, int] | None = None
) -> Fold:
    """Return the fold that begins with an operation; a patch is one on top of the file."""
    schema = 1 if isinstance(op, DeleteOp) else op.schema
    common = (op.key, op.revision, sequence, saved_at, schema)
    if isinstance(op, PatchOp):
        return Fold(*common, None, op.revision - 1, sequence, lengths, [op], 1)
    return Fold(*common, op, op.revision, sequence, lengths, [], 0)


def follow(folds: Mapping[Key, Fold], entry: Entry, into: dict[Key, Fold]) -> None:
    """Put into `into` what a commit makes of `folds`, `into` going before."""
    for op in entry.ops:
        before = into.get(op.key) or folds.get(op.key)
        if before is None:
            into[op.key] = begun(op, entry.sequence, entry.committed_at)
        else:
            into[op.key] = before.followed(op, entry.sequence, entry.committed_at, None)


def extra_of(op: PutOp) -> FrozenDict:
    """Return the fields beside a document."""
    return freeze_mapping(orjson.loads(op.extra)) if op.extra else FrozenDict()


def patched(base: Base, patches: Iterable[PatchOp]) -> Base:
    """Return a record after patches.

    Raises:
        ValueError: a patch does not fit: a list has not the length that it was made for.
    """
    document = dict(base.document)
    own: set[str] = set()
    for op in patches:
        patch = orjson.loads(op.data)
        document.update(patch["set"])
        own.difference_update(patch["set"])
        for field, from_length, items in patch["append"]:
            held = document.get(field)
            if not isinstance(held, list | tuple) or len(held) != from_length:
                raise ValueError(f"the list {field!r} is not the one that was extended")
            if field not in own:
                own.add(field)
                document[field] = held = list(held)
            held += items
    return Base(base.schema, document, base.extra)


class Overlay:
    """The folds of all records. One thread changes it; any may read, without a lock."""

    def __init__(self) -> None:
        self._folds: dict[Key, Fold] = {}

    def __len__(self) -> int:
        return len(self._folds)

    def get(self, key: Key) -> Fold | None:
        """Return what is not in the file of a record yet; None if its file says all."""
        return self._folds.get(key)

    def is_gone(self, key: Key) -> bool:
        """Say whether a record is deleted and its file may still be there."""
        fold = self._folds.get(key)
        return fold is not None and fold.is_gone

    @property
    def folds(self) -> Mapping[Key, Fold]:
        """All folds, to look at."""
        return self._folds

    def snapshot(self) -> dict[Key, Fold]:
        """Return all folds as they are now."""
        return self._folds.copy()

    def of_kind(self, kind: str) -> dict[Key, Fold]:
        """Return the folds of one kind as they are now."""
        return {key: fold for key, fold in self._folds.copy().items() if key.kind == kind}

    def update(self, folds: Mapping[Key, Fold]) -> None:
        """Put folds in the place of those of the same keys."""
        self._folds.update(folds)

    def drop_upto(self, sequence: int) -> list[Fold]:
        """Drop, and return, what ends with a commit up to `sequence`: it is in files."""
        dropped = [fold for fold in self.snapshot().values() if fold.sequence <= sequence]
        for fold in dropped:
            del self._folds[fold.key]
        return dropped

    def replace(self, folds: Mapping[Key, Fold]) -> None:
        """Forget all folds but these."""
        self._folds = dict(folds)

    def settle(self, shown: Mapping[Key, Fold]) -> None:
        """Drop what files show by now; what was committed since stays."""
        for key, fold in shown.items():
            now = self._folds.get(key)
            rest = None if now is None or now is fold else now.after(fold.revision)
            if rest is not None:
                self._folds[key] = rest
            elif now is not None:
                del self._folds[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._folds.copy())


def lengths_of(document: Mapping[str, Any]) -> dict[str, int]:
    """Return the lengths of the lists in a document."""
    return {
        name: len(value)
        for name, value in document.items()
        if type(value) is list or type(value) is tuple
    }
