"""What the managers of the built-in kinds have in common: their records tell when they changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol, TypeVar

import attrs

from statestore.errors import StaleRecord
from statestore.managers.manager import Manager, later


class DatedRecord(Protocol):
    """A record that tells when it was made and changed."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def updated_at(self) -> datetime: ...


D = TypeVar("D", bound=DatedRecord)


class DomainManager(Manager[D]):
    """A manager that keeps `updated_at`, and by it tells a stale record from a fresh one."""

    # The built-in classes check what they are given, so what is written of them can be read.
    _wants_round_trip = False

    def create(self, *, id: str | None = None, **fields: Any) -> D:
        """See `Manager.create`. Times that are not given are the present one."""
        now = self._clock()
        fields.setdefault("created_at", now)
        fields.setdefault("updated_at", fields["created_at"])
        return super().create(id=id, **fields)

    def _succeed(self, current: D, new: D) -> D:
        if new is current:
            return current
        if new.updated_at < current.updated_at:
            raise StaleRecord(self.kind, current.id)
        if new.updated_at > current.updated_at:
            return new  # the host says itself when it was changed
        evolve: Callable[..., D] = attrs.evolve
        return evolve(new, updated_at=later(current.updated_at, self._clock()))
