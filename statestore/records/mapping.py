"""A mapping of the live records of one kind: what a manager shows, within a transaction or not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, TypeVar

from statestore.errors import InTransaction, RecordNotFound
from statestore.models.keys import Revision
from statestore.models.workspaces import Overlaid, Workspace
from statestore.records.keeping import R
from statestore.records.scopes import INNERMOST, Scope, scope_of
from statestore.records.sharing import Sharer

T = TypeVar("T")


class RecordMapping(Sharer[R]):
    """Shows the live records of one kind. Reading waits for nobody."""

    _hidden: ClassVar[frozenset[str]] = frozenset()
    """Ids in the workspaces of transactions that are those of no records."""

    def __getitem__(self, id: str | R) -> R:
        """Return the record of this id, or the present state of a record.

        Raises:
            RecordNotFound: there is none; it is a `KeyError` too.
        """
        name = self._id(id)
        record = self._present(name, self._scope())
        if record is None:
            raise RecordNotFound(self.kind, name)
        return record

    def get(self, id: str | R, default: T | None = None) -> R | T | None:
        """Return a record, or `default` if there is none."""
        record = self._present(self._id(id), self._scope())
        return default if record is None else record

    def all(self) -> tuple[R, ...]:
        """Return all records, in the order in which they were loaded and added."""
        scope = self._scope()
        with self._lock:
            return tuple(self._shown(scope).values())

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all records, in the same order."""
        scope = self._scope()
        with self._lock:
            return tuple(self._shown(scope))

    def __contains__(self, id: object) -> bool:
        """Say whether there is a record of this id, or of the id of this record."""
        name = id.id if isinstance(id, self.record_class) else id
        return isinstance(name, str) and self._present(name, self._scope()) is not None

    def __len__(self) -> int:
        scope = self._scope()
        with self._lock:
            return len(self._shown(scope))

    def __iter__(self) -> Iterator[R]:
        """Iterate over the records that were there when the iteration began."""
        return iter(self.all())

    def __bool__(self) -> bool:
        """A manager is there even when it holds nothing."""
        return True

    def revision(self, id: str | R) -> Revision:
        """Return how often the stored record was changed; 0 if it was never saved.

        Raises:
            RecordNotFound: there is no such record.
        """
        saved = self._saved.get(self[id].id)
        return saved.revision if saved else 0

    # --- inside -----------------------------------------------------------------------

    def _id(self, id: str | R) -> str:
        if isinstance(id, str):
            return id
        if isinstance(id, self.record_class):
            return id.id
        raise RecordNotFound(self.kind, f"<{type(id).__name__}>")

    def _scope(self) -> Scope | None:
        """Return the transaction that this code runs in, if there is one."""
        if INNERMOST.get() is None:
            return None
        scope = scope_of(self._owner)
        if scope is not None and not self._codec.is_immutable:
            reason = (
                "its records can be changed in place, which could not be undone; "
                "make their class frozen, with fields that cannot change either"
            )
            raise InTransaction(f"use the manager of {self.kind!r}", reason)
        return scope

    def _present(self, id: str, scope: Scope | None) -> R | None:
        if scope is not None:
            space: Workspace[R] | None = scope.workspace(self.kind)
            if space is not None and id in space.written and id not in self._hidden:
                return space.written[id]
        return self._live.get(id)

    def _shown(self, scope: Scope | None) -> Mapping[str, R]:
        space: Workspace[R] | None = scope.workspace(self.kind) if scope is not None else None
        return self._live if space is None else Overlaid(space, self._live, self._hidden)
