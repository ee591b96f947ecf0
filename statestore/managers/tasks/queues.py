"""Queues of tasks: what a session has to do, how far it is, and going on where it stopped."""

from __future__ import annotations

from collections.abc import Collection

from statestore.managers.manager import Manager
from statestore.managers.tasks.claims import TaskClaims, Where, queue_place
from statestore.managers.tasks.lease import IN_HAND
from statestore.managers.tasks.order import in_order
from statestore.managers.tasks.queue_reports import (
    QueueProgress,
    QueueStats,
    ResumeReport,
    SkippedTask,
    progress_of,
    stats_of,
)
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus
from statestore.records.drafts import Draft

_AT_WORK = frozenset({TaskStatus.RUNNING, TaskStatus.INTERACTIVE})


class TaskQueues(TaskClaims):
    """The tasks of a session as a queue. What they are is looked up as the manager shows it:
    `refresh()` of the store brings in what other processes have made of them; `claim` and
    `resume_session` do so by themselves.
    """

    def queue_of(self, session_id: str | None) -> tuple[Task, ...]:
        """Return the tasks of a session, ended ones too, by urgency, position and age.

        Args:
            session_id: None: those of no session.
        """
        tasks = (one for one in self.all() if one.session_id == session_id)
        return tuple(sorted(tasks, key=queue_place))

    def next_task(
        self,
        session_id: str | None = None,
        *,
        types: str | Collection[str] | None = None,
        where: Where | None = None,
    ) -> Task | None:
        """Return the task that `claim` would give next, without claiming it; None if there is none.

        Args:
            session_id, types, where: see `claim`.
        """
        return next(self._candidates(session_id, types, where), None)

    def current(self, session_id: str | None = None) -> tuple[Task, ...]:
        """Return the tasks that somebody works at, by urgency, position and age.

        These are running or interactive, whether they were claimed or not.

        Args:
            session_id: only those of this session; None: all.
        """
        return tuple(
            sorted(
                (one for one in self._of_session(session_id) if one.status in _AT_WORK),
                key=queue_place,
            )
        )

    def progress(self, session_id: str | None = None) -> QueueProgress:
        """Return how far the tasks of a session are. Nothing is read for it.

        Args:
            session_id: None: all tasks.
        """
        return progress_of(self._of_session(session_id))

    def queue_stats(self) -> QueueStats:
        """Return how many sessions there are, and how far all tasks are. Nothing is read for it.

        Sessions are those of the store, and those that tasks name.
        """
        managers = {} if self._owner is None else self._owner.record_managers
        sessions = managers.get("sessions")
        known = sessions.ids() if isinstance(sessions, Manager) else ()
        return stats_of(self.all(), known)

    def resume_session(
        self, session_id: str, *, max_attempts: int | None = None, unclaimed: bool = False
    ) -> ResumeReport:
        """Let the tasks be claimed again whose workers are gone, and tell what was found.

        Tasks that were running, paused or otherwise in hand become resumable; what has ended, and
        what a worker that goes on has, stays as it is. It is one commit, in every autosave mode.
        `claim` takes such tasks also without this; it is for who wants to see them first, or to
        begin after a crash with a clear state.

        Args:
            max_attempts: what was claimed so often fails instead.
            unclaimed: also tasks that were begun without a claim: only for who knows that nobody
                is at work.
        Raises:
            InTransaction: it holds at once, not when a transaction ends.
            InvalidRecord, StateStoreError: as they say.
        """
        self._want_claim(None, max_attempts)
        self._bring_in()
        self._ask_of(self._of_session(session_id))
        for left in self.abandoned(session_id):
            self._renew(left.id)

        def resume(draft: Draft[Task]) -> ResumeReport:
            found = (one for one in draft.all() if one.session_id == session_id)
            ordered, circular = in_order(one for one in found if not one.has_ended)
            parents = {one.parent_id for one in draft.all()} if self.roll_up else set()
            resumed: list[Task] = []
            failed: list[Task] = []
            skipped: list[SkippedTask] = []
            for one in (*ordered, *circular):
                task = draft[one.id]  # a parent may have followed a child by now
                if task.lease is not None and not self._is_over(task.lease):
                    skipped.append(SkippedTask(task.id, "claimed", task.lease.worker))
                elif task.status not in IN_HAND:
                    skipped.append(SkippedTask(task.id, task.status.value))
                elif task.lease is None and task.id in parents:
                    skipped.append(SkippedTask(task.id, "parent"))
                elif task.lease is None and not unclaimed:
                    skipped.append(SkippedTask(task.id, "unclaimed"))
                elif self._is_spent(task, max_attempts):
                    failed.append(self._give_up(draft, task))
                else:
                    resumed.append(self._leave(draft, task, "its worker is gone"))
            return ResumeReport(
                resumed=tuple(resumed),
                skipped=tuple(skipped),
                failed=tuple(failed),
                total_found=len(ordered) + len(circular),
                eligible=len(resumed) + len(failed),
            )

        report = self._change_all(resume, at_once=True)
        self._settle_parents({one.parent_id for one in self._of_session(session_id)})
        return report
