"""What the managers of the built-in kinds have in common: their records tell when they changed."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol, TypeVar

from statestore.errors import InvalidRecord, StaleRecord
from statestore.managers.manager import Manager
from statestore.managers.transfer import Transfer
from statestore.records.changing import later
from statestore.records.evolving import Evolver


class DatedRecord(Protocol):
    """A record that tells when it was made and changed."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> datetime: ...

    @property
    def updated_at(self) -> datetime: ...


D = TypeVar("D", bound=DatedRecord)


class DomainManager(Transfer[D], Manager[D]):
    """A manager that keeps `updated_at`, and by it tells a stale record from a fresh one."""

    # The built-in classes check what they are given, so what is written of them can be read.
    _wants_round_trip = False

    def create(self, *, id: str | None = None, **fields: Any) -> D:
        """See `Manager.create`. Times that are not given are the present one."""
        now = self._clock()
        fields.setdefault("created_at", now)
        fields.setdefault("updated_at", fields["created_at"])
        return super().create(id=id, **fields)

    def _evolved(self, current: D, **changes: Any) -> D:
        if "id" in changes and changes["id"] != current.id:
            raise InvalidRecord(
                self.kind, current.id, "the id of a record cannot be changed", field="id"
            )
        if "updated_at" not in changes:
            changes["updated_at"] = later(current.updated_at, self._clock())
        evolver = self._evolver
        return self._made(
            current.id, lambda: evolver.evolve(current, changes), type(current), changes
        )

    @property
    def _evolver(self) -> Evolver:
        evolver = _EVOLVERS.get(self.record_class)
        if evolver is None:
            evolver = _EVOLVERS[self.record_class] = Evolver(self.record_class)
        return evolver

    def _succeed(self, current: D, new: D) -> D:
        if new is current:
            return current
        self._want_fresh(current, new)
        if new.updated_at > current.updated_at:
            return new  # the host says itself when it was changed
        moment = later(current.updated_at, self._clock())
        return self._evolver.evolve(new, {"updated_at": moment})

    def _want_fresh(self, current: D, new: D) -> None:
        """Refuse what was made of an older record. Before all else: the rest would mislead.

        Raises:
            StaleRecord: it was.
        """
        if new.updated_at < current.updated_at:
            raise StaleRecord(self.kind, current.id, self.known(current.id))

    def _received(self, record: D, current: D | None) -> D:
        if current is None or record == current or record.updated_at > current.updated_at:
            return record
        moment = later(current.updated_at, self._clock())
        return self._evolver.evolve(record, {"updated_at": moment})


_EVOLVERS: dict[type, Evolver] = {}
