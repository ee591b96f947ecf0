"""Tasks as they are kept: the record, its parts, and what follows from the record alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from statestore.managers.log_entries import LogEntry
from statestore.managers.tasks.lease import Lease, read_leases, to_lease
from statestore.managers.tasks.priorities import priority_field
from statestore.managers.tasks.statuses import ENDED, TaskStatus
from statestore.models.documents import FrozenDict
from statestore.models.sequences import Items
from statestore.records.columns import (
    COLUMN,
    items_column,
    list_column,
    object_column,
    read_in_columns,
    read_objects,
)
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

MAX_CHANGES: Final = 20
"""How many of its last changes a task remembers."""


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


@read_in_columns
@attrs.frozen
class Delegation:
    """To whom a task was given away, by whom and when, and what was said to it."""

    to: str = text_field()
    by: str | None = text_field(None)
    at: datetime = time_field()
    instructions: str = text_field()
    extra: FrozenDict = extra_field()


@read_in_columns
@attrs.frozen
class TaskChange:
    """One change of a task: which version it made, when, of which fields, and by whom if told."""

    version: int = integer_field(1, low=1)
    at: datetime = time_field()
    fields: tuple[str, ...] = texts_field()
    actor: str | None = text_field(None)
    extra: FrozenDict = extra_field()


def _to_progress(value: object) -> Progress:
    if not isinstance(value, Progress):
        raise TypeError("progress takes a Progress")
    return value


def _to_delegation(value: object) -> Delegation | None:
    if not isinstance(value, Delegation | None):
        raise TypeError("delegation takes a Delegation, or None")
    return value


def _read_delegations(values: Sequence[Any]) -> Iterable[Delegation | None]:
    made = iter(read_objects(Delegation, [one for one in values if one is not None]))
    return [None if one is None else next(made) for one in values]


def _to_changes(value: Iterable[TaskChange]) -> tuple[TaskChange, ...]:
    changes = tuple(value)
    if not all(type(one) is TaskChange for one in changes):
        raise TypeError("changes takes a list of TaskChange")
    return changes


def _read_changes(documents: list[Any]) -> tuple[TaskChange, ...]:
    return tuple(read_objects(TaskChange, documents))


def _to_logs(value: Iterable[LogEntry]) -> Items[LogEntry]:
    return to_items(value, LogEntry)


@read_in_columns
@attrs.frozen
class Task:
    """A piece of work.

    `parent_id` is the task that it is a part of, `session_id` the session that it belongs to,
    `position` its place among the tasks of that session, the lowest first. `depends_on` are ids of
    tasks to be done first. The children of a task are those that name it as parent.

    `priority` is a number from 1 to 20, see `PRIORITIES`; a name of one is taken, too. `result` is
    any JSON value, `confidence` in it 0 to 1, `error` why it failed, `reason` why it has its status
    otherwise. `started_at` is when it was started first, `completed_at` when it ended, in whatever
    way; a task that is tried again has not ended.

    `lease` tells who has it in hand, if a worker has claimed it, and `attempts` how often that was
    done. `version` counts the changes of all fields but the lease and the logs; `changes` are the
    last of them, the newest last: names of fields, no values. `logs` is last, as it grows.
    """

    id: str = id_field()
    title: str = text_field()
    description: str = text_field()
    type: str = text_field("general")
    status: TaskStatus = choice_field(TaskStatus, TaskStatus.PENDING)
    reason: str | None = text_field(None)
    priority: int = priority_field()
    parent_id: str | None = text_field(None)
    session_id: str | None = text_field(None)
    position: int | None = integer_field(None, low=0)
    depends_on: tuple[str, ...] = texts_field()
    assigned_to: str | None = text_field(None)
    assigned_by: str | None = text_field(None)
    capabilities: tuple[str, ...] = texts_field()
    delegation: Delegation | None = attrs.field(
        default=None,
        kw_only=True,
        converter=_to_delegation,
        metadata={COLUMN: _read_delegations},
    )
    lease: Lease | None = attrs.field(
        default=None, kw_only=True, converter=to_lease, metadata={COLUMN: read_leases}
    )
    attempts: int = integer_field(0, low=0)
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
    created_by: str | None = text_field(None)
    updated_at: datetime = time_field()
    started_at: datetime | None = time_field(optional=True)
    completed_at: datetime | None = time_field(optional=True)
    version: int = integer_field(1, low=1)
    changes: tuple[TaskChange, ...] = attrs.field(
        default=(),
        kw_only=True,
        converter=_to_changes,
        metadata={COLUMN: list_column(_read_changes)},
    )
    extra: FrozenDict = extra_field()
    logs: Items[LogEntry] = attrs.field(
        factory=Items, kw_only=True, converter=_to_logs, metadata={COLUMN: items_column(LogEntry)}
    )

    @property
    def has_ended(self) -> bool:
        """Whether nobody works at it any more: it succeeded, failed or was cancelled."""
        return self.status in ENDED

    @property
    def duration_s(self) -> float | None:
        """The seconds from its first start to its end; None if it does not tell both.

        Also None where a clock that was set back made it end before it began.
        """
        if self.started_at is None or self.completed_at is None:
            return None
        seconds = (self.completed_at - self.started_at).total_seconds()
        return seconds if seconds >= 0 else None


# --- versions -------------------------------------------------------------------------

_UNCOUNTED: Final = frozenset({"id", "updated_at", "lease", "version", "changes", "logs"})
_COUNTED: Final = tuple(one.name for one in attrs.fields(Task) if one.name not in _UNCOUNTED)


def changed_fields(before: Task, after: Task) -> tuple[str, ...]:
    """Return the names of the fields by which two states differ, of those that a version counts."""
    pairs = [(name, getattr(before, name), getattr(after, name)) for name in _COUNTED]
    return tuple(name for name, old, new in pairs if old is not new and _differ(old, new))


def _differ(old: object, new: object) -> bool:
    # 1, 1.0 and True are equal, also within mappings, and stored differently.
    return old != new or repr(old) != repr(new)


def following(before: Task, after: Task, actor: str | None) -> dict[str, Any]:
    """Return what a task that follows another needs besides: times, its version, what has changed.

    Empty if it differs in no field that a version counts.
    """
    fields: dict[str, Any] = {}
    if after.status is not before.status:
        fields = _times(before, after)
    names = tuple(dict.fromkeys((*changed_fields(before, after), *fields)))
    if not names:
        return {}
    version = before.version + 1
    change = TaskChange(version=version, at=after.updated_at, fields=names, actor=actor)
    return fields | {"version": version, "changes": (*before.changes, change)[-MAX_CHANGES:]}


def follows(before: Task, after: Task) -> bool:
    """Say whether a task tells already that it follows another."""
    if after.version != before.version + 1 or not after.changes:
        return False
    return after.changes[-1].version == after.version


def _times(before: Task, after: Task) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if after.status is TaskStatus.RUNNING and after.started_at is None:
        fields["started_at"] = after.updated_at
    if after.status in ENDED:
        if after.completed_at is None:
            fields["completed_at"] = after.updated_at
    elif before.status in ENDED and after.completed_at is not None:
        fields["completed_at"] = None  # it is tried again, and has not ended
    return fields
