"""The manager of focus chains: what an agent has its mind on, and had before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import attrs

from statestore.errors import DuplicateId, InvalidRecord
from statestore.managers.details import Details
from statestore.managers.focus.branches import FocusBranches
from statestore.managers.focus.changes import FocusChanges
from statestore.managers.focus.events import EVENTS, events_of
from statestore.managers.focus.joins import FocusJoins
from statestore.managers.focus.queries import FocusQueries
from statestore.managers.focus.records import KIND, Focus, FocusChain, FocusLimits, index_of
from statestore.managers.focus.sharing import FocusSharing
from statestore.managers.focus.steps import FocusSteps
from statestore.models.keys import check_id
from statestore.records.announcing import Told
from statestore.records.drafts import Draft
from statestore.records.ids import new_id
from statestore.records.sharing import Merge

__all__ = ["Focus", "FocusChain", "FocusManager"]


class FocusManager(
    FocusChanges,
    FocusSteps,
    FocusBranches,
    FocusJoins,
    FocusQueries,
    Details[FocusChain],
    FocusSharing,
):
    """The focus chains of a store, in `focus/`.

    A chain is named by its id or by any record of it, a focus by its id or by any value of it.
    """

    _domain_events: ClassVar[tuple[str, ...]] = EVENTS

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[FocusChain] | None = None,
        limits: FocusLimits | Mapping[str, Any] | None = None,
    ) -> None:
        """See `Limited` for what `limits` mean, and `FocusLimits` for which there are."""
        super().__init__(KIND, FocusChain, clock=clock, make_id=make_id, merge=merge, limits=limits)

    def create(
        self,
        name: str = "",
        id: str | None = None,
        *,
        active: bool = False,
        max_size: int | None = None,
        **fields: Any,
    ) -> FocusChain:
        """Add a focus chain and return it. See `Manager.create`.

        Where there are more than `max_chains` then, the oldest that are not active are deleted in
        the same step. Of `focuses` that it is to begin with the newest are kept.

        Args:
            name: at most 1,000 characters.
            active: make it the active chain, and all others inactive, in the same step.
            max_size: the focuses at most, 0 without limit; by default what the limits say.
        Raises:
            DuplicateId, InvalidId: as they say; nothing was added.
            InvalidRecord: there is no such field, it does not take the value, or `max_chains`
                leaves no room; nothing was added.
        """
        now = self._clock()
        if max_size is None:
            max_size = self.limits.max_size or 0
        given = {"created_at": now, **fields, "name": name, "max_size": max_size}
        given.setdefault("updated_at", given["created_at"])
        if active:
            given["activated_at"] = now
        values = self._checked_chain(id, given)
        chosen = self._make_id() if id is None else check_id(id)
        record = self._made(chosen, lambda: FocusChain(chosen, **values))
        self._want_pointer(record)
        return self.add(self._within_size(record, now))

    def update(self, id: str | FocusChain, /, **changes: Any) -> FocusChain:
        """Change fields of a chain and return the new chain.

        Where it is to hold less than it does, by `max_size` or by `focuses`, what has expired goes
        first, then the oldest; the current focus stays one of the chain.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: there is no such field, it does not take the value, `current_id` is none
                of the chain's own focuses, or two of the focuses have one id.
        """
        values = self._checked_chain(self._id(id), changes)
        self._want_unique(self._id(id), values.get("focuses", ()))

        def changed(current: FocusChain) -> FocusChain:
            if "focuses" in values and "current_id" not in values:
                new = self._holding(current, **values)
            else:
                new = self._evolved(current, **values)
            if "current_id" in values:
                self._want_pointer(new)
            return self._within_size(new, self._clock())

        return self._modify(id, changed)

    def import_document(
        self,
        document: Mapping[str, Any],
        *,
        id: str | None = None,
        replace: bool = False,
        activate: bool = False,
    ) -> FocusChain:
        """Add the chain that a document holds, and return it. See `Transfer`.

        `max_chains` holds as for `create`.

        Args:
            activate: make it the active chain, and all others inactive. Else it is not, unless it
                takes the place of that.
        Raises:
            InvalidRecord: the document is of another kind, two of its focuses have one id, or
                `max_chains` leaves no room; nothing was added.
        """
        record = self._imported(document, None if id is None else check_id(id))
        self._want_unique(record.id, record.focuses)

        def make(draft: Draft[FocusChain]) -> FocusChain:
            current = draft.get(record.id)
            if current is not None and not replace:
                raise DuplicateId(self.kind, record.id)
            new = self._received(record, current)
            if current is None:
                draft.add(new)
            elif new != current:
                draft.put(new)
            if activate:
                self._activated(draft, record.id)
            self._make_room(draft, {record.id})
            return draft[record.id]

        return self._change_all(make)

    # --- inside -----------------------------------------------------------------------

    def _beginning(self, record: FocusChain) -> FocusChain | None:
        """Where others have made the chain of a session at the same time, it is one with both."""
        if record.session_id is None or record.id != f"session-{record.session_id}":
            return None
        return FocusChain(
            record.id,
            name=record.name,
            session_id=record.session_id,
            max_size=record.max_size,
            created_at=record.created_at,
            updated_at=record.updated_at,
        )

    def _received(self, record: FocusChain, current: FocusChain | None) -> FocusChain:
        active = None if current is None else current.activated_at
        if record.activated_at != active:
            record = attrs.evolve(record, activated_at=active)
        return super()._received(record, current)

    def _events_of(self, before: FocusChain | None, after: FocusChain | None) -> Iterable[Told]:
        return events_of(before, after)

    def _want_pointer(self, chain: FocusChain) -> None:
        if chain.current_id is None or index_of(chain.focuses, chain.current_id) is not None:
            return
        reason = "current_id takes the id of one of the chain's own focuses, or None"
        raise InvalidRecord(self.kind, chain.id, reason, field="current_id")
