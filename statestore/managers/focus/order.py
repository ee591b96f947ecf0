"""The order of a chain: which focus is the current one, and which go when it is full."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from statestore.managers.focus.records import Focus, FocusChain, index_of


def pointer_after(
    old: Sequence[Focus], kept: Collection[Focus], current_id: str | None
) -> str | None:
    """Return the id of the current focus of a chain that was `old` and is now `kept`.

    It stays the same. If it went, the nearest before it that is kept is the current one, else the
    nearest behind it, else the last; None if nothing is left, or if none was the current one.
    """
    ids = [focus.id for focus in old]
    left = {focus.id: None for focus in kept}
    if current_id is None or current_id in left:
        return current_id
    if current_id not in ids:
        return None
    at = ids.index(current_id)
    order = (*reversed(ids[:at]), *ids[at:], *reversed(left))
    return next((id for id in order if id in left), None)


def current_of(chain: FocusChain, now: datetime) -> Focus | None:
    """Return the current focus; if it has expired, the one that cleaning would leave as such."""
    focus = chain.current
    if focus is None or not focus.is_expired(now):
        return focus
    fresh = [one for one in chain.focuses if not one.is_expired(now)]
    chosen = pointer_after(chain.focuses, fresh, chain.current_id)
    return next((one for one in fresh if one.id == chosen), None)


def neighbour(
    chain: FocusChain, step: int, *, now: datetime, counts: Callable[[Focus], bool]
) -> Focus | None:
    """Return the first focus behind the current one, for a `step` of 1, or before it, for -1.

    Without a current one it is the first of the chain, or the last.

    Args:
        counts: which focuses are looked at.
    """
    focuses = chain.focuses
    current = chain.current
    if current is not None and not counts(current):
        current = current_of(chain, now)
    at = index_of(focuses, None if current is None else current.id)
    if at is None:
        at = -1 if step > 0 else len(focuses)
    end = len(focuses) if step > 0 else -1
    places = range(at + step, end, step)
    return next((focuses[place] for place in places if counts(focuses[place])), None)


def fitted(
    focuses: Sequence[Focus], max_size: int, *, now: datetime, newest: int = 0
) -> Sequence[Focus]:
    """Return what a chain keeps of focuses: all, if there are at most `max_size`; 0 is no limit.

    Else those that have expired go first, all of them, and then the oldest.

    Args:
        newest: so many at the end are new; they do not go for having expired.
    """
    if not max_size or len(focuses) <= max_size:
        return focuses
    begin = len(focuses) - newest
    fresh = [one for one in focuses[:begin] if not one.is_expired(now)]
    kept = [*fresh, *focuses[begin:]]
    return kept[max(0, len(kept) - max_size) :]
