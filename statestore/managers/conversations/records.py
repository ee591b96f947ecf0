"""Conversations as values: the record, who speaks in it, and what its status may say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from statestore.errors import InvalidRecord
from statestore.managers.conversations.message import Message
from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.columns import COLUMN, items_column, read_in_columns
from statestore.records.fields import (
    extra_field,
    id_field,
    mapping_field,
    text_field,
    texts_field,
    time_field,
    to_items,
)

KIND: Final = "conversations"

SYSTEM, USER, ASSISTANT, TOOL = "system", "user", "assistant", "tool"

ROLES: Final = (SYSTEM, USER, ASSISTANT, TOOL)
"""The usual roles of messages. Any other text may be one."""

SYSTEM_ROLES: Final = frozenset({SYSTEM, "developer"})
"""Who gives the instructions that a conversation begins with: two providers' names for it."""

ANSWERING_ROLES: Final = frozenset({TOOL, "function"})
"""Who tells what a call of a tool came to: the present name for it, and an older one."""

OPEN, CLOSED, ARCHIVED = "open", "closed", "archived"

STATUSES: Final = (OPEN, CLOSED, ARCHIVED)
"""The statuses that the manager sets. Any other text may be one; none forbids anything."""

MAX_TITLE: Final = 1000
"""Characters of a title, at most, where an operation is given one."""

MAX_TAG: Final = 100
"""Characters of a tag, at most, where an operation is given one."""


def to_messages(value: Iterable[Message]) -> Items[Message]:
    """Return messages as a conversation keeps them.

    Raises:
        TypeError: one of them is no `Message`.
    """
    return to_items(value, Message)


@read_in_columns
@attrs.frozen
class Conversation:
    """Messages in their order, and what they belong to.

    `status` is "open", "closed", "archived" or another text. `summary` tells what was said up to
    the message with the id `summary_upto`. `activated_at` is when the conversation was made the
    active one, None for all others. `messages` is last, as it grows. Counts are not stored: they
    are `len(messages)`.
    """

    id: str = id_field()
    title: str = text_field()
    session_id: str | None = text_field(None)
    user_id: str | None = text_field(None)
    status: str = text_field(OPEN)
    summary: str = text_field()
    summary_upto: str | None = text_field(None)
    tags: tuple[str, ...] = texts_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    activated_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()
    messages: Items[Message] = attrs.field(
        factory=Items,
        kw_only=True,
        converter=to_messages,
        metadata={COLUMN: items_column(Message)},
    )


FIELDS: Final = frozenset(field.name for field in attrs.fields(Conversation))
"""The names of the fields of a conversation."""


def head_length(messages: Sequence[Message]) -> int:
    """Return how many messages the system prompt is: those of the system at the beginning."""
    for number, message in enumerate(messages):
        if message.role not in SYSTEM_ROLES:
            return number
    return len(messages)


def makes_calls(message: Message) -> bool:
    """Say whether a message calls tools, in whatever shape."""
    return bool(message.tool_calls) or any(part == "tool_use" for part in _part_types(message))


def is_answer(message: Message) -> bool:
    """Say whether a message tells what a call of a tool came to, in whatever shape."""
    if message.role in ANSWERING_ROLES:
        return True
    return any(part == "tool_result" for part in _part_types(message))


def orphans_at(messages: Sequence[Message], at: int, *, begin: int) -> int:
    """Return how many messages from `at` on would lose their call if all before them went.

    Args:
        begin: where the conversation begins, behind its system prompt.
    """
    caller = at - 1
    while caller >= begin and is_answer(messages[caller]):
        caller -= 1
    end = at
    while end < len(messages) and is_answer(messages[end]):
        if caller < begin:
            # The call that it names is gone already. One that names none never was an answer.
            orphaned = messages[end].tool_call_id is not None or "tool_result" in _part_types(
                messages[end]
            )
        else:
            orphaned = makes_calls(messages[caller])
        if not orphaned:
            break
        end += 1
    return end - at


def begins_with(messages: Items[Message], others: Items[Message]) -> bool:
    """Say whether messages are `others` with nothing or more behind them."""
    if messages.continues(others):
        return True
    return len(messages) >= len(others) and messages[: len(others)] == tuple(others)


def check_fields(id: str | None, fields: Iterable[str]) -> None:
    """Refuse what is no field of a conversation.

    Raises:
        InvalidRecord: as it says; `field` is the name, `allowed` are those that there are.
    """
    for name in fields:
        if name not in FIELDS:
            known = sorted(FIELDS)
            reason = f"a conversation has no field {name}; it has {', '.join(known)}"
            raise InvalidRecord(KIND, id, reason, field=name, allowed=known)


def check_title(id: str | None, title: object) -> None:
    """Refuse what is no title, or too long to be one.

    Raises:
        InvalidRecord: as it says.
    """
    if not isinstance(title, str):
        raise InvalidRecord(KIND, id, "title takes a text", field="title")
    if len(title) > MAX_TITLE:
        reason = f"title takes at most {MAX_TITLE} characters, and was given {len(title)}"
        raise InvalidRecord(KIND, id, reason, field="title")


def check_tags(id: str | None, tags: Iterable[Any]) -> tuple[str, ...]:
    """Return tags in their order, each once; refuse what is none.

    Raises:
        InvalidRecord: one is no text, empty or too long.
    """
    if isinstance(tags, str) or not isinstance(tags, Iterable):
        raise InvalidRecord(KIND, id, "tags takes texts in a list", field="tags")
    given = tuple(tags)
    for tag in given:
        if not isinstance(tag, str) or not tag:
            raise InvalidRecord(KIND, id, "tags takes texts that are not empty", field="tags")
        if len(tag) > MAX_TAG:
            reason = f"a tag has at most {MAX_TAG} characters, and one has {len(tag)}"
            raise InvalidRecord(KIND, id, reason, field="tags")
    return tuple(dict.fromkeys(given))


def check_count(id: str | None, name: str, value: object) -> int:
    """Return a number of things; refuse what is none.

    Raises:
        InvalidRecord: it is no integer from 0.
    """
    if type(value) is not int or value < 0:
        raise InvalidRecord(KIND, id, f"{name} takes an integer from 0", field=name)
    return value


def _part_types(message: Message) -> tuple[str | None, ...]:
    content = message.content
    if content is None or isinstance(content, str):
        return ()
    return tuple([None if isinstance(part, str) else part.get("type") for part in content])
