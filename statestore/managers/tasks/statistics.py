"""Statistics of tasks, by one pass over them. Pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from statestore.managers.tasks.priorities import PRIORITIES, priority_name
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus
from statestore.models.documents import FrozenDict


@attrs.frozen
class TaskStatistics:
    """Figures of tasks.

    `by_status` and `by_priority` have all statuses and names of priorities, also with 0; the others
    what there is. Of `by_assignee` None are those that are assigned to nobody. `completed` are
    those that succeeded, `average_completion_s` the mean of the seconds from start to completion
    of those of them that tell both; None if there is none.
    """

    total: int
    by_status: Mapping[str, int]
    by_assignee: Mapping[str | None, int]
    by_priority: Mapping[str, int]
    by_type: Mapping[str, int]
    completed: int
    failed: int
    cancelled: int
    average_completion_s: float | None


def statistics_of(tasks: Iterable[Task]) -> TaskStatistics:
    """Return the figures of tasks."""
    by_status: Counter[str] = Counter({one.value: 0 for one in TaskStatus})
    by_priority: Counter[str] = Counter(dict.fromkeys(PRIORITIES, 0))
    by_assignee: Counter[str | None] = Counter()
    by_type: Counter[str] = Counter()
    times: list[float] = []
    total = 0
    for task in tasks:
        total += 1
        by_status[task.status.value] += 1
        by_priority[priority_name(task.priority)] += 1
        by_assignee[task.assigned_to] += 1
        by_type[task.type] += 1
        if task.status is TaskStatus.SUCCEEDED and task.duration_s is not None:
            times.append(task.duration_s)
    return TaskStatistics(
        total=total,
        by_status=FrozenDict(by_status),
        by_assignee=dict(by_assignee),
        by_priority=FrozenDict(by_priority),
        by_type=FrozenDict(by_type),
        completed=by_status[TaskStatus.SUCCEEDED.value],
        failed=by_status[TaskStatus.FAILED.value],
        cancelled=by_status[TaskStatus.CANCELLED.value],
        average_completion_s=sum(times) / len(times) if times else None,
    )
