"""Keeping: which records of a kind are stored as they are, and which have still to be saved."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from typing import Any, NoReturn, Protocol, TypeVar, cast

import attrs
import orjson

from statestore import forks
from statestore.errors import (
    Conflict,
    EncodeError,
    ManagerInUse,
    NewerSchema,
    NotPicklable,
    StateStoreError,
    StructureError,
)
from statestore.models.changes import Delete, Patch, Put, Stored
from statestore.models.documents import FrozenDict, dumps_checked
from statestore.models.events import UPDATED, RecordEvent
from statestore.models.keys import Key, Revision, check_kind
from statestore.models.managed import Landing, Loaded, Owner, Pending
from statestore.models.reports import Failure
from statestore.models.workspaces import Workspace
from statestore.records.announcing import Announced, number
from statestore.records.codec import Codec, codec_of
from statestore.records.families import FamilyCodec
from statestore.records.misfit import Misfit
from statestore.records.saved import Based, Saved


class Record(Protocol):
    """What every record has."""

    @property
    def id(self) -> str: ...


R = TypeVar("R", bound=Record)


class Keeper(Announced[R]):
    """The live records of one kind, and what is known to be stored of them: a `RecordManager`.

    Any thread may use it.
    """

    # The interpreter handles signals after calls and at jumps back, never between assignments in a
    # row. So that an interrupted operation has happened or has not, each changes memory by one step
    # or by such a row, and notes before what it may have touched.

    has_settings = False
    """See `RecordManager.has_settings`."""

    _wants_round_trip = True
    """Whether a save makes sure that each record will be read back; not needed where the class
    itself refuses what cannot be."""

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        schema: int,
        codec: Codec[R] | FamilyCodec[R] | None = None,
    ) -> None:
        """Begin empty. See `Manager`.

        Args:
            codec: what reads and writes the records, by default that of the class.
        """
        super().__init__(check_kind(kind))
        self.record_class = record_class
        self.schema = schema
        self._codec: Codec[R] | FamilyCodec[R] = codec or codec_of(record_class)
        self._live: dict[str, R] = {}
        self._saved: dict[str, Saved] = {}
        self._touched: set[str] = set()
        self._unknown: dict[str, FrozenDict] = {}
        self._owner: Owner | None = None
        self._left: str | None = None
        self._on_change: Callable[[Set[str]], None] | None = None
        self._landings: dict[str, Landing] = {}
        forks.note(self)

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: what is unsaved here would be saved twice.

        Raises:
            NotPicklable: always.
        """
        path = "the path" if self._owner is None else self._owner.path
        raise NotPicklable(f"the manager of {self.kind!r}", path)

    @property
    def unsaved(self) -> tuple[str, ...]:
        """The ids of records with changes that are not saved, deletions among them."""
        pending, failures = self.pending()
        failed = [failure.key.id for failure in failures if failure.key]
        return (*(one.change.key.id for one in pending), *failed)

    @property
    def codec(self) -> Codec[R] | FamilyCodec[R]:
        """What turns the records into documents and back."""
        return self._codec

    @property
    def held(self) -> tuple[dict[str, R], dict[str, FrozenDict]]:
        """The live records by their ids, and their fields that the class has none for.

        The very dicts, to look at. They are changed in place, and replaced, by any thread.
        """
        return self._live, self._unknown

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
                based = Based(self._saved.get(id), self._unknown.get(id))
                one = self._tried(id, self._live.get(id), based, failures)
                if one is not None:
                    pending.append(one)
                elif not failures or failures[-1].key != Key(self.kind, id):
                    self._touched.discard(id)
                    self._announcer.drop(id)
        return pending, failures

    def is_current(self, pending: Pending) -> bool:
        """See `RecordManager.is_current`. Of records that change in place nothing is known."""
        record = self._live.get(pending.change.key.id)
        return self._codec.is_immutable and record is pending.token

    def reserve(
        self, workspace: Workspace[R], landing: Landing
    ) -> tuple[Sequence[Pending], Sequence[Failure]]:
        """See `RecordManager.reserve`."""
        pending: list[Pending] = []
        failures: list[Failure] = []
        with self._lock:
            for id in workspace.written:
                self._landings[id] = landing
            for id, record in workspace.written.items():
                live, based = self._live.get(id), workspace.based.get(id)
                if record is live and based is None:
                    continue
                if workspace.seen[id] is not live:
                    saved = self._saved.get(id)
                    revision = saved.revision if saved else 0
                    error = Conflict(self.kind, id, revision, revision, in_memory=True)
                    failures.append(Failure(Key(self.kind, id), "save", error))
                    continue
                unknown = None if id in workspace.made else self._unknown.get(id)
                if based is None:
                    based = Based(self._saved.get(id), unknown)
                one = self._tried(id, record, based, failures)
                if one is not None:
                    pending.append(one)
        return pending, failures

    def publish(self, workspace: Workspace[R], done: Sequence[tuple[Pending, Revision]]) -> None:
        """See `RecordManager.publish`."""
        with self._lock:
            for id, record in workspace.written.items():
                based: Based | None = workspace.based.get(id)
                if record is self._live.get(id) and based is None:
                    continue
                self._touched.add(id)
                if record is None or id in workspace.made:
                    self._live.pop(id, None)
                    self._unknown.pop(id, None)
                if record is not None:
                    self._live[id] = record
                if based is not None:
                    self._rebase(id, based)
            for pending, revision in done:
                self.saved(pending, revision)
                self._announcer.release_now(workspace.events.get(pending.change.key.id, ()))
            for id in workspace.written:
                self._landings.pop(id, None)

    def unreserve(self, workspace: Workspace[R], landing: Landing) -> None:
        """See `RecordManager.unreserve`."""
        with self._lock:
            for id in workspace.written:
                if self._landings.get(id) is landing:
                    del self._landings[id]

    def saved(self, pending: Pending, revision: Revision) -> None:
        """See `RecordManager.saved`."""
        id = pending.change.key.id
        with self._lock:
            self._release(pending)
            known = self._saved.get(id)
            if known is not None and known.revision >= revision > pending.expected:
                return  # it was met in the store before this was told: who settled a conflict did
            if isinstance(pending.change, Delete):
                self._saved.pop(id, None)
                self._unknown.pop(id, None)
                clean = id not in self._live
            else:
                self._saved[id] = Saved(
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
                    id: Saved(one.token, one.revision, one.is_exact, bool(one.unknown))
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
            self._announcer.drop_all(besides=touched)
            # In a row: no signal comes between them.
            self._live = live  # type: ignore[assignment]  # decode() made each a record of the class
            self._saved = saved_now
            self._unknown = unknown_now
            self._touched = touched
        return kept

    def attach(self, owner: Owner, on_change: Callable[[Set[str]], None] | None) -> None:
        """See `RecordManager.attach`."""
        with self._lock:
            if self._owner is not None and self._owner is not owner:
                raise ManagerInUse(self.kind)
            self._owner, self._on_change = owner, on_change

    def detach(self, place: str) -> None:
        """See `RecordManager.detach`."""
        with self._lock:
            self._on_change, self._left = None, place

    def after_fork(self) -> None:
        """Go back, in a child, to what is known to be saved: unsaved changes are the parent's.

        What is not known goes out of memory, until it is loaded again: records that were changed in
        place, as nobody knows what they were before.
        """
        self._lock = threading.RLock()
        self._landings = {}
        self._announcer.drop_all()
        self._announcer.released = []
        if self._owner is None:
            return  # nothing is stored of it
        immutable = self._codec.is_immutable
        for id in self._touched.copy() if immutable else self.unsaved:
            saved = self._saved.get(id)
            if saved is not None and immutable and (not saved.has_unknown or id in self._unknown):
                self._live[id] = cast(R, saved.token)
            else:
                for known in (self._live, self._saved, self._unknown):
                    known.pop(id, None)
        self._touched = set()

    # --- inside -----------------------------------------------------------------------

    def _release(self, pending: Pending) -> None:
        """Let the events that a durable change holds be told."""
        announcer, id = self._announcer, pending.change.key.id
        if not announcer.is_wanted:
            return
        if announcer.has(id):
            announcer.release(id, pending.mark)
        elif not self._codec.is_immutable and pending.expected and id in self._live:
            # It was changed in place: nobody knows what it was before.
            event = RecordEvent(UPDATED, self.kind, id, None, self._live[id], self._clock())
            announcer.release_now([(number(), event)])

    def _tried(
        self,
        id: str,
        record: R | None,
        based: Based,
        failures: list[Failure],
    ) -> Pending | None:
        """Return the change that makes `record` the stored one; note why it cannot be."""
        try:
            one = self._pending_one(id, record, based)
            return attrs.evolve(one, mark=number()) if one and self._announcer.is_wanted else one
        except StateStoreError as error:
            failures.append(Failure(Key(self.kind, id), "save", error))
        except Exception as error:  # noqa: BLE001 # a class of the host may raise anything
            refused = EncodeError("$", f"its class raised {type(error).__name__}")
            refused.__cause__ = error
            failures.append(Failure(Key(self.kind, id), "save", refused))
        return None

    def _pending_one(self, id: str, record: R | None, based: Based) -> Pending | None:
        key = Key(self.kind, id)
        saved, unknown = based.saved, based.unknown
        if record is None:
            return None if saved is None else Pending(Delete(key), saved.revision, None)
        if saved is not None and saved.token is record:
            return None
        if record.id != id:
            raise EncodeError("$.id", "the id of a record was changed in place")
        patch = self._patch(key, saved, record, unknown)
        if saved is not None and patch is not None:
            return Pending(patch, saved.revision, record)
        if self._wants_round_trip or unknown:
            document = {**self._codec.encode(record), **(unknown or {})}
        else:
            document = self._codec.encode_checked(record)
        token: object = record
        if not self._codec.is_immutable:
            token = _digest(dumps_checked(document))
            if saved is not None and saved.token == token:
                return None
        if self._wants_round_trip:
            self._codec.check_round_trip(record, document)
        return Pending(Put(key, document, self.schema), saved.revision if saved else 0, token)

    def _patch(
        self, key: Key, saved: Saved | None, record: R, unknown: Mapping[str, Any] | None
    ) -> Patch | None:
        if saved is None or not saved.is_exact or not self._codec.is_immutable:
            return None
        if saved.has_unknown != bool(unknown):
            return None  # it was deleted and made anew, without the fields that nobody knows
        old = cast(R, saved.token)
        return self._codec.patch(key, old, record, check=self._wants_round_trip)

    def _rebase(self, id: str, based: Based) -> None:
        """Note what others have stored of a record that is just saved over it."""
        saved = based.saved
        if saved is None:
            self._saved.pop(id, None)
        else:
            self._saved[id] = saved
        if based.unknown:
            self._unknown[id] = based.unknown
        else:
            self._unknown.pop(id, None)
        if self._live.get(id) is (None if saved is None else saved.token):
            self._touched.discard(id)

    def _has_unknown(self, pending: Pending) -> bool:
        if isinstance(pending.change, Put):
            return not self._codec.knows(pending.change.document)
        saved = self._saved.get(pending.change.key.id)
        return saved is not None and saved.has_unknown

    def _put_back(self, ids: Set[str], live: dict[str, R], saved: dict[str, Saved]) -> None:
        """Undo unsaved changes of records that cannot be read again, as far as is known."""
        changed = set(self.unsaved)
        for id in ids & changed:
            known = saved.get(id)
            if known is not None and self._codec.is_immutable:
                live[id] = cast(R, known.token)  # the record that was saved
            else:
                live.pop(id, None)
                saved.pop(id, None)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()
