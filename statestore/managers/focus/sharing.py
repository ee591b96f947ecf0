"""Pushes of several processes to one chain, which are no conflict."""

from __future__ import annotations

from statestore.managers.focus.base import FocusBase
from statestore.managers.focus.records import FocusChain, index_of
from statestore.models.managed import Loaded
from statestore.models.workspaces import Workspace
from statestore.records.evolving import Evolver
from statestore.records.merging import only_adds


class FocusSharing(FocusBase):
    """A manager of focus chains to which others push, too.

    A push moves the pointer, which by itself would contradict every other push. The focuses of all
    are in the chain, those that were stored first in front; who is stored last has the pointer; and
    no chain gets larger by it than it may be.
    """

    def can_settle(
        self, id: str, policy: str, workspace: Workspace[FocusChain] | None = None
    ) -> bool:
        """See `RecordManager.can_settle`."""
        if super().can_settle(id, policy, workspace):
            return True
        mine = self._live.get(id) if workspace is None else workspace.written.get(id)
        base = self._base_within(workspace, id, mine)
        return policy == "error" and _pushed(base, mine) is not None

    def _settled(
        self,
        base: FocusChain | None,
        mine: FocusChain | None,
        stored: Loaded | None,
        policy: str,
    ) -> tuple[str, FocusChain | None]:
        unmoved = _pushed(base, mine)
        if unmoved is None or mine is None or base is None:
            return super()._settled(base, mine, stored, policy)
        how, record = super()._settled(base, unmoved, stored, policy)
        if record is unmoved:
            return how, mine
        if how != "added" or record is None:
            return how, record
        if index_of(record.focuses, mine.current_id) is not None:
            record = self._evolved(record, current_id=mine.current_id, updated_at=record.updated_at)
        newest = len(mine.focuses) - len(base.focuses)
        return how, self._within_size(record, self._clock(), newest=newest)


def _pushed(base: FocusChain | None, mine: FocusChain | None) -> FocusChain | None:
    """Return a chain without what pushes have made of its pointer; None: it has changed otherwise.

    Only where the pointer is on a focus that was pushed.
    """
    if base is None or mine is None or not len(mine.focuses) > len(base.focuses):
        return None
    at = index_of(mine.focuses, mine.current_id)
    if at is None or at < len(base.focuses):
        return None
    unmoved = _EVOLVER.evolve(mine, {"current_id": base.current_id})
    return unmoved if only_adds(base, unmoved) else None


_EVOLVER = Evolver(FocusChain)
