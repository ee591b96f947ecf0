"""The active chain, and room for new ones: what concerns all chains of a manager."""

from __future__ import annotations

from collections.abc import Set

from statestore.errors import InvalidRecord
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import FocusChain, active_of
from statestore.records.changing import later
from statestore.records.drafts import Draft

TRIMMED = "trimmed"


class FocusActivity(FocusBase):
    """The operations on the active chain. Which one it is, its record says: a reload keeps it."""

    @property
    def active(self) -> FocusChain | None:
        """The active chain, the one that was made so last; None if there is none.

        It is none, too, after the active one was deleted.
        """
        return active_of(self.all())

    def activate(self, chain: str | FocusChain) -> FocusChain:
        """Make a chain the active one, and all others inactive; return it.

        It is one step. `updated_at` of each that it changes moves. Where two processes activate
        different ones, the one that did so later counts.

        Raises:
            RecordNotFound: there is no such chain.
        """
        id = self._id(chain)
        return self._change_all(lambda draft: self._activated(draft, id))

    def deactivate(self) -> FocusChain | None:
        """Make no chain the active one; return the one that was, as it is now, or None."""

        def make(draft: Draft[FocusChain]) -> FocusChain | None:
            active = active_of(draft.all())
            self._deactivate_others(draft, None)
            return None if active is None else draft[active.id]

        return self._change_all(make)

    def add(self, record: FocusChain) -> FocusChain:
        """Add a chain that the host has made, and return it.

        One that is active becomes the only active one. Where there are more than `max_chains` then,
        the oldest that are not active are deleted in the same step.

        Raises:
            DuplicateId: there is one with this id already.
            InvalidId: as it says.
            InvalidRecord: it is of another class, two of its focuses have one id, or `max_chains`
                leaves no room; nothing was added.
        """
        self._check(record)
        self._want_unique(record.id, record.focuses)
        if record.activated_at is None and self.limits.max_chains is None:
            return super().add(record)

        def make(draft: Draft[FocusChain]) -> FocusChain:
            draft.add(record)
            if record.activated_at is not None:
                self._deactivate_others(draft, record.id)
            self._make_room(draft, {record.id})
            return record

        return self._change_all(make)

    # --- inside -----------------------------------------------------------------------

    def _activated(self, draft: Draft[FocusChain], id: str) -> FocusChain:
        chosen = draft[id]
        others = [one for one in draft.all() if one.activated_at and one.id != id]
        if chosen.activated_at is not None and not others:
            return chosen
        moment = self._clock()
        for one in others:
            moment = later(one.activated_at or moment, moment)
        self._deactivate_others(draft, id)
        return draft.put(self._evolved(chosen, activated_at=moment))

    def _deactivate_others(self, draft: Draft[FocusChain], id: str | None) -> None:
        for one in draft.all():
            if one.activated_at is not None and one.id != id:
                draft.put(self._evolved(one, activated_at=None))

    def _make_room(self, draft: Draft[FocusChain], kept: Set[str]) -> None:
        """Delete the oldest chains of more than `max_chains`, but some, and the active one.

        Raises:
            InvalidRecord: no others are left.
        """
        most = self.limits.max_chains
        chains = draft.all()
        if most is None or len(chains) <= most:
            return
        active = active_of(chains)
        stays = kept if active is None else {*kept, active.id}
        oldest = sorted(
            (one for one in chains if one.id not in stays), key=lambda one: (one.created_at, one.id)
        )
        over = len(chains) - most
        if len(oldest) < over:
            reason = f"max_chains is {most}, and all others are active or part of this; raise it"
            raise InvalidRecord(self.kind, None, reason, field="max_chains")
        for one in oldest[:over]:
            draft.delete(one.id)
            draft.tell(one.id, TRIMMED, max_chains=most)
