"""Guards of leases: what a host does to tasks by itself takes none from a worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from statestore.errors import InvalidRecord
from statestore.managers.tasks.leases import TaskLeases
from statestore.managers.tasks.records import Task


class TaskGuards(TaskLeases):
    """The operations of every manager by which a task could be taken from who has it in hand."""

    def modify(self, id: str | Task, change: Callable[[Task], Task]) -> Task:
        """See `Manager.modify`. Who may change a status, `TaskLeases` says.

        Raises:
            LeaseLost: the record that was given has a lease that is another's by now.
            TaskClaimed: the status was changed, and another run of the store has the task.
            InvalidRecord: the lease or the attempts were changed.
        """

        def changed(current: Task) -> Task:
            self._ask_of([current])
            self._want_not_lost(current, id)
            new = change(current)
            self._want_kept(current, new, id)
            return new

        return super().modify(id, changed)

    def replace(self, record: Task, *, expect: Task | None = None) -> Task:
        """See `Manager.replace`, and `modify` for what it refuses."""
        self._check(record)
        self._is_claimed(record)
        current = self[record]
        if record.updated_at >= current.updated_at and (expect is None or expect is current):
            self._want_not_lost(current, record)
            self._want_kept(current, record, record)
        return super().replace(record, expect=expect)

    def import_document(
        self, document: Mapping[str, Any], *, id: str | None = None, replace: bool = False
    ) -> Task:
        """See `Transfer.import_document`.

        Raises:
            TaskClaimed: it would take the place of a task that another run of the store has.
            CircularReference: with the tasks that are here it would be below itself, or depend on
                itself.
        """
        if replace:
            self._ask_of(self.all())
        return super().import_document(document, id=id, replace=replace)

    # --- inside -----------------------------------------------------------------------

    def _want_kept(self, current: Task, new: object, given: str | Task) -> None:
        """Refuse a successor by which a host takes a task from a worker, or makes a claim up."""
        if not isinstance(new, Task):
            return  # the manager says so itself
        for name in ("lease", "attempts"):
            if getattr(new, name) != getattr(current, name):
                reason = f"{name} is kept by the manager"
                raise InvalidRecord(self.kind, current.id, reason, field=name)
        if new.status is not current.status:
            self._want_lease(current, given)
