"""The records of focus chains: what an agent has its mind on, and had before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

import attrs

from statestore.managers.focus.tree import MAX_DEPTH, depth_of
from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.columns import (
    COLUMN,
    Unusual,
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

KIND: Final = "focus"

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

PRIORITIES: Final[Mapping[str, int]] = MappingProxyType(
    {"low": LOW, "normal": NORMAL, "high": HIGH, "critical": CRITICAL}
)
"""The words for the usual priorities."""

MAX_LENGTHS: Final[Mapping[str, int]] = MappingProxyType(
    {"name": 1_000, "session_id": 1_000, "type": 100, "target": 10_000, "tags": 100}
)
"""The characters of texts at most, that of each single tag; other texts have no limit."""


def _read_children(documents: list[Any]) -> tuple[Focus, ...]:
    return tuple(read_objects(Focus, documents))


@read_in_columns
@attrs.frozen
class Focus:
    """One thing that an agent has its mind on, with those below it as a tree.

    `priority` goes from 1 to 20. `expires_at` is aware, in UTC: from that very moment on the focus
    has expired; None is never. A tree has at most `MAX_DEPTH` levels. `children` is last, as it
    grows.
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
        # Here, not only where focuses are added: what compares, hashes, shows, copies and stores
        # values goes down a tree by calls, and none may be so deep that these do not come back.
        if value and depth_of(value, most=MAX_DEPTH) >= MAX_DEPTH:
            raise ValueError(f"a tree of focuses has at most {MAX_DEPTH} levels")

    def is_expired(self, at: datetime) -> bool:
        """Say whether the focus has expired at a time."""
        return self.expires_at is not None and self.expires_at <= at


def _to_focuses(value: Iterable[Focus]) -> Items[Focus]:
    return to_items(value, Focus)


def _read_focuses(documents: list[Any]) -> Items[Focus]:
    focuses = read_objects(Focus, documents)
    if depth_of(focuses, most=MAX_DEPTH) > MAX_DEPTH:
        raise Unusual
    return Items(focuses, Focus)


@read_in_columns
@attrs.frozen
class FocusChain:
    """The things that an agent has its mind on, the newest last.

    `current_id` names the focus of the moment, one of `focuses`; None is none. `max_size` is the
    number of focuses at most, those below them not counted; 0 is without limit. `activated_at` is
    when the chain became the active one; None where it is not. `focuses` is last, as it grows.
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
    activated_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()
    focuses: Items[Focus] = attrs.field(
        factory=Items,
        kw_only=True,
        converter=_to_focuses,
        metadata={COLUMN: list_column(_read_focuses)},
    )

    @property
    def current(self) -> Focus | None:
        """The focus of the moment, whether it has expired or not."""
        at = index_of(self.focuses, self.current_id)
        return None if at is None else self.focuses[at]


@attrs.frozen
class FocusLimits:
    """What a manager keeps focus chains within. None is without limit.

    `max_chains` is the number of chains: where there would be more, the oldest ones that are not
    active are deleted. `max_size` is what chains get that are made without one of their own.
    """

    max_chains: int | None = integer_field(None, low=1)
    max_size: int | None = integer_field(None, low=1)


def index_of(focuses: Items[Focus], focus_id: str | None) -> int | None:
    """Return where a focus of a chain stands; None if it is none of its own.

    It looks from the end, where the current one most often is.
    """
    if focus_id is None:
        return None
    for at in range(len(focuses) - 1, -1, -1):
        if focuses[at].id == focus_id:
            return at
    return None


def active_of(chains: Iterable[FocusChain]) -> FocusChain | None:
    """Return the chain that was made the active one last; None if none is."""
    active = (one for one in chains if one.activated_at is not None)
    return max(active, key=lambda one: (one.activated_at, one.id), default=None)
