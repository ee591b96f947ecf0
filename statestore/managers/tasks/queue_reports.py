"""Reports on queues: how far one is, and what became of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import attrs

from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus, category_of


@attrs.frozen
class QueueProgress:
    """How far the tasks of a queue are, in numbers of tasks.

    `completed` have succeeded. `running` are at work, `waiting` begun and left, `pending` not
    begun: the categories of `CATEGORIES`. `percent` is the part that has ended, 0 to 100; of
    nothing it is 100.
    """

    total: int
    completed: int
    failed: int
    cancelled: int
    running: int
    waiting: int
    pending: int

    @property
    def all_done(self) -> bool:
        """Whether all of them have ended, in whatever way."""
        return self.completed + self.failed + self.cancelled == self.total

    @property
    def percent(self) -> float:
        """How many of a hundred have ended."""
        ended = self.completed + self.failed + self.cancelled
        return 100.0 * ended / self.total if self.total else 100.0


@attrs.frozen
class QueueStats:
    """Figures of all queues. A session is completed when it has tasks and all of them have ended,
    and active when it has one that has not; one without tasks is only in `sessions`.
    """

    sessions: int
    active_sessions: int
    completed_sessions: int
    tasks: QueueProgress


@attrs.frozen
class SkippedTask:
    """A task that was left as it is, and why: "claimed", "parent", "unclaimed" or its status.

    "claimed": `worker` goes on with it. "parent": it follows its children. "unclaimed": it was
    begun without a claim, so nobody can tell whether somebody works at it. Of any other status it
    is nothing to be resumed.
    """

    id: str
    why: str
    worker: str | None = None


@attrs.frozen
class ResumeReport:
    """What a session was resumed with. All are in the order in which tasks can be done.

    `resumed` can be claimed again. `failed` were claimed too often. `skipped` have not ended, and
    were left alone. `total_found` are all of the session that had not ended, `eligible` those
    whose worker was gone.
    """

    resumed: tuple[Task, ...]
    skipped: tuple[SkippedTask, ...]
    failed: tuple[Task, ...]
    total_found: int
    eligible: int


@attrs.frozen
class RunReport:
    """What one worker has done of a queue, and how far the queue is.

    `completed` and `failed` are the tasks as it ended them, in that order. `lost` are the ids of
    those that were taken over, or deleted, before it was done.
    """

    completed: tuple[Task, ...]
    failed: tuple[Task, ...]
    lost: tuple[str, ...]
    progress: QueueProgress


def progress_of(tasks: Iterable[Task]) -> QueueProgress:
    """Return how far tasks are, by one pass."""
    statuses = Counter(task.status for task in tasks)
    categories: Counter[str] = Counter()
    for status, count in statuses.items():
        categories[category_of(status)] += count
    return QueueProgress(
        total=statuses.total(),
        completed=statuses[TaskStatus.SUCCEEDED],
        failed=statuses[TaskStatus.FAILED],
        cancelled=statuses[TaskStatus.CANCELLED],
        running=categories["active"],
        waiting=categories["waiting"],
        pending=categories["pending"],
    )


def stats_of(tasks: Iterable[Task], sessions: Iterable[str]) -> QueueStats:
    """Return the figures of all queues.

    Args:
        sessions: the ids of sessions that are known, whether they have tasks or not.
    """
    found = tuple(tasks)
    with_tasks = {one.session_id for one in found if one.session_id is not None}
    active = {one.session_id for one in found if not one.has_ended} - {None}
    return QueueStats(
        sessions=len(with_tasks | set(sessions)),
        active_sessions=len(active),
        completed_sessions=len(with_tasks - active),
        tasks=progress_of(found),
    )
