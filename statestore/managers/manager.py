"""The manager of one kind: a mapping of its live records, and the ways to change them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TypeVar, cast

from statestore.errors import (
    ConfigurationError,
    DuplicateId,
    RecordNotFound,
    StaleRecord,
    UnknownName,
)
from statestore.models.events import BASE_EVENTS, RecordEvent
from statestore.models.handles import Handle
from statestore.models.keys import Revision, check_id
from statestore.models.workspaces import Workspace
from statestore.records.announcing import ANY
from statestore.records.changing import Changer, flat
from statestore.records.families import codec_for
from statestore.records.ids import new_id
from statestore.records.keeping import R, Record
from statestore.records.own_types import OwnType
from statestore.records.sharing import Merge

S = TypeVar("S", bound=Record)


class Manager(Changer[R]):
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
        subclasses: Iterable[type[R]] = (),
        types: Iterable[OwnType] = (),
        check_on_change: bool = False,
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
            subclasses: classes derived from `record_class` of which a record may be, too. Each
                document says of which class it is: by its name, or what `tagged` says. It is no
                problem to name them later: what has no name is of `record_class`.
            types: how values of classes are stored that the library does not know.
            check_on_change: let each operation make sure that the record can be stored and read
                back, and refuse it with `InvalidRecord`. Otherwise a save does, which leaves the
                record out and says so. It costs about what the save of the record in memory does.
        Raises:
            InvalidKind, NotARecordClass: as they say.
        """
        codec = codec_for(record_class, tuple(subclasses), tuple(types))
        super().__init__(kind, record_class, schema, merge, codec)
        self._checks_on_change = check_on_change
        if clock is not None:
            self._clock = clock
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
        return self.add(self._made(chosen, lambda: make(id=chosen, **fields), values=fields))

    def create_as(self, subclass: type[S], /, *, id: str | None = None, **fields: Any) -> S:
        """Do as `create` with one of the `subclasses` of the manager.

        Args:
            subclass: the class that the record is to have.
            id, fields: see `create`.
        Raises:
            DuplicateId, InvalidId, InvalidRecord: as they say; nothing was added.
        """
        chosen = self._make_id() if id is None else check_id(id)
        self._check_class(subclass, chosen)
        make: Callable[..., S] = subclass
        record = self._made(chosen, lambda: make(id=chosen, **fields), subclass, fields)
        self.add(cast(R, record))  # its class was checked to be one of R
        return record

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

        Args:
            changes: new values by the names of the fields; its id cannot be changed.
        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the class does not take these values; `field` names the one that is not
                taken, where that is known. The record is as it was.
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
            if self._wants_proof:
                self._prove({name: (current, new)})
            space = Workspace()
            space.put(name, new, current)
            space.note(name, self._noted({name: (current, new)}).get(name, ()))
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
                    shown = self._shown(scope)
                    deleted = tuple(shown)
                    events = self._noted({id: (shown[id], None) for id in deleted})
                    if scope is None:
                        self._touched.update(deleted)
                        noted = flat(events)
                        # In a row: no signal comes between them.
                        self._live = {}
                        self._announcer.noted += noted
                    else:
                        space = scope.own_workspace(self.kind).copy()
                        for id in deleted:
                            space.put(id, None, self._live.get(id))
                            space.note(id, events.get(id, ()))
                        scope.workspaces[self.kind] = space
                    break
            landing.wait()
        if deleted:
            self._tell(deleted, scope)
        return len(deleted)

    # --- listening --------------------------------------------------------------------

    def on(
        self, name: str, listener: Callable[[RecordEvent[R]], object], *, id: str | R | None = None
    ) -> Handle:
        """Call `listener` with what becomes of records from now on, until the handle is cancelled.

        It is called when the change is durable, once for each operation, outside of all locks:
        commit by commit, within one in the order of the operations. Each is told as one of
        "created", "updated" and "deleted", then by the names of the domain. What a transaction
        undoes, or what was undone before it was saved, is not told. What others have committed is
        told at a refresh, or when an operation has met it; what a merge has made of both is told
        after the own change, `before` being that one. Clearing and restoring are told, loading is
        not. Without a store it is called after each operation. One listener at a time
        is called, on the thread that saves; it may use the store, and what it does itself is told
        after it. What it raises goes to `on_error`, as `ListenerFailed`, and concerns nobody else.
        Not promised: that an event which was not told when the process ended is told later; that a
        save does not return before another thread has told what it is telling.

        Args:
            name: one of `event_names`, or "*" for all.
            id: tell only of this record.
        Raises:
            UnknownName: there is no such event.
            ConfigurationError: the listener cannot be called.
        """
        if not callable(listener):
            raise ConfigurationError("listener", "takes a function of one event")
        known = self.event_names
        if name != ANY and name not in known:
            raise UnknownName("event", str(name), (*known, ANY))
        chosen = None if id is None else self._id(id)
        with self._lock:
            number = self._announcer.add(name, chosen, listener)

        def cancel() -> None:
            with self._lock:
                self._announcer.remove(number)

        return Handle(cancel)

    @property
    def event_names(self) -> tuple[str, ...]:
        """The names of the events of this kind."""
        return (*BASE_EVENTS, *self._domain_events)
