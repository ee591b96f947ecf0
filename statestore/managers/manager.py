"""The manager of one kind: its live records, and which of them are not saved yet."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Protocol, TypeVar, cast

import attrs
import orjson

from statestore.errors import (
    DuplicateId,
    EncodeError,
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
from statestore.managers.shapes import Misfit
from statestore.models.changes import Delete, Patch, Put, Stored
from statestore.models.documents import FrozenDict, check_document
from statestore.models.keys import Key, Revision, check_id, check_kind
from statestore.models.managed import Loaded, Pending
from statestore.models.reports import Failure


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
    encoded at each save to see which were.
    """

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
        self._changed: set[str] = set()
        self._depth = 0

    # --- reading ----------------------------------------------------------------------

    def __getitem__(self, id: str | R) -> R:
        """Return the record of this id, or the present state of a record.

        Raises:
            RecordNotFound: there is none; it is a `KeyError` too.
        """
        name = self._id(id)
        with self._lock:
            try:
                return self._live[name]
            except KeyError:
                raise RecordNotFound(self.kind, name) from None

    def get(self, id: str | R, default: T | None = None) -> R | T | None:
        """Return a record, or `default` if there is none."""
        with self._lock:
            return self._live.get(self._id(id), default)

    def all(self) -> tuple[R, ...]:
        """Return all records, in the order in which they were loaded and added."""
        with self._lock:
            return tuple(self._live.values())

    def ids(self) -> tuple[str, ...]:
        """Return the ids of all records, in the same order."""
        with self._lock:
            return tuple(self._live)

    def __contains__(self, id: object) -> bool:
        """Say whether there is a record of this id, or of the id of this record."""
        name = id.id if isinstance(id, self.record_class) else id
        with self._lock:
            return isinstance(name, str) and name in self._live

    def __len__(self) -> int:
        with self._lock:
            return len(self._live)

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
        with self._lock:
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
        with self._changing():
            if record.id in self._live:
                raise DuplicateId(self.kind, record.id)
            self._unknown.pop(record.id, None)  # of a record that was deleted, not of this one
            self._put(record)
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
        self._check(record)
        with self._changing():
            current = self[record.id]
            if expect is not None and expect is not current:
                raise StaleRecord(self.kind, record.id)
            record = self._succeed(current, record)
            if record is not current or not self._codec.is_immutable:
                self._put(record)
        return record

    def update(self, id: str | R, /, **changes: Any) -> R:
        """Change fields of a record and return the new record.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the class does not take these values; the record is as it was.
        """
        with self._changing():
            current = self[self._id(id)]
            if "id" in changes and changes["id"] != current.id:
                raise InvalidRecord(self.kind, current.id, "the id of a record cannot be changed")
            evolve: Callable[..., R] = attrs.evolve
            new = self._made(current.id, lambda: evolve(current, **changes))
            self._check(new)
            new = self._succeed(current, new)
            self._put(new)
        return new

    def delete(self, id: str | R) -> R:
        """Remove a record and return what it was. The next save removes it from the store.

        Raises:
            RecordNotFound: there is none.
        """
        with self._changing():
            record = self[self._id(id)]
            del self._live[record.id]
            self._touch(record.id)
        return record

    def delete_all(self) -> int:
        """Remove every record, and return how many there were."""
        with self._changing():
            count = len(self._live)
            self._touch(*self._live)
            self._live.clear()
        return count

    # --- the protocol of RecordManager ------------------------------------------------

    def pending(self) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.pending`."""
        pending: list[Pending] = []
        failures: list[Failure] = []
        with self._lock:
            ids = dict.fromkeys([*self._live, *self._saved])
            if self._codec.is_immutable:
                ids = dict.fromkeys(sorted(self._touched))
            for id in ids:
                try:
                    one = self._pending_one(id)
                except StateStoreError as error:
                    failures.append(Failure(Key(self.kind, id), "save", error))
                except Exception as error:  # noqa: BLE001 # a class of the host may raise anything
                    refused = EncodeError("$", f"its class raised {type(error).__name__}")
                    refused.__cause__ = error
                    failures.append(Failure(Key(self.kind, id), "save", refused))
                else:
                    if one is not None:
                        pending.append(one)
        return pending, failures

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
            token = _digest({**self._codec.encode(record), **unknown})
        return Loaded(record, stored.revision, unknown, token)

    def adopt(
        self, loaded: Mapping[str, Loaded], *, unread: Set[str], discard: bool
    ) -> Sequence[str]:
        """See `RecordManager.adopt`."""
        with self._lock:
            kept = [] if discard else list(self.unsaved)
            if discard:
                self._put_back(unread)
            stays = {*kept, *unread}
            for id, one in loaded.items():
                saved = self._saved.get(id)
                if saved is not None and saved.revision == one.revision and not discard:
                    stays.add(id)  # the same as before: whoever holds the record keeps a good one
            live = {id: one.record for id, one in loaded.items() if id not in stays}
            live.update({id: record for id, record in self._live.items() if id in stays})
            self._saved = {
                **{id: saved for id, saved in self._saved.items() if id in stays},
                **{
                    id: _Saved(one.token, one.revision, one.is_exact, bool(one.unknown))
                    for id, one in loaded.items()
                    if id not in stays
                },
            }
            self._unknown = {
                **{id: unknown for id, unknown in self._unknown.items() if id in stays},
                **{
                    id: FrozenDict(one.unknown)
                    for id, one in loaded.items()
                    if one.unknown and id not in stays
                },
            }
            self._live = live  # type: ignore[assignment]  # decode() made each a record of the class
            self._touched &= set() if discard else stays
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

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock over a change; when the outermost one is done tell who listens."""
        with self._lock:
            if self._left is not None:
                raise StoreClosed(self._left)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
            changed: set[str] = set()
            on_change = None if self._depth else self._on_change
            if on_change is not None:
                changed, self._changed = self._changed, changed
        # Outside the lock: who listens may wait for others that want it.
        if on_change is not None and changed:
            on_change(changed)

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

    def _check(self, record: R) -> None:
        # No subclass either: the fields that it adds would not come back.
        if type(record) is not self.record_class:
            reason = f"it is a {type(record).__name__}, not a {self.record_class.__name__}"
            raise InvalidRecord(self.kind, None, reason)
        check_id(record.id)

    def _put(self, record: R) -> None:
        self._live[record.id] = record
        self._touch(record.id)

    def _touch(self, *ids: str) -> None:
        self._touched.update(ids)
        if self._on_change is not None:
            self._changed.update(ids)

    def _pending_one(self, id: str) -> Pending | None:
        key = Key(self.kind, id)
        saved, record = self._saved.get(id), self._live.get(id)
        if record is None:
            if saved is None:
                self._touched.discard(id)
                return None
            return Pending(Delete(key), saved.revision, None)
        if saved is not None and saved.token is record:
            self._touched.discard(id)
            return None
        if record.id != id:
            raise EncodeError("$.id", "the id of a record was changed in place")
        patch = self._patch(key, saved, record)
        if saved is not None and patch is not None:
            return Pending(patch, saved.revision, record)
        document = {**self._codec.encode(record), **self._unknown.get(id, {})}
        token: object = record
        if not self._codec.is_immutable:
            check_document(document)
            token = _digest(document)
            if saved is not None and saved.token == token:
                return None
        if self._wants_round_trip:
            self._codec.check_round_trip(record, document)
        return Pending(Put(key, document, self.schema), saved.revision if saved else 0, token)

    def _patch(self, key: Key, saved: _Saved | None, record: R) -> Patch | None:
        if saved is None or not saved.is_exact or not self._codec.is_immutable:
            return None
        if saved.has_unknown != (key.id in self._unknown):
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

    def _put_back(self, ids: Set[str]) -> None:
        """Undo unsaved changes of records that cannot be read again, as far as is known."""
        changed = set(self.unsaved)
        for id in ids & changed:
            saved = self._saved.get(id)
            if saved is not None and self._codec.is_immutable:
                self._live[id] = cast(R, saved.token)  # the record that was saved
            else:
                self._live.pop(id, None)
                self._saved.pop(id, None)


def later(moment: datetime, now: datetime) -> datetime:
    """Return the time of a change after `moment`: now, or just after where the clock went back."""
    return max(now, moment + timedelta(microseconds=1))


def _digest(document: Mapping[str, Any]) -> bytes:
    return hashlib.blake2b(orjson.dumps(document), digest_size=16).digest()
