"""Conversations: messages in their order, and the manager that keeps them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

import attrs

from statestore.errors import WouldShrink
from statestore.managers.conversations.events import EVENTS, events_of
from statestore.managers.conversations.limits import ConversationLimits, CountTokens, TokenCounter
from statestore.managers.conversations.merging import merged_conversations
from statestore.managers.conversations.messages import ConversationMessages
from statestore.managers.conversations.queries import ConversationQueries
from statestore.managers.conversations.records import (
    KIND,
    Conversation,
    begins_with,
    to_messages,
)
from statestore.managers.conversations.texts import estimated_tokens
from statestore.managers.conversations.upkeep import ConversationUpkeep
from statestore.managers.conversations.versions import ConversationVersions
from statestore.models.keys import check_id
from statestore.records.announcing import Told
from statestore.records.drafts import Draft
from statestore.records.ids import new_id
from statestore.records.sharing import Merge

__all__ = ["Conversation", "ConversationManager"]


class ConversationManager(
    ConversationMessages, ConversationUpkeep, ConversationVersions, ConversationQueries
):
    """The conversations of a store, in `conversations/`.

    No message that is there is lost unmeant: a conversation that does not begin with the messages
    which are there takes no place, but `truncate` and the like do what they say. A conflict that is
    settled keeps the messages that others have added, whoever's change counts; only where mine is
    dropped for theirs, mine goes with its messages, unless it only added some.
    """

    _domain_events: ClassVar[tuple[str, ...]] = EVENTS

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Conversation] | None = None,
        limits: ConversationLimits | Mapping[str, Any] | None = None,
        count_tokens: CountTokens = estimated_tokens,
    ) -> None:
        """See `Manager`.

        Args:
            limits: what to keep conversations within in this process, as a value or by name; else
                it is what `set_limits` has made the store remember; by default there are none.
            count_tokens: tells how many tokens a message has that does not know it itself: an
                integer from 0, the same each time. It is called where somebody asks for tokens, or
                a limit does, outside of all locks. By default they are estimated: a quarter of the
                characters.
        """
        super().__init__(
            KIND,
            Conversation,
            clock=clock,
            make_id=make_id,
            merge=merge or merged_conversations,
            limits=limits,
        )
        self._counter = TokenCounter(count_tokens)

    def create(
        self, title: str = "", session_id: str | None = None, id: str | None = None, **fields: Any
    ) -> Conversation:
        """Add a conversation and return it. See `Manager.create`.

        Of `messages` that it is to begin with the limits keep the newest. Where there would be more
        than `max_conversations`, those that were changed longest ago are deleted with it, but never
        the active one; the history of the store keeps them.

        Args:
            title: a text of at most 1,000 characters; it may be empty.
            session_id: the session that it belongs to; it need not be there.
            id: its id; by default a new one, sortable by time.
            fields: the other fields of `Conversation`. `messages` are `Message` or mappings of its
                fields, the way providers write them.
        Raises:
            DuplicateId, InvalidId, InvalidRecord, TokensNotCounted: as they say; nothing changed.
        """
        fields = {"title": title, "session_id": session_id, **fields}
        self._check_changes(id, fields)
        chosen = self._make_id() if id is None else check_id(id)
        if "messages" in fields:
            given = self._taken(chosen, fields["messages"])
            fields["messages"] = self._cut_down(chosen, to_messages(given))
        return super().create(id=chosen, **fields)

    def add(self, record: Conversation) -> Conversation:
        """Add a conversation that the host has made, and return it.

        `max_conversations` holds as for `create`; its messages stay as they are.

        Raises:
            DuplicateId: there is one with this id already.
            InvalidId, InvalidRecord: as they say.
        """
        most = self.limits.max_conversations
        if most is None:
            return super().add(record)
        self._check(record)

        def make(draft: Draft[Conversation]) -> Conversation:
            draft.add(record)
            self._make_room(draft, most, new=record.id)
            return record

        return self._change_all(make)

    def import_document(
        self, document: Mapping[str, Any], *, id: str | None = None, replace: bool = False
    ) -> Conversation:
        """Add the conversation that a document holds, and return it. See `Transfer`.

        `max_conversations` holds as for `create`; its messages stay as they are. It is not the
        active one, unless it takes the place of that.

        Raises:
            WouldShrink: it does not begin with the messages of the one whose place it is to take;
                to go back to an older state, delete that one before.
        """
        most = self.limits.max_conversations
        if most is None:
            return super().import_document(document, id=id, replace=replace)
        record = self._imported(document, None if id is None else check_id(id))

        def make(draft: Draft[Conversation]) -> Conversation | None:
            if record.id in draft:
                return None
            new = draft.add(self._received(record, None))
            self._make_room(draft, most, new=new.id)
            return new

        new = self._change_all(make)
        if new is None:
            return super().import_document(document, id=id, replace=replace)
        return new

    # --- inside -----------------------------------------------------------------------

    def _received(self, record: Conversation, current: Conversation | None) -> Conversation:
        if current is not None and not begins_with(record.messages, current.messages):
            raise WouldShrink(self.kind, record.id, len(current.messages), len(record.messages))
        received = super()._received(record, current)
        active = None if current is None else current.activated_at
        if received.activated_at == active:
            return received
        return attrs.evolve(received, activated_at=active)

    def _events_of(self, before: Conversation | None, after: Conversation | None) -> Iterable[Told]:
        return events_of(before, after)
