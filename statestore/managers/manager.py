"""The manager of one kind: its live records, and which of them are not saved yet."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs
import orjson

from statestore.errors import (
    Conflict,
    DuplicateId,
    EncodeError,
    InTransaction,
    InvalidRecord,
    ManagerInUse,
    NewerSchema,
    RecordNotFound,
    StaleRecord,
    StateStoreError,
    StoreClosed,
    StructureError,
)
from statestore.managers.codec import Codec
from statestore.managers.ids import new_id
from statestore.managers.scopes import INNERMOST, Scope, scope_of
from statestore.managers.shapes import Misfit
from statestore.models.changes import Delete, Patch, Put, Stored
from statestore.models.documents import FrozenDict, dumps_checked
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.managed import Landing, Loaded, Pending
from statestore.models.reports import Failure
from statestore.models.workspaces import Workspace


class Record(Protocol):
    """What every record has."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)
T = TypeVar("T")


@attrs.frozen
class _Saved:
    """What is known to be stored of a record.

    `token` is the record itself where it cannot change, else a digest of its document. `is_exact`
    says that the stored document is what is written of it now, with unknown fields if
    `has_unknown`: then a patch is enough.
    """

    token: object
    revision: Revision
    is_exact: bool = False
    has_unknown: bool = False


class Manager(Generic[R]):
    """A mapping of the live records of one kind. Any thread may use it.

    Records of a frozen class, frozen to the bottom, are compared by identity: what was not touched
    costs nothing at a save. Records of any other class may be changed in place: all of them are
    encoded at each save to see which were, and a transaction cannot use them.

    Within a transaction of its store the manager shows what the transaction sees, and changes that.
    """

    # The interpreter handles signals after calls and at jumps back, never between assignments in a
    # row. So that an interrupted operation has happened or has not, each changes memory by one step
    # or by such a row, and notes before what it may have touched.

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        *,
        schema: int = 1,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        """Begin empty; a store that the manager is registered with fills it at `load_all()`.

        Args:
            kind: the name of the family, and of its folder: `notes`.
            record_class: any attrs class with an `id: str`.
            schema: the version of that class; records of a newer one are left alone.
            clock: what tells the time, aware.
            make_id: what makes the id of a record that is created without one.
        Raises:
            InvalidKind, NotARecordClass: as they say.
        """
        self.kind = check_kind(kind)
        self.record_class = record_class
        self.schema = schema
        self._codec = Codec(record_class)
        self._clock = clock or (lambda: datetime.now(UTC))
        self._make_id = make_id
        self._lock = threading.RLock()
        self._live: dict[str, R] = {}
        self._saved: dict[str, _Saved] = {}
        self._touched: set[str] = set()
        self._unknown: dict[str, FrozenDict] = {}
        self._owner: object = None
        self._left: str | None = None
        self._on_change: Callable[[Set[str]], None] | None = None
        self._landings: dict[str, Landing] = {}

    # --- reading ----------------------------------------------------------------------

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

    @property
    def unsaved(self) -> tuple[str, ...]:
        """The ids of records with changes that are not saved, deletions among them."""
        pending, failures = self.pending()
        failed = [failure.key.id for failure in failures if failure.key]
        return (*(one.change.key.id for one in pending), *failed)

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
                raise StaleRecord(self.kind, record.id)
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

    # --- the protocol of RecordManager ------------------------------------------------

    def pending(
        self, among: Collection[str] | None = None, *, besides: Collection[str] = ()
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.pending`."""
        pending: list[Pending] = []
        failures: list[Failure] = []
        with self._lock:
            ids = self._touched if self._codec.is_immutable else {*self._live, *self._saved}
            if among is not None:
                ids = ids.intersection(among)
            for id in sorted(ids.difference(besides)):
                one = self._tried(id, self._live.get(id), self._unknown.get(id), failures)
                if one is not None:
                    pending.append(one)
                elif not failures or failures[-1].key != Key(self.kind, id):
                    self._touched.discard(id)
        return pending, failures

    def is_current(self, pending: Pending) -> bool:
        """See `RecordManager.is_current`. Of records that change in place nothing is known."""
        record = self._live.get(pending.change.key.id)
        return self._codec.is_immutable and record is pending.token

    def claim(
        self, workspace: Workspace[R], landing: Landing
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.claim`."""
        pending: list[Pending] = []
        failures: list[Failure] = []
        with self._lock:
            for id in workspace.written:
                self._landings[id] = landing
            for id, record in workspace.written.items():
                live = self._live.get(id)
                if record is live:
                    continue
                if workspace.seen[id] is not live:
                    saved = self._saved.get(id)
                    revision = saved.revision if saved else 0
                    error = Conflict(self.kind, id, revision, revision, in_memory=True)
                    failures.append(Failure(Key(self.kind, id), "save", error))
                    continue
                unknown = None if id in workspace.made else self._unknown.get(id)
                one = self._tried(id, record, unknown, failures)
                if one is not None:
                    pending.append(one)
        return pending, failures

    def publish(self, workspace: Workspace[R], done: Sequence[tuple[Pending, Revision]]) -> None:
        """See `RecordManager.publish`."""
        with self._lock:
            for id, record in workspace.written.items():
                if record is self._live.get(id):
                    continue
                self._touched.add(id)
                if record is None or id in workspace.made:
                    self._live.pop(id, None)
                    self._unknown.pop(id, None)
                if record is not None:
                    self._live[id] = record
            for pending, revision in done:
                self.saved(pending, revision)
            for id in workspace.written:
                self._landings.pop(id, None)

    def release(self, workspace: Workspace[R], landing: Landing) -> None:
        """See `RecordManager.release`."""
        with self._lock:
            for id in workspace.written:
                if self._landings.get(id) is landing:
                    del self._landings[id]

    def saved(self, pending: Pending, revision: Revision) -> None:
        """See `RecordManager.saved`."""
        id = pending.change.key.id
        with self._lock:
            if isinstance(pending.change, Delete):
                self._saved.pop(id, None)
                self._unknown.pop(id, None)
                clean = id not in self._live
            else:
                self._saved[id] = _Saved(
                    pending.token, revision, is_exact=True, has_unknown=self._has_unknown(pending)
                )
                clean = self._live.get(id) is pending.token
            if clean:
                self._touched.discard(id)

    def decode(self, stored: Stored) -> Loaded:
        """See `RecordManager.decode`."""
        key = stored.key
        if stored.schema > self.schema:
            raise NewerSchema(key.kind, key.id, stored.schema, self.schema)
        exact = self._codec.read_exact(stored.document)
        if exact is not None:
            is_exact = stored.schema == self.schema
            return Loaded(exact, stored.revision, FrozenDict(), exact, is_exact)
        try:
            record, unknown = self._codec.decode(stored.document)
        except Misfit as error:
            raise StructureError(key.kind, key.id, error.problems) from error
        token: object = record
        if not self._codec.is_immutable:
            token = _digest(orjson.dumps({**self._codec.encode(record), **unknown}))
        return Loaded(record, stored.revision, unknown, token)

    def adopt(
        self, loaded: Mapping[str, Loaded], *, unread: Set[str], discard: bool
    ) -> Sequence[str]:
        """See `RecordManager.adopt`."""
        with self._lock:
            kept = [] if discard else list(self.unsaved)
            old_live, old_saved = dict(self._live), dict(self._saved)
            if discard:
                self._put_back(unread, old_live, old_saved)
            stays = {*kept, *unread}
            for id, one in loaded.items():
                saved = old_saved.get(id)
                if saved is not None and saved.revision == one.revision and not discard:
                    stays.add(id)  # the same as before: whoever holds the record keeps a good one
            live = {id: one.record for id, one in loaded.items() if id not in stays}
            live.update({id: record for id, record in old_live.items() if id in stays})
            saved_now = {
                **{id: saved for id, saved in old_saved.items() if id in stays},
                **{
                    id: _Saved(one.token, one.revision, one.is_exact, bool(one.unknown))
                    for id, one in loaded.items()
                    if id not in stays
                },
            }
            unknown_now = {
                **{id: unknown for id, unknown in self._unknown.items() if id in stays},
                **{
                    id: FrozenDict(one.unknown)
                    for id, one in loaded.items()
                    if one.unknown and id not in stays
                },
            }
            touched = set() if discard else self._touched & stays
            # In a row: no signal comes between them.
            self._live = live  # type: ignore[assignment]  # decode() made each a record of the class
            self._saved = saved_now
            self._unknown = unknown_now
            self._touched = touched
        return kept

    def attach(self, owner: object, on_change: Callable[[Set[str]], None] | None) -> None:
        """See `RecordManager.attach`."""
        with self._lock:
            if self._owner is not None and self._owner is not owner:
                raise ManagerInUse(self.kind)
            self._owner, self._on_change = owner, on_change

    def detach(self, place: str) -> None:
        """See `RecordManager.detach`."""
        with self._lock:
            self._on_change, self._left = None, place

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
            new = change(current)
            self._check(new)
            if new is not current:
                new = self._succeed(current, new)
            made.append(new)
            return new

        self._change(name, make)
        return made[0]

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

    def _id(self, id: str | R) -> str:
        if isinstance(id, str):
            return id
        if isinstance(id, self.record_class):
            return id.id
        raise RecordNotFound(self.kind, f"<{type(id).__name__}>")

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
            if space is not None and id in space.written:
                return space.written[id]
        return self._live.get(id)

    def _shown(self, scope: Scope | None) -> Mapping[str, R]:
        space: Workspace[R] | None = scope.workspace(self.kind) if scope is not None else None
        return self._live if space is None else space.over(self._live)

    def _check(self, record: R) -> None:
        # No subclass either: the fields that it adds would not come back.
        if type(record) is not self.record_class:
            reason = f"it is a {type(record).__name__}, not a {self.record_class.__name__}"
            raise InvalidRecord(self.kind, None, reason)
        check_id(record.id)

    def _tried(
        self,
        id: str,
        record: R | None,
        unknown: Mapping[str, Any] | None,
        failures: list[Failure],
    ) -> Pending | None:
        """Return the change that makes `record` the stored one; note why it cannot be."""
        try:
            return self._pending_one(id, record, unknown)
        except StateStoreError as error:
            failures.append(Failure(Key(self.kind, id), "save", error))
        except Exception as error:  # noqa: BLE001 # a class of the host may raise anything
            refused = EncodeError("$", f"its class raised {type(error).__name__}")
            refused.__cause__ = error
            failures.append(Failure(Key(self.kind, id), "save", refused))
        return None

    def _pending_one(
        self, id: str, record: R | None, unknown: Mapping[str, Any] | None
    ) -> Pending | None:
        key = Key(self.kind, id)
        saved = self._saved.get(id)
        if record is None:
            return None if saved is None else Pending(Delete(key), saved.revision, None)
        if saved is not None and saved.token is record:
            return None
        if record.id != id:
            raise EncodeError("$.id", "the id of a record was changed in place")
        patch = self._patch(key, saved, record, unknown)
        if saved is not None and patch is not None:
            return Pending(patch, saved.revision, record)
        document = {**self._codec.encode(record), **(unknown or {})}
        token: object = record
        if not self._codec.is_immutable:
            token = _digest(dumps_checked(document))
            if saved is not None and saved.token == token:
                return None
        if self._wants_round_trip:
            self._codec.check_round_trip(record, document)
        return Pending(Put(key, document, self.schema), saved.revision if saved else 0, token)

    def _patch(
        self, key: Key, saved: _Saved | None, record: R, unknown: Mapping[str, Any] | None
    ) -> Patch | None:
        if saved is None or not saved.is_exact or not self._codec.is_immutable:
            return None
        if saved.has_unknown != bool(unknown):
            return None  # it was deleted and made anew, without the fields that nobody knows
        old = cast(R, saved.token)
        return self._codec.patch(key, old, record, check=self._wants_round_trip)

    def _has_unknown(self, pending: Pending) -> bool:
        if isinstance(pending.change, Put):
            return not self._codec.knows(pending.change.document)
        saved = self._saved.get(pending.change.key.id)
        return saved is not None and saved.has_unknown

    _wants_round_trip = True
    """Whether a save makes sure that each record will be read back; not needed where the class
    itself refuses what cannot be."""

    def _put_back(self, ids: Set[str], live: dict[str, R], saved: dict[str, _Saved]) -> None:
        """Undo unsaved changes of records that cannot be read again, as far as is known."""
        changed = set(self.unsaved)
        for id in ids & changed:
            known = saved.get(id)
            if known is not None and self._codec.is_immutable:
                live[id] = cast(R, known.token)  # the record that was saved
            else:
                live.pop(id, None)
                saved.pop(id, None)


def later(moment: datetime, now: datetime) -> datetime:
    """Return the time of a change after `moment`: now, or just after where the clock went back."""
    return max(now, moment + timedelta(microseconds=1))


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
