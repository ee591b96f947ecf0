"""Chains put together, taken apart and turned round."""

from __future__ import annotations

from statestore.errors import InvalidRecord
from statestore.managers.focus import tree as focus_tree
from statestore.managers.focus.activity import FocusActivity
from statestore.managers.focus.records import Focus, FocusChain
from statestore.models.keys import check_id
from statestore.models.sequences import Items
from statestore.records.drafts import Draft

MERGED, SPLIT = "merged", "split"


class FocusJoins(FocusActivity):
    """The operations on the order of whole chains. Each is one step, of all chains in it."""

    def merge(self, target: str | FocusChain, source: str | FocusChain) -> FocusChain:
        """Add the focuses of one chain behind those of another, and return that, the target.

        They keep their ids; what is in the target already, or below a focus of it, is not added
        again, nor is what is below it in the source. Of context and metadata the values of the
        source win, key by key. The current focus of the target stays; if it had none, it gets that
        of the source. Its `max_size` holds: of too many all that have expired go first, then the
        oldest. The source stays as it is.

        Raises:
            RecordNotFound: there is no such chain.
            InvalidRecord: both are the same chain; nothing changed.
        """
        into, out_of = self._id(target), self._id(source)

        def make(draft: Draft[FocusChain]) -> FocusChain:
            current, other = draft[into], draft[out_of]
            if into == out_of:
                reason = "a chain cannot be merged into itself"
                raise InvalidRecord(self.kind, into, reason, field="source")
            there = {focus.id for focus in focus_tree.walk(current.focuses)}
            added = focus_tree.pruned(other.focuses, lambda one: one.id not in there)
            pointer = current.current_id
            if pointer is None and any(one.id == other.current_id for one in added):
                pointer = other.current_id
            changes = {
                "focuses": current.focuses.extended(added),
                "current_id": pointer,
                "context": {**current.context, **other.context},
                "metadata": {**current.metadata, **other.metadata},
            }
            kept = {name: one for name, one in changes.items() if one != getattr(current, name)}
            if not kept:
                return current
            longer = self._evolved(current, **kept)
            new = draft.put(self._within_size(longer, self._clock()))
            ids = tuple(one.id for one in added)
            draft.tell(into, MERGED, source_id=out_of, focus_ids=ids)
            return new

        return self._change_all(make)

    def split(
        self, chain: str | FocusChain, index: int, *, name: str | None = None, id: str | None = None
    ) -> tuple[FocusChain, FocusChain]:
        """Move the focuses from a place on to a new chain, and return both: (head, tail).

        The tail has the description, session, size, context and metadata of the head, which stays
        the active chain if it was. Both have a current focus: the one that was it, where it is now;
        in the head else its last one, and in the tail as well.

        Args:
            index: how many focuses stay in the head, 0 to one less than there are.
            name: of the tail, by default `<name>-split`.
            id: of the tail, by default a new one.
        Raises:
            RecordNotFound: there is no such chain.
            DuplicateId, InvalidId: as they say, of the tail.
            InvalidRecord: there is no such place, the name is too long, or `max_chains` leaves no
                room; nothing changed.
        """
        whole = self._id(chain)
        chosen = self._make_id() if id is None else check_id(id)

        def make(draft: Draft[FocusChain]) -> tuple[FocusChain, FocusChain]:
            current = draft[whole]
            if type(index) is not int or not 0 <= index < len(current.focuses):
                reason = "index takes an integer from 0 on, less than the number of focuses"
                raise InvalidRecord(self.kind, whole, reason, field="index")
            title = f"{current.name}-split" if name is None else name
            self._checked_chain(chosen, {"name": title})
            head, tail = current.focuses[:index], current.focuses[index:]
            now = self._clock()
            moved = self._made(
                chosen,
                lambda: FocusChain(
                    chosen,
                    name=title,
                    description=current.description,
                    session_id=current.session_id,
                    max_size=current.max_size,
                    current_id=_current_in(tail, current.current_id),
                    context=current.context,
                    metadata=current.metadata,
                    created_at=now,
                    updated_at=now,
                    extra=current.extra,
                    focuses=Items(tail, Focus),
                ),
            )
            pointer = _current_in(head, current.current_id)
            left = draft.put(self._evolved(current, focuses=Items(head, Focus), current_id=pointer))
            draft.add(moved)
            self._make_room(draft, {whole, chosen})
            draft.tell(whole, SPLIT, tail_id=chosen, index=index)
            return left, moved

        return self._change_all(make)

    def reverse(self, chain: str | FocusChain) -> FocusChain:
        """Turn the order of a chain round, and return it. The current focus stays the same one.

        Raises:
            RecordNotFound: there is no such chain.
        """

        def turned(current: FocusChain) -> FocusChain:
            if len(current.focuses) < 2:
                return current
            focuses = Items(reversed(current.focuses), Focus)
            return self._evolved(current, focuses=focuses)

        return self._modify(chain, turned)


def _current_in(focuses: tuple[Focus, ...], current_id: str | None) -> str | None:
    if not focuses:
        return None
    if any(one.id == current_id for one in focuses):
        return current_id
    return focuses[-1].id
