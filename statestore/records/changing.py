"""Changing: one record put in the place of another, or several, with nobody in between."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from operator import is_
from typing import Any, ClassVar, TypeVar

import attrs

from statestore.errors import (
    Conflict,
    InvalidRecord,
    RecordNotFound,
    StateStoreError,
    StoreClosed,
)
from statestore.models.keys import Revision
from statestore.models.workspaces import Workspace
from statestore.records.announcing import Numbered, Told, number
from statestore.records.codec import Codec
from statestore.records.drafts import Draft
from statestore.records.families import FamilyCodec
from statestore.records.keeping import R
from statestore.records.proving import Prover
from statestore.records.refusals import refusal
from statestore.records.scopes import Scope
from statestore.records.sharing import Merge
from statestore.records.telling import Telling

T = TypeVar("T")


class Changer(Prover[R]):
    """Changes the live records of one kind, and tells of it. What managers are made of."""

    def __init__(
        self,
        kind: str,
        record_class: type[R],
        schema: int,
        merge: Merge[R] | None,
        codec: Codec[R] | FamilyCodec[R] | None = None,
    ) -> None:
        """Begin empty. See `Manager`."""
        super().__init__(kind, record_class, schema, merge, codec)
        self._telling = Telling()

    # --- for the managers of a domain -------------------------------------------------

    _domain_events: ClassVar[tuple[str, ...]] = ()
    """The names of the events of the domain, which `_events_of` finds and operations add."""

    def _modify(self, id: str | R, change: Callable[[R], R], *, also: Iterable[Told] = ()) -> R:
        """Put what `change` makes of a record in its place, with nobody in between.

        Whatever else it raises, the record is as it was.

        Args:
            also: events of the operation, beside those that `_events_of` finds.

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

        self._change(name, make, also=also)
        return made[-1]

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
            raise InvalidRecord(
                self.kind, current.id, "the id of a record cannot be changed", field="id"
            )
        evolve: Callable[..., R] = attrs.evolve
        return self._made(current.id, lambda: evolve(current, **changes), type(current), changes)

    def _change(
        self,
        id: str,
        make: Callable[[R | None], R | None],
        *,
        anew: bool = False,
        also: Iterable[Told] = (),
    ) -> None:
        """Put what `make` returns in the place of what there is, None for nothing; then tell.

        `make` is called under the lock, again where somebody else was faster while what it made was
        validated. The same frozen record is no change.

        Args:
            anew: it is a new record, which has nothing of one that had its id before.
            also: events of the operation, beside those that `_events_of` finds.
        """
        proven: tuple[R | None, R | None] | None = None
        while True:
            is_proven = True
            with self._lock:
                landing = self._landings.get(id)
                if landing is None:
                    self._want_open()
                    scope = self._scope()
                    current = self._present(id, scope)
                    if proven is None or proven[0] is not current:
                        proven = current, make(current)
                        is_proven = proven[1] is None or not self._wants_proof
                    new = proven[1]
                    if new is current and self._codec.is_immutable:
                        return
                    if is_proven:
                        self._put(id, new, scope, anew=anew, also=also)
                        break
            if landing is not None:
                landing.wait()  # a transaction that writes it is just becoming durable
            elif proven is not None:
                self._prove({id: proven})
        self._tell((id,), scope)

    def _put(
        self, id: str, new: R | None, scope: Scope | None, *, anew: bool, also: Iterable[Told]
    ) -> None:
        """Put a record in the place of what there is. The lock is held."""
        noted: Sequence[Numbered] = ()
        if self._announcer.is_wanted:
            noted = flat(self._noted({id: (self._present(id, scope), new)}, {id: also}))
        if scope is not None:
            space = scope.own_workspace(self.kind)
            space.put(id, new, self._live.get(id), anew=anew)
            space.note(id, noted)
            return
        if anew:  # unknown fields of a record that was deleted are not its own
            self._unknown.pop(id, None)
        self._touched.add(id)
        # In a row: no signal comes between a change and its events.
        if new is None:
            del self._live[id]
        else:
            self._live[id] = new
        if noted:
            self._announcer.noted += noted

    def _change_all(self, make: Callable[[Draft[R]], T], *, at_once: bool = False) -> T:
        """Let an operation change several records, wholly or not at all; then tell.

        `make` gets what the manager shows as a `Draft`, notes in it what is to be changed, and
        returns what this returns. It may be called again where somebody else was faster, and is
        called under the lock. Where each operation is saved, all its changes are one commit, and
        nobody sees them before it is durable.

        Args:
            at_once: commit them in every autosave mode, as `modify` does, against the newest state
                of all records that are changed. Within a transaction they are a part of it.
        """
        owner = self._owner
        before: tuple[str, Revision, Revision] | None = None
        proven: tuple[Draft[R], T] | None = None
        while True:
            overtaken: Conflict | None = None
            is_proven = True
            with self._lock:
                self._want_open()
                scope = self._scope()
                shown = self._shown(scope)
                if proven is None or not _is_same(proven[0].shown, shown):
                    is_proven = not self._wants_proof
                    seen_now = shown if is_proven else dict(shown)
                    draft = Draft(self.kind, seen_now, self._check, self._successor)
                    proven = draft, make(draft)
                draft, result = proven
                changes = draft.changes
                landing = next((self._landings[id] for id in changes if id in self._landings), None)
                if landing is None and not changes:
                    return result
                if landing is None and is_proven:
                    proven = None
                    on_change = self._on_change is not None and len(changes) > 1
                    together = scope is None and owner is not None and (at_once or on_change)
                    space = self._put_all(draft, scope, only_noted=together)
            if landing is not None:
                proven = None
                landing.wait()
                continue
            if not is_proven:
                self._prove({id: (draft.shown.get(id), one) for id, one in changes.items()})
                continue
            if together and owner is not None:
                overtaken = owner.exchange(self.kind, space)
            else:
                self._tell(changes, scope)
            if overtaken is None:
                return result
            if not overtaken.in_memory:
                seen = overtaken.id, overtaken.expected, overtaken.found
                if owner is None or seen == before:
                    raise overtaken
                before = seen
                owner.renew(self.kind, overtaken.id)

    def _put_all(self, draft: Draft[R], scope: Scope | None, *, only_noted: bool) -> Workspace[R]:
        """Put what a draft changes in the place of what there is. The lock is held.

        Args:
            only_noted: change nothing yet; it is in the workspace that is returned.
        """
        changes = draft.changes
        events = self._noted(
            {id: (draft.shown.get(id), one) for id, one in changes.items()}, draft.also
        )
        space: Workspace[R] = Workspace()
        if scope is not None:
            space = scope.own_workspace(self.kind)
        if scope is not None or only_noted:
            space.put_all(changes, self._live, made=draft.made, events=events)
        else:
            self._take_over(changes, draft.made, flat(events))
        return space

    def _take_over(
        self,
        changes: Mapping[str, R | None],
        made: Collection[str],
        events: Sequence[Numbered],
    ) -> None:
        """Make changes of several records the live ones, with their events. The lock is held."""
        for id in made:  # unknown fields of a record that was deleted are not its own
            self._unknown.pop(id, None)
        put = {id: one for id, one in changes.items() if one is not None}
        live = self._live
        # Not what is only new: to go through all records would be the price of each that is made.
        gone = [id for id in {*(changes.keys() - put.keys()), *made} if id in live]
        self._touched.update(changes)
        one_gone = gone[0] if len(gone) == 1 and gone[0] not in put else None
        if gone and one_gone is None:
            several = set(gone)
            live = {id: one for id, one in live.items() if id not in several}
        # In a row: an operation that is interrupted has happened or has not. That is why it is no
        # `update()`, after which a signal is looked for.
        if one_gone is not None:
            del live[one_gone]
        live |= put
        self._live = live
        self._announcer.noted += events

    def _noted(
        self,
        changes: Mapping[str, tuple[R | None, R | None]],
        also: Mapping[str, Iterable[Told]] = {},
    ) -> Mapping[str, tuple[Numbered, ...]]:
        """Return what is to be told of changes, if there is anybody to tell."""
        if not self._announcer.is_wanted:
            return {}
        at = self._clock()
        return {
            id: tuple(self._events(id, before, after, at, also=also.get(id, ())))
            for id, (before, after) in changes.items()
        }

    def _tell(self, ids: Collection[str], scope: Scope | None) -> None:
        """Tell who listens, outside the lock, as he may wait for others that want it."""
        if scope is not None:
            return
        if self._on_change is not None:
            self._on_change(frozenset(ids))
        elif self._owner is None and self._announcer.is_wanted:
            self._announce_unstored(ids)

    def _announce_unstored(self, ids: Collection[str]) -> None:
        """Tell what became of records of a manager without a store: memory is all there is."""
        with self._lock:
            for id in ids:
                self._announcer.release(id, number())
        self._telling.tell((self,))

    def _succeed(self, current: R, new: R) -> R:
        """Return `new` as the successor of `current`: the place to stamp and to refuse."""
        del current
        return new

    def _made(
        self,
        id: str,
        make: Callable[[], T],
        cls: type[Any] | None = None,
        values: Mapping[str, Any] = {},
    ) -> T:
        """Return what `make` makes of values that the host has given.

        Args:
            cls, values: what takes them, and what they are, to tell in which field it is wrong.
        Raises:
            InvalidRecord: the class does not take them.
        """
        try:
            return make()
        except StateStoreError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise refusal(self.kind, id, error, cls or self.record_class, values) from error

    # --- inside -----------------------------------------------------------------------

    def _want_open(self) -> None:
        if self._left is not None:
            raise StoreClosed(self._left)


def flat(events: Mapping[str, Sequence[Numbered]]) -> list[Numbered]:
    """Return the events of several records in their order."""
    return [one for some in events.values() for one in some]


def _is_same(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Say whether two mappings hold the very same values, in the same order."""
    if len(one) != len(other) or list(one) != list(other):
        return False
    return all(map(is_, one.values(), other.values()))


class _Overtaken(Exception):
    """The record is another by now."""


def later(moment: datetime, now: datetime) -> datetime:
    """Return the time of a change after `moment`: now, or just after where the clock went back."""
    return max(now, moment + timedelta(microseconds=1))
