"""Focus chains: what an agent has its mind on, and had before."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

import attrs

from statestore.errors import InvalidRecord
from statestore.managers.domain import DomainManager
from statestore.models.documents import FrozenDict, freeze_mapping
from statestore.models.sequences import Items
from statestore.records.columns import (
    COLUMN,
    items_column,
    list_column,
    read_in_columns,
    read_objects,
)
from statestore.records.fields import (
    extra_field,
    id_field,
    integer_field,
    made_id_field,
    mapping_field,
    text_field,
    texts_field,
    time_field,
    to_items,
)
from statestore.records.ids import new_id
from statestore.records.sharing import Merge

FOCUS_TYPES = (
    "file",
    "directory",
    "task",
    "error",
    "test",
    "function",
    "class",
    "package",
    "project",
    "custom",
)
"""The usual types of a focus; any other text is taken too."""

LOW, NORMAL, HIGH, CRITICAL = 1, 5, 10, 20
"""The usual priorities of a focus; any number from 1 to 20 is taken."""


def _read_children(documents: list[Any]) -> tuple[Focus, ...]:
    return tuple(read_objects(Focus, documents))


@read_in_columns
@attrs.frozen
class Focus:
    """One thing that an agent has its mind on, with those below it as a tree.

    `expires_at` is aware, in UTC; None is never. `children` is last, as it grows.
    """

    id: str = made_id_field()
    type: str = text_field("custom")
    target: str = text_field()
    description: str = text_field()
    priority: int = integer_field(NORMAL, low=LOW, high=CRITICAL)
    tags: tuple[str, ...] = texts_field()
    context: FrozenDict = mapping_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    expires_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()
    children: tuple[Focus, ...] = attrs.field(
        factory=tuple, kw_only=True, metadata={COLUMN: list_column(_read_children)}
    )

    @children.validator
    def _want_focuses(self, _: object, value: object) -> None:
        if not isinstance(value, tuple) or not all(type(one) is Focus for one in value):
            raise TypeError("children takes a tuple of Focus")


def _to_focuses(value: Iterable[Focus]) -> Items[Focus]:
    return to_items(value, Focus)


@read_in_columns
@attrs.frozen
class FocusChain:
    """The things that an agent has its mind on, the newest last.

    `current_id` names the focus of the moment; None is none. `max_size` is the number of focuses
    at most, 0 without limit. `focuses` is last, as it grows.
    """

    id: str = id_field()
    name: str = text_field()
    description: str = text_field()
    session_id: str | None = text_field(None)
    max_size: int = integer_field(0, low=0)
    current_id: str | None = text_field(None)
    context: FrozenDict = mapping_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    extra: FrozenDict = extra_field()
    focuses: Items[Focus] = attrs.field(
        factory=Items, kw_only=True, converter=_to_focuses, metadata={COLUMN: items_column(Focus)}
    )

    @property
    def current(self) -> Focus | None:
        """The focus of the moment."""
        return next((one for one in self.focuses if one.id == self.current_id), None)


class FocusManager(DomainManager[FocusChain]):
    """The focus chains of a store, in `focus/`."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[FocusChain] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("focus", FocusChain, clock=clock, make_id=make_id, merge=merge)

    def create(self, name: str = "", id: str | None = None, **fields: Any) -> FocusChain:
        """Add a focus chain and return it. See `Manager.create`."""
        return super().create(id=id, name=name, **fields)

    def push(
        self,
        chain: str | FocusChain,
        *,
        type: str = "custom",
        target: str = "",
        context: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Focus:
        """Add a focus at the end of a chain, make it the current one, and return it.

        When the chain is full the focuses that have expired go first, then the oldest.

        Raises:
            RecordNotFound, InvalidRecord: as they say; nothing was added.
        """
        now = self._clock()
        fields.setdefault("created_at", now)
        fields.setdefault("updated_at", fields["created_at"])
        id = self._id(chain)
        try:
            focus = Focus(type=type, target=target, context=freeze_mapping(context), **fields)
        except (TypeError, ValueError) as error:
            raise InvalidRecord(self.kind, id, f"focus: {error}") from error

        def pushed(current: FocusChain) -> FocusChain:
            older = current.focuses
            if current.max_size and len(older) >= current.max_size:
                fresh = [o for o in older if o.expires_at is None or o.expires_at > now]
                older = Items(fresh[max(0, len(fresh) + 1 - current.max_size) :], Focus)
            return self._evolved(current, focuses=older.extended([focus]), current_id=focus.id)

        self._modify(id, pushed)
        return focus
