"""What records hold of the host's own, context and metadata, one value at a time."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from statestore.errors import EncodeError, InvalidRecord
from statestore.managers.domain import DatedRecord, DomainManager
from statestore.models.documents import FrozenDict, check_document, freeze


class DetailedRecord(DatedRecord, Protocol):
    """A record with a context and metadata."""

    @property
    def context(self) -> FrozenDict: ...

    @property
    def metadata(self) -> FrozenDict: ...


C = TypeVar("C", bound=DetailedRecord)


class Details(DomainManager[C]):
    """The operations on context and metadata. Each takes a record or its id."""

    def set_context(self, id: str | C, key: str, value: Any) -> C:
        """Set one value of the context, any that JSON has, and return the record.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the value cannot be stored, or the key is no text; nothing was changed.
        """
        return self._with(id, "context", key, value)

    def get_context(self, id: str | C, key: str, default: Any = None) -> Any:
        """Return one value of the context, frozen, or `default` if it has none of this key.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the key is no text.
        """
        session = self[id]
        return session.context.get(self._key(session.id, "context", key), default)

    def remove_context(self, id: str | C, key: str) -> C:
        """Remove one value of the context, and return the record; none is no error.

        Raises:
            RecordNotFound: there is none.
            InvalidRecord: the key is no text.
        """
        return self._without(id, "context", key)

    def set_metadata(self, id: str | C, key: str, value: Any) -> C:
        """Set one value of the metadata: see `set_context`."""
        return self._with(id, "metadata", key, value)

    def get_metadata(self, id: str | C, key: str, default: Any = None) -> Any:
        """Return one value of the metadata: see `get_context`."""
        session = self[id]
        return session.metadata.get(self._key(session.id, "metadata", key), default)

    def remove_metadata(self, id: str | C, key: str) -> C:
        """Remove one value of the metadata: see `remove_context`."""
        return self._without(id, "metadata", key)

    # --- inside -----------------------------------------------------------------------

    def _with(self, id: str | C, field: str, key: str, value: Any) -> C:
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

        def put(current: C) -> C:
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

    def _without(self, id: str | C, field: str, key: str) -> C:
        self._key(self._id(id), field, key)

        def remove(current: C) -> C:
            values = getattr(current, field)
            if key not in values:
                return current
            return self._evolved(current, **{field: {k: v for k, v in values.items() if k != key}})

        return self._modify(id, remove)


def _is_same(value: Any, other: Any) -> bool:
    """Say whether two frozen values are stored alike: 1, 1.0 and True are not."""
    return type(value) is type(other) and type(value) in (str, int, float, bool) and value == other
