"""Merging conversations: messages of two hands in one order, each once and none lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import Conversation, begins_with
from statestore.models.documents import FrozenDict
from statestore.models.managed import Unmergeable
from statestore.models.sequences import Items
from statestore.records.merging import merged

_EVER: Final = datetime(1, 1, 1, tzinfo=UTC)


def together(own: Items[Message], others: Iterable[Message]) -> Items[Message]:
    """Return messages of two conversations in the order of their times, without duplicates.

    A message is there already if its id is, or if one there has the same role, content, calls and
    time; each of these stands for one other. Messages of one side never change their order, also
    where a clock went back, and stand first where times are equal if they are `own`. One without a
    time follows the one before it.
    """
    more = _not_in(own, others)
    if not more:
        return own
    mine, theirs = list(_timed(own)), list(_timed(more))
    if not mine or mine[-1][0] <= theirs[0][0]:
        return own.extended(more)
    both: list[Message] = []
    at = 0
    for moment, message in theirs:
        while at < len(mine) and mine[at][0] <= moment:
            both.append(mine[at][1])
            at += 1
        both.append(message)
    both.extend(message for _, message in mine[at:])
    return Items(both, Message)


def with_fields_of(
    kept: Conversation, given: Conversation, messages: Items[Message], *, overwrite: bool
) -> Conversation:
    """Return a conversation with the fields of two, and with `messages`.

    Args:
        overwrite: fields are as `given` has them; else as `kept` has them, with the tags and the
            keys of metadata and extra fields that only `given` has.
    """
    if overwrite:
        return attrs.evolve(
            given,
            created_at=kept.created_at,
            activated_at=kept.activated_at,
            updated_at=kept.updated_at,
            messages=messages,
        )
    return attrs.evolve(
        kept,
        title=kept.title or given.title,
        session_id=kept.session_id or given.session_id,
        user_id=kept.user_id or given.user_id,
        summary=kept.summary or given.summary,
        summary_upto=kept.summary_upto if kept.summary else given.summary_upto,
        tags=tuple(dict.fromkeys((*kept.tags, *given.tags))),
        metadata=FrozenDict({**given.metadata, **kept.metadata}),
        extra=FrozenDict({**given.extra, **kept.extra}),
        messages=messages,
    )


def overwritten(kept: Sequence[Message], given: Sequence[Message]) -> Items[Message]:
    """Return messages of two as the second has them, and behind them in time those of the first."""
    newer = {message.id: message for message in given}
    return together(Items([newer.get(one.id, one) for one in kept], Message), given)


def merged_conversations(
    base: Conversation | None, mine: Conversation, theirs: Conversation
) -> Conversation:
    """Return a conversation with the changes of two: see `merged`.

    That both have activated it contradicts nothing, nor that one has and the other has done away
    with that: the last time at which it was activated counts.

    Raises:
        Unmergeable: both have changed the same thing in different ways.
    """
    before = None if base is None else base.activated_at
    both = {mine.activated_at, theirs.activated_at}
    if len(both) == 2 and (base is None or before not in both):
        last = max(moment for moment in both if moment is not None)
        mine = attrs.evolve(mine, activated_at=last)
        theirs = attrs.evolve(theirs, activated_at=last)
    return merged(base, mine, theirs)


def with_theirs(
    base: Conversation | None, mine: Conversation, theirs: Conversation
) -> Conversation:
    """Return `mine` with the messages that others have added since `base`.

    What both have added is there once, what this side has dropped or edited stays so.
    """
    try:
        both = merged(base, attrs.evolve(theirs, messages=mine.messages), theirs).messages
    except Unmergeable:  # the same message is another on both sides: that of this side counts
        there = {message.id for message in mine.messages}
        both = mine.messages.extended(
            [one for one in added_since(base, theirs) if one.id not in there]
        )
    return mine if both is mine.messages else attrs.evolve(mine, messages=both)


def added_since(base: Conversation | None, now: Conversation) -> Sequence[Message]:
    """Return the messages of a conversation that it did not have before."""
    if base is None:
        return tuple(now.messages)
    if begins_with(now.messages, base.messages):
        return now.messages.since(len(base.messages))
    before = {message.id for message in base.messages}
    return [one for one in now.messages if one.id not in before]


def _not_in(own: Iterable[Message], others: Iterable[Message]) -> list[Message]:
    ids = {message.id for message in own}
    same = Counter(map(_said, own))
    more: list[Message] = []
    for message in others:
        if message.id in ids:
            continue
        ids.add(message.id)
        said = _said(message)
        if same[said] > 0:
            same[said] -= 1
        else:
            more.append(message)
    return more


def _said(message: Message) -> tuple[Any, ...]:
    return (
        message.role,
        message.content,
        message.tool_calls,
        message.tool_call_id,
        message.name,
        message.created_at,
    )


def _timed(messages: Iterable[Message]) -> Iterator[tuple[datetime, Message]]:
    """Yield messages with times that never go back."""
    moment = _EVER
    for message in messages:
        moment = max(moment, message.created_at or moment)
        yield moment, message
