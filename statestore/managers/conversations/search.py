"""Searching conversations: where a text stands in titles and messages."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import attrs

from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import Conversation
from statestore.managers.conversations.texts import texts_of


@attrs.frozen
class MessageHit:
    """A message that was found: the conversation it stands in, where from 0, and itself."""

    conversation_id: str
    index: int
    message: Message


def newest_first(conversations: Iterable[Conversation]) -> list[Conversation]:
    """Return conversations in the order of their last changes, the last one first."""
    return sorted(conversations, key=lambda one: (one.updated_at, one.id), reverse=True)


def has_title(conversation: Conversation, text: str) -> bool:
    """Say whether a title has a text in it, whatever the case."""
    return text.casefold() in conversation.title.casefold()


def has_text(message: Message, text: str) -> bool:
    """Say whether any text of a message has a text in it, whatever the case."""
    wanted = text.casefold()
    return any(wanted in one.casefold() for one in texts_of(message))


def found(conversations: Iterable[Conversation], text: str) -> Iterator[Conversation]:
    """Yield the conversations that have a text in them.

    First those whose title or summary has it, then those in which it is said.
    """
    rest: list[Conversation] = []
    wanted = text.casefold()
    for one in conversations:
        if wanted in one.title.casefold() or wanted in one.summary.casefold():
            yield one
        else:
            rest.append(one)
    for one in rest:
        if any(has_text(message, text) for message in one.messages):
            yield one


def hits(
    conversations: Iterable[Conversation], text: str, *, role: str | None = None
) -> Iterator[MessageHit]:
    """Yield the messages that have a text in them, conversation by conversation, in their order."""
    for one in conversations:
        for index, message in enumerate(one.messages):
            if role in (None, message.role) and has_text(message, text):
                yield MessageHit(one.id, index, message)
