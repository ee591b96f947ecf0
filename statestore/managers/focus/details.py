"""What is noted of chains beside their focuses: context, metadata."""

from __future__ import annotations

from typing import Any

from statestore.errors import EncodeError, InvalidRecord
from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import FocusChain
from statestore.models.documents import check_document, freeze


class FocusDetails(FocusBase):
    """The operations on context and metadata of chains: one value at a time."""

    def set_context(self, chain: str | FocusChain, key: str, value: Any) -> FocusChain:
        """Set one value of the context, any that JSON has, and return the chain.

        Raises:
            RecordNotFound: there is no such chain.
            InvalidRecord: the value cannot be stored, or the key is no text; nothing was changed.
        """
        return self._with(chain, "context", key, value)

    def get_context(self, chain: str | FocusChain, key: str, default: Any = None) -> Any:
        """Return one value of the context, frozen, or `default` if it has none of this key.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self[chain].context.get(key, default)

    def remove_context(self, chain: str | FocusChain, key: str) -> FocusChain:
        """Remove one value of the context, and return the chain; none is no error.

        Raises:
            RecordNotFound: there is no such chain.
        """
        return self._without(chain, "context", key)

    def set_metadata(self, chain: str | FocusChain, key: str, value: Any) -> FocusChain:
        """Set one value of the metadata: see `set_context`."""
        return self._with(chain, "metadata", key, value)

    def get_metadata(self, chain: str | FocusChain, key: str, default: Any = None) -> Any:
        """Return one value of the metadata: see `get_context`."""
        return self[chain].metadata.get(key, default)

    def remove_metadata(self, chain: str | FocusChain, key: str) -> FocusChain:
        """Remove one value of the metadata: see `remove_context`."""
        return self._without(chain, "metadata", key)

    # --- inside -----------------------------------------------------------------------

    def _with(self, chain: str | FocusChain, field: str, key: str, value: Any) -> FocusChain:
        id = self._id(chain)
        try:
            frozen = freeze(value)
            check_document({field: {key: frozen}})
        except EncodeError as error:
            path = error.where.removeprefix("$.")
            raise InvalidRecord(self.kind, id, f"{path}: {error.reason}", field=field) from error
        except ValueError as error:  # it holds itself
            raise InvalidRecord(self.kind, id, f"{field}: {error}", field=field) from error

        def put(current: FocusChain) -> FocusChain:
            return self._evolved(current, **{field: {**getattr(current, field), key: frozen}})

        return self._modify(id, put)

    def _without(self, chain: str | FocusChain, field: str, key: str) -> FocusChain:
        def removed(current: FocusChain) -> FocusChain:
            values = getattr(current, field)
            if key not in values:
                return current
            return self._evolved(current, **{field: {k: v for k, v in values.items() if k != key}})

        return self._modify(chain, removed)
