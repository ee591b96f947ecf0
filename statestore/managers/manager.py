"""The manager of one kind: a mapping of its live records, and the ways to change them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import attrs

from statestore.errors import (
    DuplicateId,
    InvalidRecord,
    RecordNotFound,
    StaleRecord,
    StateStoreError,
    StoreClosed,
)
from statestore.models.keys import Revision, check_id
from statestore.models.workspaces import Workspace
from statestore.records.ids import new_id
from statestore.records.keeping import R
from statestore.records.mapping import RecordMapping
from statestore.records.scopes import Scope
from statestore.records.sharing import Merge

T = TypeVar("T")


class Manager(RecordMapping[R]):
    """A mapping of the live records of one kind. Any thread may use it.

    Records of a frozen class, frozen to the bottom, are compared by identity: what was not touched
    costs nothing at a save. Records of any other class may be changed in place: all of them are
    encoded at each save to see which were, and a transaction cannot use them.

    Within a transaction of its store the manager shows what the transaction sees, and changes that.
    """

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        *,
        schema: int = 1,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[R] | None = None,
    ) -> None:
        """Begin empty; a store that the manager is registered with fills it at `load_all()`.

        Args:
            kind: the name of the family, and of its folder: `notes`.
            record_class: any attrs class with an `id: str`.
            schema: the version of that class; records of a newer one are left alone.
            clock: what tells the time, aware.
            make_id: what makes the id of a record that is created without one.
            merge: what makes one record of two, where a save is to merge: called with the record
                that both were made of (None where that is not known), the one here and the stored
                one. By default fields, items and keys of mappings that only one of them has changed
                are taken from that one, and what both have changed differently stays a `Conflict`.
        Raises:
            InvalidKind, NotARecordClass: as they say.
        """
        super().__init__(kind, record_class, schema, merge)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._make_id = make_id

    # --- changing ---------------------------------------------------------------------

    def create(self, *, id: str | None = None, **fields: Any) -> R:
        """Make a record, add it, and return it.

        Args:
            id: the record's id; by default a new one, sortable by time.
            fields: the other fields of the class.
        Raises:
            DuplicateId, InvalidId, InvalidRecord: as they say; nothing was added.
        """
        chosen = self._make_id() if id is None else check_id(id)
        make: Callable[..., R] = self.record_class
        return self.add(self._made(chosen, lambda: make(id=chosen, **fields)))

    def add(self, record: R) -> R:
        """Add a record that the host has made, and return it.

        Raises:
            DuplicateId: there is one with this id already.
            InvalidId, InvalidRecord: as they say.
        """
        self._check(record)

        def make(current: R | None) -> R:
            if current is not None:
                raise DuplicateId(self.kind, record.id)
            return record

        self._change(record.id, make, anew=True)
        return record

    def replace(self, record: R, *, expect: R | None = None) -> R:
        """Put a record in the place of the one with its id, and return it.

        Args:
            expect: the record that it was made from, if the manager is to make sure.
        Raises:
            RecordNotFound: there is none to replace.
            StaleRecord: it was made from an older one than the manager holds.
            InvalidRecord: it is of another class.
        """

        def successor(current: R) -> R:
            if expect is not None and expect is not current:
                raise StaleRecord(self.kind, record.id, self.known(record.id))
            return record

        self._check(record)
        return self._modify(record, successor)

    def update(self, id: str | R, /, **changes: Any) -> R:
        """Change fields of a record and return the new record.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the class does not take these values; the record is as it was.
        """
        return self._modify(id, lambda current: self._evolved(current, **changes))

    def modify(self, id: str | R, change: Callable[[R], R]) -> R:
        """Change a record as it is stored now, durably, whoever else does; return the new one.

        `change` is given the newest record, what others have made of it included, and returns its
        successor, which is committed at once in every autosave mode. If somebody else was faster it
        is called again with what they have made. So it is to do nothing but compute, and never to
        modify the same record; it is called outside of all locks. Unsaved changes of the record go
        along, those of others do not.
        Within a transaction it is called once, and what it returns is a part of the transaction.
        A record of a class that can change is given to it as a copy.

        Raises:
            RecordNotFound: there is none, or it was deleted meanwhile.
            InvalidRecord: what it returned is no record of this kind and id.
            Conflict: unsaved changes of the record contradict what others have stored.
            CallbackFailed: a callback raised; the change is saved, so do not repeat it.
            StateStoreError: it could not be saved; the record is as it was.
        """
        name, owner, scope = self._id(id), self._owner, self._scope()
        space: Workspace[R] | None = scope.workspace(self.kind) if scope is not None else None
        if owner is None or (space is not None and name in space.written):
            return self._exchange(name, change)
        before: tuple[Revision, Revision] | None = None
        while True:
            owner.renew(self.kind, name)
            if scope is not None:
                return self._exchange(name, change)
            current = self[name]
            new = self._successor(current, change(self._own_copy(current)))
            if new is current:
                return current
            space = Workspace()
            space.put(name, new, current)
            overtaken = owner.exchange(self.kind, space)
            if overtaken is None:
                return new
            if not overtaken.in_memory:
                revisions = overtaken.expected, overtaken.found
                if revisions == before:
                    raise overtaken  # nobody has committed anything: its file is gone, say
                before = revisions

    def delete(self, id: str | R) -> R:
        """Remove a record and return what it was. The next save removes it from the store.

        Raises:
            RecordNotFound: there is none.
        """
        name = self._id(id)
        deleted: list[R] = []

        def make(current: R | None) -> None:
            if current is None:
                raise RecordNotFound(self.kind, name)
            deleted.append(current)

        self._change(name, make)
        return deleted[0]

    def delete_all(self) -> int:
        """Remove every record, and return how many there were."""
        while True:
            with self._lock:
                landing = next(iter(self._landings.values()), None)
                if landing is None:
                    self._want_open()
                    scope = self._scope()
                    deleted = tuple(self._shown(scope))
                    if scope is None:
                        self._touched.update(deleted)
                        self._live = {}
                    else:
                        space = scope.own_workspace(self.kind).copy()
                        for id in deleted:
                            space.put(id, None, self._live.get(id))
                        scope.workspaces[self.kind] = space
                    break
            landing.wait()
        if deleted:
            self._tell(deleted, scope)
        return len(deleted)

    # --- for the managers of a domain -------------------------------------------------

    def _modify(self, id: str | R, change: Callable[[R], R]) -> R:
        """Put what `change` makes of a record in its place, with nobody in between.

        Whatever else it raises, the record is as it was.

        Raises:
            RecordNotFound: there is none.
        """
        name = self._id(id)
        made: list[R] = []

        def make(current: R | None) -> R:
            if current is None:
                raise RecordNotFound(self.kind, name)
            new = self._successor(current, change(current))
            made.append(new)
            return new

        self._change(name, make)
        return made[0]

    def _exchange(self, id: str, change: Callable[[R], R]) -> R:
        """Do as `_modify`, with `change` called without the lock, again if overtaken."""
        while True:
            current = self[id]
            new = change(self._own_copy(current))

            def put(present: R, seen: R = current, new: R = new) -> R:
                if present is not seen:
                    raise _Overtaken
                return new

            try:
                return self._modify(id, put)
            except _Overtaken:
                continue

    def _own_copy(self, record: R) -> R:
        """Return what may be changed without changing the record."""
        return record if self._codec.is_immutable else copy.deepcopy(record)

    def _successor(self, current: R, new: R) -> R:
        """Return `new` as what follows `current`, checked.

        Raises:
            InvalidRecord: it is no record of this kind, or has another id.
            StaleRecord: it was made from an older one.
        """
        self._check(new, current.id)
        return new if new is current else self._succeed(current, new)

    def _evolved(self, current: R, **changes: Any) -> R:
        """Return a record with other values of some fields.

        Raises:
            InvalidRecord: the class does not take them.
        """
        if "id" in changes and changes["id"] != current.id:
            raise InvalidRecord(self.kind, current.id, "the id of a record cannot be changed")
        evolve: Callable[..., R] = attrs.evolve
        return self._made(current.id, lambda: evolve(current, **changes))

    def _change(self, id: str, make: Callable[[R | None], R | None], *, anew: bool = False) -> None:
        """Put what `make` returns in the place of what there is, None for nothing; then tell.

        `make` is called once, under the lock. The same frozen record is no change.
        """
        while True:
            with self._lock:
                landing = self._landings.get(id)
                if landing is None:
                    self._want_open()
                    scope = self._scope()
                    current = self._present(id, scope)
                    new = make(current)
                    if new is current and self._codec.is_immutable:
                        return
                    if scope is not None:
                        seen = self._live.get(id)
                        scope.own_workspace(self.kind).put(id, new, seen, anew=anew)
                    else:
                        if anew:  # unknown fields of a record that was deleted are not its own
                            self._unknown.pop(id, None)
                        self._touched.add(id)
                        if new is None:
                            del self._live[id]
                        else:
                            self._live[id] = new
                    break
            landing.wait()  # a transaction that writes it is just becoming durable
        self._tell((id,), scope)

    def _tell(self, ids: Collection[str], scope: Scope | None) -> None:
        """Tell who listens, outside the lock, as he may wait for others that want it."""
        if scope is None and self._on_change is not None:
            self._on_change(frozenset(ids))

    def _succeed(self, current: R, new: R) -> R:
        """Return `new` as the successor of `current`: the place to stamp and to refuse."""
        del current
        return new

    def _made(self, id: str, make: Callable[[], T]) -> T:
        try:
            return make()
        except StateStoreError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            # Validators put more than their message into an error, the value among it.
            reason = str(error.args[0]) if error.args else type(error).__name__
            raise InvalidRecord(self.kind, id, reason) from error

    # --- inside -----------------------------------------------------------------------

    def _want_open(self) -> None:
        if self._left is not None:
            raise StoreClosed(self._left)


class _Overtaken(Exception):
    """The record is another by now."""


def later(moment: datetime, now: datetime) -> datetime:
    """Return the time of a change after `moment`: now, or just after where the clock went back."""
    return max(now, moment + timedelta(microseconds=1))
