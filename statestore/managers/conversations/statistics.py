"""Statistics of conversations: what is derived from their messages, and stored nowhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain

import attrs

from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import Conversation
from statestore.models.documents import FrozenDict


@attrs.frozen
class ConversationStatistics:
    """What one conversation is made of.

    `by_role` counts messages by who speaks, in the order in which the roles first speak.
    `tokens_per_message` is an average, 0.0 without messages. `first_at` and `last_at` are the
    earliest and the latest time of a message, aware; None where no message has one. `duration_s`
    is between them.
    """

    messages: int
    tokens: int
    by_role: Mapping[str, int]
    tokens_per_message: float
    first_at: datetime | None
    last_at: datetime | None
    duration_s: float


@attrs.frozen
class ConversationTotals:
    """What all conversations of a manager are made of. Averages are 0.0 where there is nothing."""

    conversations: int
    messages: int
    tokens: int
    by_role: Mapping[str, int]
    by_status: Mapping[str, int]
    messages_per_conversation: float
    tokens_per_conversation: float
    tokens_per_message: float


def statistics_of(messages: Sequence[Message], tokens: int) -> ConversationStatistics:
    """Return the statistics of messages that have so many tokens."""
    times = [message.created_at for message in messages if message.created_at is not None]
    first, last = min(times, default=None), max(times, default=None)
    return ConversationStatistics(
        messages=len(messages),
        tokens=tokens,
        by_role=_counted(message.role for message in messages),
        tokens_per_message=_share(tokens, len(messages)),
        first_at=first,
        last_at=last,
        duration_s=0.0 if first is None or last is None else (last - first).total_seconds(),
    )


def totals_of(conversations: Sequence[Conversation], tokens: int) -> ConversationTotals:
    """Return the statistics of conversations that have so many tokens together."""
    messages = sum(len(one.messages) for one in conversations)
    all_messages = chain.from_iterable(one.messages for one in conversations)
    return ConversationTotals(
        conversations=len(conversations),
        messages=messages,
        tokens=tokens,
        by_role=_counted(message.role for message in all_messages),
        by_status=_counted(one.status for one in conversations),
        messages_per_conversation=_share(messages, len(conversations)),
        tokens_per_conversation=_share(tokens, len(conversations)),
        tokens_per_message=_share(tokens, messages),
    )


def _counted(names: Iterable[str]) -> Mapping[str, int]:
    return FrozenDict(Counter(names))


def _share(whole: int, parts: int) -> float:
    return whole / parts if parts else 0.0
