"""Keeping conversations: what every operation goes through, so that no message is lost unmeant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar, TypeVar, cast

import attrs

from statestore.errors import InvalidRecord, WouldShrink
from statestore.managers.conversations.limits import (
    ConversationLimits,
    TokenCounter,
    check_room,
    cut,
)
from statestore.managers.conversations.merging import added_since, with_theirs
from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import (
    Conversation,
    begins_with,
    check_fields,
    check_tags,
    check_title,
)
from statestore.managers.limits import Limited
from statestore.models.managed import Loaded, Unmergeable
from statestore.models.sequences import Items
from statestore.records.drafts import Draft

T = TypeVar("T")


@attrs.frozen(eq=False)
class _Meant:
    """A conversation without messages that were there, made by an operation that says so.

    It goes where a record does until it is checked, however often that is and on whatever thread.
    """

    record: Conversation

    @property
    def id(self) -> str:
        return self.record.id


class Moved(Exception):
    """A conversation is another by now than the one that was counted."""


class ConversationKeeper(Limited[Conversation, ConversationLimits]):
    """Keeps conversations within their limits, and from losing messages that nobody gave up."""

    limits_class: ClassVar[type[Any]] = ConversationLimits

    _counter: TokenCounter

    # --- nothing shrinks unmeant ------------------------------------------------------

    def _successor(self, current: Conversation, new: Conversation) -> Conversation:
        if isinstance(new, _Meant):
            self._check(new.record, current.id)
            return super()._succeed(current, new.record)
        return super()._successor(current, new)

    def _succeed(self, current: Conversation, new: Conversation) -> Conversation:
        succeeding = super()._succeed(current, new)
        if not begins_with(new.messages, current.messages):
            raise WouldShrink(self.kind, current.id, len(current.messages), len(new.messages))
        return succeeding

    def _with_messages(self, current: Conversation, messages: Items[Message]) -> Conversation:
        """Return what follows a conversation with other messages: those that go are meant to."""
        if messages is current.messages:
            return current
        return self._meant(self._evolved(current, messages=messages))

    def _meant(self, new: Conversation) -> Conversation:
        """Return what stands for a conversation that may have lost messages.

        No record, but all that becomes of it is that `_successor` makes one of it.
        """
        return cast(Conversation, _Meant(new))

    def _settled(
        self,
        base: Conversation | None,
        mine: Conversation | None,
        stored: Loaded | None,
        policy: str,
    ) -> tuple[str, Conversation | None]:
        how, record = super()._settled(base, mine, stored, policy)
        if record is None or stored is None:
            return how, record
        theirs = cast(Conversation, stored.record)
        if how == "mine":
            return how, with_theirs(base, record, theirs)
        if how == "merged":  # by the host, perhaps
            kept = {message.id for message in record.messages}
            if any(message.id not in kept for message in added_since(base, theirs)):
                raise Unmergeable(["messages"])
        return how, record

    # --- limits -----------------------------------------------------------------------

    def _grow(self, conversation: str | Conversation, more: Sequence[Message]) -> Conversation:
        """Add messages at the end of a conversation, and drop what is too much by then."""
        limits = self.limits
        if limits.max_tokens is None:  # nobody has to count, so it is done in one step

            def grown(current: Conversation) -> Conversation:
                kept, _ = self._kept(current, more, limits, None)
                return self._longer(current, more, kept)

            return self._modify(conversation, grown)
        id = self._id(conversation)
        added = self._counter.sum(id, more)
        while True:
            seen = self[id]
            before = self._counter.total(id, seen.messages)
            kept, total = self._kept(seen, more, limits, before + added)

            def put(
                current: Conversation,
                seen: Conversation = seen,
                kept: Items[Message] | None = kept,
            ) -> Conversation:
                if current.messages is not seen.messages:
                    raise Moved
                return self._longer(current, more, kept)

            try:
                new = self._modify(id, put)
            except Moved:
                continue
            self._counter.note(id, new.messages, total or 0)
            self._counter.forget(besides=self)
            return new

    def _longer(
        self, current: Conversation, more: Sequence[Message], kept: Items[Message] | None
    ) -> Conversation:
        if kept is not None:
            return self._with_messages(current, kept)
        if not more:
            return current
        return self._evolved(current, messages=current.messages.extended(more))

    def _kept(
        self,
        current: Conversation,
        more: Sequence[Message],
        limits: ConversationLimits,
        total: int | None,
    ) -> tuple[Items[Message] | None, int | None]:
        """Return what is kept of a conversation with more messages, and its tokens.

        None if that is all.

        Raises:
            InvalidRecord: one of them does not fit.
        """
        if limits.allow(len(current.messages) + len(more), total):
            return None, total
        longer = Items([*current.messages, *more], Message)
        check_room(current.id, longer, more, limits, self._tokens_in(current.id))
        found = cut(longer, limits, self._tokens_in(current.id), total)
        return found.of(longer), found.tokens

    def _cut_down(self, id: str, messages: Items[Message]) -> Items[Message]:
        """Return what the limits leave of messages. Call it without the lock.

        Raises:
            InvalidRecord: the system prompt alone is too long.
            TokensNotCounted: as it says.
        """
        limits = self.limits
        total = None
        if limits.max_tokens is not None:
            total = self._counter.total(id, messages)
        if limits.allow(len(messages), total):
            return messages
        check_room(id, messages, (), limits, self._tokens_in(id))
        return cut(messages, limits, self._tokens_in(id), total).of(messages)

    # --- what operations are given ----------------------------------------------------

    def _check_changes(self, id: str | None, changes: dict[str, Any]) -> None:
        """Refuse fields that there are not, titles and tags that are too long.

        Tags are put into `changes` as they are to be: they may come once, one by one.
        """
        check_fields(id, changes)
        if "title" in changes:
            check_title(id, changes["title"])
        if "tags" in changes:
            changes["tags"] = check_tags(id, changes["tags"])

    def _tokens_in(self, id: str) -> Callable[[Message], int]:
        return lambda message: self._counter.tokens(id, message)

    def _make_room(self, draft: Draft[Conversation], most: int, *, new: str | None) -> None:
        """Delete the conversations that are too many, those that nobody has touched longest first.

        Args:
            new: one that stays whatever its time is.
        Raises:
            InvalidRecord: all that could go is the active one.
        """
        records = draft.all()
        over = len(records) - most
        if over <= 0:
            return
        active = active_of(records)
        can_go = [one for one in records if one is not active and one.id != new]
        if len(can_go) < over:
            reason = f"max_conversations {most} has no room for it beside the active one"
            raise InvalidRecord(self.kind, new, reason, field="max_conversations")
        can_go.sort(key=lambda one: (one.updated_at, one.id))
        for one in can_go[:over]:
            draft.delete(one.id)
            draft.tell(one.id, "trimmed", max_conversations=most)


def active_of(conversations: Iterable[Conversation]) -> Conversation | None:
    """Return the conversation that was activated last; None if none is active."""
    activated = [(one.activated_at, one.id, one) for one in conversations if one.activated_at]
    return max(activated, key=lambda one: one[:2], default=(None, None, None))[2]
