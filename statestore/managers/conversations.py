"""Conversations: messages in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import InvalidRecord
from statestore.managers.domain import DomainManager
from statestore.managers.messages import Message
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
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


def _to_messages(value: Iterable[Message]) -> Items[Message]:
    return to_items(value, Message)


@read_in_columns
@attrs.frozen
class Conversation:
    """Messages in their order, and what they belong to.

    `messages` is last, as it grows. Counts are not stored: they are `len(messages)`.
    """

    id: str = id_field()
    title: str = text_field()
    session_id: str | None = text_field(None)
    user_id: str | None = text_field(None)
    status: str = text_field("open")
    summary: str = text_field()
    tags: tuple[str, ...] = texts_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    extra: FrozenDict = extra_field()
    messages: Items[Message] = attrs.field(
        factory=Items,
        kw_only=True,
        converter=_to_messages,
        metadata={COLUMN: items_column(Message)},
    )


class ConversationManager(DomainManager[Conversation]):
    """The conversations of a store, in `conversations/`."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Conversation] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("conversations", Conversation, clock=clock, make_id=make_id, merge=merge)

    def create(
        self, title: str = "", session_id: str | None = None, id: str | None = None, **fields: Any
    ) -> Conversation:
        """Add a conversation and return it. See `Manager.create`."""
        return super().create(id=id, title=title, session_id=session_id, **fields)

    def add_message(
        self,
        conversation: str | Conversation,
        *,
        role: str,
        content: object = "",
        **fields: Any,
    ) -> Message:
        """Add a message at the end of a conversation and return the message.

        Args:
            conversation: the conversation or its id.
            role: who speaks: system, user, assistant, tool, or another.
            content: a text, or a list of texts and parts.
            fields: the other fields of `Message`; what it does not know goes to its `extra`.
        Raises:
            RecordNotFound, InvalidRecord: as they say; nothing was added.
        """
        known = {field.name for field in attrs.fields(Message)}
        unknown = {name: fields.pop(name) for name in list(fields) if name not in known}
        if unknown:
            fields["extra"] = {**fields.get("extra", {}), **unknown}
        fields.setdefault("created_at", self._clock())
        id = self._id(conversation)
        message = self._made_message(id, role=role, content=content, **fields)
        self.add_messages(conversation, [message])
        return message

    def add_messages(
        self, conversation: str | Conversation, messages: Iterable[Message]
    ) -> Conversation:
        """Add messages at the end of a conversation, all at once, and return the conversation.

        Raises:
            RecordNotFound, InvalidRecord: as they say; nothing was added.
        """
        more = list(messages)

        def grown(old: Conversation) -> Conversation:
            longer = self._made(old.id, lambda: old.messages.extended(more))
            return self._evolved(old, messages=longer)

        return self._modify(conversation, grown)

    def _made_message(self, conversation_id: str, /, **fields: Any) -> Message:
        try:
            return Message(**fields)
        except (TypeError, ValueError) as error:
            raise InvalidRecord(self.kind, conversation_id, f"message: {error}") from error
