"""Metrics: how many sessions and tasks there are, and how long they took. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import fmean

import attrs

from statestore.managers.sessions.records import Session, SessionStatus
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import ENDED, TaskStatus

_ACTIVE = frozenset({TaskStatus.DELEGATED, TaskStatus.RUNNING, TaskStatus.INTERACTIVE})


@attrs.frozen(kw_only=True)
class SessionMetrics:
    """Figures of sessions. `total` is the sum of the others.

    `average_active_s` is how long those that are completed were active, on average, in seconds;
    None where none is.
    """

    total: int = 0
    active: int = 0
    paused: int = 0
    completed: int = 0
    failed: int = 0
    average_active_s: float | None = None


@attrs.frozen(kw_only=True)
class TaskMetrics:
    """Figures of tasks. `total` is the sum of the others.

    `completed` are those that succeeded. `active` are those that somebody works at: delegated,
    running or interactive. `pending` are all others that are not over. `average_completion_s` is
    the time from start to completion of those that are completed and tell both, on average, in
    seconds; None where none does.
    """

    total: int = 0
    pending: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    average_completion_s: float | None = None


def session_metrics(sessions: Iterable[Session]) -> SessionMetrics:
    """Return the figures of sessions."""
    known = tuple(sessions)
    over = [one for one in known if one.status is SessionStatus.COMPLETED]
    return SessionMetrics(
        total=len(known),
        active=_count(known, SessionStatus.ACTIVE),
        paused=_count(known, SessionStatus.PAUSED),
        completed=len(over),
        failed=_count(known, SessionStatus.FAILED),
        average_active_s=fmean(one.duration_s for one in over) if over else None,
    )


def task_metrics(tasks: Iterable[Task]) -> TaskMetrics:
    """Return the figures of tasks."""
    known = tuple(tasks)
    active = sum(one.status in _ACTIVE for one in known)
    over = sum(one.status in ENDED for one in known)
    times = [time for one in known if (time := completion_s(one)) is not None]
    return TaskMetrics(
        total=len(known),
        pending=len(known) - active - over,
        active=active,
        completed=_count(known, TaskStatus.SUCCEEDED),
        failed=_count(known, TaskStatus.FAILED),
        cancelled=_count(known, TaskStatus.CANCELLED),
        average_completion_s=fmean(times) if times else None,
    )


def completion_s(task: Task) -> float | None:
    """Return the seconds from the start to the completion of a task.

    None where it has not succeeded or does not tell both times, and where a clock that was set back
    has made it end before it began.
    """
    if task.status is not TaskStatus.SUCCEEDED:
        return None
    if task.started_at is None or task.completed_at is None:
        return None
    seconds = (task.completed_at - task.started_at).total_seconds()
    return seconds if seconds >= 0 else None


def _count(records: Iterable[Session | Task], status: SessionStatus | TaskStatus) -> int:
    return sum(one.status is status for one in records)
