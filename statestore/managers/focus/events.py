"""Events of focus chains: what became of one, found from what it was and is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from statestore.managers.focus.activity import TRIMMED
from statestore.managers.focus.joins import MERGED, SPLIT
from statestore.managers.focus.records import FocusChain
from statestore.records.announcing import Told

EVENTS: Final = (
    "expired",
    "popped",
    "removed",
    "focus_changed",
    "pushed",
    "current_changed",
    "activated",
    "deactivated",
    MERGED,
    SPLIT,
    TRIMMED,
)
"""The names, in the order in which those of one operation are told.

Told of the chain's own focuses, each with {"focus_id"}: `pushed`, one that was added; of one that
went either `expired`, where its time was over, or `popped`, where it was the last and nothing else
went or came, or `removed`; `focus_changed`, one that changed, or something below it.
`current_changed` {"focus_id", "before"}, ids or None. `activated` and `deactivated` {}, the latter
also of an active chain that was deleted. `merged` {"source_id", "focus_ids"}, what was added.
`split` {"tail_id", "index"}. `trimmed` {"max_chains"}, of a chain that was deleted for the limit.
"""


def events_of(before: FocusChain | None, after: FocusChain | None) -> Iterator[Told]:
    """Yield the events of one change, with their details."""
    if before is not None and after is not None:
        if not after.focuses.continues(before.focuses):
            yield from _of_focuses(before, after)
        else:
            for focus in after.focuses.since(len(before.focuses)):
                yield "pushed", {"focus_id": focus.id}
        if before.current_id != after.current_id:
            yield "current_changed", {"focus_id": after.current_id, "before": before.current_id}
    was_active = before is not None and before.activated_at is not None
    is_active = after is not None and after.activated_at is not None
    if is_active and not was_active:
        yield "activated", {}
    elif was_active and not is_active:
        yield "deactivated", {}


def _of_focuses(before: FocusChain, after: FocusChain) -> Iterator[Told]:
    old = {focus.id: focus for focus in before.focuses}
    new = {focus.id: focus for focus in after.focuses}
    gone = [focus for id, focus in old.items() if id not in new]
    is_pop = len(gone) == 1 and len(new) < len(old) and gone[0] is before.focuses[-1]
    for focus in gone:
        name = "popped" if is_pop else "removed"
        yield "expired" if focus.is_expired(after.updated_at) else name, {"focus_id": focus.id}
    for id, focus in new.items():
        if id in old and focus is not old[id] and focus != old[id]:
            yield "focus_changed", {"focus_id": id}
    for id in new:
        if id not in old:
            yield "pushed", {"focus_id": id}
