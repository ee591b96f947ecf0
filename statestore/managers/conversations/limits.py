"""Limits of conversations: what is kept of one that has become too long."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, Final, TypeAlias

import attrs

from statestore.errors import InvalidRecord, TokensNotCounted
from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import KIND, head_length, orphans_at
from statestore.managers.conversations.texts import estimated_tokens
from statestore.models.sequences import Items
from statestore.records.fields import integer_field, number_field

CountTokens: TypeAlias = Callable[[Message], int]
"""Tells how many tokens a message has. The same message is always to have the same number."""

_SMALLEST_SHARE: Final = 0.01
_FEW: Final = 64


@attrs.frozen
class ConversationLimits:
    """Limits of a manager of conversations. None, the default of each: without limit.

    `max_messages` and `max_tokens` are those of one conversation, its system prompt included;
    `max_conversations` are those that the manager keeps. A conversation that passes a limit is cut
    to `trim_to` of it, a share: 1.0, the default, drops no more than must go, at the cost of
    writing the whole conversation at each message from then on; 0.75 does so once in a while.
    """

    max_messages: int | None = integer_field(None, low=1)
    max_tokens: int | None = integer_field(None, low=1)
    max_conversations: int | None = integer_field(None, low=1)
    trim_to: float = number_field(1.0, low=_SMALLEST_SHARE, high=1.0)

    def allow(self, messages: int, tokens: int | None) -> bool:
        """Say whether one conversation may be so long. Tokens of None are not looked at."""
        return (self.max_messages is None or messages <= self.max_messages) and (
            self.max_tokens is None or tokens is None or tokens <= self.max_tokens
        )


class TokenCounter:
    """Counts the tokens of messages, by the host's function; remembers the sum of conversations.

    What is remembered is the sum of certain `Items`, which never change: it is taken for others
    only where these continue them, and then what they have more is added. So it is never wrong,
    whatever was loaded, undone or replaced meanwhile. Any thread may use it. Call it without
    holding a lock: the function is the host's.
    """

    def __init__(self, count: CountTokens = estimated_tokens) -> None:
        """Begin with nothing counted."""
        self._count = count
        self._sums: dict[str, tuple[Items[Message], int]] = {}
        self._most = _FEW

    def tokens(self, id: str, message: Message) -> int:
        """Return the tokens of a message: its own number, if it has one, else the function's.

        Raises:
            TokensNotCounted: the function raised, or returned what is no number from 0.
        """
        if message.tokens is not None:
            return message.tokens
        try:
            count: Any = self._count(message)
        except Exception as error:
            reason = f"the counter raised {type(error).__name__}"
            raise TokensNotCounted(KIND, id, reason) from error
        if type(count) is not int or count < 0:
            reason = f"the counter returned {type(count).__name__}, not an integer from 0"
            raise TokensNotCounted(KIND, id, reason)
        return count

    def sum(self, id: str, messages: Iterable[Message]) -> int:
        """Return the tokens of messages that stand in a conversation, counted one by one."""
        return sum([self.tokens(id, message) for message in messages])

    def total(self, id: str, messages: Items[Message]) -> int:
        """Return the tokens of a conversation; costs what was added since it was asked last."""
        known = self._sums.get(id)
        if known is not None and messages.continues(known[0]):
            seen, total = known
            if len(messages) == len(seen):
                return total
            total += self.sum(id, messages.since(len(seen)))
        else:
            total = self.sum(id, messages)
        self.note(id, messages, total)
        return total

    def note(self, id: str, messages: Items[Message], total: int) -> None:
        """Remember the tokens of a conversation."""
        self._sums[id] = messages, total

    def forget(self, *, besides: Container[str]) -> None:
        """Forget conversations that are gone, once in a while: each call may be a cheap one."""
        if len(self._sums) > self._most:
            self._sums = {id: one for id, one in self._sums.copy().items() if id in besides}
            self._most = 2 * len(self._sums) + _FEW


def check_room(
    id: str,
    messages: Sequence[Message],
    new: Iterable[Message],
    limits: ConversationLimits,
    tokens: Callable[[Message], int],
) -> None:
    """Refuse new messages that could not be kept, each as the newest, beside the system prompt.

    Args:
        messages: all there would be without limits, the new ones included.
    Raises:
        InvalidRecord: as it says; `field` names what there is too much of.
    """
    prompt = messages[: head_length(messages)]
    others = [one for one in new if not any(one is own for own in prompt)]
    longest = limits.max_messages
    if longest is not None and len(prompt) + bool(others) > longest:
        reason = (
            f"max_messages {longest} has no room for it beside the system prompt, which is kept "
            f"and has {len(prompt)}"
        )
        raise InvalidRecord(KIND, id, reason, field="messages")
    if limits.max_tokens is None:
        return
    head_tokens = sum(map(tokens, prompt))
    largest = max(map(tokens, others), default=0)
    if head_tokens + largest > limits.max_tokens:
        reason = (
            f"max_tokens {limits.max_tokens} has no room for a message of {largest} beside the "
            f"system prompt, which is kept and has {head_tokens}"
        )
        raise InvalidRecord(KIND, id, reason, field="tokens")


@attrs.frozen
class Cut:
    """What is kept of a conversation: its first `head` messages and those from `start` on.

    `tokens` are those of all that is kept; None where nobody has counted.
    """

    head: int
    start: int
    tokens: int | None

    def of(self, messages: Items[Message]) -> Items[Message]:
        """Return what is kept."""
        if self.start == self.head:
            return messages
        return Items([*messages[: self.head], *messages[self.start :]], Message)


def cut(
    messages: Items[Message],
    limits: ConversationLimits,
    tokens: Callable[[Message], int],
    total: int | None,
) -> Cut:
    """Say what of a conversation is kept: its system prompt and the newest of the others.

    An answer of a tool whose call would be dropped is dropped, too, unless there is nothing but
    answers behind it. The newest message stays, if it fits; where not even that does, what is kept
    is the system prompt, which may be too long itself.

    Args:
        tokens: counts a message; used where `max_tokens` is a limit.
        total: the tokens of all messages, where that is a limit.
    """
    head, end = head_length(messages), len(messages)
    start = head
    if limits.max_tokens is None:
        total = None
    if limits.allow(end, total):
        return Cut(head, start, total)
    most, largest = limits.max_messages, limits.max_tokens
    if most is not None:
        fewest = min(1, end - head) if head < most else 0
        start = max(start, end - max(_goal(most, limits) - head, fewest))
    if largest is not None and total is not None:
        total -= sum([tokens(messages[at]) for at in range(head, start)])
        goal = _goal(largest, limits)
        while start < end and total > (goal if start < end - 1 else largest):
            total -= tokens(messages[start])
            start += 1
    return _without_orphans(messages, Cut(head, start, total), tokens)


def keeping_last(messages: Items[Message], count: int) -> Items[Message]:
    """Return the system prompt and, of the others, at most the last `count`."""
    head, end = head_length(messages), len(messages)
    start = max(head, end - count)
    if start == head:
        return messages
    return _without_orphans(messages, Cut(head, start, None), _uncounted).of(messages)


def _goal(limit: int, limits: ConversationLimits) -> int:
    return max(1, int(limit * limits.trim_to))


def _without_orphans(messages: Items[Message], found: Cut, tokens: Callable[[Message], int]) -> Cut:
    if found.start == found.head:
        return found
    start = found.start + orphans_at(messages, found.start, begin=found.head)
    if start in (found.start, len(messages)):
        return found
    total = found.tokens
    if total is not None:
        total -= sum(map(tokens, messages[found.start : start]))
    return attrs.evolve(found, start=start, tokens=total)


def _uncounted(message: Message) -> int:
    del message
    return 0
