"""Events of tasks: what the difference between two states of one is called."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus

Named: TypeAlias = tuple[str, Mapping[str, Any]]

EVENTS: Final = (
    "status_changed",
    "queued",
    "started",
    "paused",
    "resumed",
    "interrupted",
    "blocked",
    "unblocked",
    "delegated",
    "completed",
    "failed",
    "cancelled",
    "retried",
    "progress_updated",
    "output_appended",
    "assigned",
    "unassigned",
    "linked",
    "unlinked",
    "removed",
)
"""The names of the events of tasks. All but "removed" are found from a task before and after."""

_BY_STATUS: Final[Mapping[TaskStatus, str]] = MappingProxyType(
    {
        TaskStatus.QUEUED: "queued",
        TaskStatus.PAUSED: "paused",
        TaskStatus.RESUMABLE: "interrupted",
        TaskStatus.BLOCKED: "blocked",
        TaskStatus.DELEGATED: "delegated",
        TaskStatus.SUCCEEDED: "completed",
        TaskStatus.FAILED: "failed",
        TaskStatus.CANCELLED: "cancelled",
    }
)
_LEFT: Final = frozenset(
    {
        TaskStatus.PAUSED,
        TaskStatus.INTERACTIVE,
        TaskStatus.RESUMABLE,
        TaskStatus.IDLE,
        TaskStatus.BLOCKED,
    }
)


def events_of(before: Task, after: Task) -> Iterator[Named]:
    """Yield the names of what has become of a task, with details, in the order of `EVENTS`."""
    if after.status is not before.status:
        details = {"old": before.status.value, "new": after.status.value, "reason": after.reason}
        yield "status_changed", details
        name = _status_event(before, after)
        if name is not None:
            yield name, _details(after)
    if after.progress != before.progress:
        yield "progress_updated", {"percent": after.progress.percent}
    if len(after.logs) > len(before.logs):
        yield "output_appended", {"count": len(after.logs) - len(before.logs)}
    if after.assigned_to != before.assigned_to:
        if after.assigned_to is None:
            yield "unassigned", {"old": before.assigned_to}
        else:
            to = {"to": after.assigned_to, "by": after.assigned_by}
            yield "assigned", {**to, "old": before.assigned_to}
    yield from _of_parents(before, after)


def created_events(after: Task) -> Iterable[Named]:
    """Return what is told of a task that was created, beside that."""
    return () if after.parent_id is None else (("linked", {"parent_id": after.parent_id}),)


def _of_parents(before: Task, after: Task) -> Iterator[Named]:
    if after.parent_id == before.parent_id:
        return
    if before.parent_id is not None:
        yield "unlinked", {"parent_id": before.parent_id}
    if after.parent_id is not None:
        yield "linked", {"parent_id": after.parent_id}


def _status_event(before: Task, after: Task) -> str | None:
    if after.status is TaskStatus.RUNNING:
        return "resumed" if before.status in _LEFT else "started"
    if after.status is TaskStatus.READY:
        of = {TaskStatus.FAILED: "retried", TaskStatus.BLOCKED: "unblocked"}
        return of.get(before.status)
    return _BY_STATUS.get(after.status)


def _details(after: Task) -> Mapping[str, Any]:
    if after.status is TaskStatus.DELEGATED and after.delegation is not None:
        return {"to": after.delegation.to, "by": after.delegation.by}
    if after.status is TaskStatus.FAILED:
        return {"error": after.error}
    if after.status is TaskStatus.SUCCEEDED:
        return {"confidence": after.confidence}
    return {} if after.reason is None else {"reason": after.reason}
