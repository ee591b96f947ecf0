"""Tasks: pieces of work, their state, progress and output."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from statestore.managers.domain import DomainManager
from statestore.managers.instructions import parse_instructions as parse_instructions
from statestore.managers.log_entries import LogEntry as LogEntry
from statestore.managers.task_records import Progress as Progress
from statestore.managers.task_records import Task
from statestore.managers.task_statuses import TaskStatus as TaskStatus
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


class TaskManager(DomainManager[Task]):
    """The tasks of a store, in `tasks/`."""

    def __init__(
        self,
        *,
        clock: Callable[[], datetime] | None = None,
        make_id: Callable[[], str] = new_id,
        merge: Merge[Task] | None = None,
    ) -> None:
        """See `Manager`."""
        super().__init__("tasks", Task, clock=clock, make_id=make_id, merge=merge)

    def create(
        self,
        title: str = "",
        *,
        parent_id: str | Task | None = None,
        session_id: str | None = None,
        id: str | None = None,
        **fields: Any,
    ) -> Task:
        """Add a task and return it. See `Manager.create`.

        Raises:
            RecordNotFound: there is no task `parent_id`; nothing was added.
        """
        if parent_id is not None:
            parent_id = self[parent_id].id
        return super().create(
            id=id, title=title, parent_id=parent_id, session_id=session_id, **fields
        )
