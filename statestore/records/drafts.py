"""Drafts: what an operation makes of several records, noted before any of it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic

from statestore.errors import DuplicateId, RecordNotFound
from statestore.records.announcing import Told
from statestore.records.keeping import R


class Draft(Generic[R]):
    """The records of one kind as an operation sees and changes them. Nothing is changed by it.

    `changes` maps ids to records, None for one that is deleted; `made` are the ids that were added.
    """

    def __init__(
        self,
        kind: str,
        shown: Mapping[str, R],
        check: Callable[[R], None],
        successor: Callable[[R, R], R],
    ) -> None:
        """Begin with what is there.

        Args:
            check: refuses what is no record of the kind.
            successor: stamps and checks what follows a record.
        """
        self.shown = shown
        self.changes: dict[str, R | None] = {}
        self.made: set[str] = set()
        self.also: dict[str, list[Told]] = {}
        self._kind, self._check, self._successor = kind, check, successor

    def __getitem__(self, id: str) -> R:
        """Return a record as the operation has made it.

        Raises:
            RecordNotFound: there is none.
        """
        record = self.get(id)
        if record is None:
            raise RecordNotFound(self._kind, id)
        return record

    def __contains__(self, id: str) -> bool:
        return self.get(id) is not None

    def get(self, id: str) -> R | None:
        """Return a record as the operation has made it; None if there is none."""
        return self.changes[id] if id in self.changes else self.shown.get(id)

    def all(self) -> list[R]:
        """Return all records, as the operation has made them, in their order."""
        if not self.changes:
            return list(self.shown.values())
        records = [self.get(id) for id in self.shown if id not in self.made]
        records += [self.changes[id] for id in self.changes if self._is_new(id)]
        return [one for one in records if one is not None]

    def add(self, record: R) -> R:
        """Add a record.

        Raises:
            DuplicateId: there is one of its id.
            InvalidRecord, InvalidId: it is none of this kind.
        """
        self._check(record)
        if record.id in self:
            raise DuplicateId(self._kind, record.id)
        self.changes.pop(record.id, None)  # a new one stands at the end
        self.changes[record.id] = record
        self.made.add(record.id)
        return record

    def put(self, record: R) -> R:
        """Put a record in the place of the one of its id; return it as it was stamped.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord, StaleRecord: it is no successor of that one.
        """
        new = self._successor(self[record.id], record)
        if new is not self.get(record.id):
            self.changes[record.id] = new
        return new

    def delete(self, id: str) -> R:
        """Delete a record and return what it was.

        Raises:
            RecordNotFound: there is none.
        """
        record = self[id]
        if id in self.shown:
            self.changes[id] = None
        else:
            del self.changes[id]
        self.made.discard(id)
        return record

    def tell(self, id: str, name: str, /, **details: Any) -> None:
        """Tell of a record, beside what is told of every change, when all of it is durable."""
        self.also.setdefault(id, []).append((name, details))

    def _is_new(self, id: str) -> bool:
        return id in self.made or id not in self.shown
