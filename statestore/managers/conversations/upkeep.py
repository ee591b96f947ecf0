"""Upkeep of conversations: which is active, status, tags, summary, merging, trimming."""

from __future__ import annotations

from typing import Any

import attrs

from statestore.errors import InvalidRecord, MessageNotFound
from statestore.managers.conversations.keeping import ConversationKeeper, Moved, active_of
from statestore.managers.conversations.merging import together
from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import (
    ARCHIVED,
    CLOSED,
    OPEN,
    Conversation,
    check_tags,
)
from statestore.models.sequences import Items
from statestore.records.changing import later
from statestore.records.drafts import Draft


@attrs.frozen
class Trimmed:
    """What trimming has dropped: messages of conversations that stay, and whole conversations."""

    messages: int
    conversations: int


class ConversationUpkeep(ConversationKeeper):
    """The operations on conversations as wholes. Each moves `updated_at` of what it changes."""

    # --- the active one ---------------------------------------------------------------

    def activate(self, conversation: str | Conversation) -> Conversation:
        """Make a conversation the active one, and all others inactive; return it.

        It is one operation. `updated_at` of those that it changes moves, as of every change. Where
        two processes activate different ones, the one that did so later counts.

        Raises:
            RecordNotFound: there is no such conversation.
        """
        name = self._id(conversation)

        def make(draft: Draft[Conversation]) -> Conversation:
            chosen = draft[name]
            moment = self._clock()
            others = [one for one in draft.all() if one.activated_at and one.id != name]
            if chosen.activated_at is not None and not others:
                return chosen
            for one in others:
                moment = later(one.activated_at or moment, moment)
                draft.put(self._evolved(one, activated_at=None))
            return draft.put(self._evolved(chosen, activated_at=moment))

        return self._change_all(make)

    def deactivate(self) -> Conversation | None:
        """Make no conversation the active one; return the one that was, as it is now, or None."""

        def make(draft: Draft[Conversation]) -> Conversation | None:
            active = active_of(draft.all())
            for one in draft.all():
                if one.activated_at is not None:
                    draft.put(self._evolved(one, activated_at=None))
            return None if active is None else draft[active.id]

        return self._change_all(make)

    # --- small changes ----------------------------------------------------------------

    def update(self, id: str | Conversation, /, **changes: Any) -> Conversation:
        """Change fields of a conversation and return the new one.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: there is no such field, or it does not take the value.
            WouldShrink: `messages` do not begin with those that are there.
        """
        self._check_changes(self._id(id), changes)
        return super().update(id, **changes)

    def rename(self, conversation: str | Conversation, title: str) -> Conversation:
        """Give a conversation another title, at most 1,000 characters, and return it.

        Raises:
            RecordNotFound, InvalidRecord: as they say.
        """
        return self.update(conversation, title=title)

    def add_tags(self, conversation: str | Conversation, *tags: str) -> Conversation:
        """Add tags, at most 100 characters each, that are not there yet; return the conversation.

        Raises:
            RecordNotFound, InvalidRecord: as they say.
        """
        more = check_tags(self._id(conversation), tags)

        def tagged(current: Conversation) -> Conversation:
            both = tuple(dict.fromkeys((*current.tags, *more)))
            return current if both == current.tags else self._evolved(current, tags=both)

        return self._modify(conversation, tagged)

    def remove_tags(self, conversation: str | Conversation, *tags: str) -> Conversation:
        """Remove tags, where they are there, and return the conversation.

        Raises:
            RecordNotFound: there is no such conversation.
        """

        def untagged(current: Conversation) -> Conversation:
            rest = tuple(tag for tag in current.tags if tag not in tags)
            return current if rest == current.tags else self._evolved(current, tags=rest)

        return self._modify(conversation, untagged)

    def set_status(self, conversation: str | Conversation, status: str) -> Conversation:
        """Give a conversation a status, any text, and return it. It forbids nothing by itself.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: it is no text, or empty.
        """
        if not status or type(status) is not str:
            reason = "status takes a text: open, closed, archived, …"
            raise InvalidRecord(self.kind, self._id(conversation), reason, field="status")
        return self._modify(
            conversation,
            lambda one: one if one.status == status else self._evolved(one, status=status),
        )

    def close(self, conversation: str | Conversation) -> Conversation:
        """Set the status "closed". See `set_status`."""
        return self.set_status(conversation, CLOSED)

    def reopen(self, conversation: str | Conversation) -> Conversation:
        """Set the status "open". See `set_status`."""
        return self.set_status(conversation, OPEN)

    def archive(self, conversation: str | Conversation) -> Conversation:
        """Set the status "archived". See `set_status`."""
        return self.set_status(conversation, ARCHIVED)

    def set_summary(
        self, conversation: str | Conversation, summary: str, *, upto: str | None = None
    ) -> Conversation:
        """Tell what was said in a conversation, and return it. "" takes the summary away.

        Args:
            upto: the id of the last message that it tells of; by default the last one there is.
        Raises:
            RecordNotFound, MessageNotFound: as they say.
            InvalidRecord: the summary is no text.
        """
        name = self._id(conversation)
        if not isinstance(summary, str):
            raise InvalidRecord(self.kind, name, "summary takes a text", field="summary")

        def summarised(current: Conversation) -> Conversation:
            last = upto
            if last is None and summary and current.messages:
                last = current.messages[-1].id
            elif last is not None and all(one.id != last for one in current.messages):
                raise MessageNotFound(self.kind, name, last)
            if (current.summary, current.summary_upto) == (summary, last):
                return current
            return self._evolved(current, summary=summary, summary_upto=last)

        return self._modify(conversation, summarised)

    # --- several at once --------------------------------------------------------------

    def merge(
        self,
        target: str | Conversation,
        source: str | Conversation,
        *,
        delete_source: bool = False,
    ) -> Conversation:
        """Add the messages of one conversation to another, without duplicates; return the other.

        Which messages are there already, and how they are ordered, `merge_messages` says. The other
        fields stay as they are. With `delete_source` it is one operation with the deletion. Limits
        hold for the result.

        Raises:
            RecordNotFound: one of them is not there.
            InvalidRecord: they are the same.
            TokensNotCounted: as it says.
        """
        to, come = self._id(target), self._id(source)
        if to == come:
            raise InvalidRecord(self.kind, to, "it cannot be merged with itself", field="source")
        while True:
            own, other = self[to], self[come]
            both = self._cut_down(to, together(own.messages, other.messages))
            added = len({one.id for one in both} - {one.id for one in own.messages})

            def make(
                draft: Draft[Conversation],
                seen: tuple[Conversation, Conversation] = (own, other),
                both: Items[Message] = both,
                added: int = added,
            ) -> Conversation:
                if draft[to].messages is not seen[0].messages or draft[come] is not seen[1]:
                    raise Moved
                new = draft.put(self._with_messages(draft[to], both))
                if delete_source:
                    draft.delete(come)
                if to in draft.changes:
                    draft.tell(to, "merged", source=come, count=added)
                return new

            try:
                return self._change_all(make)
            except Moved:
                continue

    def trim(self, conversation: str | Conversation) -> Conversation:
        """Apply the limits to a conversation as it is, and return it.

        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: its system prompt, which is kept, is too long by itself.
            TokensNotCounted: as it says.
        """
        return self._exchange(
            self._id(conversation),
            lambda current: self._with_messages(
                current, self._cut_down(current.id, current.messages)
            ),
        )

    def trim_all(self) -> Trimmed:
        """Apply the limits to all conversations, in one operation; return what was dropped.

        After `set_limits`, or a load of what was kept without limits. Conversations that are too
        many are deleted, those first that were changed longest ago, the active one never.

        Raises:
            InvalidRecord: a system prompt, which is kept, is too long by itself.
            TokensNotCounted: as it says.
        """
        while True:
            seen = self.all()
            cut = {one.id: self._cut_down(one.id, one.messages) for one in seen}

            def make(
                draft: Draft[Conversation],
                seen: tuple[Conversation, ...] = seen,
                cut: dict[str, Items[Message]] = cut,
            ) -> Trimmed:
                if tuple(draft.all()) != seen:
                    raise Moved
                most = self.limits.max_conversations
                if most is not None:
                    self._make_room(draft, most, new=None)
                stay = [one for one in seen if one.id in draft]
                for one in stay:
                    draft.put(self._with_messages(one, cut[one.id]))
                dropped = sum(len(one.messages) - len(cut[one.id]) for one in stay)
                return Trimmed(dropped, len(seen) - len(stay))

            try:
                return self._change_all(make)
            except Moved:
                continue
