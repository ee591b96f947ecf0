"""Focuses added to a chain, changed and taken out of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from statestore.errors import NothingActive
from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import Focus, FocusChain, active_of
from statestore.records.drafts import Draft


class FocusChanges(FocusBase):
    """The operations on the focuses of one chain."""

    def push(
        self,
        chain: str | FocusChain,
        *,
        type: str = "custom",
        target: str = "",
        context: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Focus:
        """Add a focus at the end of a chain, make it the current one, and return it.

        When the chain is full all focuses in it that have expired go first, then the oldest, so
        that there are `max_size` at most; the new one stays. Without that it costs what is added,
        whatever the chain holds, and so does its save, unless `id` or `children` are given.

        Args:
            type: one of `FOCUS_TYPES`, or another text that is not empty.
            target: what it is about: a path, a name, the text of an error.
            context: a mapping of what JSON has; it is copied and frozen.
            fields: the other fields of `Focus`. `priority` may be a word: low, normal, high,
                critical. `ttl_s` stands for `expires_at`: seconds from `created_at` on.
        Raises:
            RecordNotFound: there is no such chain.
            InvalidRecord: there is no such field, it does not take the value, it expires before it
                was made, or its id is in the chain already; nothing was added.
        """
        fields.update(type=type, target=target, context=context)
        focus = self._made_focus(self._id(chain), fields)
        sure = self._is_surely_new(fields)
        return self._altered(chain, lambda current: (self._pushed(current, focus, sure), focus))

    def push_to_active(self, **fields: Any) -> Focus:
        """Add a focus at the end of the active chain, and return it. See `push`.

        Raises:
            NothingActive: no chain is active.
        """

        def make(draft: Draft[FocusChain]) -> Focus:
            active = active_of(draft.all())
            if active is None:
                raise NothingActive(self.kind)
            focus = self._made_focus(active.id, fields)
            draft.put(self._pushed(active, focus, self._is_surely_new(fields)))
            return focus

        return self._change_all(make)

    def pop(self, chain: str | FocusChain) -> Focus | None:
        """Take the newest focus out of a chain, with all below it, and return it; None if empty.

        If it was the current one, the one before it is so now. One that has expired is returned as
        well.

        Raises:
            RecordNotFound: there is no such chain.
        """

        def popped(current: FocusChain) -> tuple[FocusChain, Focus | None]:
            if not current.focuses:
                return current, None
            return self._holding(current, current.focuses[:-1]), current.focuses[-1]

        return self._altered(chain, popped)

    def remove(self, chain: str | FocusChain, focus: str | Focus) -> Focus:
        """Take a focus out of a chain, wherever it stands, with all below it, and return it.

        If it was the current one, the one before it is so now, or else the one behind it.

        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: it is not in the chain.
        """

        def removed(current: FocusChain) -> tuple[FocusChain, Focus]:
            path = self._path(current, focus)
            return self._rebuilt(current, path, None), path[-1]

        return self._altered(chain, removed)

    def clear_focuses(self, chain: str | FocusChain) -> FocusChain:
        """Take all focuses out of a chain, and return the chain.

        Raises:
            RecordNotFound: there is no such chain.
        """

        def cleared(current: FocusChain) -> FocusChain:
            return self._holding(current, ()) if current.focuses else current

        return self._modify(chain, cleared)

    def update_focus(self, chain: str | FocusChain, focus: str | Focus, /, **changes: Any) -> Focus:
        """Change fields of a focus, wherever it stands in the chain, and return the new one.

        Its `updated_at` moves, unless it is given.

        Args:
            changes: fields of `Focus`, but `id`; also `priority` as a word, and `ttl_s`, seconds
                from now on, for `expires_at`.
        Raises:
            RecordNotFound: there is no such chain.
            FocusNotFound: it is not in the chain.
            InvalidRecord: there is no such field, or it does not take the value; nothing changed.
        """

        def changed(current: FocusChain) -> tuple[FocusChain, Focus]:
            path = self._path(current, focus)
            old = path[-1]
            new = self._changed_focus(current.id, old, changes)
            if "children" in changes:
                self._want_room(current.id, path[:-1], new)
            made = self._rebuilt(current, path, new)
            if "children" in changes:
                self._want_unique(current.id, made.focuses)
            return made, new

        return self._altered(chain, changed)

    # --- expiry -----------------------------------------------------------------------

    def clean_expired(self, chain: str | FocusChain | None = None) -> int:
        """Take what has expired out of a chain, or out of all, and return how many focuses went.

        A focus has expired at its `expires_at` and later. With it goes what is below it, and is
        counted too. All chains are cleaned in one step.

        Raises:
            RecordNotFound: there is no such chain.
        """
        if chain is not None:
            return self._altered(chain, lambda one: self._cleaned(one, self._clock()))

        def make(draft: Draft[FocusChain]) -> int:
            now, gone = self._clock(), 0
            for one in draft.all():
                new, less = self._cleaned(one, now)
                gone += less
                draft.put(new)
            return gone

        return self._change_all(make)

    # --- inside -----------------------------------------------------------------------

    def _pushed(self, current: FocusChain, focus: Focus, surely_new: bool) -> FocusChain:
        if not surely_new:
            self._want_new(current, [focus])
        longer = self._evolved(
            current, focuses=current.focuses.extended([focus]), current_id=focus.id
        )
        return self._within_size(longer, self._clock(), newest=1)

    def _cleaned(self, chain: FocusChain, now: datetime) -> tuple[FocusChain, int]:
        gone = sum(1 for one in focus_tree.walk(chain.focuses) if one.is_expired(now))
        if not gone:
            return chain, 0
        kept = focus_tree.pruned(chain.focuses, lambda one: not one.is_expired(now))
        less = focus_tree.count(chain.focuses) - focus_tree.count(kept)
        return self._holding(chain, kept), less
