"""Running queues: the host's work is called for one claimed task after the other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any, TypeAlias

from statestore.errors import (
    EncodeError,
    InvalidRecord,
    InvalidTransition,
    LeaseLost,
    RecordNotFound,
    StateStoreError,
)
from statestore.managers.tasks.claims import Where
from statestore.managers.tasks.lifecycle import TaskLifecycle
from statestore.managers.tasks.queue_reports import RunReport
from statestore.managers.tasks.queues import TaskQueues
from statestore.managers.tasks.records import Task
from statestore.managers.tasks.statuses import TaskStatus

Work: TypeAlias = Callable[[Task], Any]
"""What a host does for a task: it is given the task as claimed, and returns its result.

That is any JSON value, or a tuple of it and of the confidence in it, 0 to 1. What it raises is why
the task failed.
"""


class TaskRunning(TaskQueues, TaskLifecycle):
    """Runs what is in a queue. A task is stored as running before the work on it begins."""

    def run_next(
        self,
        session_id: str | None,
        work: Work,
        *,
        worker: str | None = None,
        lease_s: float | None = None,
        types: str | Collection[str] | None = None,
        where: Where | None = None,
        max_attempts: int | None = None,
    ) -> Task | None:
        """Claim the next task, call `work` with it, and end it; None if there is nothing to do.

        The task that is returned has succeeded, or failed where the work raised an `Exception` or
        returned what cannot be stored. By what else it raises, `KeyboardInterrupt` or `SystemExit`,
        the task becomes resumable, and that goes on upwards. Work that has brought the task to a
        status itself returns the task.

        Args:
            session_id, worker, lease_s, types, where, max_attempts: see `claim`. Work that may
                take longer than `lease_s` calls `extend` in between.
            work: see `Work`. It is called without any lock, and may use the store.
        Raises:
            LeaseLost: the task was taken over before it was done; what was done for it is dropped.
            InvalidRecord: `work` is no function, or an argument is not what `claim` takes.
            RecordNotFound: so it is where the task was deleted.
            StateStoreError: see `claim`; or what became of the task could not be stored.
        """
        self._want_claim(lease_s, max_attempts, called={"work": work})
        task = self.claim(
            session_id,
            worker=worker,
            lease_s=lease_s,
            types=types,
            where=where,
            max_attempts=max_attempts,
        )
        return None if task is None else self._run(task, work)

    def run_all(
        self,
        session_id: str | None,
        work: Work,
        *,
        worker: str | None = None,
        lease_s: float | None = None,
        types: str | Collection[str] | None = None,
        where: Where | None = None,
        max_attempts: int | None = None,
    ) -> RunReport:
        """Do as `run_next` until nothing is left to do now, and tell what was done.

        What other workers have in hand, or what waits for that, is left to them: `progress` of the
        report tells of it. No task is taken twice, whatever becomes of it; what fails does not
        stop the others.

        Args:
            session_id, work, worker, lease_s, types, where, max_attempts: see `run_next`.
        Raises:
            InvalidRecord, StateStoreError: see `run_next`.
        """
        self._want_claim(lease_s, max_attempts, called={"work": work})
        completed: list[Task] = []
        failed: list[Task] = []
        lost: list[str] = []
        taken: set[str] = set()

        def is_new(task: Task) -> bool:
            return task.id not in taken and (where is None or where(task))

        while True:
            task = self.claim(
                session_id,
                worker=worker,
                lease_s=lease_s,
                types=types,
                where=is_new,
                max_attempts=max_attempts,
            )
            if task is None:
                break
            taken.add(task.id)
            try:
                done = self._run(task, work)
            except LeaseLost:
                lost.append(task.id)
                continue
            except RecordNotFound:
                if task.id in self:
                    raise
                lost.append(task.id)
                continue
            if done.status is TaskStatus.SUCCEEDED:
                completed.append(done)
            elif done.status is TaskStatus.FAILED:
                failed.append(done)
        progress = self.progress(session_id)
        return RunReport(tuple(completed), tuple(failed), tuple(lost), progress)

    def _run(self, task: Task, work: Work) -> Task:
        try:
            returned = work(task)
        except Exception as error:  # noqa: BLE001 # the host's code may raise anything
            return self.fail(task, _told(error))
        except BaseException as error:
            with contextlib.suppress(StateStoreError):  # else its lease ends with the process
                self.release(task, f"interrupted by {type(error).__name__}")
            raise
        if isinstance(returned, Task):
            return self[task.id]
        is_pair = isinstance(returned, tuple) and len(returned) == 2
        result, confidence = returned if is_pair else (returned, None)
        try:
            return self.complete(task, result, confidence=confidence)
        except InvalidTransition:
            raise
        except (EncodeError, InvalidRecord) as error:
            return self.fail(task, f"what it returned cannot be kept: {error.reason}")


def _told(error: Exception) -> str:
    name = type(error).__name__
    try:
        # Names of files may have in them what is no Unicode text, and cannot be stored.
        text = str(error).encode(errors="backslashreplace").decode().strip()
    except Exception:  # noqa: BLE001 # the host's class may raise anything
        return name
    return f"{name}: {text}" if text else name
