"""Versions of conversations: changes that are refused, or settled, where others were faster."""

from __future__ import annotations

from typing import Any, Final

import attrs

from statestore.errors import Conflict, InvalidRecord, StaleRecord
from statestore.managers.conversations.keeping import ConversationKeeper
from statestore.managers.conversations.merging import overwritten, together, with_fields_of
from statestore.managers.conversations.records import Conversation
from statestore.models.keys import Revision
from statestore.records.changing import later

STRATEGIES: Final = ("overwrite", "merge")
"""How `resolve` may make one conversation of two."""


class ConversationVersions(ConversationKeeper):
    """The operations that look at who has changed a conversation since it was read."""

    def update_with_version(
        self, id: str | Conversation, expected: Revision | Conversation, /, **changes: Any
    ) -> Conversation:
        """Change fields of a conversation if nobody has changed it since; return the new one.

        It is committed at once, as by `modify`, with unsaved changes of the conversation.

        Args:
            expected: what `revision(id)` was when the conversation was read; or the conversation
                itself, which tells unsaved changes from saved ones, too, and is what to give
                without a store, where revisions stay 0.
        Raises:
            Conflict: it is at another revision; `found` says at which.
            StaleRecord: it is another conversation by now.
            RecordNotFound, InvalidRecord, WouldShrink: as for `update`.
        """
        name = self._id(id)
        self._check_changes(name, changes)
        if not isinstance(expected, Conversation) and type(expected) is not int:
            reason = "expected takes a revision, or a conversation"
            raise InvalidRecord(self.kind, name, reason, field="expected")

        def changed(current: Conversation) -> Conversation:
            if isinstance(expected, Conversation):
                if current is not expected and current != expected:
                    raise StaleRecord(self.kind, name, self.known(name))
            elif self.known(name) != expected:
                raise Conflict(self.kind, name, expected, self.known(name))
            return self._evolved(current, **changes)

        return self.modify(name, changed)

    def resolve(
        self, id: str | Conversation, given: Conversation, *, strategy: str = "merge"
    ) -> Conversation:
        """Make one conversation of the stored one and one that was made from an older; return it.

        In each way all messages of both are kept, each once, in the order of their times, so far
        as limits allow; which is the active one, and when it was created, stays. It is committed at
        once, as by `modify`.

        Args:
            given: the other one, of the same id.
            strategy: "overwrite": fields, and messages that both have, are as `given` has them.
                "merge": they are as they are stored; only tags, keys of metadata and extra fields
                that are missing come from `given`, and a title, session, user or summary where
                there is none.
        Raises:
            RecordNotFound: it is not there any more.
            InvalidRecord: there is no such strategy, or `given` is no conversation of this id.
        """
        name = self._id(id)
        if strategy not in STRATEGIES:
            reason = f"strategy is one of: {', '.join(STRATEGIES)}"
            raise InvalidRecord(self.kind, name, reason, field="strategy", allowed=STRATEGIES)
        self._check(given, name)
        overwrite = strategy == "overwrite"

        def resolved(current: Conversation) -> Conversation:
            if overwrite:
                both = overwritten(current.messages, given.messages)
            else:
                both = together(current.messages, given.messages)
            both = self._cut_down(name, both)
            messages = current.messages if both == current.messages else both
            new = with_fields_of(current, given, messages, overwrite=overwrite)
            if new == current:
                return current
            stamped = attrs.evolve(new, updated_at=later(current.updated_at, self._clock()))
            return self._meant(stamped)

        return self.modify(name, resolved)
