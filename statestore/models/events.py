"""Events: what became of a record, told when it is durable."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import attrs

from statestore.models.reports import RecordChange

R = TypeVar("R")

CREATED: Final = "created"
UPDATED: Final = "updated"
DELETED: Final = "deleted"

BASE_EVENTS: Final = (CREATED, UPDATED, DELETED)
"""The names that every manager knows. Each change of a record is told by exactly one of them."""


@attrs.frozen
class RecordEvent(Generic[R]):
    """One thing that became of a record.

    `name` is "created", "updated", "deleted" or a name of the domain. `before` and `after` are the
    records, None where there was or is none; `before` is None, too, of an "updated" record of a
    mutable class that was changed in place. `at`, aware, is when the operation was done, or
    committed by somebody else. `details` are what the name says of them. `theirs` tells who has
    changed it where that was another opening of the store; None: this one has.
    """

    name: str
    kind: str
    id: str
    before: R | None
    after: R | None
    at: datetime
    details: Mapping[str, Any] = attrs.field(factory=dict)
    theirs: RecordChange | None = None
