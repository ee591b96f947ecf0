"""Leases: who has a task in hand, until when. The record's part, and what follows from it alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from statestore.managers.tasks.statuses import TaskStatus
from statestore.models.documents import FrozenDict
from statestore.records.columns import read_in_columns, read_objects
from statestore.records.fields import extra_field, text_field, time_field

IN_HAND: Final = frozenset(
    {TaskStatus.RUNNING, TaskStatus.INTERACTIVE, TaskStatus.PAUSED, TaskStatus.IDLE}
)
"""The statuses in which a task can have a lease. With any other the lease goes."""

# A tuple: hashing a status takes longer than comparing it with a few.
CLAIMABLE: Final = (TaskStatus.PENDING, TaskStatus.READY, TaskStatus.QUEUED, TaskStatus.RESUMABLE)
"""The statuses in which a queue gives a task away. What has a lease that is over is given, too."""


@read_in_columns
@attrs.frozen
class Lease:
    """Who has a task in hand.

    `worker` is what it calls itself. `run` is the opening of the store that it works through: the
    lease is over when that is closed or its process is gone. `token` tells this lease from every
    other. `expires_at` is when it is over although the worker goes on; None is never.
    """

    worker: str = text_field()
    run: str = text_field()
    token: str = text_field()
    claimed_at: datetime = time_field()
    expires_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()

    def has_expired(self, now: datetime) -> bool:
        """Say whether its time is over."""
        return self.expires_at is not None and now >= self.expires_at


def to_lease(value: object) -> Lease | None:
    """Return a value that is a lease or None: what the field of a task converts by.

    Raises:
        TypeError: it is neither.
    """
    if not isinstance(value, Lease | None):
        raise TypeError("lease takes a Lease, or None")
    return value


def read_leases(values: Sequence[Any]) -> Iterable[Lease | None]:
    """Return leases as they are stored, one for each value; None stays None."""
    made = iter(read_objects(Lease, [one for one in values if one is not None]))
    return [None if one is None else next(made) for one in values]
