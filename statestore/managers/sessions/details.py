"""The tags of sessions, one at a time."""

from __future__ import annotations

from statestore.errors import InvalidRecord
from statestore.managers.details import Details
from statestore.managers.sessions.records import MAX_LENGTHS, Session


class SessionDetails(Details[Session]):
    """The operations on tags, one at a time; those on context and metadata are `Details`."""

    def add_tag(self, id: str | Session, tag: str) -> Session:
        """Add a tag at the end, and return the session; one that it has stays where it is.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the tag is no text, is empty, or is longer than 1,000 characters.
        """
        name = self._id(id)
        if type(tag) is not str or not 0 < len(tag) <= MAX_LENGTHS["tags"]:
            reason = f"a tag is a text of 1 to {MAX_LENGTHS['tags']:,} characters"
            raise InvalidRecord(self.kind, name, reason, field="tags")

        def add(current: Session) -> Session:
            return current if tag in current.tags else self._tagged(current, (*current.tags, tag))

        return self._modify(name, add)

    def remove_tag(self, id: str | Session, tag: str) -> Session:
        """Remove a tag, and return the session; one that it has not is no error.

        Raises:
            RecordNotFound: there is none.
        """

        def remove(current: Session) -> Session:
            if tag not in current.tags:
                return current
            return self._tagged(current, tuple(one for one in current.tags if one != tag))

        return self._modify(id, remove)

    def has_tag(self, id: str | Session, tag: str) -> bool:
        """Say whether a session has a tag, written in just this way.

        Raises:
            RecordNotFound: there is none.
        """
        return self[id].has_tag(tag)

    # --- inside -----------------------------------------------------------------------

    def _tagged(self, current: Session, tags: tuple[str, ...]) -> Session:
        # Not as `update` does: what was stored or imported stays beside the one that was checked.
        return super()._evolved(current, tags=tags)
