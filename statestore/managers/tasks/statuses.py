"""Statuses of tasks: which there are, which follows which, and what other systems call them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs


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


def _statuses(text: str) -> frozenset[TaskStatus]:
    return frozenset(map(TaskStatus, text.split()))


TASK_TRANSITIONS: Final[Mapping[TaskStatus, frozenset[TaskStatus]]] = MappingProxyType(
    {
        # It can be started as it was created: whoever keeps no list of what is ready would
        # otherwise have to say of each task first that it is. Nothing else was added for it: what
        # was never started cannot have failed, it is cancelled.
        TaskStatus.PENDING: _statuses("ready running blocked cancelled"),
        TaskStatus.READY: _statuses("running queued delegated cancelled"),
        TaskStatus.QUEUED: _statuses("running cancelled"),
        TaskStatus.RUNNING: _statuses(
            "paused interactive resumable idle succeeded failed cancelled blocked"
        ),
        TaskStatus.PAUSED: _statuses("running cancelled"),
        TaskStatus.INTERACTIVE: _statuses("running paused cancelled"),
        TaskStatus.RESUMABLE: _statuses("running cancelled"),
        TaskStatus.IDLE: _statuses("running succeeded cancelled"),
        TaskStatus.BLOCKED: _statuses("ready running cancelled"),
        TaskStatus.DELEGATED: _statuses("running cancelled failed"),
        TaskStatus.FAILED: _statuses("ready running"),
        TaskStatus.SUCCEEDED: frozenset(),
        TaskStatus.CANCELLED: frozenset(),
    }
)
"""The statuses that a task can go to from each."""

NEW_STATUSES: Final = _statuses("pending ready queued running blocked")
"""What a task may be created with. The others tell of something that has happened to it before."""

ENDED: Final = _statuses("succeeded failed cancelled")
"""The statuses of a task at which nobody works any more. One that failed can be tried again."""

TERMINAL: Final = frozenset(one for one, after in TASK_TRANSITIONS.items() if not after)
"""The statuses that are never left."""

CATEGORIES: Final[Mapping[str, frozenset[TaskStatus]]] = MappingProxyType(
    {
        "pending": _statuses("pending ready queued"),
        "active": _statuses("running interactive delegated"),
        "waiting": _statuses("paused resumable idle blocked"),
        "completed": ENDED,
    }
)
"""What the statuses amount to: not begun, somebody works at it, begun and left, ended."""


def category_of(status: TaskStatus) -> str:
    """Return the category of a status, a key of `CATEGORIES`."""
    return next(name for name, statuses in CATEGORIES.items() if status in statuses)


# --- operations -----------------------------------------------------------------------


@attrs.frozen
class Step:
    """What an operation makes of the status of a task: `to`, from one of `since`.

    `called` is what the task then is, for whom it cannot be done to.
    """

    to: TaskStatus
    since: frozenset[TaskStatus]
    called: str


def _step(to: TaskStatus, since: str = "", called: str = "") -> Step:
    legal = frozenset(one for one, after in TASK_TRANSITIONS.items() if to in after)
    return Step(to, legal & _statuses(since) if since else legal, called or to.value)


STEPS: Final[Mapping[str, Step]] = MappingProxyType(
    {
        "ready": _step(TaskStatus.READY),
        "queue": _step(TaskStatus.QUEUED),
        "start": _step(TaskStatus.RUNNING),
        "pause": _step(TaskStatus.PAUSED),
        "resume": _step(TaskStatus.RUNNING, "paused interactive resumable idle blocked", "resumed"),
        "interact": _step(TaskStatus.INTERACTIVE),
        "interrupt": _step(TaskStatus.RESUMABLE),
        "wait": _step(TaskStatus.IDLE),
        "block": _step(TaskStatus.BLOCKED),
        "unblock": _step(TaskStatus.READY, "blocked", "unblocked"),
        "delegate": _step(TaskStatus.DELEGATED),
        "complete": _step(TaskStatus.SUCCEEDED),
        "fail": _step(TaskStatus.FAILED),
        "cancel": _step(TaskStatus.CANCELLED),
        "retry": _step(TaskStatus.READY, "failed", "retried"),
    }
)
"""The operations of a task manager that change a status, by their names.

Where several lead to the same status each is for where it says: what was never begun cannot be
resumed. `start` also goes on with what was begun.
"""


# --- what others call them ------------------------------------------------------------

STATUS_ALIASES: Final[Mapping[str, TaskStatus]] = MappingProxyType(
    {
        "new": TaskStatus.PENDING,
        "created": TaskStatus.PENDING,
        "todo": TaskStatus.PENDING,
        "in_progress": TaskStatus.RUNNING,
        "active": TaskStatus.RUNNING,
        "started": TaskStatus.RUNNING,
        "waiting": TaskStatus.IDLE,  # its work is done, and its session still open
        "recovered": TaskStatus.RESUMABLE,
        "recovery_needed": TaskStatus.RESUMABLE,
        "interrupted": TaskStatus.RESUMABLE,
        "on_hold": TaskStatus.PAUSED,
        "completed": TaskStatus.SUCCEEDED,
        "complete": TaskStatus.SUCCEEDED,
        "done": TaskStatus.SUCCEEDED,
        "finished": TaskStatus.SUCCEEDED,
        "success": TaskStatus.SUCCEEDED,
        "archived": TaskStatus.SUCCEEDED,
        "failure": TaskStatus.FAILED,
        "error": TaskStatus.FAILED,
        "canceled": TaskStatus.CANCELLED,
        "aborted": TaskStatus.CANCELLED,
    }
)
"""What other systems call the statuses. Case, spaces, hyphens and underscores do not matter."""


def _plain(text: str) -> str:
    return "".join(text.split()).replace("_", "").replace("-", "").casefold()


_BY_NAME: Final = {
    **{_plain(one.value): one for one in TaskStatus},
    **{_plain(name): one for name, one in STATUS_ALIASES.items()},
}


def status_of(text: object) -> TaskStatus:
    """Return the status that a text means, here or in another system: `InProgress` is running.

    Raises:
        ValueError: it means none.
    """
    status = _BY_NAME.get(_plain(text)) if isinstance(text, str) else None
    if status is None:
        raise ValueError(f"status takes one of: {', '.join(TaskStatus)}")
    return status
