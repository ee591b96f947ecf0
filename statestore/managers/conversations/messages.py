"""Messages in conversations: adding, reading, editing and dropping them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from statestore.errors import InvalidRecord, MessageNotFound, NothingActive
from statestore.managers.conversations.keeping import ConversationKeeper, active_of
from statestore.managers.conversations.limits import keeping_last
from statestore.managers.conversations.merging import together
from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import (
    ASSISTANT,
    SYSTEM_ROLES,
    USER,
    Conversation,
    check_count,
    head_length,
)
from statestore.models.sequences import Items

_FIELDS: Final = frozenset(field.name for field in attrs.fields(Message))
_SAYING_ROLES: Final = frozenset({*SYSTEM_ROLES, USER})


class ConversationMessages(ConversationKeeper):
    """The operations on the messages of a conversation.

    Where several messages have one id the last of them is meant. All reading returns plain tuples
    of messages, at most the whole conversation, which can be saved as such nowhere.
    """

    # --- adding -----------------------------------------------------------------------

    def add_message(
        self,
        conversation: str | Conversation,
        *,
        role: str,
        content: object = "",
        **fields: Any,
    ) -> Message:
        """Add a message at the end of a conversation and return the message.

        It costs the same however long the conversation is, unless a limit is reached: then the
        oldest messages go, and what stays is written anew. See `ConversationLimits`.

        Args:
            conversation: the conversation or its id.
            role: who speaks: system, user, assistant, tool, or another.
            content: a text, or a list of texts and parts. What a tool answers may be empty, and
                what an assistant says beside calls of tools or fields of `extra`; else it may not.
            fields: the other fields of `Message`; what it does not know goes to its `extra`.
        Raises:
            RecordNotFound, InvalidRecord: as they say; nothing was added. So it is where a limit
                has no room for the message beside the system prompt.
            TokensNotCounted: as it says.
        """
        id = self._id(conversation)
        message = self._made_message(id, {"role": role, "content": content, **fields})
        self._want_content(id, message)
        self._grow(conversation, (message,))
        return message

    def add_message_to_active(self, *, role: str, content: object = "", **fields: Any) -> Message:
        """Add a message at the end of the active conversation. See `add_message`.

        Raises:
            NothingActive: no conversation is active.
        """
        active = active_of(self.all())
        if active is None:
            raise NothingActive(self.kind)
        return self.add_message(active.id, role=role, content=content, **fields)

    def add_messages(
        self,
        conversation: str | Conversation,
        messages: Iterable[Message | Mapping[str, Any]],
    ) -> Conversation:
        """Add messages at the end of a conversation, all at once, and return the conversation.

        Args:
            messages: as they are, also empty ones; mappings as providers write them, too: what
                `Message` does not know goes to its `extra`.
        Raises:
            RecordNotFound, InvalidRecord: as they say; nothing was added. So it is where a limit
                has no room for each of them beside the system prompt.
            TokensNotCounted: as it says.
        """
        return self._grow(conversation, self._taken(self._id(conversation), messages))

    def merge_messages(
        self,
        conversation: str | Conversation,
        messages: Iterable[Message | Mapping[str, Any]],
    ) -> Conversation:
        """Add the messages that are not there yet, in the order of times; return the conversation.

        A message is there if its id is, or if one there has the same role, content, calls and
        time. Messages that are there keep their order, so do those that come; where times are equal
        the former stand first. Limits hold for the result.

        Raises:
            RecordNotFound, InvalidRecord, TokensNotCounted: as for `add_messages`.
        """
        more = self._taken(self._id(conversation), messages)

        def merged(current: Conversation) -> Conversation:
            both = together(current.messages, more)
            return self._with_messages(current, self._cut_down(current.id, both))

        return self._exchange(self._id(conversation), merged)

    # --- reading ----------------------------------------------------------------------

    def get_message(self, conversation: str | Conversation, message_id: str) -> Message:
        """Return a message of a conversation.

        Raises:
            RecordNotFound: there is no such conversation.
            MessageNotFound: there is no such message in it.
        """
        messages = self[conversation].messages
        return messages[self._position(self._id(conversation), messages, message_id)]

    def tail(
        self, conversation: str | Conversation, count: int = 10, *, role: str | None = None
    ) -> tuple[Message, ...]:
        """Return the last messages, at most `count`, in their order; of one role if it is given.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: `count` is no integer from 0.
        """
        messages = self[conversation].messages
        wanted = check_count(self._id(conversation), "count", count)
        if role is None:
            return messages[max(0, len(messages) - wanted) :]
        found: list[Message] = []
        for at in range(len(messages) - 1, -1, -1):
            if len(found) == wanted:
                break
            if messages[at].role == role:
                found.append(messages[at])
        return tuple(reversed(found))

    def page(
        self, conversation: str | Conversation, start: int = 0, stop: int | None = None
    ) -> tuple[Message, ...]:
        """Return the messages from position `start`, counted from 0, to before `stop`.

        As a slice of a list does: positions beyond the end have nothing, negative ones count from
        the end.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: a position is no integer.
        """
        for name, value in (("start", start), ("stop", stop)):
            if type(value) is not int and not (name == "stop" and value is None):
                reason = f"{name} takes an integer"
                raise InvalidRecord(self.kind, self._id(conversation), reason, field=name)
        return self[conversation].messages[start:stop]

    def messages_by_role(self, conversation: str | Conversation, role: str) -> tuple[Message, ...]:
        """Return all messages of one role, in their order.

        Raises:
            RecordNotFound: there is no such conversation.
        """
        return tuple(one for one in self[conversation].messages if one.role == role)

    def messages_since(
        self, conversation: str | Conversation, time: datetime
    ) -> tuple[Message, ...]:
        """Return the messages with a time that is `time`, aware, or later, in their order.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: the time is not aware.
        """
        if getattr(time, "tzinfo", None) is None:
            reason = "an aware time is wanted, such as datetime.now(UTC)"
            raise InvalidRecord(self.kind, self._id(conversation), reason, field="time")
        messages = self[conversation].messages
        return tuple(one for one in messages if one.created_at and one.created_at >= time)

    def last_message(
        self, conversation: str | Conversation, role: str | None = None
    ) -> Message | None:
        """Return the last message, of one role if it is given; None if there is none.

        Raises:
            RecordNotFound: there is no such conversation.
        """
        found = self.tail(conversation, 1, role=role)
        return found[0] if found else None

    # --- editing and dropping ---------------------------------------------------------

    def edit_message(
        self, conversation: str | Conversation, message_id: str, **changes: Any
    ) -> Message:
        """Change fields of a message where it stands, and return the new message.

        The number of tokens that it knew is forgotten with what it said, unless a new one is given.
        Limits are not applied: the next message that is added, or `trim`, sees to them.

        Raises:
            RecordNotFound, MessageNotFound, InvalidRecord: as they say; nothing was changed.
        """
        name = self._id(conversation)
        for field in changes:
            if field not in _FIELDS:
                known = sorted(_FIELDS)
                reason = f"a message has no field {field}; it has {', '.join(known)}"
                raise InvalidRecord(self.kind, name, reason, field=field, allowed=known)
        if changes.get("id", message_id) != message_id:
            raise InvalidRecord(
                self.kind, name, "the id of a message cannot be changed", field="id"
            )
        made: list[Message] = []

        def edited(current: Conversation) -> Conversation:
            messages = current.messages
            at = self._position(name, messages, message_id)
            old = messages[at]
            new = self._made(name, lambda: attrs.evolve(old, **changes), Message, changes)
            if "tokens" not in changes and _said(new) != _said(old):
                new = attrs.evolve(new, tokens=None)
            made.append(new)
            if new == old:
                return current
            if "content" in changes:
                self._want_content(name, new)
            rest = (*messages[:at], new, *messages[at + 1 :])
            return self._with_messages(current, Items(rest, Message))

        self._modify(conversation, edited)
        return made[-1]

    def remove_message(self, conversation: str | Conversation, message_id: str) -> Message:
        """Drop a message and return it.

        Raises:
            RecordNotFound, MessageNotFound: as they say.
        """
        name = self._id(conversation)
        gone: list[Message] = []

        def without(current: Conversation) -> Conversation:
            messages = current.messages
            at = self._position(name, messages, message_id)
            gone.append(messages[at])
            rest = (*messages[:at], *messages[at + 1 :])
            return self._with_messages(current, Items(rest, Message))

        self._modify(conversation, without)
        return gone[-1]

    def truncate(self, conversation: str | Conversation, *, keep_last: int) -> Conversation:
        """Drop all but the system prompt and, of the others, the last ones; return the rest.

        Kept are at most `keep_last`: answers of tools whose calls go are dropped with them, unless
        there is nothing behind them.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: `keep_last` is no integer from 0.
        """
        count = check_count(self._id(conversation), "keep_last", keep_last)
        return self._modify(
            conversation,
            lambda current: self._with_messages(current, keeping_last(current.messages, count)),
        )

    def clear_messages(
        self, conversation: str | Conversation, *, keep_system: bool = False
    ) -> Conversation:
        """Drop all messages, or all but the system prompt; return the conversation.

        Raises:
            RecordNotFound: there is no such conversation.
        """

        def cleared(current: Conversation) -> Conversation:
            head = head_length(current.messages) if keep_system else 0
            if head == len(current.messages):
                return current
            return self._with_messages(current, Items(current.messages[:head], Message))

        return self._modify(conversation, cleared)

    # --- inside -----------------------------------------------------------------------

    def _taken(self, id: str, messages: object) -> list[Message]:
        if isinstance(messages, str | Mapping | Message) or not isinstance(messages, Iterable):
            raise InvalidRecord(self.kind, id, "messages takes a list of them", field="messages")
        return [one if type(one) is Message else self._made_message(id, one) for one in messages]

    def _made_message(self, id: str, fields: object) -> Message:
        if not isinstance(fields, Mapping):
            reason = "messages takes messages, or mappings of their fields"
            raise InvalidRecord(self.kind, id, reason, field="messages")
        known: dict[str, Any] = {}
        unknown: dict[str, Any] = {}
        for name, value in fields.items():
            (known if name in _FIELDS else unknown)[name] = value
        if "created_at" not in known:
            known["created_at"] = self._clock()
        if not all(isinstance(name, str) for name in unknown):
            raise InvalidRecord(self.kind, id, "message: the names of its fields are texts")
        extra = {} if known.get("extra") is None else known["extra"]
        if unknown and isinstance(extra, Mapping):
            known["extra"] = {**extra, **unknown}
        return self._made(id, lambda: Message(**known), Message, known)

    def _want_content(self, id: str, message: Message) -> None:
        """Refuse a message in which nothing is said by who would have to say something."""
        if message.content and any(message.content):
            return
        silent = message.role == ASSISTANT and not message.tool_calls and not message.extra
        if silent or message.role in _SAYING_ROLES:
            self[id]  # if it is not there, that is what is wrong
            reason = f"content of a message of the {message.role} cannot be empty"
            raise InvalidRecord(self.kind, id, reason, field="content")

    def _position(self, id: str, messages: Items[Message], message_id: str) -> int:
        for at in range(len(messages) - 1, -1, -1):
            if messages[at].id == message_id:
                return at
        raise MessageNotFound(self.kind, id, message_id)


def _said(message: Message) -> tuple[object, object]:
    return message.content, message.tool_calls
