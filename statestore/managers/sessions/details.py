"""What is noted of sessions beside their state: tags, context, metadata."""

from __future__ import annotations

from typing import Any

from statestore.errors import EncodeError, InvalidRecord
from statestore.managers.domain import DomainManager
from statestore.managers.sessions.records import MAX_LENGTHS, Session
from statestore.models.documents import check_document, freeze


class SessionDetails(DomainManager[Session]):
    """The operations on tags, context and metadata: one of them at a time."""

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

    def set_context(self, id: str | Session, key: str, value: Any) -> Session:
        """Set one value of the context, any that JSON has, and return the session.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the value cannot be stored, or the key is no text; nothing was changed.
        """
        return self._with(id, "context", key, value)

    def get_context(self, id: str | Session, key: str, default: Any = None) -> Any:
        """Return one value of the context, frozen, or `default` if it has none of this key.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the key is no text.
        """
        session = self[id]
        return session.context.get(self._key(session.id, "context", key), default)

    def remove_context(self, id: str | Session, key: str) -> Session:
        """Remove one value of the context, and return the session; none is no error.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the key is no text.
        """
        return self._without(id, "context", key)

    def set_metadata(self, id: str | Session, key: str, value: Any) -> Session:
        """Set one value of the metadata: see `set_context`."""
        return self._with(id, "metadata", key, value)

    def get_metadata(self, id: str | Session, key: str, default: Any = None) -> Any:
        """Return one value of the metadata: see `get_context`."""
        session = self[id]
        return session.metadata.get(self._key(session.id, "metadata", key), default)

    def remove_metadata(self, id: str | Session, key: str) -> Session:
        """Remove one value of the metadata: see `remove_context`."""
        return self._without(id, "metadata", key)

    # --- inside -----------------------------------------------------------------------

    def _tagged(self, current: Session, tags: tuple[str, ...]) -> Session:
        # Not as `update` does: what was stored or imported stays beside the one that was checked.
        return super()._evolved(current, tags=tags)

    def _with(self, id: str | Session, field: str, key: str, value: Any) -> Session:
        name = self._id(id)
        self._key(name, field, key)
        try:
            frozen = freeze(value)
            check_document({field: {key: frozen}})
        except EncodeError as error:
            path = error.where.removeprefix("$.")
            raise InvalidRecord(self.kind, name, f"{path}: {error.reason}", field=field) from error
        except ValueError as error:  # it holds itself
            raise InvalidRecord(self.kind, name, f"{field}: {error}", field=field) from error

        def put(current: Session) -> Session:
            values = getattr(current, field)
            if key in values and _is_same(values[key], frozen):
                return current
            return self._evolved(current, **{field: {**values, key: frozen}})

        return self._modify(name, put)

    def _key(self, id: str, field: str, key: object) -> str:
        if type(key) is not str:
            reason = f"{field}: a key is a text"
            raise InvalidRecord(self.kind, id, reason, field=field)
        return key

    def _without(self, id: str | Session, field: str, key: str) -> Session:
        self._key(self._id(id), field, key)

        def remove(current: Session) -> Session:
            values = getattr(current, field)
            if key not in values:
                return current
            return self._evolved(current, **{field: {k: v for k, v in values.items() if k != key}})

        return self._modify(id, remove)


def _is_same(value: Any, other: Any) -> bool:
    """Say whether two frozen values are stored alike: 1, 1.0 and True are not."""
    return type(value) is type(other) and type(value) in (str, int, float, bool) and value == other
