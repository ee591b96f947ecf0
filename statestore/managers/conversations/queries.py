"""Queries: which conversations there are, what stands in them, and what they come to."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from statestore.errors import InvalidRecord
from statestore.managers.conversations.keeping import ConversationKeeper, active_of
from statestore.managers.conversations.message import Message
from statestore.managers.conversations.records import Conversation, check_count
from statestore.managers.conversations.search import (
    MessageHit,
    found,
    has_title,
    hits,
    newest_first,
)
from statestore.managers.conversations.statistics import (
    ConversationStatistics,
    ConversationTotals,
    statistics_of,
    totals_of,
)
from statestore.managers.conversations.texts import text_of


class ConversationQueries(ConversationKeeper):
    """The questions to conversations. All of them look at what is in memory.

    Several conversations are returned in the order of their last changes, the last one first.
    """

    @property
    def active(self) -> Conversation | None:
        """The conversation that was activated last, by whatever process; None if none is active.

        It survives a reload. Where it is deleted or deactivated there is none.
        """
        return active_of(self.all())

    def by_session(self, session_id: str) -> tuple[Conversation, ...]:
        """Return the conversations of a session, by its exact id."""
        return self._newest(one for one in self.all() if one.session_id == session_id)

    def by_user(self, user_id: str) -> tuple[Conversation, ...]:
        """Return the conversations of a user, by the exact id."""
        return self._newest(one for one in self.all() if one.user_id == user_id)

    def by_tag(self, tag: str) -> tuple[Conversation, ...]:
        """Return the conversations that have a tag, written in just this way."""
        return self._newest(one for one in self.all() if tag in one.tags)

    def by_status(self, status: str) -> tuple[Conversation, ...]:
        """Return the conversations of a status."""
        return self._newest(one for one in self.all() if one.status == status)

    def recent(self, count: int = 10) -> tuple[Conversation, ...]:
        """Return the conversations that were changed last, at most `count`.

        Raises:
            InvalidRecord: `count` is no integer from 0.
        """
        return self._newest(self.all())[: check_count(None, "count", count)]

    def find_by_title(self, text: str) -> tuple[Conversation, ...]:
        """Return the conversations whose title has a text in it, whatever the case.

        Raises:
            InvalidRecord: the text is empty.
        """
        wanted = self._wanted(text)
        return self._newest(one for one in self.all() if has_title(one, wanted))

    def search(self, text: str, *, limit: int | None = None) -> tuple[Conversation, ...]:
        """Return the conversations that have a text in them, whatever the case.

        First those whose title or summary has it, then those in a message of which it is; each
        with the one first that was changed last.

        Args:
            limit: how many to return at most; by default all.
        Raises:
            InvalidRecord: the text is empty, or the limit no integer from 0.
        """
        most = None if limit is None else check_count(None, "limit", limit)
        return tuple(islice(found(newest_first(self.all()), self._wanted(text)), most))

    def search_messages(
        self,
        text: str,
        *,
        role: str | None = None,
        session_id: str | None = None,
        conversation: str | Conversation | None = None,
        limit: int | None = None,
    ) -> tuple[MessageHit, ...]:
        """Return the messages that have a text in them, whatever the case, with where they stand.

        All text counts: of parts, of what tools are given and answer, too. The conversation that
        was changed last comes first, its messages in their order.

        Args:
            role: only messages of this one.
            session_id: only in conversations of this session.
            conversation: only in this one.
            limit: how many to return at most; by default all.
        Raises:
            RecordNotFound: there is no such conversation.
            InvalidRecord: the text is empty, or the limit no integer from 0.
        """
        most = None if limit is None else check_count(None, "limit", limit)
        among = self.all() if conversation is None else (self[conversation],)
        if session_id is not None:
            among = tuple(one for one in among if one.session_id == session_id)
        every = hits(newest_first(among), self._wanted(text), role=role)
        return tuple(islice(every, most))

    def unsummarised(self, conversation: str | Conversation) -> tuple[Message, ...]:
        """Return the messages behind those that the summary tells of.

        All of them where there is no summary, or the message that it ends with is gone.

        Raises:
            RecordNotFound: there is no such conversation.
        """
        one = self[conversation]
        if one.summary_upto is not None:
            for at in range(len(one.messages) - 1, -1, -1):
                if one.messages[at].id == one.summary_upto:
                    return one.messages.since(at + 1)
        return tuple(one.messages)

    def to_text(self, conversation: str | Conversation) -> str:
        """Return a conversation as people read it: its title, and who says what.

        It cannot be read back; `export_document` gives what can.

        Raises:
            RecordNotFound: there is no such conversation.
        """
        return text_of(self[conversation])

    def tokens(self, conversation: str | Conversation) -> int:
        """Return the tokens of a conversation: those its messages know of, else as counted.

        It costs what was added since it was asked last.

        Raises:
            RecordNotFound, TokensNotCounted: as they say.
        """
        return self._tokens_of(self[conversation])

    def conversation_statistics(self, conversation: str | Conversation) -> ConversationStatistics:
        """Return what one conversation is made of.

        Raises:
            RecordNotFound, TokensNotCounted: as they say.
        """
        one = self[conversation]
        return statistics_of(one.messages, self._tokens_of(one))

    def statistics(self) -> ConversationTotals:
        """Return what all conversations are made of.

        Raises:
            TokensNotCounted: as it says.
        """
        conversations = self.all()
        return totals_of(conversations, sum(map(self._tokens_of, conversations)))

    # --- inside -----------------------------------------------------------------------

    def _tokens_of(self, conversation: Conversation) -> int:
        self._counter.forget(besides=self)
        return self._counter.total(conversation.id, conversation.messages)

    def _newest(self, conversations: Iterable[Conversation]) -> tuple[Conversation, ...]:
        return tuple(newest_first(conversations))

    def _wanted(self, text: object) -> str:
        if not isinstance(text, str) or not text:
            raise InvalidRecord(self.kind, None, "text takes what to look for", field="text")
        return text
