"""Events of conversations: what became of one, found from what it was and is."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from statestore.managers.conversations.records import Conversation, begins_with, head_length
from statestore.records.announcing import Told

EVENTS: Final = (
    "messages_removed",
    "cleared",
    "message_edited",
    "message_added",
    "summarised",
    "status_changed",
    "activated",
    "deactivated",
    "merged",
    "trimmed",
)
"""The names, in the order in which those of one operation are told.

Their details: `messages_removed` {"count"}; `cleared` {"count"}, beside it, where at most the
system prompt is left; `message_edited` {"ids"}, a tuple; `message_added` {"count", "index"}, the
position of the first of them; `summarised` {"upto"}, the id of the last message that is in the
summary; `status_changed` {"before", "after"}; `merged` {"source", "count"}, the id of the
conversation whose messages came and how many; `trimmed` {"max_conversations"}, of one that was
deleted for the limit.
"""


def events_of(before: Conversation | None, after: Conversation | None) -> Iterator[Told]:
    """Yield the events of one change, with their details."""
    if after is None:
        return
    if before is not None:
        yield from _of_messages(before, after)
        if (before.summary, before.summary_upto) != (after.summary, after.summary_upto):
            yield "summarised", {"upto": after.summary_upto}
        if before.status != after.status:
            yield "status_changed", {"before": before.status, "after": after.status}
    was_active = before is not None and before.activated_at is not None
    if after.activated_at is not None and not was_active:
        yield "activated", {}
    elif after.activated_at is None and was_active:
        yield "deactivated", {}


def _of_messages(before: Conversation, after: Conversation) -> Iterator[Told]:
    old, new = before.messages, after.messages
    if begins_with(new, old):
        if len(new) > len(old):
            yield "message_added", {"count": len(new) - len(old), "index": len(old)}
        return
    was = {message.id: message for message in old}
    now = {message.id for message in new}
    removed = len(old) - sum(message.id in now for message in old)
    if removed:
        yield "messages_removed", {"count": removed}
        if head_length(new) == len(new):
            yield "cleared", {"count": removed}
    edited = tuple(one.id for one in new if one.id in was and was[one.id] != one)
    if edited:
        yield "message_edited", {"ids": edited}
    added = [at for at, one in enumerate(new) if one.id not in was]
    if added:
        yield "message_added", {"count": len(added), "index": added[0]}
