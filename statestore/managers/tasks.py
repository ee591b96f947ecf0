"""Tasks: pieces of work, their state, progress and output."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from statestore.managers.domain import DomainManager
from statestore.managers.instructions import parse_instructions as parse_instructions
from statestore.managers.log_entries import LogEntry as LogEntry
from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.columns import COLUMN, items_column, object_column, read_in_columns
from statestore.records.fields import (
    choice_field,
    extra_field,
    id_field,
    integer_field,
    json_field,
    mapping_field,
    number_field,
    text_field,
    texts_field,
    time_field,
    to_items,
)
from statestore.records.ids import new_id
from statestore.records.sharing import Merge


class TaskStatus(StrEnum):
    """Where a task stands."""

    PENDING = "pending"
    READY = "ready"
    QUEUED = "queued"
    DELEGATED = "delegated"
    RUNNING = "running"
    PAUSED = "paused"
    INTERACTIVE = "interactive"
    RESUMABLE = "resumable"
    IDLE = "idle"
    BLOCKED = "blocked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


@read_in_columns
@attrs.frozen
class Progress:
    """How far a task is. `percent` is 0 to 100, `remaining_s` an estimate in seconds."""

    percent: float = number_field(0.0, low=0.0, high=100.0)
    current_step: str | None = text_field(None)
    total_steps: int | None = integer_field(None, low=0)
    remaining_s: float | None = number_field(None, low=0.0)
    message: str = text_field()
    extra: FrozenDict = extra_field()


def _to_progress(value: object) -> Progress:
    if not isinstance(value, Progress):
        raise TypeError("progress takes a Progress")
    return value


def _to_logs(value: Iterable[LogEntry]) -> Items[LogEntry]:
    return to_items(value, LogEntry)


@read_in_columns
@attrs.frozen
class Task:
    """A piece of work.

    `parent_id` is the task that it is a part of, `session_id` the session that it belongs to,
    `position` its place among the tasks of that session. `depends_on` are ids of tasks to be done
    first. `result` is any JSON value. The children of a task are those that name it as parent.
    `logs` is last, as it grows.
    """

    id: str = id_field()
    title: str = text_field()
    description: str = text_field()
    type: str = text_field("general")
    status: TaskStatus = choice_field(TaskStatus, TaskStatus.PENDING)
    priority: int = integer_field(5, low=1, high=20)
    parent_id: str | None = text_field(None)
    session_id: str | None = text_field(None)
    position: int | None = integer_field(None, low=0)
    depends_on: tuple[str, ...] = texts_field()
    assigned_to: str | None = text_field(None)
    assigned_by: str | None = text_field(None)
    progress: Progress = attrs.field(
        factory=Progress,
        kw_only=True,
        converter=_to_progress,
        metadata={COLUMN: object_column(Progress)},
    )
    result: Any = json_field()
    error: str | None = text_field(None)
    confidence: float | None = number_field(None, low=0.0, high=1.0)
    tags: tuple[str, ...] = texts_field()
    metadata: FrozenDict = mapping_field()
    created_at: datetime = time_field()
    updated_at: datetime = time_field()
    started_at: datetime | None = time_field(optional=True)
    completed_at: datetime | None = time_field(optional=True)
    extra: FrozenDict = extra_field()
    logs: Items[LogEntry] = attrs.field(
        factory=Items, kw_only=True, converter=_to_logs, metadata={COLUMN: items_column(LogEntry)}
    )


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
